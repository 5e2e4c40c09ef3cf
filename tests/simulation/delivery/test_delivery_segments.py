"""Segments: a worker that runs one node after the other for one order keeps every promise of each of them.

Crashes at every second call of one workflow, other faults more seldom, or more (`faults`). ``DELIVERY_SEEDS`` and
``DELIVERY_FIRST_SEED`` as for other interleavings.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

import pytest
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.actors import Actor
from tests.simulation.delivery.faults import CRASHES, Crash, Fault, NoFaults, Plan, at_every_call, places
from tests.simulation.delivery.test_delivery_cancels import cancelled
from tests.simulation.delivery.test_delivery_crashes import survives, undisturbed
from tests.simulation.delivery.test_delivery_suspensions import ask, suspended_and_resumed
from tests.simulation.delivery.wild import tell
from tests.simulation.delivery.world import World, world

from workflow_runtime.deployment.topology import DISPATCH, node_queue
from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.invokers.invocation import NodeResult
from workflow_runtime.sdk import Pending
from workflow_runtime.storage.records import RunStatus
from workflow_runtime.storage.stores import Stores

SEEDS = int(os.environ.get("DELIVERY_SEEDS", "5"))
FIRST_SEED = int(os.environ.get("DELIVERY_FIRST_SEED", "0"))
OTHERS = tuple(fault for fault in Fault if fault not in CRASHES)
FAULTS = pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)


@pytest.mark.parametrize("name", scenarios.SEGMENTS)
@pytest.mark.parametrize("fault", CRASHES, ids=lambda fault: fault.name)
def test_p2_p3_p4_p8_a_crash_at_any_call_costs_at_most_one_attempt_of_one_node(name: str, fault: Fault) -> None:
    for place in places(undisturbed(name)[1], fault, 2 if name == "segment" else 7, name):
        survives(name, place, fault, seed=place)


@pytest.mark.parametrize("name", scenarios.SEGMENTS)
@pytest.mark.parametrize("fault", OTHERS, ids=lambda fault: fault.name)
def test_p2_p8_a_lost_answer_or_a_throttle_at_any_call_changes_no_outcome(name: str, fault: Fault) -> None:
    for place in places(undisturbed(name)[1], fault, 6 if name == "segment" else 20, name):
        survives(name, place, fault, seed=place)


@pytest.mark.parametrize("name", scenarios.SEGMENTS)
@pytest.mark.parametrize("suspends", [False, True])
def test_p2_to_p9_hold_for_any_interleaving(name: str, suspends: bool) -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        tell(name, seed, suspends=suspends)


@pytest.mark.parametrize("rounds", range(3))
@FAULTS
def test_p9_a_fault_at_any_call_does_not_save_a_segment_from_cancellation(fault: Fault, rounds: int) -> None:
    at_every_call(cancelled, fault, "segment", rounds, step=10)


@pytest.mark.parametrize("rounds", range(3))
@FAULTS
def test_p6_a_fault_at_any_call_changes_nothing_of_what_a_suspension_leaves(fault: Fault, rounds: int) -> None:
    at_every_call(suspended_and_resumed, fault, "segment", rounds, step=20)


def while_running(simulated: World, path: str, do: Any) -> None:
    """Have something happen while the code of a node runs, once."""

    def behave(call: Any) -> Any:
        simulated.behaviours.pop(path)
        do()
        return call.inputs

    simulated.behaviours[path] = behave


def ran(simulated: World) -> list[str]:
    return [path for _, path, _ in simulated.effects.counts]


def test_a_segment_is_one_order_and_one_report() -> None:
    with world("segment") as calm:
        calm.start()
        calm.drain()
        calm.check_end()
        assert ran(calm) == ["a", "b", "丙", "d", "e", "f", "g"]
        queues = [queue for queue, _ in calm.history]
        assert queues.count(node_queue("tool")) == 2
        assert queues.count(DISPATCH) == 4, "the start and three reports"


def control(simulated: World, operation: str) -> None:
    ask(simulated, operation)
    simulated.deliver(DISPATCH)


def test_a_worker_begins_nothing_more_of_a_segment_once_the_execution_is_suspended() -> None:
    with world("segment") as simulated:
        simulated.start()
        while_running(simulated, "b", lambda: control(simulated, "suspend"))
        simulated.drain()
        assert ran(simulated) == ["a", "b"]
        assert simulated.document()["status"] == "suspended"
        ask(simulated, "resume")
        simulated.drain()
        simulated.check_end()
        assert simulated.outcome() == undisturbed("segment")[0]
        assert set(simulated.effects.counts.values()) == {1}


def test_a_worker_begins_nothing_more_of_a_segment_once_the_execution_is_cancelled() -> None:
    with world("segment") as simulated:
        simulated.start()
        while_running(simulated, "b", lambda: control(simulated, "cancel"))
        simulated.drain()
        simulated.check_end()
        assert ran(simulated) == ["a", "b"]
        assert simulated.document()["status"] == "cancelled"


@pytest.mark.parametrize("path", ["a", "b", "c", "d"])
def test_an_execution_that_fails_meanwhile_undoes_what_a_worker_has_done_in_place(path: str) -> None:
    with world("segment_undone_meanwhile") as simulated:
        simulated.start()
        simulated.deliver(DISPATCH)
        simulated.deliver(node_queue("agent"))
        while_running(simulated, path, lambda: simulated.deliver(DISPATCH))
        simulated.deliver(node_queue("tool"))
        begun = ran(simulated)
        assert begun == ["bad", *"abcd"[: "abcd".index(path) + 1]], "nothing more was begun"
        simulated.drain()
        simulated.check_end()
        document = simulated.document()
        assert (document["status"], document["compensation"]) == ("failed", "completed")
        undone = [entry["node"] for entry in document["compensations"] if entry["status"] == "success"]
        assert undone == [each for each in ("d", "b") if each in begun]
        assert set(simulated.effects.counts.values()) == {1}


def cancelled_and_undone(seed: int, faults: Plan, path: str, end: str) -> None:
    """A branch is cancelled while ``path`` runs in a segment of its. Then the execution ends: it fails later, or is
    cancelled at once, before the segment is reported. What the segment did is undone. If the worker crashed before it
    ran ``path``, that may never run, and nobody cancels."""
    ends = ["failed"]
    with world("segment_cancelled_and_undone", seed, faults) as disturbed:
        disturbed.start()
        disturbed.deliver(DISPATCH)
        disturbed.deliver(node_queue("agent"))

        def meanwhile() -> None:
            disturbed.deliver(DISPATCH)
            if end == "cancelled" and disturbed.document()["status"] == "running":
                ends.append(end)
                control(disturbed, "cancel")

        while_running(disturbed, path, meanwhile)
        disturbed.deliver(node_queue("tool"))
        disturbed.drain()
        disturbed.check_end()
        document, runs = disturbed.document(), Stores(disturbed.raw).runs
        found = {each: runs.get(disturbed.execution_id, each, 1) for each in "ac"}
        succeeded = [each for each, run in found.items() if run is not None and run.status is RunStatus.SUCCESS]
        undone = [entry["node"] for entry in document["compensations"] if entry["status"] == "success"]
        assert sorted(undone) == succeeded
        assert document["status"] == ends[-1]
        if isinstance(faults, NoFaults):
            assert succeeded == [each for each in ran(disturbed) if each in found], "no worker died"
            assert document["status"] == end


@pytest.mark.parametrize("end", ["failed", "cancelled"])
@pytest.mark.parametrize("path", ["a", "b", "c"])
@FAULTS
def test_p9_a_fault_at_any_call_leaves_nothing_undone_of_a_segment_that_was_cancelled(
    fault: Fault, path: str, end: str
) -> None:
    at_every_call(cancelled_and_undone, fault, path, end, step=40)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
@pytest.mark.parametrize("path", ["a", "b", "c"])
def test_what_a_worker_has_done_in_place_is_undone_though_its_branch_was_cancelled(path: str, end: str) -> None:
    cancelled_and_undone(0, NoFaults(), path, end)


def test_nobody_waits_for_what_a_worker_runs_in_place_after_what_is_undone() -> None:
    with world("segment_cancelled_and_undone") as simulated:

        def cancel_at_b() -> None:
            control(simulated, "cancel")
            simulated.deliver(DISPATCH)
            seen.append(simulated.document()["compensations"][0]["status"])

        seen: list[str] = []
        simulated.start()
        while_running(simulated, "b", cancel_at_b)
        simulated.deliver(DISPATCH)
        simulated.deliver(node_queue("tool"))
        assert seen == ["ready"], "`a` is being undone while the code of `b` runs"
        simulated.drain()
        simulated.check_end()
        assert [entry["node"] for entry in simulated.document()["compensations"]] == ["a"]
        assert set(simulated.effects.counts.values()) == {1}


def cancel_from_within(disturbed: World) -> None:
    """Ask for it in the process of a worker, which may crash."""
    asked = None
    while asked is None:
        with suppress(RetryableError):
            asked = disturbed.runtime.control.ask("cancel", disturbed.execution_id, "not needed", "key")
    disturbed.deliver(DISPATCH)


def cut_short_and_reopened(seed: int, faults: Plan, path: str) -> None:
    """The execution is cancelled while ``path`` runs in a segment, and told to go on later: what was known to have
    succeeded does not run again. If the worker crashed before it ran ``path``, nobody cancels."""
    with world("segment", seed, faults) as disturbed:
        disturbed.start()
        disturbed.deliver(DISPATCH)
        while_running(disturbed, path, lambda: cancel_from_within(disturbed))
        disturbed.drain()
        disturbed.check_end()
        document = disturbed.document()
        kept = {each for each, node in document["node_executions"].items() if node["status"] == "success"}
        known = ran(disturbed)
        if isinstance(faults, NoFaults):
            assert document["status"] == "cancelled"
            assert sorted(kept) == sorted(known[:-1])
        if document["status"] == "cancelled":
            ask(disturbed, "retry")
            disturbed.drain()
            disturbed.check_end()
        assert disturbed.document()["status"] == "completed"
        assert not kept & set(ran(disturbed)[len(known) :]), "what had succeeded ran again"
        nodes = disturbed.document()["node_executions"]
        assert {node["output"]["x"] for node in nodes.values()} == {1}


@pytest.mark.parametrize("path", ["b", "d"])
@FAULTS
def test_p2_p9_a_fault_at_any_call_lets_nothing_run_again_that_is_known_to_have_succeeded(
    fault: Fault, path: str
) -> None:
    at_every_call(cut_short_and_reopened, fault, path, step=10)


@pytest.mark.parametrize("path", ["a", "b", "丙", "d"])
def test_what_had_not_ended_in_a_cancelled_segment_runs_anew_when_the_execution_is_reopened(path: str) -> None:
    cut_short_and_reopened(0, NoFaults(), path)


def test_a_node_that_takes_long_in_a_segment_keeps_its_lease() -> None:
    async def slow(call: Any) -> Any:
        await simulated.clock.sleep(200)
        return call.inputs

    with world("segment") as simulated:
        simulated.behaviours["b"] = slow
        simulated.start()
        simulated.deliver(DISPATCH)
        simulated.deliver(node_queue("tool"))
        assert ran(simulated) == ["a", "b"], "after a minute nothing more is begun"
        simulated.drain()
        simulated.check_end()
        assert simulated.outcome() == undisturbed("segment")[0]


def two_workers(wild: World) -> tuple[Actor, Actor]:
    """Of an execution that begins here, both with its first order."""
    wild.start()
    wild.run_at_once(wild.invocation(DISPATCH, wild.receive(DISPATCH)))
    order = wild.receive(node_queue("tool"))
    return wild.invocation(node_queue("tool"), order), wild.invocation(node_queue("tool"), order)


def test_p3_a_node_whose_worker_is_silent_is_given_up_alone_and_its_late_result_changes_nothing() -> None:
    with world("segment") as wild:
        first, second = two_workers(wild)

        async def late(call: Any) -> Any:
            wild.point()
            return {"x": 1, "attempt": call.attempt}

        wild.behaviours["b"] = late
        while "b" not in ran(wild):
            wild.turn(first)
        wild.clock.time += 91_000
        for worker in (second, first):
            while not worker.done:
                wild.turn(worker)
        wild.drain()
        wild.check_end()
        node = wild.document()["node_executions"]["b"]
        assert (node["status"], node["attempts"], node["output"]["attempt"]) == ("success", 2, 2)
        counts = {path: attempt for _, path, attempt in wild.effects.counts}
        assert counts["a"] == 1, "what had ended was not run again"


def test_p3_whoever_comes_late_for_a_node_in_place_says_so_of_its_own_order_though_its_lease_was_renewed() -> None:
    with world("segment") as wild:
        first, second = two_workers(wild)

        async def late(call: Any) -> Any:
            await wild.clock.sleep(40)
            wild.point()
            return {"x": 1, "attempt": call.attempt}

        wild.behaviours["b"] = late
        runs = Stores(wild.raw).runs
        while runs.get(wild.execution_id, "b", 1) is None:
            wild.turn(first)
        wild.clock.time += 191_000
        while not second.done:
            wild.turn(second)
        wild.lose(DISPATCH)
        while not first.done:
            wild.turn(first)
        (message,) = wild.receive(DISPATCH)
        mail = json.loads(message.event_record["body"])
        told = [(event["path"], event.get("command", event)["path"]) for event in (mail["event"], *mail["then"])]
        assert told == [("a", "a"), ("b", "b")]
        wild.drain()
        wild.check_end()
        nodes = wild.document()["node_executions"]
        assert [(nodes[each]["status"], nodes[each]["attempts"]) for each in "ab"] == [("success", 1), ("success", 2)]


def answered(seed: int, faults: Plan, answers: str) -> None:
    """A tool within a segment hands out its task token, which is answered ``at once``, while its code runs, or later:
    that it ``failed``, and then, of the next attempt, what it came to."""
    tokens: list[str] = []

    def say(what: Any, *about: Any) -> None:
        with suppress(RequestError):  # it came to its end before the caller got an answer
            while True:
                try:
                    return what(*about)
                except (Crash, RetryableError):
                    continue

    def hand_out(call: Any) -> Any:
        tokens.append(call.make_token())
        if answers == "at once":
            disturbed.calm.tasks.complete(tokens[-1], {"x": 1})
        return NodeResult(None, pending=Pending())

    with world("segment_that_waits", seed, faults) as disturbed:
        waits = lambda: disturbed.document()["node_executions"]["b"]["waiting_on"] == "callback"  # noqa: E731
        disturbed.behaviours["b"] = hand_out
        disturbed.start()
        disturbed.live_until(waits)
        if answers != "at once":
            first = len(tokens)
            say(disturbed.operator.tasks.fail, tokens[-1], "broken", "try again")
            disturbed.live_until(lambda: len(tokens) > first)
            disturbed.live_until(waits)
            say(disturbed.operator.tasks.complete, tokens[-1], {"x": 1})
        disturbed.drain()
        disturbed.check_end()
        assert disturbed.document()["status"] == "completed"
        assert disturbed.document()["node_executions"]["c"]["output"] == {"x": 1}


@pytest.mark.parametrize("answers", ["at once", "later"])
@FAULTS
def test_p6_an_answer_to_a_tool_within_a_segment_counts_whenever_it_comes(fault: Fault, answers: str) -> None:
    at_every_call(answered, fault, answers, step=8)
