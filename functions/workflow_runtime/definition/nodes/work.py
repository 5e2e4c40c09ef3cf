"""Nodes whose work is done elsewhere: agents and tools by workers, sub-workflows by other executions (language §2)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from workflow_runtime.definition.fields import Flag, Kind, Schema, Text, integer
from workflow_runtime.definition.ids import DynamicId, Ids, Pool, check_allow
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.registry import node_type

Version = Annotated[int, Kind(integer(1), {"type": "integer", "minimum": 1})]


@node_type("agent")
class AgentNode(NodeDefinition):
    """Runs an agent in the agent worker."""

    noun: ClassVar[str] = "an agent node"
    aliases: ClassVar = {**NodeDefinition.aliases, "agent_id": "agent"}

    agent: DynamicId = Field(description="Id of the agent, or one `${…}` with `allow`.")
    prompt: Text | None = Field(None, description="Template of the user message; by default the inputs as JSON.")
    output_schema: Schema = Field(None, description="JSON Schema of the structured output.")
    allow: Ids = Field((), description="What a computed `agent` may be.")
    pool: Pool | None = Field(None, description="Worker pool of the deployment that runs it; by default `agent`.")

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        check_allow(self.agent, self.allow, "agent")
        return self


@node_type("tool")
class ToolNode(NodeDefinition):
    """Runs a tool in the tool worker."""

    noun: ClassVar[str] = "a tool node"
    aliases: ClassVar = {**NodeDefinition.aliases, "tool_id": "tool"}

    tool: DynamicId = Field(description="Id of the tool, or one `${…}` with `allow`.")
    allow: Ids = Field((), description="What a computed `tool` may be.")
    pool: Pool | None = Field(None, description="Worker pool of the deployment that runs it; by default `tool`.")

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        check_allow(self.tool, self.allow, "tool")
        return self


@node_type("sub_workflow")
class SubWorkflowNode(NodeDefinition):
    """Starts an execution of another workflow, and waits for its end."""

    noun: ClassVar[str] = "a sub-workflow node"

    workflow_id: DynamicId = Field(description="Id of the workflow, or one `${…}` with `allow`.")
    allow: Ids = Field((), description="What a computed `workflow_id` may be.")
    version: Version | None = Field(None, description="Stored version; by default the latest when the node starts.")
    wait: Flag = Field(True, description="Wait for the end; `false`: the output is `{execution_id}`, at once.")

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        check_allow(self.workflow_id, self.allow, "workflow_id")
        return self
