"""The operations on journals: as people read them (events and commands by name, with what identifies them, payloads
left out), and as they are stored, for replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from workflow_runtime.engine.commands import (
    ControlChild,
    Log,
    PublishEvent,
    StartChild,
    StartTimer,
    Subscribe,
    Unsubscribe,
)
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.frontends.api.answers import Answer, bounded_answer, json_answer
from workflow_runtime.frontends.api.http import decode_cursor, encode_cursor, page
from workflow_runtime.frontends.api.parameters import Content, Cursor, ExecutionId, Limit, Wait, check_id
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.waiting import wait_until
from workflow_runtime.language.texts import cut
from workflow_runtime.ports import SERVICE_DEFAULT
from workflow_runtime.services.lifecycle import lifecycle_detail
from workflow_runtime.services.tracing.otlp import otlp_request
from workflow_runtime.services.views.charts import transition_json

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

HISTORY_ITEMS_DEFAULT = 50
PAGE_BYTES_MAX = 2 * 1024 * 1024  # of entries: one commit may have ordered 500 nodes
SHOWN = (
    "by", "path", "serial", "attempt", "pool", "status", "detail_type", "error", "reason",
    "name", "key", "source", "to", "timer", "machine", "node", "given", "workflow_id", "execution_id", "level",
    "message", "child", "operation", "approval", "approved", "comment", "asker", "outcome",
)  # fmt: skip
"""Fields of events and commands that say which one it is; the others are payloads and bookkeeping."""


class Journals:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def history(
        self,
        request: Request,  # noqa: ARG002
        execution_id: ExecutionId,
        limit: Limit = HISTORY_ITEMS_DEFAULT,
        cursor: Cursor = None,
        wait: Wait = 0,
    ) -> Answer:
        """What happened, commit by commit; with `wait`, the answer comes once there is something new."""
        check_id(execution_id)
        of = ("history", execution_id)
        after = int(decode_cursor(of, cursor) or 0)
        documents = self._runtime.documents
        found = await self._runtime.ports.offload(documents.history, execution_id, after, limit)
        if wait and not found.entries and not found.finished:

            async def has_more() -> bool:
                return await self._runtime.ports.offload(documents.has_entry, execution_id, after + 1)

            await wait_until(self._runtime, wait, has_more)
            found = await self._runtime.ports.offload(documents.history, execution_id, after, limit)
        shown = [entry_json(entry, execution_id) for entry in found.entries]
        entries, finished = _fitting(shown, finished=found.finished)
        last = entries[-1]["version"] if entries else after
        return json_answer(page(entries, None if finished else encode_cursor(of, str(last))))

    async def trace(
        self,
        request: Request,  # noqa: ARG002
        execution_id: ExecutionId,
        cursor: Cursor = None,
        content: Content = False,
    ) -> Answer:
        """The execution as an OpenTelemetry trace, in OTLP's JSON: the execution itself, node runs that have ended, and
        requests and calls of agents. Ids are the same whenever it is asked for. No span holds content, unless `content`
        is asked for: then what models, tools and nodes said, without secrets.
        """
        check_id(execution_id)
        of = ("trace", execution_id, str(content))
        after = decode_cursor(of, cursor) or ""
        read = partial(self._runtime.traces.page, content=content)
        found = await self._runtime.ports.offload(read, execution_id, after)
        more = encode_cursor(of, found.next) if found.next is not None else None
        sink = self._runtime.ports.traces
        service = sink.service if sink is not None else SERVICE_DEFAULT
        document = {**otlp_request(found.spans, service), "next_cursor": more}
        return bounded_answer(document, "with their content the steps of one agent have", "ask without content")

    async def steps(self, request: Request, execution_id: ExecutionId, cursor: Cursor = None) -> Answer:  # noqa: ARG002
        """What the nodes of an execution, and the steps of its agents, came to: of this, `awr record` makes a cassette.
        Secrets are hidden in it as in all that is recorded.
        """
        check_id(execution_id)
        of = ("steps", execution_id)
        after = decode_cursor(of, cursor) or ""
        found = await self._runtime.ports.offload(self._runtime.taken.page, execution_id, after)
        more = encode_cursor(of, found.next) if found.next is not None else None
        return bounded_answer({"runs": found.runs, "steps": found.steps, "next_cursor": more}, "one output has")

    async def stored(self, request: Request, execution_id: ExecutionId, cursor: Cursor = None) -> Answer:  # noqa: ARG002
        """The journal as it is stored, with what its decisions read, for `awr export` and `awr replay`. Its layout
        belongs to the version of the runtime.
        """
        check_id(execution_id)
        of = ("journal", execution_id)
        after = int(decode_cursor(of, cursor) or 0)
        found = await self._runtime.ports.offload(self._runtime.recordings.page, execution_id, after)
        document = {
            "items": found.entries,
            "head": found.head,
            "runs": found.runs,
            "replaced": found.replaced,
            "blobs": found.blobs,
            "state": found.state,
            "next_cursor": encode_cursor(of, str(found.next)) if found.next is not None else None,
        }
        what = f"commit {after + 1} and what it reads have"
        return bounded_answer(document, what, "export the execution with the test kit, beside its table")


def entry_json(entry: JournalEntry, execution_id: str) -> dict[str, Any]:
    """A commit as people read it."""
    return {
        "version": entry.version,
        "at": iso_time(entry.now),
        "events": [_event_json(event) for event in entry.events],
        "commands": [_command_json(command, execution_id) for command in entry.commands],
        "ignored": [{"event": event, "reason": reason} for event, reason in entry.ignored],
        "transitions": [transition_json(entry.version, step) for step in entry.macrosteps],
        "refused": [{"event": event, "reason": reason} for event, reason in entry.refused],
    }


def _fitting(entries: Sequence[dict[str, Any]], *, finished: bool) -> tuple[list[dict[str, Any]], bool]:
    """As many entries as an answer takes, at least one; whether these are the last there will be."""
    taken: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        size += len(msgspec.json.encode(entry))
        if taken and size > PAGE_BYTES_MAX:
            return taken, False
        taken.append(entry)
    return taken, finished


def _event_json(event: msgspec.Struct) -> dict[str, Any]:
    fields = _shown(event, "event")
    return {"event": fields.pop("event"), "id": getattr(event, "event_id", ""), **fields}


def _command_json(command: msgspec.Struct, execution_id: str) -> dict[str, Any]:
    shown = _shown(command, "command")
    if isinstance(command, (StartChild, ControlChild)):
        order = command.token if isinstance(command, ControlChild) else command.reopens or command.token
        shown["child"] = child_execution_id(execution_id, order, command.workflow_id)
    if isinstance(command, Log):
        shown["message"] = cut(command.message)  # the log has it all
    if isinstance(command, StartTimer):
        shown["due"] = iso_time(command.due)
    if isinstance(command, PublishEvent):
        shown["detail"] = lifecycle_detail(command) if not command.custom else command.detail
        if command.custom:
            shown["custom"] = True
    if isinstance(command, (Subscribe, Unsubscribe)):
        shown["name"] = command.event  # `event` names an entry's events
    return shown


def _shown(value: msgspec.Struct, tag: str) -> dict[str, Any]:
    shown = {name: getattr(value, name) for name in SHOWN if getattr(value, name, None) not in (None, "")}
    return {tag: value.__struct_config__.tag, **msgspec.to_builtins(shown)}
