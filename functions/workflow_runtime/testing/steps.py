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

    def approve(
        self,
        execution_id: str,
        path: str | None = None,
        *,
        by: str | None = None,
        data: Json = msgspec.UNSET,
        comment: str = "",
        approved: bool = True,
        settle: bool = True,
    ) -> None: ...

    def delegate(self, execution_id: str, to: str, path: str | None = None, *, by: str) -> None: ...

    def complete_task(
        self, execution_id: str, path: str | None = None, output: Json = None, *, settle: bool = True
    ) -> None: ...

    def fail_task(
        self,
        execution_id: str,
        path: str | None = None,
        *,
        type: str = "execution_error",
        message: str = "",
        settle: bool = True,
    ) -> None: ...

    def heartbeat_task(self, execution_id: str, path: str | None = None) -> None: ...

    def advance_time(self, duration: str | float, *, settle: bool = True) -> None: ...

    def settle(self) -> None: ...


class BusStep(msgspec.Struct, forbid_unknown_fields=True):
    detail_type: str
    source: str = "scenario"
    detail: dict[str, Json] = {}


class TaskError(msgspec.Struct, forbid_unknown_fields=True):
    """What a task is failed with."""

    type: str = "execution_error"
    message: str = ""


WHAT = ("send", "at", "bus", "approve", "reject", "delegate", "complete", "fail", "heartbeat")
"""What a step may say; one of them, and `at` with those that it times."""
_TIMED = ("send", "approve", "reject", "complete", "fail", "heartbeat")
_GOES_WITH = {
    "data": ("send", "approve", "reject"),
    "by": ("approve", "reject", "delegate"),
    "comment": ("approve", "reject"),
    "to": ("delegate",),
    "output": ("complete",),
    "error": ("fail",),
}


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """One of: ``send`` an event with ``data``; ``at``: let so much time pass; ``bus``: put an event on the bus;
    ``approve`` or ``reject`` what the node at this path asks, ``by`` somebody (by default the first who has not
    answered), with ``data`` and a ``comment``, or ``delegate`` it ``to`` another; ``complete`` the task token of the
    node at this path with ``output``, ``fail`` it with an ``error``, or have a ``heartbeat`` come.

    ``at`` with any but ``bus`` and ``delegate``: it comes so much later, while agents and tools run.
    """

    send: str | None = None
    data: Json = msgspec.UNSET
    at: str | int | float | None = None
    bus: BusStep | None = None
    approve: str | None = None
    reject: str | None = None
    delegate: str | None = None
    by: str | None = None
    comment: str = ""
    to: str | None = None
    complete: str | None = None
    output: Json = msgspec.UNSET
    fail: str | None = None
    error: TaskError | None = None
    heartbeat: str | None = None

    def __post_init__(self) -> None:
        given = {name for name in WHAT if getattr(self, name) is not None}
        timed = given - {"at"}
        if len(timed) > 1 or not given or ("at" in given and timed.difference(_TIMED)):
            names = ", ".join(f"`{name}`" for name in WHAT)
            raise ValueError(f"a step says one of {names}; `at` may go with any but `bus` and `delegate`")
        for field, goes_with in _GOES_WITH.items():
            if getattr(self, field) not in (None, "", msgspec.UNSET) and not given & set(goes_with):
                raise ValueError(f"`{field}` goes with {' and '.join(f'`{name}`' for name in goes_with)}")
        if self.delegate is not None and (self.to is None or self.by is None):
            raise ValueError("`delegate` needs `by`, who was asked, and `to`, who is asked instead")
        if self.at is not None:
            parse_duration(self.at)


STEP_FIELDS = frozenset(Step.__struct_fields__)


def fields_with(what: str) -> frozenset[str]:
    """The fields of a step that says this."""
    own = {field for field, goes_with in _GOES_WITH.items() if what in goes_with}
    return frozenset({what, *own, *(("at",) if what in _TIMED else ())})


def take(tester: Tester, execution_id: str, steps: Sequence[Step]) -> None:
    """Take the steps, each after all before it has settled, or at its time; then let all settle."""
    for step in steps:
        answered = step.approve if step.approve is not None else step.reject
        meanwhile = step.at is not None and any(getattr(step, name) is not None for name in _TIMED)
        if not meanwhile:
            tester.settle()
        if step.at is not None:
            tester.advance_time(step.at, settle=not meanwhile)
        if step.send is not None:
            data = None if step.data is msgspec.UNSET else step.data
            tester.send_event(execution_id, step.send, data, settle=not meanwhile)
        elif answered is not None:
            tester.approve(
                execution_id,
                answered,
                by=step.by,
                data=step.data,
                comment=step.comment,
                approved=step.approve is not None,
                settle=not meanwhile,
            )
        elif step.complete is not None:
            output = None if step.output is msgspec.UNSET else step.output
            tester.complete_task(execution_id, step.complete, output, settle=not meanwhile)
        elif step.fail is not None:
            error = step.error or TaskError()
            tester.fail_task(execution_id, step.fail, type=error.type, message=error.message, settle=not meanwhile)
        elif step.heartbeat is not None:
            tester.heartbeat_task(execution_id, step.heartbeat)
        elif step.delegate is not None:
            tester.delegate(execution_id, step.to or "", step.delegate, by=step.by or "")
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
