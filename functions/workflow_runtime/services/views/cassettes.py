"""Cassettes made of what is recorded of an execution: its journal, its node runs, the steps of its agents."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from workflow_runtime.engine.commands import AskApproval, RunNode, StartChild
from workflow_runtime.engine.events import (
    SELF,
    ApprovalAnswered,
    ChildEnded,
    SignalReceived,
)
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.recording import Recording
from workflow_runtime.errors import ErrorDocument, RequestError
from workflow_runtime.invokers.agents.step_log import DEFINITION
from workflow_runtime.invokers.cassettes.file import (
    MODEL,
    Cassette,
    ChildOnTape,
    RunOnTape,
    Said,
    TurnOnTape,
    VisitOnTape,
    in_session,
)
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan import segments
from workflow_runtime.services.views.taken import TakenPage, TakenRun, TakenStep

ENDED = ("completed", "failed")
ENDS = ("success", "failed")


def cassette_of(document: Mapping[str, Any], recording: Recording, taken: TakenPage) -> Cassette:
    """The cassette of an execution. ``document``: its document; ``taken``: all that its nodes and agents came to.
    Raises `RequestError` (``refused``) for one that a replay could not take again by itself."""
    _check(document, recording)
    return Cassette(
        execution_id=recording.execution_id,
        workflow_id=recording.workflow_id,
        workflow_version=recording.workflow_version,
        started_at=recording.started_at,
        ended_at=max((entry.now for entry in recording.entries), default=recording.started_at),
        status=document["status"],
        input=document["input"],
        output=document["output"],
        error=document["error"],
        usage=document.get("usage"),
        visits=tuple(_visits(recording, taken)),
        children=tuple(_children(recording)),
        said=tuple(_said(recording)),
    )


def _check(document: Mapping[str, Any], recording: Recording) -> None:
    which = f"the execution {recording.execution_id}"
    status = document["status"]
    if status not in (*ENDED, "cancelled"):
        raise RequestError("refused", f"{which} is {status}: only what has ended can be recorded")
    if status == "cancelled":
        raise RequestError("refused", f"{which} was cancelled: a replay would go on where nobody cancels it")
    if document.get("attempt", 1) != 1:
        raise RequestError("refused", f"{which} was reopened: a replay would end where nobody reopens it")
    for entry in recording.entries:
        for command in entry.commands:
            if isinstance(command, StartChild) and command.portion is not None:
                text = f"{which} ran passes of the loop {command.node!r} as executions of their own: record one of them"
                raise RequestError("refused", text)


def _visits(recording: Recording, taken: TakenPage) -> Iterator[VisitOnTape]:
    begun: dict[str, set[int]] = defaultdict(set)
    in_place: dict[tuple[str, int], int] = {}  # visits of what workers may have gone on with, by path and serial
    for entry in recording.entries:
        for command in entry.commands:
            if isinstance(command, RunNode):
                begun[command.path].add(command.visit)
                for path in segments.paths_after(recording.compiled, command.path) if command.followers else ():
                    in_place[path, command.serial] = command.visit
    for run in taken.runs:
        if (run.path, run.serial) in in_place:
            begun[run.path].add(in_place[run.path, run.serial])
    runs: dict[tuple[str, int], list[TakenRun]] = defaultdict(list)
    steps: dict[tuple[str, int], list[TakenStep]] = defaultdict(list)
    for run in taken.runs:
        visits = sorted(begun.get(run.path, ()))
        if run.status in ENDS and visits:  # others were decided by the engine itself, which decides again
            runs[run.path, visits[max(bisect_right(visits, run.serial) - 1, 0)]].append(run)
    for step in taken.steps:
        steps[step.path, step.visit].append(step)
    for path, number in sorted(runs.keys() | steps.keys(), key=lambda place: place[1]):
        made = [step.step for step in steps[path, number]]
        visit = VisitOnTape(
            path,
            number,
            tuple(_run(run) for run in sorted(runs[path, number], key=lambda run: run.serial)),
            tuple(step for step in made if step.name != DEFINITION),
            next((step.result for step in made if step.name == DEFINITION), None),
            session=_session(runs[path, number]),
        )
        yield in_session(visit) if visit.session is msgspec.UNSET and _went_on(visit) else visit


def _session(runs: Iterable[TakenRun]) -> tuple[TurnOnTape, ...] | msgspec.UnsetType:
    """The turns that the attempts of a visit were told: all of them the same."""
    told = next((run.session for run in runs if run.session is not msgspec.UNSET), msgspec.UNSET)
    if told is msgspec.UNSET:
        return msgspec.UNSET
    return tuple(TurnOnTape(turn.number, turn.messages, turn.summary) for turn in told)


def _went_on(visit: VisitOnTape) -> bool:
    """Whether the first request of an agent had more than one message: the turns of a session come before it."""
    first = next((step.fingerprint for step in visit.steps if step.name == MODEL and step.ordinal == 1), None)
    held = next((run.asked.get("request") for run in visit.runs if isinstance(run.asked, dict)), None)
    asked: Any = first if first is not None else held
    return isinstance(asked, dict) and asked["messages"][0] > 1


def _run(run: TakenRun) -> RunOnTape:
    status: Any = run.status
    return RunOnTape(run.serial, status, run.output, _error(run.error), run.asked, run.warnings)


def _error(error: Mapping[str, Json] | None) -> dict[str, Json] | None:
    return {"type": error["type"], "message": error["message"]} if error is not None else None


def _children(recording: Recording) -> Iterator[ChildOnTape]:
    started: list[tuple[str, str]] = []
    ended: dict[str, ChildEnded] = {}
    for entry in recording.entries:
        for command in entry.commands:
            if isinstance(command, StartChild) and not command.reopens:
                id = child_execution_id(recording.execution_id, command.token, command.workflow_id)
                started.append((id, command.node or command.machine))
        ended |= {event.execution_id: event for event in entry.events if isinstance(event, ChildEnded)}
    for id, path in started:
        end = ended.get(id)
        if end is None:
            yield ChildOnTape(path)
            continue
        output = recording.blobs[end.blob] if end.blob is not None else end.output
        yield ChildOnTape(path, end.status, output, _error(_document(end.error)))


def _document(error: ErrorDocument | None) -> dict[str, Json] | None:
    document: dict[str, Json] | None = msgspec.to_builtins(error)
    return document


def _said(recording: Recording) -> Iterator[Said]:
    asked: dict[int, AskApproval] = {}
    for entry in recording.entries:
        for event in entry.events:
            if isinstance(event, SignalReceived) and event.source != SELF:
                data = recording.blobs[event.blob] if event.blob is not None else event.data
                yield Said(
                    entry.now, name=event.name, data=data, key=event.key, route=event.route, to=event.to,
                    source=event.source, id=event.id,
                )  # fmt: skip
            elif isinstance(event, ApprovalAnswered) and not asked[event.approval].kind:
                data = recording.blobs[event.blob] if event.blob is not None else event.data
                path = asked[event.approval].path
                yield Said(entry.now, path=path, approved=event.approved, by=event.by, comment=event.comment, data=data)
        for command in entry.commands:
            if isinstance(command, AskApproval):
                asked[command.approval] = command
