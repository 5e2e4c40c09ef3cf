"""Running agents: their definitions (`definitions/agents`), and the invoker that runs one on pydantic-ai.

May import pydantic, yaml (through `tooling.documents`) and, only when an agent really runs, pydantic-ai. Knows nothing
of queues, stores or executions: an agent sees a `NodeCall` and gives back a `NodeResult`.
"""

from __future__ import annotations

from workflow_runtime.invokers.agents.definition import AgentDefinition, AgentLimits, AgentSettings
from workflow_runtime.invokers.agents.invoker import AgentInvoker
from workflow_runtime.invokers.agents.registry import AgentRegistry

__all__ = ["AgentDefinition", "AgentInvoker", "AgentLimits", "AgentRegistry", "AgentSettings"]
