"""What executions do to each other and to time: children, parents, events by id and by key, timers near and far."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.services.replaying import assert_replays

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.messages import mail_message
from workflow_runtime.storage.subscriptions import SubscriptionStore

DEFINITIONS = Path(__file__).parents[3] / "definitions"
START = 1_767_225_600_000
DAY = 24 * 3600 * 1000

PARENT = """
workflow:
  id: 父流程
  type: state_machine
  initial_state: waiting
  states:
    - name: waiting
      on_enter:
        - start_workflow: {workflow_id: child, input: {size: "${size}"}, result_event: 子流程结束}
      transitions:
        - event: hello
          actions: [{set_variable: {name: greeted, value: "${event.data}"}}]
        - event: 子流程结束
          target: done
          actions: [{set_variable: {name: result, value: "${event.data}"}}]
  final_states: [done]
"""
CHILD = """
workflow:
  id: child
  type: state_machine
  initial_state: working
  states:
    - name: working
      on_enter: [{send: {event: hello, to: parent, data: "${map(range(size), 'x')}"}}]
      always: [{target: done}]
  outputs: {size: "${size}"}
  final_states: [done]
"""
SENDER = """
workflow:
  id: sender
  type: state_machine
  initial_state: start
  states:
    - name: start
      on_enter: [{send: {event: 付款, data: {amount: 3}, TO}}]
      after: [{delay: 1m, target: sent}]
      ON_ERROR
  final_states: [sent, failed]
"""
WAITER = """
workflow:
  id: waiter
  nodes:
    - {id: w, type: control, subtype: wait, event: 付款, correlate: "${detail.order}", with: "${order}"}
  outputs: "${w}"
"""


class World:
    """A runtime in memory and in virtual time, with these workflows published."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.runtime = LocalRuntime(open_backend(clock=self.clock), DEFINITIONS)
        self.services = self.runtime.services

    def publish(self, *sources: str) -> None:
        for source in sources:
            self.services.catalog.publish(source.encode())

    def run(self, execution_id: str) -> str:
        return asyncio.run(self.runtime.run_until_ended(execution_id))

    def start(self, workflow_id: str, **input: Any) -> str:
        return self.services.starter.start(workflow_id, input)

    def document(self, execution_id: str) -> dict[str, Any]:
        return self.services.documents.document(execution_id)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with world.runtime:
        yield world


@pytest.mark.parametrize("size", [3, 40_000])
def test_a_child_reports_to_its_parent_and_greets_it(world: World, size: int) -> None:
    world.publish(PARENT, CHILD)
    parent = world.start("父流程", size=size)
    assert world.run(parent) == "completed"
    output = world.document(parent)["output"]
    assert output["result"]["status"] == "completed"
    assert output["result"]["output"] == {"size": size}
    assert len(output["greeted"]) == size
    assert world.document(output["result"]["execution_id"])["status"] == "completed"


def test_a_replay_of_large_events_gives_the_stored_state(world: World) -> None:
    world.publish(PARENT, CHILD)
    parent = world.start("父流程", size=40_000)
    world.run(parent)
    assert_replays(world.services, parent)


def test_an_event_reaches_all_who_wait_under_its_key(world: World) -> None:
    world.publish(WAITER, SENDER.replace("TO", "to: {correlate: '甲-1'}").replace("ON_ERROR", "description: x"))
    waiters = [world.start("waiter", order="甲-1"), world.start("waiter", order="甲-1"), world.start("waiter", order=2)]
    asyncio.run(world.runtime.pump.run(lambda: False))
    sender = world.start("sender")
    assert world.run(sender) == "completed"
    assert [world.document(waiter)["status"] for waiter in waiters] == ["completed", "completed", "running"]
    assert world.document(waiters[0])["output"] == {"amount": 3}


@pytest.mark.parametrize("to", ["to: nobody", "to: {correlate: none}", "to: parent"])
def test_an_event_without_receiver_is_an_error_of_communication(world: World, to: str) -> None:
    handled = "transitions: [{event: error.communication, target: failed}]"
    world.publish(SENDER.replace("TO", to).replace("ON_ERROR", handled))
    execution = world.start("sender")
    assert world.run(execution) == "completed"
    assert world.services.documents.history(execution, 0, 100).entries[-1].macrosteps[-1].configuration == ("failed",)


def test_an_error_of_communication_that_nothing_takes_fails_the_execution(world: World) -> None:
    world.publish(SENDER.replace("TO", "to: nobody").replace("ON_ERROR", "description: x"))
    execution = world.start("sender")
    assert world.run(execution) == "failed"
    assert "nobody" in world.document(execution)["error"]["message"]


def test_a_workflow_that_does_not_exist_cannot_be_started(world: World) -> None:
    world.publish(PARENT)
    execution = world.start("父流程", size=1)
    assert world.run(execution) == "failed"
    assert "`child` could not be started" in world.document(execution)["error"]["message"]


@pytest.mark.parametrize(("delay", "days"), [("30d", 30), ("365d", 365), ("16m", 0)])
def test_a_timer_fires_at_its_time_however_far(world: World, delay: str, days: int) -> None:
    chart = f"""
workflow:
  id: timed
  type: state_machine
  initial_state: a
  states: [{{name: a, after: [{{delay: {delay}, target: end}}]}}]
"""
    world.publish(chart)
    execution = world.start("timed")
    assert world.run(execution) == "completed"
    due = days * DAY or 16 * 60_000
    assert 0 <= world.clock.now() - START - due < 1_500


