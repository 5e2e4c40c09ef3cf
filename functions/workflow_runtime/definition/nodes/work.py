"""The types of node, and how a written node finds its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.charts.states import StateMachineNode
from workflow_runtime.definition.fields import DynamicId, Ids, Pool, Schema, Text
from workflow_runtime.definition.nodes.aggregation import AggregationNode
from workflow_runtime.definition.nodes.common import TYPES, NodeDefinition, check_allow
from workflow_runtime.definition.nodes.control import (
    ConditionNode,
    FailNode,
    ParallelNode,
    PassNode,
    SucceedNode,
    SwitchNode,
)
from workflow_runtime.definition.nodes.pending import ApprovalNode, LoopNode, SubWorkflowNode
from workflow_runtime.definition.nodes.wait import WaitNode
from workflow_runtime.definition.reading import (
    Reading,
    did_you_mean,
    kind_of,
    nearest,
    problem,
    shorten,
    with_common_fields,
)


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


BY_TYPE: dict[str, type[NodeDefinition]] = {
    "agent": AgentNode,
    "tool": ToolNode,
    "aggregation": AggregationNode,
    "sub_workflow": SubWorkflowNode,
    "state_machine": StateMachineNode,
}
BY_SUBTYPE: dict[str, type[NodeDefinition]] = {
    "switch": SwitchNode,
    "condition": ConditionNode,
    "parallel": ParallelNode,
    "pass": PassNode,
    "fail": FailNode,
    "succeed": SucceedNode,
    "loop": LoopNode,
    "wait": WaitNode,
    "approval": ApprovalNode,
}


def _refuse_slip(value: Mapping[str, Any], field: str, *prefix: str) -> None:
    """Raise the finding for a misspelt ``field``, which is then not missing."""
    near = (key for key in value if abs(len(key) - len(field)) <= 3 and key not in NodeDefinition.model_fields)
    slip = next((key for key in near if nearest(key, [field])), None)
    if slip is not None:
        text = f"`{shorten(slip)}` is not a field of a node"
        raise problem(rules.UNKNOWN_FIELD, text, f"Did you mean `{field}`?", (*prefix, slip))


def node_class(value: Mapping[str, Any]) -> type[NodeDefinition]:
    """The model for a written node. Raises the finding for a missing or unknown type or subtype."""
    kind = value.get("type")
    if kind is None:
        _refuse_slip(value, "type")
        guess = next((name for name in ("agent", "tool") if name in value or f"{name}_id" in value), None)
        hint = f"Add `type: {guess}`." if guess else f"One of {', '.join(TYPES)}."
        raise problem(rules.REQUIRED, "the node has no `type`", hint)
    if not isinstance(kind, str) or kind not in TYPES:
        shown = f"`{shorten(kind)}`" if isinstance(kind, str) else kind_of(kind)
        known = isinstance(kind, str) and kind in BY_SUBTYPE
        control_hint = f"Write `type: control` and `subtype: {kind}`."
        known_hint = control_hint if known else did_you_mean(str(kind), TYPES)
        raise problem(rules.UNKNOWN_TYPE, f"{shown} is not a type of node", known_hint, ("type",))
    if kind != "control":
        return BY_TYPE[kind]
    nested = value.get("config")
    subtype = value.get("subtype", nested.get("subtype") if isinstance(nested, dict) else None)
    if subtype is None:
        _refuse_slip(value, "subtype")
        if isinstance(nested, dict):
            _refuse_slip(nested, "subtype", "config")
        raise problem(rules.REQUIRED, "the control node has no `subtype`", f"One of {', '.join(BY_SUBTYPE)}.")
    if not isinstance(subtype, str) or subtype not in BY_SUBTYPE:
        shown = f"`{shorten(subtype)}`" if isinstance(subtype, str) else kind_of(subtype)
        text = f"{shown} is not a subtype of control nodes"
        raise problem(rules.UNKNOWN_TYPE, text, did_you_mean(str(subtype), BY_SUBTYPE), ("subtype",))
    return BY_SUBTYPE[subtype]


def read_node(value: Any, info: ValidationInfo) -> NodeDefinition:
    """The node of the class that its type names; if there is none, its common fields are checked all the same."""
    if isinstance(value, NodeDefinition):
        return value
    if isinstance(info.context, Reading) and info.context.problems > info.context.limit:
        return NodeDefinition.model_construct()
    if not isinstance(value, dict):
        raise problem(
            rules.WRONG_KIND, f"a node must be a mapping, not {kind_of(value)}", "Write `- id: …` and its fields below."
        )
    try:
        chosen = node_class(value)
    except PydanticCustomError as error:
        raise with_common_fields(NodeDefinition, value, error, info.context) from None
    node = chosen.model_validate(value, context=info.context)
    if isinstance(info.context, Reading):
        info.context.sound[id(value)] = node
    return node


def mended_node(value: Any, wrong: Collection[str], shown_id: str, reading: Reading) -> NodeDefinition:
    """A best effort at a node with ``wrong`` fields: a plain `NodeDefinition` if it cannot be typed.

    Without a sound id it is called ``shown_id``.
    """
    chosen: type[NodeDefinition] = NodeDefinition
    fields: dict[str, Any] = {}
    if isinstance(value, dict):
        with suppress(PydanticCustomError):
            chosen = node_class(value)
        fields = chosen.with_defaults(chosen.canonical(value)[0], reading)
    kept = {
        name: item
        for name, item in fields.items()
        if (name not in wrong or name in chosen.menders) and (item is not None or name in chosen.keeps_null)
    }
    node = chosen.mended(kept, reading)
    return node if node.id else node.model_copy(update={"id": shown_id})


Node = Annotated[NodeDefinition, BeforeValidator(read_node)]
