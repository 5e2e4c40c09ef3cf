"""A long graph behaves and is stored like a short one; an event decodes the marks of the nodes that it touches."""

from __future__ import annotations

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
from workflow_runtime.engine.marks import LONG_BYTES, Marks
from workflow_runtime.engine.state import STATE_SCHEMA, ExecutionState
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan

SEEDS = 20
LONG = LONG_BYTES  # nodes: more than enough for the graph to be long
EVENTS = 60
REFUSED = ErrorDocument.of("refused", "no", "")


def test_marks_are_what_a_bytearray_of_them_would_be() -> None:
    for seed in range(SEEDS):
        print(f"seed {seed}")
        random = Random(seed)
        expected = bytearray(random.choices(b"wrs", k=random.randrange(1, 900)))
        data = msgspec.json.encode({"marks": expected})
        marks = Marks(data, data.index(b":") + 2, len(data) - 2)
        for _ in range(50):
            node = random.randrange(len(expected))
            assert marks[node] == expected[node]
            if random.random() < 0.5:
                expected[node] = marks[node] = random.choice(b"wrs")
            if random.random() < 0.1:
                before, marks = marks, marks.copy()
                before[node] = 0
            assert b'"%b"' % b"".join(marks.pieces()) == msgspec.json.encode(expected)
        assert len(marks) == len(expected)
        assert bytearray(marks) == expected
        for beyond in (-1, len(expected), len(expected) + 1_000):
            with pytest.raises(IndexError):
                marks[beyond]


def chain() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = [{"id": f"n{number}"} for number in range(LONG)]
    for before, node in pairwise(nodes):
        node["dependencies"] = [before["id"]]
    return nodes


def fan_out() -> list[dict[str, Any]]:
    rules = {"on_error": "continue"}
    ends = [{"id": "any", "join": "any"}, {"id": "all", "join": "all_done"}]
    leaves = [{"id": f"n{number}", **(rules if number % 2 else {})} for number in range(LONG)]
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


LOOK_ALIKE = {"scopes": {"": {"is": "graph", "marks": "d3d3" * LONG_BYTES}}}


@pytest.mark.parametrize("shape", [chain, lambda: [{"id": "n0"}]], ids=["long", "short"])
def test_what_looks_like_marks_is_left_where_it_is(shape: Any) -> None:
    values: list[Json] = [LOOK_ALIKE, msgspec.json.encode(LOOK_ALIKE).decode(), {'"scopes': LOOK_ALIKE["scopes"]}, "\0"]
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


UNREADABLE = b"****" * 100


def test_of_the_marks_an_event_reads_and_writes_those_that_it_touches() -> None:
    plan = plan_of(chain())
    state = taken(plan, new_execution(plan, "e", 1, 0), ExecutionStarted("start", 0))
    data = encode_state(state)
    place = len(data) // 2
    data = data[:place] + UNREADABLE + data[place + len(UNREADABLE) :]
    state = decode_state(data)
    assert encode_state(state) == data
    for number in (0, 1, 2):
        state = taken(plan, state, succeeded(f"n{number}"))
        assert UNREADABLE in encode_state(state)
        if number % 2:
            state = decode_state(encode_state(state))


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
