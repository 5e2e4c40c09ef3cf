"""What limits promise in figures, through the real handlers on a virtual clock."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from typing import Any, cast

import pytest
from tests.ahead_clock import AheadClock
from tests.limits_world import START, LimitsWorld, costs_of_waiting, fan, many_in_line

from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.runtime.in_process import LocalRuntime

SEEDS = int(os.environ.get("LIMITS_ACCEPTANCE_SEEDS", "1"))
NODES = 400 if SEEDS == 1 else 1_000  # with other seeds, fewer are too few for the means


def waits_of(world: LimitsWorld, executions: list[str], began: dict[str, int]) -> list[int]:
    """How long each of these executions of one node waited, in ms."""
    return [one.at - began[one.execution_id] for one in world.worker.begun if one.execution_id in executions]


def p95(waits: list[int]) -> float:
    return statistics.quantiles(waits, n=20)[-1]


@pytest.mark.parametrize(
    ("failures", "longer", "writes", "requests", "invocations"),
    [(0, 1.05, 6, 4, 2.4), (2, 1.38, 6, 4, 2.4), (20, 1.38, 7, 5, 3)],
)
def test_very_many_nodes_at_once_begin_at_the_rate_and_cost_little(
    failures: int, longer: float, writes: float, requests: float, invocations: float
) -> None:
    """At 60 a minute and 6 at once; ``longer``: how many times as long as at best all may take to begin. ``failures``:
    of a thousand calls, of which a node that waits needs two dozen: with two, one node in twenty meets one, with
    twenty, every second."""
    for seed in range(1, SEEDS + 1):
        world = many_in_line(failures, seed, NODES)
        found = f"with seed {seed}"
        assert world.worker.most <= 6, found
        assert world.worker.most_in(60_000) <= 60, found
        assert max(world.worker.starts) <= longer * NODES * 1_000, found
        costs = costs_of_waiting(world, NODES)
        assert costs["writes"] <= writes, found
        assert costs["SQS requests"] <= requests, found
        assert costs["invocations"] <= invocations, found


class Clocked:
    """Runs nodes in a tenth of a second, and notes when they begin and how many go on at once."""

    def __init__(self, invoker: Any) -> None:
        self._invoker = invoker
        self.starts: list[float] = []
        self.open = 0
        self.most = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._invoker, name)

    async def invoke(self, call: NodeCall) -> NodeResult:
        self.starts.append(time.time())
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0.1)
        self.open -= 1
        return NodeResult(call.path)


def test_fifty_nodes_on_simulated_aws_begin_at_the_rate_and_never_more_at_once() -> None:
    workers: list[Clocked] = []

    def clocked(invoker: Any) -> Any:
        workers.append(Clocked(invoker))
        return workers[-1]

    with LocalRuntime(simulated.open_backend(AheadClock()), wrap=clocked) as runtime:
        limits = "  limits: {code: {requests: 600/min, concurrency: 4}}\n"
        runtime.services.catalog.publish(fan("w", 50, "limiter: code", limits).encode())
        execution = runtime.services.starter.start("w", {})
        began = time.time()
        assert asyncio.run(runtime.run_until_ended(execution)) == "completed"
        (gauge,) = cast("list[dict[str, Any]]", runtime.services.limits.get("w/code")["gauges"])
        assert gauge["waiting"] == 0
    (worker,) = [worker for worker in workers if worker.starts]
    assert len(worker.starts) == 50
    assert worker.most <= 4
    assert all(start - began >= place * 0.1 for place, start in enumerate(worker.starts)), "late, but never early"


def test_a_tenant_with_most_of_the_load_costs_the_others_at_most_as_much_time_again() -> None:
    """Five tenants, one of which has nine tenths of all work; against the others without it."""
    head = "  tenant: '${who}'\n  limits: {code: {requests: 1/s}}\n"
    found: list[float] = []
    for loud in (0, 160):
        world = LimitsWorld(1.0)
        world.publish(fan("w", 1, "limiter: code", head))
        others = [world.start("w", who=f"t{number % 4}") for number in range(16)]
        noise = [world.start("w", who="loud") for _ in range(loud)]
        began = dict.fromkeys((*others, *noise), 0)
        for execution in (*others, *noise):
            assert world.run(execution) == "completed"
        found.append(p95(waits_of(world, others, began)))
    alone, beside = found
    assert beside <= 2 * alone


def test_cancelling_a_thousand_that_wait_leaves_nobody_in_the_line_and_the_next_begins() -> None:
    world = LimitsWorld(1_000.0)
    world.publish(fan("w", 1_000, "limiter: code"), fan("v", 1, "limiter: code"))
    world.services.limits.put("code", {"concurrency": 1})
    first = world.start("w")
    lines: list[int] = []
    world.play(
        (60_000, lambda: lines.append(len(world.waiting("code")))),
        (60_001, lambda: world.start("v")),
        (61_000, lambda: world.ask("cancel", first)),
        (70_000, lambda: lines.append(sum(one.execution_id == first for one in world.waiting("code")))),
        (200_000, lambda: None),
    )
    assert lines == [999, 0]
    assert world.document(first)["status"] == "cancelled"
    (next_at,) = [one.at for one in world.worker.begun if one.execution_id != first]
    assert next_at <= 61_000 + 30_000 + 5_000, "its worker is told to stop when it renews its lease; then within 5 s"


def test_why_expects_a_start_within_a_fifth_of_the_wait() -> None:
    world = LimitsWorld(0.5)
    world.publish(fan("w", 120, "limiter: code", "  limits: {code: {requests: 60/min}}\n"))
    execution = world.start("w")
    asked_at = 3_000
    guesses: dict[str, int] = {}

    def look() -> None:
        waits = world.services.explanations.why(execution, 200).waits
        guesses.update({one.path: one.until - START for one in waits if one.waiting_on == "limiter"})

    world.play((asked_at, look), (200_000, lambda: None))
    assert len(guesses) > 100
    for one in world.worker.begun:
        if one.path in guesses:
            assert abs(guesses[one.path] - one.at) <= max(0.2 * (one.at - asked_at), 5_000), one.path


def test_a_parent_and_its_child_that_need_the_same_place_do_not_wait_for_each_other() -> None:
    """A place is held while an attempt runs, and not while its node waits for a child."""
    world = LimitsWorld(2.0)
    child = "workflow:\n  id: child\n  nodes: [{id: work, type: tool, tool: echo, limiter: code}]\n"
    parent = (
        "workflow:\n  id: parent\n  nodes:\n"
        "    - {id: first, type: tool, tool: echo, limiter: code}\n"
        "    - {id: call, type: sub_workflow, workflow_id: child, dependencies: first}\n"
        "    - {id: last, type: tool, tool: echo, limiter: code, dependencies: call}\n"
    )
    world.publish(child, parent)
    world.services.limits.put("code", {"concurrency": 1})
    executions = [world.start("parent") for _ in range(3)]
    assert [world.run(execution) for execution in executions] == ["completed"] * 3
    assert world.worker.most == 1


def test_a_workflow_s_place_holds_for_the_children_that_it_awaits() -> None:
    world = LimitsWorld(2.0)
    child = "workflow:\n  id: child\n  limiter: whole\n  nodes: [{id: work, type: tool, tool: echo}]\n"
    parent = "workflow:\n  id: parent\n  limiter: whole\n  nodes: [{id: c, type: sub_workflow, workflow_id: child}]\n"
    world.publish(child, parent)
    world.services.limits.put("whole", {"concurrency": 1})
    executions = [world.start("parent") for _ in range(3)]
    assert [world.run(execution) for execution in executions] == ["completed"] * 3
    assert world.worker.most == 1


def test_an_execution_that_is_reopened_takes_a_place_again() -> None:
    world = LimitsWorld(20.0)
    world.publish(fan("w", 1, "when: 'true'", "  limiter: whole\n  limits: {whole: {concurrency: 1}}\n"))
    first = world.start("w")
    world.worker.raises = lambda _call: RuntimeError("no") if world.now < 30_000 else None
    assert world.run(first) == "failed"
    second: list[str] = []
    at = world.now
    world.play(
        (at + 10_001, lambda: second.append(world.start("w"))),
        (at + 12_000, lambda: world.ask("retry", first)),
        (at + 13_000, lambda: second.append(world.start("w"))),
        (at + 200_000, lambda: None),
    )
    assert [world.document(one)["status"] for one in (first, *second)] == ["completed"] * 3
    assert world.worker.most == 1
    assert [one.execution_id for one in world.worker.begun] == [first, second[0], first, second[1]]
    assert world.gauge("w/whole")["n"] == 0


def test_an_execution_that_is_reopened_has_its_place_until_it_ends_however_long_that_takes() -> None:
    world = LimitsWorld(lambda _call: 20.0 if world.now < 30_000 else 400.0)
    nodes = (
        f"    - {{id: n{at}, type: tool, tool: echo, dependencies: [{f'n{at - 1}' if at else ''}]}}\n"
        for at in range(3)
    )
    head = "  limiter: whole\n  limits: {whole: {concurrency: 1}}\n"
    world.publish(f"workflow:\n  id: w\n{head}  nodes:\n{''.join(nodes)}")
    first = world.start("w")
    world.worker.raises = lambda _call: RuntimeError("no") if world.now < 30_000 else None
    assert world.run(first) == "failed"
    second: list[str] = []
    world.play(
        (31_000, lambda: world.ask("retry", first)),
        (40_000, lambda: second.append(world.start("w"))),
        (3_000_000, lambda: None),
    )
    assert [world.document(one)["status"] for one in (first, *second)] == ["completed"] * 2
    assert [one.execution_id for one in world.worker.begun] == [first] * 4 + second * 3
    assert world.worker.most == 1


@pytest.mark.parametrize("operation", ["cancel", "suspend"])
def test_what_ends_early_gives_its_places_back(operation: str) -> None:
    """Semaphores of other engines leak when what holds them is terminated, deleted or restarted."""
    world = LimitsWorld(30.0)
    world.publish(fan("w", 1, "limiter: [a, b]", "  limits: {a: {concurrency: 1}, b: {concurrency: 1}}\n"))
    first = world.start("w")
    second: list[str] = []
    world.play(
        (1_000, lambda: second.append(world.start("w"))),
        (2_000, lambda: world.ask(operation, first)),
        (200_000, lambda: None),
    )
    assert world.document(second[0])["status"] == "completed"
    for name in ("w/a", "w/b"):
        gauge: dict[str, Any] = world.gauge(name)
        assert gauge["n"] == 0, name
    assert world.waiting("w/a") == world.waiting("w/b") == []
