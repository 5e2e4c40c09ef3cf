"""Nodes whose work is done elsewhere: agents and tools by workers, sub-workflows by other executions."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import Flag, Kind, Schema, Text, integer, word
from workflow_runtime.definition.ids import DynamicId, Ids, Pool, check_allow
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.registry import node_type
from workflow_runtime.definition.reading import kind_of, problem
from workflow_runtime.definition.timed import read_some_text
from workflow_runtime.language.json_values import Json


def read_session(value: object) -> str | bool:
    """A template of the session's name, or false: none."""
    if value is False:
        return False
    if not isinstance(value, str):
        expected = f"expected the template of a session's name, or false, not {kind_of(value)}"
        raise problem(rules.WRONG_KIND, expected, "For example `${customer_id}`.")
    return read_some_text(value)


OnBusy = Annotated[str, word("queue", "reject", "interrupt")]
NodeSession = Annotated[Json, Kind(read_session, {"anyOf": [{"type": "string", "minLength": 1}, {"const": False}]})]
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
    session: NodeSession = Field(
        None,
        description="Name of the session that its visits go on with (template), instead of the agent's own; "
        "`false`: none.",
    )
    on_busy: OnBusy | None = Field(
        None, description="What a visit does while another one works on that session; by default what the agent says."
    )

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        check_allow(self.agent, self.allow, "agent")
        if self.on_busy is not None and not self.session:
            hint = "Name the `session`, or let the agent's definition say it."
            raise problem(rules.COMBINATION, "`on_busy` is for the node's own `session`", hint, ("on_busy",))
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
