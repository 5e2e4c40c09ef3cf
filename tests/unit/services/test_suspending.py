"""Suspended executions: nothing starts, what runs ends, what comes is held in order, and all of it goes on later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.services.replaying import assert_replays
from tests.unit.services.test_control import PARENT, START, World

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine import holding
from workflow_runtime.engine.events import (
    ChildEnded,
    Event,
    Poked,
    SendFailed,
    SignalReceived,
    SuspendRequested,
    TimerFired,
)
from workflow_runtime.engine.identity import keyed_execution_id
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.errors import RequestError
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.dispatch.dispatcher import Delivery
from workflow_runtime.services.orders import ORDERS_MAX
from workflow_runtime.storage.due import shard_of
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.testing.driver import HeldClock

CHAIN = """
workflow:
  id: chain
  nodes:
    - {id: a, type: tool, tool: act}
    - {id: b, type: tool, tool: act, dependencies: [a]}
"""
LISTENS = """
workflow:
  id: listens
  type: state_machine
  initial_state: on
  variables: {seen: []}
  states:
    - name: on
      transitions:
        - {event: put, actions: [{set_variable: {name: seen, value: "${seen + [event.data.n]}"}}]}
        - {event: end, target: done}
  final_states: [done]
"""
WAITS = """
workflow:
  id: waits
  timeout: 2h
  nodes:
    - {id: t, type: control, subtype: wait, duration: 1h}
    - {id: e, type: control, subtype: wait, event: go, timeout: 30m, on_timeout: continue}
    - {id: after, type: tool, tool: act, dependencies: [t, e]}
