"""Executions as tasks (extension ``io.modelcontextprotocol/tasks``, SEP-2663), approvals as elicitations.

A form is shown as far as elicitations go: its top-level texts, numbers, booleans and choices. Accepting an elicitation
approves, declining rejects, cancelling leaves the approval open. The engine holds an answer to the whole form.
"""

from __future__ import annotations

from typing import Any

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.frontends.mcp.tools import ended_result
from workflow_runtime.language.json_values import Json
from workflow_runtime.services.views.executions import Execution

POLL_MS = 2_000
MESSAGE_CHARS_MAX = 4_000  # of an elicitation: people read it in a dialogue

_COPIED: dict[str, tuple[str, ...]] = {
    "string": ("title", "description", "enum", "minLength", "maxLength"),
    "number": ("title", "description", "minimum", "maximum"),
    "integer": ("title", "description", "minimum", "maximum"),
    "boolean": ("title", "description"),
}
"""What elicitations take of a schema, by its type."""
_FORMATS = ("email", "uri", "date", "date-time")


def task_document(execution: Execution, asked: dict[str, Any], waits: str, updated_at: int) -> dict[str, Any]:
    """``asked``: elicitations by key; ``waits``: what it waits for, in words."""
    header = execution.header
    document: dict[str, Any] = {
        "taskId": header.execution_id,
        "status": "working",
        "createdAt": iso_time(header.started_at),
        "lastUpdatedAt": iso_time(header.ended_at or updated_at),
        "ttlMs": None,
        "pollIntervalMs": POLL_MS,
    }
    if header.status is ExecutionStatus.CANCELLED:
        document["status"] = "cancelled"
    elif header.status.terminal:
        document |= {"status": "completed", "result": ended_result(execution)}
    elif asked:
        document |= {"status": "input_required", "inputRequests": asked}
    if not header.status.terminal and waits:
        document["statusMessage"] = waits
    return document


def elicitation(approval: dict[str, Any]) -> dict[str, Any]:
    """The request that puts an approval (with its form and data) before a person."""
    message = approval["prompt"] or f"Approval of {approval['path']}"
    data = approval["data"]
    if data is not None:
        message = f"{message}\n\n{data if isinstance(data, str) else msgspec.json.encode(data).decode()}"
    params = {
        "mode": "form",
        "message": message if len(message) <= MESSAGE_CHARS_MAX else f"{message[:MESSAGE_CHARS_MAX]}…",
        "requestedSchema": _requested(approval["form"], data),
    }
    return {"method": "elicitation/create", "params": params}


def _requested(form: Json, data: Json) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    properties = form.get("properties") if isinstance(form, dict) else None
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        field = _field(schema, data.get(name) if isinstance(data, dict) else None)
        if field is not None:
            shown[name] = field
    required = form.get("required", ()) if isinstance(form, dict) else ()
    return {"type": "object", "properties": shown, "required": [name for name in required if name in shown]}


def _field(schema: Json, value: Json) -> dict[str, Any] | None:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(kind, str) or kind not in _COPIED:
        return None
    field = {"type": kind} | {key: schema[key] for key in _COPIED[kind] if key in schema}
    if kind == "string" and schema.get("format") in _FORMATS:
        field["format"] = schema["format"]
    if value is not None and not isinstance(value, dict | list):
        field["default"] = value
    return field
