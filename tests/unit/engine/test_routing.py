"""Under which keys an execution waits, and that it makes no difference how its mail was batched."""

from __future__ import annotations

from typing import Any

import pytest
from tests.calls import calls_of
from tests.unit.engine.driver import Driver, control, plan_of

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.engine.advance import Decision, advance, new_execution
from workflow_runtime.engine.commands import Command, Subscribe, Unsubscribe
from workflow_runtime.engine.events import Event, ExecutionStarted, SignalReceived
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known, Needs
from workflow_runtime.plan.plan import Plan

CHART = """
workflow:
  id: w
  type: state_machine
  variables: {x: k, y: other, n: 0}
  triggers:
    - {type: event, topic: a, event: tick, correlate: "${detail.k}", with: "${x}"}
    - {type: event, topic: b, event: tick, correlate: "${detail.k}", with: "${y}"}
  initial_state: s
  states:
    - name: s
      transitions:
        - {event: tick, actions: [{set_variable: {name: n, value: "${n + 1}"}}]}
        - event: swap
          actions:
            - {set_variable: {name: x, value: other}}
            - {set_variable: {name: y, value: "k"}}
        - {event: move, actions: [{set_variable: {name: x, value: "new"}}]}
"""
STARTED = ExecutionStarted("start", 0)


def plan() -> Plan:
    compiled = compile_workflow(CHART).plan
    assert compiled is not None
    return compiled


A, B = plan().routes


def signal(number: int, name: str = "tick", key: str | None = "k", route: str = A) -> SignalReceived:
    return SignalReceived(f"signal:{number}", 0, name, {}, id=str(number), key=key, route=route if key else "")


class Mailbox:
    def __init__(self) -> None:
        self.plan = plan()
        self.state: ExecutionState = new_execution(self.plan, "ex", 1, 0)

    def take(self, *events: Event) -> tuple[Command, ...]:
        """What is ordered about subscriptions."""
        known = Known(globals={"input": {}, "variables": {"x": "k", "y": "other", "n": 0}, "env": {}})
        decision: Decision | Needs = advance(self.plan, self.state, list(events), 0, known)
        assert isinstance(decision, Decision)
        self.state = decision.state
        return tuple(command for command in decision.commands if isinstance(command, Subscribe | Unsubscribe))

    @property
    def variables(self) -> dict[str, Any]:
        return self.state.chart().variables


@pytest.mark.parametrize("size", [1, 2, 5])
def test_an_event_that_comes_with_the_start_is_taken_like_one_after_it(size: int) -> None:
    mailbox = Mailbox()
    events: list[Event] = [STARTED, *(signal(number) for number in range(4))]
    for start in range(0, len(events), size):
        mailbox.take(*events[start : start + size])
    assert mailbox.variables["n"] == 4


def test_each_trigger_has_a_subscription_of_its_own() -> None:
    mailbox = Mailbox()
    assert mailbox.take(STARTED) == (Subscribe("tick", "k", A), Subscribe("tick", "other", B))
    assert mailbox.take(signal(1, "swap", None)) == (
        Subscribe("tick", "other", A),
        Subscribe("tick", "k", B),
        Unsubscribe("tick", "k", A),
        Unsubscribe("tick", "other", B),
    )
    assert mailbox.take(signal(2, "move", None)) == (Subscribe("tick", "new", A), Unsubscribe("tick", "other", A))


def test_an_event_is_taken_by_the_trigger_that_brought_it_only() -> None:
    """What is for order 7 is nothing to an execution for customer 7."""
    mailbox = Mailbox()
    mailbox.take(STARTED)
    assert mailbox.take(signal(1, key="k", route=B)) == (Unsubscribe("tick", "k", B),)
    assert mailbox.take(signal(2, key="k", route="of another version")) == (
        Unsubscribe("tick", "k", "of another version"),
    )
    assert mailbox.variables["n"] == 0
    assert mailbox.take(signal(3, key="k"), signal(4, key="other", route=B)) == ()
    assert mailbox.variables["n"] == 2
    mailbox.take(signal(5, key="k", route=""))
    assert mailbox.variables["n"] == 3, "another execution sent it to all that wait under the key"


def test_an_event_under_a_key_that_is_waited_for_no_more_ends_the_subscription() -> None:
    mailbox = Mailbox()
    mailbox.take(STARTED)
    assert Unsubscribe("tick", "k", A) in mailbox.take(signal(1, "move", None), signal(2, key="k"))
    assert mailbox.variables["n"] == 0
    assert mailbox.take(signal(3, key="gone")) == (Unsubscribe("tick", "gone", A),)


def test_one_that_came_too_early_does_not_end_what_is_waited_for_by_now() -> None:
    mailbox = Mailbox()
    mailbox.take(STARTED)
    assert mailbox.take(signal(1, key="new"), signal(2, "move", None)) == (
        Subscribe("tick", "new", A),
        Unsubscribe("tick", "k", A),
    )


def waiting(count: int) -> Driver:
    """So many waits for one event, each under a key that a node yields."""
    keyed = {"event": "paid", "correlate": "${detail.k}"}
    waits = [control(f"w{n}", "wait", **keyed, **{"with": f"${{a.key}} + '{n}'"}) for n in range(count)]
    return Driver(plan_of([{"id": "a"}, *waits]), checked=False).start()


def test_four_times_the_waits_for_an_event_are_four_times_the_work() -> None:
    calls = []
    for count in (20, 80):
        driver = waiting(count)
        calls.append(calls_of(driver.take, driver.success("a", {"key": "k"})))
        assert len(driver.subscribed) == count
    assert calls[1] / calls[0] < 4.4  # what is quadratic comes near 16
