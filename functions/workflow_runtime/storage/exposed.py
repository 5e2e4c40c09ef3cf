"""Workflows that the MCP server offers, listed by the names of their tools with all that a list of tools says."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.exposure import tool_name
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Item, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import pack_bytes, unpack_bytes


class ExposedWorkflow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workflow as a tool: its ``tool`` name, what people call it, and what models are told."""

    tool: str
    workflow_id: str
    title: str = ""
    description: str = ""
    input_schema: Json = None
    output_schema: Json = None


_decoder = msgspec.json.Decoder(ExposedWorkflow)


class ExposedStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, plan: Plan) -> None:
        """Store what an exposed workflow's plan says."""
        assert plan.exposed is not None
        found = ExposedWorkflow(
            tool=tool_name(plan.workflow_id),
            workflow_id=plan.workflow_id,
            title=plan.workflow_name,
            description=plan.exposed.description,
            input_schema=plan.input_schema,
            output_schema=plan.output_schema,
        )
        self._table.put(Item(keys.exposed(found.tool), {"tool": pack_bytes(msgspec.json.encode(found))}))

    def delete(self, workflow_id: str) -> None:
        self._table.delete_all([keys.exposed(tool_name(workflow_id))])

    def get(self, tool: str) -> ExposedWorkflow | None:
        key = keys.exposed(tool)
        item = self._table.get([key]).get(key)
        return _found(item) if item is not None else None

    def list(self, limit: int, after: str = "") -> Sequence[ExposedWorkflow]:
        """Some of them, by name; ``after``: those behind the tool of this name."""
        return [_found(item) for item in self._table.query(keys.EXPOSED, after=after, limit=limit)]


def _found(item: Item) -> ExposedWorkflow:
    held = item.attributes["tool"]
    assert isinstance(held, bytes), "`put` wrote bytes"
    return _decoder.decode(unpack_bytes(held))
