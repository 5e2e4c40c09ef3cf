"""`echo`: returns what it is given."""

from __future__ import annotations

from typing import Any

from workflow_runtime.sdk import tool


@tool(effects="none")
async def echo(**inputs: Any) -> dict[str, Any]:
    """Returns its inputs, whatever they are."""
    return inputs
