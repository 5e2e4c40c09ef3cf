"""Segments change what an execution costs, and nothing that anybody sees of it: random workflows come, node by node and
in segments, to the same document, journal, calls, metrics and events, but for times.

Node by node: a workflow that publishes the events of its nodes runs none of them in place. ``SEGMENT_SEEDS`` and
``SEGMENT_FIRST_SEED``: how many workflows, from which on.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Any

import msgspec
import pytest
from tests.handlers.bench import Bench
from tests.simulation.engine.definitions import Builder
from tests.unit.services.replaying import assert_replays

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.engine.commands import Command, PublishEvent, RunNode
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import NodeCall

SEEDS = int(os.environ.get("SEGMENT_SEEDS", "25"))
FIRST_SEED = int(os.environ.get("SEGMENT_FIRST_SEED", "0"))
TIMES = frozenset({"at", "started_at", "ended_at", "time", "now", "id", "execution_id", "correlation_id"})
OF_THE_WAY = (Metric.COMMITS, Metric.EVENTS_DISPATCHED, Metric.ORDERS_TAKEN)
"""What counts messages and commits: fewer of them are what segments are for."""


class Chain:
    """A random chain of tools and agents that retry, fail, are handled, undone, limited, and left out by conditions."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.nodes = [self._node(number) for number in range(random.randint(3, 12))]

    def definition(self) -> dict[str, Any]:
        limits = {"places": {"concurrency": 2}}
        return {"id": "w", "limits": limits, "compensation": {"on": ["failure"]}, "nodes": self.nodes}

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _node(self, number: int) -> dict[str, Any]:
        id = f"n{number}"
        what = "agent" if self._chance(0.15) else "tool"
        node: dict[str, Any] = {"id": id, "type": what, what: self._random.choice(["echo"] * 12 + ["flaky", "broken"])}
        node["inputs"] = {"v": self._value(number)}
        if number:
            node["dependencies"] = [f"n{number - 1}"]
        if number and self._chance(0.3):
            read = self._random.randrange(number)
            node["when"] = self._random.choice(
                [f"${{n{read}.v > 1}}", f"${{start < 3 or n{read}.v == 1}}", f"${{nodes.n{read}.status == 'success'}}"]
            )
            node["on_skip"] = self._random.choice(["continue", "skip"])
        if self._chance(0.4):
            node["retry_policy"] = {"max_retries": 2, "retry_delay": "0s"}
        if self._chance(0.3):
            node["compensate"] = {"tool": "echo", "inputs": {"v": "${output.v}"}}
        elif self._chance(0.2):
            node["on_error"] = [{"errors": ["*"], "do": "continue"}]
        elif self._chance(0.2):
            node["fallback"] = {"tool": "echo"}
        if self._chance(0.1):
            node["limiter"] = "places"
        return node

    def _value(self, number: int) -> Any:
        if not number or self._chance(0.2):
            return "${start}"
        return self._random.choice(["${previous.v}", f"${{n{self._random.randrange(number)}.v}}", "${previous.v + 1}"])


def flaky(call: NodeCall) -> Any:
    if call.attempt < 2:
        raise NodeError("broken", "the first time")
    return call.inputs


def at(outcomes: dict[str, Any], call: NodeCall) -> Any:
    return outcomes[call.path]


def broken(_: NodeCall) -> Any:
    raise NodeError("broken", "always")


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    opened = Bench("embedded")
    opened.tools.tools |= {"flaky": flaky, "broken": broken}
    yield opened
    opened.close()


def seen(bench: Bench, definition: dict[str, Any], input: Any, events: list[str]) -> tuple[dict[str, Any], int]:
    """What there is to see of an execution, and how many orders it took."""
    calls, counts = len(bench.tools.calls), len(bench.counts)
    bench.runtime.catalog.publish(json.dumps({"workflow": {**definition, "events": events}}).encode())
    execution_id = bench.runtime.starter.start("w", input)
    bench.drain()
    history = bench.runtime.documents.history(execution_id, 0, 1000)
    assert history.finished
    assert_replays(bench.runtime, execution_id)
    orders = [command for entry in history.entries for command in entry.commands if isinstance(command, RunNode)]
    document = bench.document(execution_id)
    del document["workflow_version"]
    of_nodes = [event for entry in history.entries for event in entry.events if hasattr(event, "serial")]
    commands = [
        command
        for entry in history.entries
        for command in entry.commands
        if not isinstance(command, RunNode)
        and not (isinstance(command, PublishEvent) and "node" in command.detail_type)
    ]
    own = [each for each in bench.backend.bus_events() if each["detail"].get("execution_id") == execution_id]
    named = [each for each in own if not each["detail-type"].startswith("node.")]
    return {
        "document": timeless(document),
        "results": [(type(event).__name__, event.path, event.serial) for event in of_nodes],
        "commands": timeless(msgspec.to_builtins(commands)),
        "calls": Counter(bench.tools.calls[calls:]),
        "metrics": Counter(name for name, _ in bench.counts[counts:] if name not in OF_THE_WAY),
        "events": [(each["detail-type"], timeless(each["detail"])) for each in named],
    }, len(orders)


def is_of_node(command: Command) -> bool:
    return isinstance(command, PublishEvent) and command.detail_type.startswith("node.")


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in TIMES and key != "workflow_version"}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def test_a_chain_looks_as_it_does_node_by_node(bench: Bench) -> None:
    saved = 0
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        definition = Chain(Random(seed)).definition()
        one_by_one, orders = seen(bench, definition, {"start": seed % 4}, ["execution", "node"])
        in_segments, fewer = seen(bench, definition, {"start": seed % 4}, ["execution"])
        assert in_segments == one_by_one, f"seed {seed}: {json.dumps(definition)}"
        saved += orders - fewer
    assert saved >= SEEDS, "segments were run"


def test_a_graph_ends_as_it_does_node_by_node(bench: Bench) -> None:
    """Branches side by side take the order that deliveries give them: what they come to is the same."""
    saved = 0
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        builder = Builder(Random(seed), racing=False, failing=False)
        definition, outcomes = builder.definition(), builder.outcomes()
        if compile_workflow(json.dumps({"workflow": definition})).plan is None:
            continue  # its nodes wait for each other
        bench.tools.tools["t"] = partial(at, outcomes)
        one_by_one, orders = seen(bench, definition, {}, ["execution", "node"])
        in_segments, fewer = seen(bench, definition, {}, ["execution"])
        for name in ("document", "calls", "metrics", "events"):
            assert in_segments[name] == one_by_one[name], f"seed {seed}: {json.dumps(definition)}"
        assert {*in_segments["results"]} == {*one_by_one["results"]}  # one that came before its turn comes again
        saved += orders - fewer
    assert saved, "segments were run"
