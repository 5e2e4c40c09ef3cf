"""The journal as people read it: events and commands by name, with what identifies them, payloads left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from workflow_runtime.engine.names import iso_time
from workflow_runtime.engine.replay import JournalEntry

PAGE_BYTES_MAX = 2 * 1024 * 1024  # of entries: one commit may have ordered 500 nodes
SHOWN = ("path", "serial", "attempt", "pool", "status", "detail_type", "error", "reason")
"""Fields of events and commands that say which one it is; the others are payloads and bookkeeping."""


def entry_json(entry: JournalEntry) -> dict[str, Any]:
    return {
        "version": entry.version,
        "at": iso_time(entry.now),
        "events": [_event_json(event) for event in entry.events],
        "commands": [_shown(command, "command") for command in entry.commands],
        "ignored": [{"event": event, "reason": reason} for event, reason in entry.ignored],
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


def _shown(value: msgspec.Struct, tag: str) -> dict[str, Any]:
    shown = {name: getattr(value, name) for name in SHOWN if getattr(value, name, None) not in (None, "")}
    return {tag: value.__struct_config__.tag, **msgspec.to_builtins(shown)}
