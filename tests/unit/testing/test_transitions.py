"""The engine as a pure function, for tests of workflows."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.engine.driver import chart_of, on, plan_of, state

from workflow_runtime.engine.advance import new_execution
from workflow_runtime.engine.codec import encode_state
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import CancelRequested, ExecutionStarted, NodeSucceeded
from workflow_runtime.testing import transition, transitions, walk
from workflow_runtime.testing.transitions import Values, active, begin, event

DIAMOND = chart_of([
    state("a", on("left", "b"), on("right", "c")),
    state("b", on("on", "d")),
    state("c", on("on", "d")),
    state("d", on("end", "done")),
])  # fmt: skip


def test_the_example_in_the_guide_is_true() -> None:
    result = doctest.testmod(transitions)
    assert result.attempted >= 5
    assert not result.failed


def test_a_transition_leaves_the_state_before_alone_and_says_what_to_do() -> None:
    plan = plan_of([{"id": "a"}, {"id": "b", "when": "${a.n > 1}"}])
    first, _ = begin(plan)
    before = encode_state(first)
    done = NodeSucceeded("run:a#1", 5, "a", 1)
    second, effects = transition(plan, first, done, Values(outputs={"a": {"n": 2}}))
    assert encode_state(first) == before
    assert second.now == 5
    assert [command.path for command in effects if isinstance(command, RunNode)] == ["b"]


def test_a_value_that_a_decision_lacks_is_named() -> None:
    plan = plan_of([{"id": "a"}, {"id": "b", "when": "${a.n > 1}"}])
    with pytest.raises(KeyError, match="a"):
        transition(plan, begin(plan)[0], NodeSucceeded("run:a#1", 5, "a", 1))


def test_what_nobody_has_recorded_keeps_no_decision_waiting() -> None:
    plan = plan_of([{"id": "a"}, {"id": "b", "dependencies": ["a"]}])
    state, _ = transition(plan, new_execution(plan, "e", 1, 0), ExecutionStarted("start", 0, segments=True))
    state, _ = transition(plan, state, CancelRequested("control:c", 1))
    assert state.status == "cancelled"


def test_what_only_a_record_of_an_execution_tells_is_named() -> None:
    stored_apart = replace(event("left", at=1), blob="executions/e/data")
    with pytest.raises(LookupError, match=r"'signal:left@1' takes what is recorded .* blobs=..executions/e/data"):
        transition(DIAMOND, begin(DIAMOND)[0], stored_apart)


def test_a_walk_finds_a_shortest_way_to_every_configuration() -> None:
    events = [event(name) for name in ("end", "on", "right", "left")]
    ways = {states: [step.name for step in way] for states, way in walk(DIAMOND, events).items()}
    assert ways == {
        ("a",): [],
        ("c",): ["right"],
        ("b",): ["left"],
        ("d",): ["right", "on"],
        ("done",): ["right", "on", "end"],
    }


def test_every_way_of_a_walk_leads_where_it_says() -> None:
    for configuration, way in walk(DIAMOND, [event(name) for name in ("left", "right", "on", "end")]).items():
        current, _ = begin(DIAMOND)
        for step in way:
            current, _ = transition(DIAMOND, current, step)
        assert active(DIAMOND, current) == configuration


STARTED = begin(DIAMOND)


@pytest.mark.parametrize(("plan", "state", "sent", "values", "said"), [
    (DIAMOND, STARTED[0], "go", Values(), "`event` is 'go', a str, and not an event; `event(\"pay\""),
    (DIAMOND, STARTED[0], None, Values(), "`event` is None, a NoneType, and not an event"),
    (DIAMOND, STARTED, event("go"), Values(), "a tuple, and not a state; `begin(plan)`"),
    (DIAMOND, {}, event("go"), Values(), "`state` is {}, a dict, and not a state"),
    ("workflow: {}", STARTED[0], event("go"), Values(), "a str, and not a plan; `workflow_runtime.compiler.compile_or"),
    (DIAMOND, STARTED[0], event("go"), {"amount": 3}, "`values` is {'amount': 3}, a dict, and not of what decisions"),
])  # fmt: skip
def test_an_argument_that_is_something_else_is_named_with_what_is_wanted(
    plan: Any, state: Any, sent: Any, values: Any, said: str
) -> None:
    with pytest.raises(TypeError) as raised:
        transition(plan, state, sent, values)
    assert said in str(raised.value)


def test_so_it_is_for_walks_starts_events_and_configurations() -> None:
    calls: dict[str, Any] = {
        "`events[1]` is 'right', a str, and not an event": lambda: walk(DIAMOND, [event("left"), "right"]),
        "`events` is None, a NoneType, and not a list of events": lambda: walk(DIAMOND, None),
        "`events[0]` is 'l', a str, and not an event": lambda: walk(DIAMOND, "left"),
        "`plan` is None, a NoneType, and not a plan": lambda: walk(None, []),
        "`plan` is {}, a dict, and not a plan": lambda: begin({}),
        "`state` is None, a NoneType, and not a state": lambda: active(DIAMOND, None),
        "`name` is None, a NoneType, and not text": lambda: event(None),
        "`at` is '1h', a str, and not a number of milliseconds": lambda: event("go", at="1h"),
    }
    for said, call in calls.items():
        with pytest.raises(TypeError) as raised:
            call()
        assert str(raised.value).startswith(said)
