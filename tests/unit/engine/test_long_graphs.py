"""A long graph behaves like a short one; its marks are stored apart from it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from tests.unit.engine.driver import plan_of

from workflow_runtime.engine.advance import Decision, advance, new_execution
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import Continue, RunNode
from workflow_runtime.engine.events import (
    CancelRequested,
    Event,
    ExecutionStarted,
    NodeFailed,
    NodeSucceeded,
    Poked,
    SignalReceived,
    run_event_id,
)
from workflow_runtime.engine.marks import LONG_NODES
from workflow_runtime.engine.state import STATE_SCHEMA, ExecutionState
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan

EVENTS = 60
REFUSED = ErrorDocument.of("refused", "no", "")


def chain() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = [{"id": f"n{number}"} for number in range(LONG_NODES)]
    for before, node in pairwise(nodes):
        node["dependencies"] = [before["id"]]
    return nodes


def fan_out() -> list[dict[str, Any]]:
    rules = {"on_error": "continue"}
    ends = [{"id": "any", "join": "any"}, {"id": "all", "join": "all_done"}]
    leaves = [{"id": f"n{number}", **(rules if number % 2 else {})} for number in range(LONG_NODES)]
    return [*leaves, *({**end, "dependencies": [leaf["id"] for leaf in leaves[:50]]} for end in ends)]


@pytest.mark.parametrize("shape", [chain, fan_out])
def test_it_makes_no_difference_whether_a_long_graph_was_stored_in_between(shape: Any) -> None:
    plan, random = plan_of(shape()), Random(3)
    kept = stored = new_execution(plan, "e", 1, 0)
    waiting: list[Event] = [ExecutionStarted("start", 0)]
    for number in range(EVENTS):
        event: Event = waiting.pop(random.randrange(len(waiting)))
        if number == EVENTS - 1:
            event = CancelRequested("cancel", number)
        kept, decision = taken(plan, kept, event), decide(plan, decode_state(encode_state(stored)), event)
        stored = decision.state
        assert encode_state(kept) == encode_state(stored), event
        waiting += answers(decision, number, random)
    assert stored.status.terminal
    assert list(stored.graph().marks) == list(kept.graph().marks)


@pytest.mark.parametrize("nodes", [LONG_NODES - 1, LONG_NODES, LONG_NODES + 1])
def test_marks_of_a_long_graph_stand_as_letters_before_the_rest(nodes: int) -> None:
    plan = plan_of([{"id": f"n{number}"} for number in range(nodes)])
    state = taken(plan, new_execution(plan, "e", 1, 0), ExecutionStarted("start", 0))
    state = taken(plan, state, succeeded("n1"))
    data = encode_state(state)
    stored = msgspec.json.decode(data)
    if nodes < LONG_NODES:
        assert b64decode(stored["scopes"][""]["marks"]) == b"rs" + b"r" * (nodes - 2)
        return
    marks, rest = stored
    assert marks == "rs" + "r" * (nodes - 2)
    assert rest["scopes"][""]["marks"] == ""
    untouched = decode_state(data)
    assert encode_state(untouched) == data
    assert encode_state(untouched.copy()) == data
    after = decode_state(encode_state(taken(plan, untouched, succeeded("n0"))))
    assert after.graph().marks == b"ss" + b"r" * (nodes - 2)
    assert encode_state(untouched) == data


LOOK_ALIKE = ["w" * LONG_NODES, {"scopes": {"": {"is": "graph", "marks": "", "open_count": 1}}}]


@pytest.mark.parametrize("shape", [chain, lambda: [{"id": "n0"}]], ids=["long", "short"])
def test_what_looks_like_a_state_with_marks_is_left_as_it_is(shape: Any) -> None:
    values: list[Json] = [LOOK_ALIKE, msgspec.json.encode(LOOK_ALIKE).decode(), {'["': LOOK_ALIKE}, '",{"', "\0"]
    plan = plan_of(shape())
    state = taken(plan, new_execution(plan, "e", 1, 0), ExecutionStarted("start", 0))
    state.kept = tuple(SignalReceived("signal:x", 0, "other", value, id="x") for value in values)
    read = decode_state(encode_state(state))
    assert encode_state(read) == encode_state(state)
    assert read.kept == state.kept
    assert list(read.graph().marks) == list(state.graph().marks)


def test_what_has_no_graph_at_the_top_is_read_as_it_stands() -> None:
    data = encode_state(ExecutionState("e", "p", 1, schema=STATE_SCHEMA, globals={"input": LOOK_ALIKE}))
    assert decode_state(data).globals == {"input": LOOK_ALIKE}


def test_a_state_that_somebody_has_laid_out_is_read() -> None:
    plan = plan_of(chain())
    state = taken(plan, new_execution(plan, "e", 1, 0), ExecutionStarted("start", 0))
    stored = json.loads(encode_state(state))
    for laid_out in (json.dumps(stored), json.dumps(stored, indent=2), json.dumps(stored, separators=(" , ", " : "))):
        read = decode_state(laid_out.encode() + b"\n")
        assert json.loads(encode_state(read)) == stored
        assert encode_state(taken(plan, read, succeeded("n0"))) == encode_state(taken(plan, state, succeeded("n0")))


EMPTY = encode_state(ExecutionState("e", "p", 1, schema=STATE_SCHEMA))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b'["',
        b'["w',
        b'["w"',
        b'["w"]',
        b'["w",{}]',
        b'["w",1]',
        b"[[]]",
        b"[]",
        b'[ "w"]',
        b'["w",%b]' % EMPTY,
    ],
)
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_state(data)


def test_a_long_graph_of_the_schema_before_goes_on() -> None:
    plan = plan_of(chain())
    kept = taken(plan, new_execution(plan, "e", 1, 0), ExecutionStarted("start", 0))
    marks, rest = msgspec.json.decode(encode_state(kept))
    rest["schema"] = 2
    rest["scopes"][""]["marks"] = b64encode(marks.encode()).decode()
    state = decode_state(msgspec.json.encode(rest))
    for number in range(3):
        kept, state = (taken(plan, each, succeeded(f"n{number}")) for each in (kept, state))
        assert encode_state(state) == encode_state(kept)


def decide(plan: Plan, state: ExecutionState, event: Event) -> Decision:
    decision = advance(plan, state, [event], event.at)
    assert isinstance(decision, Decision)
    return decision


def taken(plan: Plan, state: ExecutionState, event: Event) -> ExecutionState:
    return decide(plan, state, event).state


def succeeded(path: str) -> NodeSucceeded:
    return NodeSucceeded(run_event_id(path, 1), 0, path, 1)


def answers(decision: Decision, at: int, random: Random) -> list[Event]:
    """What comes of what was ordered: most runs succeed, some of those that may do not."""
    found: list[Event] = []
    for command in decision.commands:
        if isinstance(command, RunNode):
            may_fail = int(command.path.lstrip("n") or 0) % 2 if command.path.startswith("n") else False
            id = run_event_id(command.path, command.serial)
            if may_fail and len(decision.commands) > 1 and random.random() < 0.5:
                found.append(NodeFailed(id, at, command.path, command.serial, REFUSED, command))
            else:
                found.append(NodeSucceeded(id, at, command.path, command.serial))
        elif isinstance(command, Continue):
            found.append(Poked(f"poke:{at}", at))
    return found
