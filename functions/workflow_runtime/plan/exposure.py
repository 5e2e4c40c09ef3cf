"""What a workflow is as a tool for others: its name there, and what it says of itself."""

from __future__ import annotations

import hashlib
import re

import msgspec

from workflow_runtime.language.look_alikes import normalized

EXECUTION_TOOL = "get_execution"
"""The tool that every server has: what became of an execution. No workflow's tool has its name."""

HASH_DIGITS = 12
TOLD_BYTES_MAX = 100_000  # description and schemas of a tool: models read them with every request

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what the providers of models take for the name of a tool


class Exposure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A workflow that the MCP server offers. ``description``: the author's, for models."""

    description: str = ""


def tool_name(workflow_id: str) -> str:
    """The workflow's id, if models take it for a name; else one made from it: ids may be in any script."""
    id = normalized(workflow_id)
    if _NAME.fullmatch(id) and id != EXECUTION_TOOL:
        return id
    return "workflow-" + hashlib.sha256(id.encode()).hexdigest()[:HASH_DIGITS]
