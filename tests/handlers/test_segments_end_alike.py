"""What ends a chain while one of its nodes is at work leaves the same behind, node by node and in segments: random
chains, each with something that happens once the code of a random node of it runs, and what people ask afterwards.

The same node is at work in both, and whatever else has a part in it is decided by the dispatcher: nothing depends on
who comes first. ``SEGMENT_SEEDS`` and ``SEGMENT_FIRST_SEED``: how many chains, from which on.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from tests.handlers.bench import SOURCES, Bench
from tests.handlers.test_segments_look_alike import Chain, broken, flaky, timeless
from tests.unit.services.replaying import assert_replays

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.errors import RequestError
from workflow_runtime.invokers.invocation import NodeCall

SEEDS = int(os.environ.get("SEGMENT_SEEDS", "20"))
FIRST_SEED = int(os.environ.get("SEGMENT_FIRST_SEED", "0"))
TIMEOUT_SECONDS = 10
NOT_OF_WORKERS = [queue for queue in SOURCES if not queue.startswith("node-")]

GO: dict[str, Any] = {"id": "go", "type": "control", "subtype": "wait", "event": "go"}
BOOM: dict[str, Any] = {"id": "boom", "type": "control", "subtype": "fail", "dependencies": ["go"]}


def alone(chain: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nodes": chain}


def beside_a_failure(chain: list[dict[str, Any]]) -> dict[str, Any]:
    """A branch fails; another node, which comes in any case, reads what the chain came to."""
    ids = [node["id"] for node in chain]
    seen = {id: f"${{nodes.{id}.status}}" for id in ids}
    audit = {"id": "audit", "type": "tool", "tool": "echo", "dependencies": [ids[-1], "boom"], "join": "all_done"}
    return {"nodes": [*chain, GO, BOOM, {**audit, "inputs": seen}]}


def in_a_race(chain: list[dict[str, Any]]) -> dict[str, Any]:
    """Another branch wins."""
    race = {"id": "race", "type": "control", "subtype": "parallel", "branches": [chain[0]["id"], "go"]}
    after = {"id": "after", "type": "control", "subtype": "pass", "dependencies": ["race"]}
    return {"nodes": [{**race, "wait_all": False, "cancel_rest": True}, *chain, GO, after]}


def in_a_loop(chain: list[dict[str, Any]]) -> dict[str, Any]:
    """Another pass fails."""
    only = {"id": "only", "type": "control", "subtype": "pass", "when": "${index == 0}"}
    other = {"id": "other", "type": "control", "subtype": "pass", "when": "${index == 1}"}
    first = {**chain[0], "dependencies": ["only"]}
    body = [only, first, *chain[1:], other, {**GO, "dependencies": ["other"]}, BOOM]
    loop = {"id": "each", "type": "control", "subtype": "loop", "items": [0, 1], "max_concurrency": 2, "body": body}
    return {"nodes": [loop, {"id": "after", "type": "tool", "tool": "echo", "dependencies": ["each"], "inputs": {}}]}


def in_a_state(chain: list[dict[str, Any]]) -> dict[str, Any]:
    """The state whose graph it is is left."""
    work = {"name": "work", "run": chain, "on_done": "over", "on_error": "lost"}
    states = [{**work, "transitions": [{"event": "go", "target": "left"}]}, {"name": "left", "after": LATER}]
    ends = [{"name": "over"}, {"name": "lost"}]
    return {"type": "state_machine", "initial_state": "work", "final_states": ["over", "lost"], "states": states + ends}


def in_a_child(_: list[dict[str, Any]]) -> dict[str, Any]:
    """The execution that awaits it fails."""
    child = {"id": "child", "type": "sub_workflow", "workflow_id": CHILD, "inputs": {"start": "${start}"}}
    return {"nodes": [child, GO, BOOM]}


def among_others(chain: list[dict[str, Any]]) -> dict[str, Any]:
    """Others, which nobody looks at, take turns with it."""
    others = [{"id": f"other{number}", "type": "tool", "tool": "echo", "inputs": {}} for number in range(3)]
    return {"nodes": [*chain, *others, GO, BOOM], "limits": {"max_concurrency": 1}}


LATER = [{"delay": "1s", "target": "lost"}]
INPUT = {"type": "object", "properties": {"start": {"type": "number"}}, "required": ["start"]}
ORDERS = ("reverse", "parallel")
AROUND = (alone, beside_a_failure, in_a_race, in_a_loop, in_a_state, in_a_child, among_others)
CHILD = "chain"


class Tale:
    """A chain and its surroundings, what happens, and when: once the code of ``node`` runs."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        chain = Chain(random)
        self.around = random.choice(AROUND)
        self.node = random.choice(chain.nodes)["id"]
        self.fails = random.random() < 0.2
        whole = ["cancel", "suspend cancel", "suspend+cancel", "suspend", "time out", "freeze", "freeze cancel"]
        if self.around is among_others:
            whole = whole[:-2]  # what was ordered is frozen, what others keep waiting is not
        self.happens = "go" if self.around is not alone and random.random() < 0.7 else random.choice(whole)
        on = [occasion for occasion in ("failure", "cancel", "timeout") if random.random() < 0.5]
        self.after = [random.choice(("retry", "compensate")) for _ in range(random.randint(1, 2))]
        around = self.around(chain.nodes)
        head = {"input_schema": INPUT, "compensation": {"on": on or ["failure"], "order": random.choice(ORDERS)}}
        limits = {"places": {"concurrency": 2}}
        self.definition = {"id": "w", **head, **around, "limits": {**limits, **around.get("limits", {})}}
        self.child = {"id": CHILD, **head, "limits": limits, "nodes": chain.nodes}
        if self.happens == "time out":
            self.definition["timeout"] = f"{TIMEOUT_SECONDS}s"
        self.start = seed % 4

    def __str__(self) -> str:
        what = (self.around.__name__, self.node, self.happens, self.fails, self.after)
        return f"{what} {json.dumps(self.definition)}"


