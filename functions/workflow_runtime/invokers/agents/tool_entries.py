"""What an agent's definition says of the tools that it may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from workflow_runtime.invokers.agents.fields import (
    FrozenModel,
    PositiveInt,
    TextOrTexts,
    Texts,
    as_tuple,
    expression_over,
    expression_problem,
    template_problem,
)
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.catalogue import Effects

ToolKind = Literal["tool", "workflow_id", "agent", "mcp"]
OnUnknown = Literal["ask", "retry", "fail"]
KINDS: tuple[ToolKind, ...] = ("tool", "workflow_id", "agent", "mcp")
APPROVAL_SECONDS_MAX = 366 * 86_400  # as long as an execution may take
TOOLS_MAX = 128  # entries: providers take no more functions with a request

_Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(normalized)]


def _seconds(value: object) -> int:
    seconds = parse_duration(value)  # type: ignore[arg-type]  # it says itself what it takes
    if not 1 <= seconds <= APPROVAL_SECONDS_MAX:
        raise ValueError("people are waited for at least a second, and at most a year")
    return round(seconds)


_CALLS = ("args", "steps")
_Condition = Annotated[str, expression_over(*_CALLS)]


class CallApproval(FrozenModel):
    """Which calls somebody has to approve, who may, and for how long they are waited for."""

    when: _Condition = Field("true", description="Expression over `args` and `steps`.")
    assignees: TextOrTexts = Field(
        (), description="Who may answer: names, or templates over `args` and `inputs`; by default whoever may call."
    )
    timeout: Annotated[int, BeforeValidator(_seconds, json_schema_input_type=str | float)] | None = Field(
        None, description="When nobody has answered by then, the call is not made, and the model is told."
    )

    @field_validator("assignees")
    @classmethod
    def _are_templates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            problem = template_problem(text, ("args", "inputs"))
            if problem is not None:
                raise ValueError(problem)
        return value


def _approval(value: object) -> object:
    if isinstance(value, str) and (problem := expression_problem(value, _CALLS)) is not None:
        raise ValueError(problem)  # here, where its place is the one that was written
    if not isinstance(value, str | bool | dict | CallApproval):
        raise ValueError("an expression is needed, or a mapping with `when`, `assignees` and `timeout`")
    return {"when": value} if isinstance(value, str | bool) else value


def _effects(value: object) -> object:
    if not isinstance(value, str) or value not in list(Effects):
        raise ValueError("must be `none`, `idempotent` or `once`")
    return Effects(value)


class AgentTool(FrozenModel):
    """One entry of ``tools``: what may be called, and on which terms."""

    tool: _Id | None = Field(None, description="A registered or built-in tool.")
    workflow_id: _Id | None = Field(None, description="A workflow, each call of which is an execution.")
    agent: _Id | None = Field(None, description="Another agent.")
    mcp: _Id | None = Field(None, description="An MCP server, which brings tools of its own.")
    as_: Literal["inline", "node"] | None = Field(
        None, alias="as", description="Whether a call is a node of its own; by default it is not, unless of a workflow."
    )
    approve: (
        Annotated[CallApproval, BeforeValidator(_approval, json_schema_input_type=str | bool | CallApproval)] | None
    ) = Field(
        None,
        description="Which calls somebody has to approve: an expression over `args` and `steps`, true, or a mapping.",
    )
    limit: PositiveInt | None = Field(None, description="The most calls of one visit.")
    effects: Annotated[Effects, BeforeValidator(_effects)] | None = Field(
        None, description="What a call does to the world; by default what the tool says."
    )
    on_unknown: OnUnknown | None = Field(
        None, description="What to do when a crash leaves open whether a `once` call happened."
    )
    allow: Texts | None = Field(None, description="The tools of the MCP server that may be used; by default all.")
    pin: bool = Field(True, description="Whether tools of the MCP server that have changed are refused.")

    @property
    def kind(self) -> ToolKind:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def id(self) -> str:
        """Of the tool, workflow, agent or server."""
        id: str = getattr(self, self.kind)
        return id

    @property
    def runs_as_node(self) -> bool:
        return self.as_ == "node" or self.kind == "workflow_id"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        named = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(named) != 1:
            raise ValueError("an entry names one of `tool`, `workflow_id`, `agent` and `mcp`")
        if problems := list(self._misplaced(named[0])):
            raise ValueError("; ".join(problems))
        return self

    def _misplaced(self, kind: ToolKind) -> Iterator[str]:
        if kind == "workflow_id" and self.as_ == "inline":
            yield "a workflow never runs `as: inline`: it is an execution of its own"
        if kind == "mcp" and self.as_ == "node":
            yield "tools of an MCP server run inline"
        for field in ("effects", "on_unknown") if kind in ("workflow_id", "agent") else ():
            if field in self.model_fields_set:
                yield f"`{field}` is for tools: a workflow or an agent is started once in any case"
        for field in ("allow", "pin") if kind != "mcp" else ():
            if field in self.model_fields_set:
                yield f"`{field}` is for MCP servers"


def _entry(value: object) -> object:
    if not isinstance(value, str | dict):
        raise ValueError("an entry is the id of a tool, or a mapping")
    return {"tool": value} if isinstance(value, str) else value


def _distinct(entries: tuple[AgentTool, ...]) -> tuple[AgentTool, ...]:
    """Models call tools by name alone, whatever is behind the name; a server's tools have names of their own."""
    if len(entries) > TOOLS_MAX:
        raise ValueError(f"an agent has at most {TOOLS_MAX} tools")
    seen: set[tuple[bool, str]] = set()
    for entry in entries:
        name = (entry.kind == "mcp", entry.id)
        if name in seen:
            raise ValueError(f"{entry.id!r} is listed twice")
        seen.add(name)
    return entries


ToolEntry = Annotated[AgentTool, BeforeValidator(_entry, json_schema_input_type=str | AgentTool)]
ToolEntries = Annotated[
    tuple[ToolEntry, ...],
    AfterValidator(_distinct),
    BeforeValidator(as_tuple, json_schema_input_type=list[ToolEntry]),
]
