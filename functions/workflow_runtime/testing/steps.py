"""What a scenario's `events` say: events that are sent or put on the bus, and times that pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.json_values import Json
from workflow_runtime.testing.differences import json_differences, shown


class Tester(Protocol):
    """The part of `kit.WorkflowTester` that steps need."""

    def send_event(
        self, execution_id: str, name: str, data: Json = None, *, key: str | None = None, settle: bool = True
    ) -> dict[str, Json]: ...

    def publish_event(self, source: str, detail_type: str, detail: dict[str, Json]) -> None: ...

    def advance_time(self, duration: str | float, *, settle: bool = True) -> None: ...

    def settle(self) -> None: ...


class BusStep(msgspec.Struct, forbid_unknown_fields=True):
    detail_type: str
    source: str = "scenario"
    detail: dict[str, Json] = {}


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """One of: ``send`` an event with ``data``; ``at``: let so much time pass; ``bus``: put an event on the bus.

    ``at`` with ``send``: the event comes so much later, while agents and tools run.
    """

    send: str | None = None
    data: Json = None
    at: str | int | float | None = None
    bus: BusStep | None = None

    def __post_init__(self) -> None:
        given = {name for name in ("send", "at", "bus") if getattr(self, name) is not None}
        if given not in ({"send"}, {"at"}, {"bus"}, {"at", "send"}):
            raise ValueError("a step says one of `send`, `at` and `bus`, or `at` and `send`")
        if self.data is not None and self.send is None:
            raise ValueError("`data` goes with `send`")
        if self.at is not None:
            parse_duration(self.at)


def take(tester: Tester, execution_id: str, steps: Sequence[Step]) -> None:
    """Take the steps, each after all before it has settled, or at its time; then let all settle."""
    for step in steps:
        meanwhile = step.at is not None and step.send is not None
        if not meanwhile:
            tester.settle()
        if step.at is not None:
            tester.advance_time(step.at, settle=not meanwhile)
        if step.send is not None:
            tester.send_event(execution_id, step.send, step.data, settle=not meanwhile)
        elif step.bus is not None:
            tester.publish_event(step.bus.source, step.bus.detail_type, step.bus.detail)
    tester.settle()


Expected: TypeAlias = "str | Mapping[str, Json]"
"""A transition: ``created -> paid`` or ``pay: created -> paid`` (the leaf states afterwards), ``pay: not taken``; or
some of the fields that the document has."""


def transition_text(transition: Mapping[str, Json]) -> str:
    """``pay: created -> paid``, or ``pay: not taken``."""
    if transition["reason"]:
        return f"{transition['event']}: not taken"
    return f"{transition['event']}: {transition['source']} -> {', '.join(transition['configuration'])}"


def transition_differences(expected: Sequence[Expected], transitions: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    """How the transitions differ from those expected; a chart's start is not one of them."""
    actual = [transition for transition in transitions if transition["event"] is not None]
    for place, (wanted, found) in enumerate(zip(expected, actual, strict=False), 1):
        text = transition_text(found)
        if isinstance(wanted, str):
            if wanted not in (text, text.partition(": ")[2]):
                reason = f" ({found['reason']})" if found["reason"] else ""
                yield f"transition {place}: expected {wanted!r}, is {text!r}{reason}"
        else:
            yield from json_differences(dict(wanted), dict(found), partial=True, place=f"transition {place}")
    for place, wanted in enumerate(expected[len(actual) :], len(actual) + 1):
        text = wanted if isinstance(wanted, str) else shown(dict(wanted))
        yield f"transition {place}: expected {text}, there is none"
    for place, found in enumerate(actual[len(expected) :], len(expected) + 1):
        yield f"transition {place}: not expected, is {transition_text(found)!r}"
