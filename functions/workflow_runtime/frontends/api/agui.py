"""News of an execution as events of AG-UI, the protocol between agents and user interfaces.

Source: docs.ag-ui.com/concepts/events. An execution is a run, and its nodes are steps. What AG-UI has no event for is
``CUSTOM``: transitions of charts, approvals, and messages that are void because the run that wrote them was lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workflow_runtime.engine.commands import AskApproval, RecordNode, RunNode, SetStatus
from workflow_runtime.engine.events import ExecutionStarted, NodeFailed, NodeSucceeded
from workflow_runtime.engine.identity import approval_id
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.plan import segments
from workflow_runtime.plan.plan import Plan
from workflow_runtime.services.views.charts import transition_json
from workflow_runtime.services.views.streams import News, Wrote
from workflow_runtime.storage.live import Part

Event = dict[str, Any]


def events_of(plan: Plan, execution_id: str, news: News) -> Iterator[Event]:
    if isinstance(news, Wrote):
        yield from _written(news)
        return
    for event in _events(plan, execution_id, news):
        yield {**event, "timestamp": news.now}


def _events(plan: Plan, execution_id: str, entry: JournalEntry) -> Iterator[Event]:
    run = {"threadId": execution_id, "runId": execution_id}
    in_place: set[tuple[str, int]] = set()  # runs that no command has ordered if they end here too: a worker went on
    for taken in entry.events:
        if isinstance(taken, ExecutionStarted):
            yield {"type": "RUN_STARTED", **run}
        elif isinstance(taken, NodeSucceeded | NodeFailed):
            if (taken.path, taken.serial) in in_place:
                yield {"type": "STEP_STARTED", "stepName": taken.path}
            yield {"type": "STEP_FINISHED", "stepName": taken.path}
            in_place.update((path, taken.serial) for path in segments.paths_after(plan, taken.path))
    for step in entry.macrosteps:
        yield {"type": "CUSTOM", "name": "transition", "value": transition_json(entry.version, step)}
    for command in entry.commands:
        match command:
            case RunNode():
                yield {"type": "STEP_STARTED", "stepName": command.path}
            case RecordNode(skipped=False):
                yield {"type": "STEP_STARTED", "stepName": command.path}
                yield {"type": "STEP_FINISHED", "stepName": command.path}
            case AskApproval():
                id = approval_id(execution_id, command.approval)
                value = {"id": id, "path": command.path, "prompt": command.prompt}
                yield {"type": "CUSTOM", "name": "approval.requested", "value": value}
            case SetStatus(status=ExecutionStatus.COMPLETED):
                yield {"type": "RUN_FINISHED", **run}
            case SetStatus(error=error, status=status) if ExecutionStatus(status).terminal:
                message = error.text if error is not None else f"the execution was {status}"
                yield {"type": "RUN_ERROR", "message": message, "code": error.type if error is not None else status}
            case _:
                pass


def _written(wrote: Wrote) -> Iterator[Event]:
    """What an agent wrote. Each text is a message of its own there, and so is each call."""
    run = f"{wrote.path}#{wrote.serial}"
    for part in wrote.parts:
        event = _part(f"{run}.{part.message}", part)
        if event is not None:
            yield event
    if wrote.superseded:
        yield {"type": "CUSTOM", "name": "superseded", "value": {"stepName": wrote.path, "messages": f"{run}."}}


def _part(message: str, part: Part) -> Event | None:
    id = f"{message}.{part.part}"
    match part.kind:
        case "start":
            return {"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}
        case "text":
            return {"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": part.text}
        case "stop":
            return {"type": "TEXT_MESSAGE_END", "messageId": id}
        case "call":
            return {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": part.name}
        case "arguments":
            return {"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": part.text}
        case "called":
            return {"type": "TOOL_CALL_END", "toolCallId": id}
    return None  # the end of a message, of which AG-UI does not know