class Told:
    """A tale as it is told, in segments or node by node."""

    def __init__(self, bench: Bench, tale: Tale, events: list[str]) -> None:
        self._bench, self._tale, self._happened = bench, tale, False
        bench.tools.tools = {
            "echo": self._within(lambda call: call.inputs),
            "flaky": self._within(flaky),
            "broken": self._within(broken),
        }
        bench.tools.calls.clear()
        for definition in (tale.child, tale.definition):
            bench.runtime.catalog.publish(json.dumps({"workflow": {**definition, "events": events}}).encode())
        self.id = bench.runtime.starter.start("w", {"start": tale.start})
        bench.drain()
        self.seen = [self._seen()]
        if tale.happens.startswith("freeze"):
            with suppress(RequestError):  # the node did not run
                bench.runtime.freezes.thaw("all")
            bench.drain()
        for operation in (*(["resume"] if tale.happens == "suspend" else []), *tale.after):
            try:
                bench.runtime.control.ask(operation, self.id)
            except RequestError as error:
                self.seen.append(f"{operation}: {error}".replace(self.id, ""))
            bench.drain()
            self.seen.append(self._seen())

    @property
    def orders(self) -> int:
        journal = self._bench.runtime.stores.executions.journal(self.id)
        return sum(isinstance(command, RunNode) for entry in journal for command in entry.commands)

    def _within(self, tool: Callable[[NodeCall], Any]) -> Callable[[NodeCall], Any]:
        def code(call: NodeCall) -> Any:
            if not self._happened and call.path.rpartition("/")[2] == self._tale.node:
                self._happened = True
                self._happens()
                if self._tale.fails:
                    raise ValueError("the first time")
            return tool(call)

        return code

    def _happens(self) -> None:
        bench, what = self._bench, self._tale.happens
        if what == "go":
            bench.runtime.signalling.send(self.id, "go", {})
        elif what == "time out":
            bench.pass_time(TIMEOUT_SECONDS + 1)
        elif what.startswith("freeze"):
            bench.runtime.freezes.freeze("all")
        elif what.startswith("suspend"):
            bench.runtime.control.ask("suspend", self.id)
        if what == "suspend cancel":
            self._settle()
        if what.endswith("cancel"):
            bench.runtime.control.ask("cancel", self.id)
        self._settle()

    def _settle(self) -> None:
        while sum(self._bench.deliver(queue) for queue in NOT_OF_WORKERS):
            pass

    def _seen(self) -> Any:
        """Documents, and how often the code of each node has run, of all but the others."""
        document = self._bench.document(self.id)
        child = document["node_executions"].get("child", {}).get("child")
        documents = [document, self._bench.document(child)] if child else [document]
        for each in documents:
            if each["status"] in ("completed", "failed", "cancelled"):
                assert_replays(self._bench.runtime, each["execution_id"])
            for transition in each.get("transitions", ()):
                del transition["version"]  # commits are counted
            if not each["compensations"]:
                each["compensation"] = None  # it may have waited until it was sure that nothing was to be undone
            for id in [id for id in each["node_executions"] if id.startswith("other")]:
                del each["node_executions"][id]
        text = json.dumps(timeless(documents)).replace(self.id, "").replace(child or self.id, "")
        calls = Counter(path for path in self._bench.tools.calls if not path.startswith("other"))
        return json.loads(text), calls


@pytest.fixture
def bench() -> Iterator[Bench]:
    opened = Bench("embedded")
    yield opened
    opened.close()


def test_a_chain_ends_as_it_does_node_by_node(bench: Bench) -> None:
    saved = 0
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        tale = Tale(seed)
        one_by_one = Told(bench, tale, ["execution", "node"])
        in_segments = Told(bench, tale, ["execution"])
        assert in_segments.seen == one_by_one.seen, f"seed {seed}: {tale}"
        saved += one_by_one.orders - in_segments.orders
    assert saved, "segments were run"
