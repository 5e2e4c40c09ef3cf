"""Workflows as tools, what they came to as results of calls."""

from __future__ import annotations

from typing import Any

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.plan.exposure import EXECUTION_TOOL
from workflow_runtime.services.views.executions import Execution
from workflow_runtime.storage.exposed import ExposedWorkflow

WAIT_SECONDS_MAX = 20  # for an execution to end; clients give up after 30 to 60, API Gateway after 30
RESULT_BYTES_MAX = 1024 * 1024  # of an output, which stands in a result twice; models take far less

EXECUTION_ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "execution_id": {"type": "string", "description": "The id that a tool's result named."},
        "wait_seconds": {
            "type": "number",
            "minimum": 0,
            "maximum": WAIT_SECONDS_MAX,
            "description": "How long to wait for its end.",
        },
    },
    "required": ["execution_id"],
    "additionalProperties": False,
}
EXECUTION_TOOL_DOCUMENT: dict[str, Any] = {
    "name": EXECUTION_TOOL,
    "title": "Get execution",
    "description": "What became of a call that takes longer: its result, or what it still waits for.",
    "inputSchema": EXECUTION_ARGUMENTS,
    "annotations": {"readOnlyHint": True},
}


def tool_document(exposed: ExposedWorkflow, *, with_output: bool) -> dict[str, Any]:
    """A workflow in a list of tools. ``with_output``: with the schema of its result, for clients that always get the
    result itself, and no note that it takes longer."""
    arguments = exposed.input_schema if isinstance(exposed.input_schema, dict) else {}
    document: dict[str, Any] = {
        "name": exposed.tool,
        "title": exposed.title or exposed.workflow_id,
        "description": exposed.description or exposed.title or exposed.workflow_id,
        "inputSchema": {**arguments, "type": "object"},
    }
    schema = exposed.output_schema
    if with_output and isinstance(schema, dict) and schema.get("type") == "object":
        document["outputSchema"] = schema
    return document


def ended_result(execution: Execution) -> dict[str, Any]:
    """The result of a call whose execution has ended."""
    header, id = execution.header, execution.header.execution_id
    if header.status is not ExecutionStatus.COMPLETED:
        error = header.error
        reason = error.text if error is not None else f"it was {header.status}"
        return failure(f"{reason} (execution {id})")
    output = execution.output or b"null"
    if len(output) > RESULT_BYTES_MAX:
        where = f"GET /executions/{id}?include=output&range=0- of this API reads it in parts"
        return failure(f"the output has {len(output):,} bytes, a result holds {RESULT_BYTES_MAX:,}: {where}")
    value = msgspec.json.decode(output)
    result = text_result(value if isinstance(value, str) else output.decode())
    if isinstance(value, dict):
        result["structuredContent"] = value
    return result


def text_result(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": False}


def failure(text: str) -> dict[str, Any]:
    """A result that tells the model what went wrong, so that it can do better."""
    return {"content": [{"type": "text", "text": text}], "isError": True}
