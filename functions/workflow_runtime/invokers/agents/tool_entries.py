"""What an agent's definition says of the tools that it may use."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.asking import Asking
from workflow_runtime.definition.fields import Duration, word
from workflow_runtime.definition.ids import Pool
from workflow_runtime.definition.policies import RetryPolicy
from workflow_runtime.definition.reading import problem
from workflow_runtime.invokers.agents.fields import (
    FrozenModel,
    PositiveInt,
    Texts,
    as_tuple,
    expression_over,
    expression_problem,
    template_problem,
)
from workflow_runtime.language.json_values import walk_texts
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.catalogue import Effects
from workflow_runtime.plan.policies import CallTerms

ToolKind = Literal["tool", "workflow_id", "agent", "mcp"]
OnUnknown = Literal["ask", "retry", "fail"]
KINDS: tuple[ToolKind, ...] = ("tool", "workflow_id", "agent", "mcp")
NO_SECOND_CALL = "a call that is made `once` is not made again after a failure, which the model is told of"
TOOLS_MAX = 128  # entries: providers take no more functions with a request

_Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(normalized)]


_CALLS = ("args", "steps")
_ASKED = ("args", "inputs")
_Condition = Annotated[str, expression_over(*_CALLS)]
_Otherwise = Annotated[str, word("continue", "fail")]


class CallApproval(Asking):
    """Which calls somebody has to approve, who may, and by which rules, as in an approval node: what is shown and may
    be changed are the call's arguments. Templates are over `args` and `inputs`."""

    noun: ClassVar[str] = "an approval of calls"

    when: _Condition = Field("true", description="Expression over `args` and `steps`.")
    on_timeout: _Otherwise = Field(
        "continue", description="When nobody has decided in time: tell the model, and go on, or fail the attempt."
    )
    on_reject: _Otherwise = Field("continue", description="The same when the call is rejected.")

    @model_validator(mode="after")
    def _reads_what_there_is(self) -> Self:
        for field in ("prompt", "assignees", "quorum", "escalate_after", "escalate_to", "timeout"):
            for place, text in walk_texts(getattr(self, field)):
                wrong = template_problem(text, _ASKED)
                if wrong is not None:
                    raise problem(rules.WRONG_KIND, wrong, at=(field, *place))
        return self


def _approval(value: object) -> object:
    if isinstance(value, str) and (problem := expression_problem(value, _CALLS)) is not None:
        raise ValueError(problem)  # here, where its place is the one that was written
    if not isinstance(value, str | bool | dict | CallApproval):
        raise ValueError("an expression is needed, or a mapping with `when` and what an approval says")
    return {"when": value} if isinstance(value, str | bool) else value


def _policies(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


_RetryPolicies = Annotated[
    tuple[RetryPolicy, ...], BeforeValidator(_policies, json_schema_input_type=RetryPolicy | list[RetryPolicy])
]


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
    pool: Pool | None = Field(None, description="Of a call as a node: the worker pool that runs it.")
    timeout: Duration | None = Field(None, description="Of a call as a node: how long each attempt may take.")
    retry_policy: _RetryPolicies = Field((), description="Of a call as a node: attempts after one that has failed.")
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
    def terms(self) -> CallTerms | None:
        """Of calls as nodes, if anything is said of them."""
        if self.pool is None and self.timeout is None and not self.retry_policy:
            return None
        return CallTerms(self.pool or "", self.timeout, tuple(policy.planned for policy in self.retry_policy))

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
        for field in ("pool", "timeout", "retry_policy") if kind == "workflow_id" or self.as_ != "node" else ():
            if field in self.model_fields_set:
                yield f"`{field}` is for tools and agents that run `as: node`"
        if self.effects is Effects.ONCE and self.retry_policy:
            yield f"`retry_policy`: {NO_SECOND_CALL}"
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