def test_a_chart_that_was_left_in_time_is_not_touched_by_its_timer(world: World) -> None:
    chart = """
workflow:
  id: left
  type: state_machine
  initial_state: a
  states:
    - name: a
      on_enter: [{send: {event: go, delay: 20m}}]
      after: [{delay: 1h, target: late}]
      transitions: [{event: go, target: b}]
    - name: b
      after: [{delay: 2h, target: end}]
  final_states: [late, end]
"""
    world.publish(chart)
    execution = world.start("left")
    assert world.run(execution) == "completed"
    steps = [step for entry in world.services.documents.history(execution, 0, 100).entries for step in entry.macrosteps]
    assert [step.configuration for step in steps] == [("a",), ("b",), ("end",)]


def test_an_event_that_comes_with_the_start_finds_the_subscription(world: World) -> None:
    """The signal that a trigger sends right after it started an execution is taken in the same batch as the start."""
    world.publish("""
workflow:
  id: keyed
  type: state_machine
  initial_state: a
  triggers: [{type: event, topic: payment, event: pay, correlate: "${detail.order}", with: "${order}"}]
  states: [{name: a, transitions: [{event: pay, target: end}]}]
""")
    execution = world.start("keyed", order="甲")
    signal = SignalReceived("signal:1", START, "pay", {}, id="1", source="bus", key="甲")
    world.runtime.backend.ports.queues.send(DISPATCH, [mail_message(execution, signal, "x")])
    assert world.run(execution) == "completed"
    assert SubscriptionStore(world.runtime.backend.ports.table).of("pay", "甲") == ()


def test_a_subscription_follows_the_variables(world: World) -> None:
    world.publish("""
workflow:
  id: keyed
  type: state_machine
  initial_state: a
  triggers: [{type: event, topic: payment, event: pay, correlate: "${detail.order}", with: "${order}"}]
  states:
    - name: a
      transitions:
        - {event: rename, actions: [{set_variable: {name: order, value: "${event.data.to}"}}]}
        - {event: rename_twice, actions: [{set_variable: {name: order, value: x}}, {send: {event: back}}]}
        - {event: back, actions: [{set_variable: {name: order, value: b}}]}
        - {event: pay, target: end}
""")
    execution = world.start("keyed", order="a")
    store = SubscriptionStore(world.runtime.backend.ports.table)

    def send(number: int, name: str, data: Any, key: str | None = None) -> list[str]:
        signal = SignalReceived(f"signal:{number}", START, name, data, id=str(number), source="bus", key=key)
        world.runtime.backend.ports.queues.send(DISPATCH, [mail_message(execution, signal, str(number))])
        asyncio.run(world.runtime.pump.run(lambda: False))
        return [key for key in "abx" if store.of("pay", key)]

    asyncio.run(world.runtime.pump.run(lambda: False))
    assert send(1, "rename", {"to": "b"}) == ["b"]
    assert send(2, "rename_twice", {}) == ["b"]
    assert send(3, "pay", {}, key="a") == ["b"]
    assert world.document(execution)["status"] == "running"
    assert send(4, "pay", {}, key="b") == []
    assert world.document(execution)["status"] == "completed"


LONG_CHILD = """
workflow:
  id: child
  type: state_machine
  initial_state: working
  states:
    - name: working
      on_enter:
        - set_variable: {name: long, value: "${text}"}
        - send: {event: hello, to: parent, data: "${text}"}
      run: [{id: measure, type: tool, tool: echo, inputs: {long: "${long}"}}]
      on_done: done
  final_states: [done]
"""
COLLECTING_CHILD = """
workflow:
  id: child
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {long: "${text}"}}
    - {id: b, type: tool, tool: echo, inputs: {long: "${text}"}}
  outputs: {long: ["${a.long}", "${b.long}"]}
"""
MEASURER = """
workflow:
  id: measurer
  type: state_machine
  initial_state: waiting
  states:
    - name: waiting
      on_enter: [{start_workflow: {workflow_id: child, input: {text: "${text}"}, result_event: ended}}]
      transitions:
        - {event: hello, actions: [{set_variable: {name: greeted, value: "${len(event.data)}"}}]}
        - {event: ended, target: done, actions: [{set_variable: {name: got, value: "${len(event.data.output.long)}"}}]}
  outputs: {greeted: "${greeted}", got: "${got}"}
  final_states: [done]
"""


def test_what_is_too_long_for_a_message_reaches_parent_and_worker(world: World) -> None:
    """It compresses to a few KB, so that an item would hold it."""
    world.publish(MEASURER, LONG_CHILD)
    measurer = world.start("measurer", text="x" * 1_500_000)
    assert world.run(measurer) == "completed", world.document(measurer)["error"]
    assert world.document(measurer)["output"] == {"greeted": 1_500_000, "got": 1_500_000}


def test_an_output_that_a_worker_put_together_reaches_the_parent(world: World) -> None:
    world.publish(MEASURER, COLLECTING_CHILD)
    measurer = world.start("measurer", text="长" * 250_000)
    assert world.run(measurer) == "completed", world.document(measurer)["error"]
    assert world.document(measurer)["output"]["got"] == 2
