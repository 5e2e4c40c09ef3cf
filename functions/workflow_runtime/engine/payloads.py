"""What of a command may be large, and so is stored apart before its commit."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine.commands import (
    AskApproval,
    Command,
    RecordNode,
    ReplaceVariables,
    RunNode,
    SendSignal,
    SetStatus,
    StartChild,
)
from workflow_runtime.language.json_values import Json

_PAYLOADS: dict[type, tuple[tuple[str, Json], ...]] = {
    RunNode: (("names", {}), ("inputs", None)),
    RecordNode: (("output", None),),
    SetStatus: (("output", None),),
    SendSignal: (("data", None),),
    StartChild: (("input", None),),
    ReplaceVariables: (("variables", {}),),
    AskApproval: (("data", None),),
}
"""Fields that may be large, and what they are when their values are stored apart."""


def payload(command: Command) -> Json:
    """What of a command may be large; None when there is nothing."""
    fields = _PAYLOADS.get(type(command), ())
    if len(fields) == 1:
        return getattr(command, fields[0][0])
    found = {name: getattr(command, name) for name, empty in fields if getattr(command, name) != empty}
    return found or None


def without_payload(command: Command, blob: str) -> Command:
    """The command with `payload` stored apart, under ``blob``."""
    return replace(command, blob=blob, **dict(_PAYLOADS[type(command)]))  # type: ignore[arg-type]  # some have none


def with_payload(command: RunNode, stored: dict[str, Json]) -> RunNode:
    """The command as it was before its payload was stored apart."""
    return replace(command, blob=None, **stored)
