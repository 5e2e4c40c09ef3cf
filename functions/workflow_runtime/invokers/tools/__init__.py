"""Running tools: what a tool is, the registry of them, the built-in ones, and the invoker that runs one.

May import pydantic, yaml, httpx, and boto3 inside the built-in tools that call AWS (imported when first used). Knows
nothing of queues, stores or executions: a tool sees its arguments and a `NodeContext`. What a tool may reach is
`Reach`.
"""

from __future__ import annotations

from workflow_runtime.invokers.tools.invoker import ToolInvoker
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.invokers.tools.tool import Tool

__all__ = ["LOCAL_REACH", "Reach", "Tool", "ToolInvoker", "ToolRegistry", "ToolServices"]
