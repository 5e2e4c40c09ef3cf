"""The journal as people read it: events and commands by name, with what identifies them, payloads left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from workflow_runtime.engine.commands import Log, PublishEvent, StartTimer, Subscribe, Unsubscribe
from workflow_runtime.engine.replay import JournalEntry
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.language.texts import cut
from workflow_runtime.services.dispatch.effects import lifecycle_detail
from workflow_runtime.services.views.charts import transition_json

PAGE_BYTES_MAX = 2 * 1024 * 1024  # of entries: one commit may have ordered 500 nodes
SHOWN = (
    "by", "path", "serial", "attempt", "pool", "status", "detail_type", "error", "reason",
    "name", "key", "source", "to", "timer", "machine", "node", "given", "workflow_id", "execution_id", "level",
    "message",
)  # fmt: skip
"""Fields of events and commands that say which one it is; the others are payloads and bookkeeping."""


def entry_json(entry: JournalEntry) -> dict[str, Any]:
    return {
        "version": entry.version,
        "at": iso_time(entry.now),
        "events": [_event_json(event) for event in entry.events],
        "commands": [_command_json(command) for command in entry.commands],
        "ignored": [{"event": event, "reason": reason} for event, reason in entry.ignored],
        "transitions": [transition_json(entry.version, step) for step in entry.macrosteps],
        "refused": [{"event": event, "reason": reason} for event, reason in entry.refused],
    }


def fitting(entries: Sequence[dict[str, Any]], *, finished: bool) -> tuple[list[dict[str, Any]], bool]:
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


def _command_json(command: msgspec.Struct) -> dict[str, Any]:
    shown = _shown(command, "command")
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
