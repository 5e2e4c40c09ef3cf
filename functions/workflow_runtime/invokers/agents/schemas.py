"""Which schema an agent's output must match."""

from __future__ import annotations

from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.language.json_values import Json


def expected_schema(call: NodeCall, agent_schema: Json = None) -> Json:
    """The JSON Schema of this call's output: the node's, else the agent's, else one of its `output_fields`; None: any
    text."""
    if call.output_schema is not None:
        return call.output_schema
    if agent_schema is not None:
        return agent_schema
    if call.output_fields:
        fields = list(call.output_fields)
        return {"type": "object", "properties": {field: {} for field in fields}, "required": fields}
    return None