"""
HOUR = 3600 * 1000


@pytest.fixture
def world() -> Iterator[World]:
    world = World(HeldClock(START))
    world.clock.limit = None
    with world.runtime:
        yield world


def act(world: World, operation: str, execution: str, key: str | None = None, **fields: Any) -> None:
    world.control.ask(operation, execution, "maintenance", key, by="李雷", **fields)
    world.settle(execution)


def pump_until(world: World, moment: int) -> None:
    """Let time pass, with what becomes due."""
    clock = world.clock
    assert isinstance(clock, HeldClock)
    reached: list[bool] = []
    clock.limit, clock.on_limit = moment, lambda: reached.append(True)
    asyncio.run(world.runtime.pump.run(lambda: bool(reached)))
    clock.limit = None
    clock.advance_to(moment)


def take(world: World, execution: str, event: Event) -> None:
    """Have the dispatcher take an event at once, before workers do anything."""
    assert world.services.dispatcher.dispatch(execution, [Delivery(event)]) == 1


def state_of(world: World, execution: str) -> Any:
    stored = world.services.stores.executions.load(execution)
    assert stored is not None
    return stored.state


def test_a_running_node_ends_and_is_recorded_and_its_successor_starts_when_it_is_resumed(world: World) -> None:
    ran: list[str] = []

    def tool(call: NodeCall) -> str:
        ran.append(call.path)
        if call.path == "a":
            world.control.ask("suspend", call.execution_id, "maintenance", "k", by="李雷")
        return call.path

    world.act = tool
    execution = world.start(CHAIN)
    assert world.settle(execution) == "suspended"
    assert (ran, world.nodes(execution)) == (["a"], {"a": "success", "b": "waiting"})
    document = world.services.documents.document(execution)
    assert document["node_executions"]["b"]["waiting_on"] == "suspended"
    assert document["suspension"] == {
        "since": "2026-01-01T00:00:00.000Z",
        "by": "李雷",
        "reason": "maintenance",
        "held": 0,
        "escalated": None,
    }
    act(world, "resume", execution)
    assert world.status(execution) == "completed"
    assert ran == ["a", "b"]
    assert world.services.documents.document(execution)["suspension"] is None
    assert_replays(world.services, execution)


def test_the_last_result_completes_a_suspended_execution_only_when_it_is_resumed(world: World) -> None:
    world.act = lambda call: world.control.ask("suspend", call.execution_id).changed
    execution = world.start("workflow: {id: one, nodes: [{id: a, type: tool, tool: act}]}")
    assert world.settle(execution) == "suspended"
    assert world.nodes(execution) == {"a": "success"}
    act(world, "resume", execution)
    assert world.status(execution) == "completed"
    assert world.services.documents.document(execution)["output"] is True


def test_an_order_that_no_worker_has_begun_waits_and_is_begun_once_when_it_is_resumed(world: World) -> None:
    ran: list[str] = []
    world.act = lambda call: ran.append(call.path)
    execution = world.start(CHAIN)
    take(world, execution, Poked("poke:1", START))
    take(world, execution, SuspendRequested("control:k", START))
    world.settle(execution)
    assert (ran, world.status(execution)) == ([], "suspended")
    pump_until(world, START + 5 * HOUR)
    assert ran == []
    assert world.services.documents.document(execution)["node_executions"]["a"]["waiting_on"] == "suspended"
    act(world, "resume", execution)
    assert (ran, world.status(execution)) == (["a", "b"], "completed")
    assert_replays(world.services, execution)


def test_events_are_held_and_taken_in_the_order_they_came(world: World) -> None:
    execution = world.start(LISTENS)
    world.settle(execution)
    act(world, "suspend", execution)
    count = 2 * holding.RETURNED_TURN_MAX + 3
    for number in range(count):
        sent = world.services.signalling.send(execution, "put", {"n": number}, f"k{number}", watched=True)
    world.settle(execution)
    result = world.services.signalling.result(sent)
    assert result is not None
    assert (result["outcome"], result["status"]) == ("held", "suspended")
    assert world.services.documents.document(execution)["suspension"]["held"] == count
    world.services.signalling.send(execution, "put", {"n": 0}, "k0")  # a repeat is not held again
    world.settle(execution)
    assert state_of(world, execution).held == count
    act(world, "resume", execution)
    world.services.signalling.send(execution, "put", {"n": count})
    world.settle(execution)
    assert world.services.documents.document(execution)["variables"]["seen"] == list(range(count + 1))
    state = state_of(world, execution)
    assert (state.held, state.held_next) == (0, count)
    assert world.services.ports.table.query(f"EX#{execution}", "HELD#") == []
    assert_replays(world.services, execution)


def test_what_comes_before_the_last_held_event_is_in_is_held_behind_it(world: World) -> None:
    execution = world.start(LISTENS)
    world.settle(execution)
    act(world, "suspend", execution)
    send = world.services.signalling.send
    count = holding.RETURNED_TURN_MAX + 5
    for number in range(count):
        send(execution, "put", {"n": number})
    world.settle(execution)
    world.control.ask("resume", execution)
    for number in range(count, count + 8):
        send(execution, "put", {"n": number})
    send(execution, "end")
    assert world.settle(execution) == "completed"
    assert world.services.documents.document(execution)["variables"]["seen"] == list(range(count + 8))
    assert state_of(world, execution).held_next > count
    assert_replays(world.services, execution)


def test_timers_go_on_and_are_taken_in_order_when_it_is_resumed(world: World) -> None:
    execution = world.start(WAITS)
    world.settle(execution)
    act(world, "suspend", execution)
    pump_until(world, START + 5 * HOUR)
    assert world.status(execution) == "suspended"
    assert state_of(world, execution).held == 2
    assert world.nodes(execution) == {"t": "running", "e": "running", "after": "waiting"}
    act(world, "resume", execution)
    assert world.status(execution) == "completed"
    assert_replays(world.services, execution)


def test_the_timeout_of_the_execution_stands_still(world: World) -> None:
    execution = world.start(WAITS.replace("duration: 1h", "duration: 30d"))
    world.settle(execution)
    pump_until(world, START + HOUR)
    act(world, "suspend", execution)
    pump_until(world, START + 30 * HOUR)
    act(world, "resume", execution)
    pump_until(world, START + 31 * HOUR - 1)
    assert world.status(execution) == "running"
    asyncio.run(world.runtime.pump.run(lambda: world.services.documents.status(execution).terminal))
    document = world.services.documents.document(execution)
    assert (document["status"], document["error"]["type"]) == ("failed", "timeout")
    assert document["ended_at"] == "2026-01-02T07:00:00.000Z"
    assert_replays(world.services, execution)


def test_an_execution_that_is_suspended_before_its_start_starts_when_it_is_resumed(world: World) -> None:
    ran: list[str] = []
    world.act = lambda call: ran.append(call.path)
    execution = world.start(CHAIN.replace("id: chain", "id: chain\n  timeout: 1h"))
    world.control.ask("suspend", execution)
    assert world.settle(execution) == "suspended"
    pump_until(world, START + 3 * HOUR)
    assert (ran, set(world.nodes(execution).values())) == ([], {"waiting"})
    act(world, "resume", execution)
    assert (ran, world.status(execution)) == (["a", "b"], "completed")
    assert_replays(world.services, execution)


def test_a_suspended_execution_can_be_cancelled(world: World) -> None:
    execution = world.start(WAITS)
    world.settle(execution)
    act(world, "suspend", execution)
    world.services.signalling.send(execution, "go")
    world.settle(execution)
    act(world, "cancel", execution)
    document = world.services.documents.document(execution)
    assert (document["status"], document["suspension"]) == ("cancelled", None)
    assert world.nodes(execution) == {"t": "cancelled", "e": "cancelled", "after": "skipped"}
    with pytest.raises(RequestError) as caught:
        world.control.ask("resume", execution)
    assert caught.value.code == "ended"
    assert_replays(world.services, execution)


def test_a_failure_takes_its_course_when_it_is_resumed(world: World) -> None:
    def tool(call: NodeCall) -> str:
        if call.attempt == 1:
            world.control.ask("suspend", call.execution_id, key=f"k{call.path}")
            raise ValueError(call.path)
        return "well"

    world.act = tool
    retried = CHAIN.replace(
        "tool: act}", "tool: act, retry_policy: {max_retries: 1, retry_delay: 1h, jitter: none}}", 1
    )
    execution = world.start(retried)
    assert world.settle(execution) == "suspended"
    assert world.nodes(execution)["a"] == "retrying"
    pump_until(world, START + 3 * HOUR)
    assert world.nodes(execution)["a"] == "retrying"
    world.act = lambda _: "well"
    act(world, "resume", execution)
    assert world.status(execution) == "completed"
    world.act = tool
    fails = world.start(CHAIN.replace("id: chain", "id: fails"))
    assert world.settle(fails) == "suspended"
    assert world.nodes(fails) == {"a": "ready", "b": "waiting"}
    act(world, "resume", fails)
    document = world.services.documents.document(fails)
    assert (document["status"], document["error"]["node"]) == ("failed", "a")
    for each in (execution, fails):
        assert_replays(world.services, each)


def test_a_worker_that_is_lost_meanwhile_gets_another_attempt_when_it_is_resumed(world: World) -> None:
    execution = world.start(CHAIN)
    runs = world.services.stores.runs
    ran: list[int] = []
    world.act = lambda call: ran.append(call.attempt)
    take(world, execution, Poked("poke:1", START))
    lost = Run(path="a", serial=1, status=RunStatus.RUNNING, owner="gone/1", lease_until=START + 1, started_at=START)
    assert runs.claim(execution, lost)
    take(world, execution, SuspendRequested("control:k", START))
    pump_until(world, START + HOUR)
    assert (ran, state_of(world, execution).held, world.status(execution)) == ([], 1, "suspended")
    act(world, "resume", execution)
    assert (ran, world.status(execution)) == ([2, 1], "completed")
    assert_replays(world.services, execution)


def test_children_that_are_awaited_stand_still_through_all_generations_and_go_on_with_their_parent(
    world: World,
) -> None:
    middle = PARENT.format(id="middle", child="waiting", more="result_event: x")
    top = PARENT.format(id="top", child="middle", more="result_event: x")
    waiting = "workflow: {id: waiting, nodes: [{id: w, type: control, subtype: wait, duration: 30d}]}"
    parent = world.start(top, middle, waiting)
    world.settle(parent)
    child = keyed_execution_id("middle", f"child:{parent}:c1")
    grandchild = keyed_execution_id("waiting", f"child:{child}:c1")
    family = (parent, child, grandchild)
    asyncio.run(world.runtime.pump.run(lambda: world.status(grandchild) == "running"))
    world.control.ask("suspend", parent, "enough", by="韩梅梅")
    assert [world.settle(each) for each in family] == ["suspended"] * 3
    assert state_of(world, grandchild).suspension.by == f"execution:{child}"
    world.control.ask("resume", parent)
    assert [world.settle(each) for each in family] == ["running"] * 3
    world.control.ask("suspend", child)
    assert [world.settle(each) for each in family] == ["running", "suspended", "suspended"]
    world.control.ask("suspend", parent)
    world.settle(parent)
    world.control.ask("resume", parent)
    assert [world.settle(each) for each in family] == ["running", "suspended", "suspended"]  # not by this suspension
    world.control.ask("cancel", parent)
    assert [world.settle(each) for each in family] == ["cancelled"] * 3
    assert_replays(world.services, parent)


def test_a_repeated_request_under_its_key_does_not_suspend_again(world: World) -> None:
    execution = world.start(WAITS)
    world.settle(execution)
    act(world, "suspend", execution, "s1")
    act(world, "resume", execution, "r1")
    assert world.control.ask("suspend", execution, key="s1").changed
    assert world.settle(execution) == "running"
    act(world, "suspend", execution, "s2")
    assert world.control.ask("resume", execution, key="r1").changed
    assert world.settle(execution) == "suspended"


def test_resuming_right_after_suspending_leaves_it_running(world: World) -> None:
    execution = world.start(WAITS)
    world.settle(execution)
    world.control.ask("suspend", execution)
    assert not world.control.ask("resume", execution).changed  # as far as its header says
    assert world.settle(execution) == "running"


def test_a_suspended_execution_holds_ten_thousand_events_and_refuses_more(world: World) -> None:
    execution = world.start(LISTENS)
    world.settle(execution)
    act(world, "suspend", execution)
    full = state_of(world, execution).copy()
    full.version += 1
    full.held_next = holding.HELD_MAX - 3  # as if so many had come
    entry = JournalEntry(full.version, "c", START)
    executions = world.services.stores.executions
    assert executions.commit(full, entry)
    executions.mark_published(execution, entry)
    for number in range(5):  # they are on their way before the door can know
        world.services.signalling.send(execution, "put", {"n": number})
    world.settle(execution)
    assert state_of(world, execution).held == 10_000
    assert len(world.services.stores.dead_letters.documents(execution)) == 2
    with pytest.raises(RequestError) as caught:
        world.services.signalling.send(execution, "put", {"n": 9})
    assert caught.value.code == "too_many"


def test_a_held_event_that_cannot_be_taken_becomes_a_dead_letter_and_the_others_are_taken(world: World) -> None:
    execution = world.start(WAITS)
    world.settle(execution)
    act(world, "suspend", execution)
    stores = world.services.stores
    broken = state_of(world, execution).copy()
    timer = next(iter(broken.timers))
    broken.version += 1
    broken.held_next = 2
    stores.held.put(
        execution,
        [
            (0, ChildEnded("child:x", START, timer, "x", "completed")),  # the engine fails on it: it is no child's
            (1, SignalReceived("signal:go", START, "go", id="go")),
        ],
    )
    entry = JournalEntry(broken.version, "c", START)
    assert stores.executions.commit(broken, entry)
    stores.executions.mark_published(execution, entry)
    act(world, "resume", execution)
    assert world.status(execution) == "running"
    assert state_of(world, execution).held == 0
    (letter,) = stores.dead_letters.documents(execution)
    assert "child_ended" in letter["body"]
    assert world.nodes(execution)["e"] == "success"


def test_the_sweep_leaves_a_suspended_execution_alone(world: World) -> None:
    execution = world.start(WAITS)
    world.settle(execution)
    act(world, "suspend", execution)
    pump_until(world, START + 3 * HOUR)
    before = state_of(world, execution).version
    for hours in range(4, 8):
        pump_until(world, START + hours * HOUR)
        swept = world.services.sweep.sweep(shard_of(execution))
        world.settle(execution)
        assert (swept.orders, swept.timers) == (0, 0)
    assert state_of(world, execution).version == before
    assert world.status(execution) == "suspended"


def test_suspended_executions_are_listed_and_explained(world: World) -> None:
    execution = world.start(WAITS)
    world.settle(execution)
    act(world, "suspend", execution)
    found = world.services.documents.list(Wanted([world.services.documents.status(execution)], "waits"), 10)
    assert [header.execution_id for header in found.headers] == [execution]
    why = world.services.explanations.why(execution, 10)
    assert why.waits[0].waiting_on == "suspended"
    assert "李雷" in why.waits[0].moves


def test_what_can_be_held_can_be_stored(world: World) -> None:
    store = world.services.stores.held
    events = (
        SignalReceived("signal:x", 1, "甲", {"n": 1}),
        TimerFired("timer:t1", 2, "t1"),
        ChildEnded("child:x", 3, "c1", "x", "completed", output={"a": 1}),
        SendFailed("send:x", 4, "", "no"),
    )
    store.put("ex-1", list(enumerate(events, 7)))
    assert [(back.number, back.held) for back in store.get("ex-1", range(7, 11))] == list(enumerate(events, 7))
    store.delete("ex-1", range(7, 11))
    with pytest.raises(KeyError):
        store.get("ex-1", [7])


def test_more_orders_than_are_sent_at_once_are_all_begun_when_it_is_resumed(world: World) -> None:
    ran: list[str] = []
    world.act = lambda call: ran.append(call.path)
    count = 2 * ORDERS_MAX + 10
    nodes = "".join(f"    - {{id: n{number}, type: tool, tool: act}}\n" for number in range(count))
    execution = world.start(f"workflow:\n  id: wide\n  nodes:\n{nodes}")
    for number in range(4):
        take(world, execution, Poked(f"poke:{number}", START))
    take(world, execution, SuspendRequested("control:k", START))
    assert state_of(world, execution).in_flight == count
    pump_until(world, START + HOUR)
    assert (ran, world.status(execution)) == ([], "suspended")
    act(world, "resume", execution)
    for minutes in (1, 2):
        assert len(ran) >= minutes * ORDERS_MAX
        pump_until(world, START + HOUR + minutes * 60_000)
        world.services.sweep.sweep(shard_of(execution))
        world.settle(execution)
    assert world.status(execution) == "completed"
    assert len(ran) == len(set(ran)) == count


def test_large_outputs_survive_a_suspension(world: World) -> None:
    large = "大" * 1_000_000

    def tool(call: NodeCall) -> Any:
        if call.path == "a":
            world.control.ask("suspend", call.execution_id)
            return {"text": large}
        return call.inputs["text"]

    world.act = tool
    execution = world.start(CHAIN.replace("dependencies: [a]}", 'inputs: {text: "${a.text}"}}'))
    assert world.settle(execution) == "suspended"
    act(world, "resume", execution)
    document = world.services.documents.document(execution)
    assert (document["status"], document["output"]) == ("completed", large)
    assert_replays(world.services, execution)


def test_a_suspended_execution_survives_a_new_process(tmp_path: Path) -> None:
    file = tmp_path / "e.db"
    with LocalRuntime(open_backend(file)) as first:
        first.services.catalog.publish(LISTENS.encode())
        execution = first.services.starter.start("listens")
        asyncio.run(first.settle(execution))
        first.services.control.ask("suspend", execution)
        for number in range(3):
            first.services.signalling.send(execution, "put", {"n": number})
        assert asyncio.run(first.settle(execution)) == "suspended"
    with LocalRuntime(open_backend(file)) as second:
        document = second.services.documents.document(execution)
        assert (document["status"], document["suspension"]["held"]) == ("suspended", 3)
        second.services.control.ask("resume", execution)
        second.services.signalling.send(execution, "end")
        assert asyncio.run(second.settle(execution)) == "completed"
        assert second.services.documents.document(execution)["variables"]["seen"] == [0, 1, 2]
