"""What happens when a node fails: retries, fallbacks, error rules, handlers, compensation, callbacks."""

from typing import Annotated, ClassVar, Self

import re2
from pydantic import Field, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import (
    MISSING,
    SECONDS_OR_TEXT,
    Duration,
    Factor,
    Flag,
    Inputs,
    Kind,
    Schema,
    Text,
    Texts,
    Value,
    integer,
    read_duration,
    read_text,
    word,
)
from workflow_runtime.definition.ids import DynamicId, Reference
from workflow_runtime.definition.reading import Many, Model, TextAs, problem
from workflow_runtime.language.expressions import PATTERN_MEMORY_BYTES_MAX
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.templates import has_template
from workflow_runtime.language.texts import shorten
from workflow_runtime.plan import policies

MAX_PATTERN_LENGTH = 1_000
MAX_RETRIES = 100
MAX_RETRY_DELAY_SECONDS = 86_400
"""A retry that waits longer than a day is a new execution."""


def _read_retry_delay(value: object) -> float:
    seconds = read_duration(value)
    if seconds > MAX_RETRY_DELAY_SECONDS:
        raise problem(rules.OUT_OF_RANGE, "a retry waits at most 24 hours")
    return seconds


RetryDelay = Annotated[float, Kind(_read_retry_delay, SECONDS_OR_TEXT)]


def _said(error: Exception) -> str:
    """RE2 words its complaints in bytes."""
    said = error.args[0] if error.args else b""
    return shorten(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said), 200)


def read_pattern(value: object) -> str:
    """A regular expression in RE2 syntax, which cannot hang."""
    text = normalized(read_text(value))  # as the ids that it is to match
    if len(text) > MAX_PATTERN_LENGTH:
        raise problem(
            rules.BAD_PATTERN, f"the pattern has {len(text)} characters; at most {MAX_PATTERN_LENGTH} are allowed"
        )
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY_BYTES_MAX
    try:
        re2.compile(text, options)
    except re2.error as error:
        raise problem(rules.BAD_PATTERN, f"not a regular expression: {_said(error)}") from None
    return text


Pattern = Annotated[str, Kind(read_pattern, {"type": "string", "format": "regex"})]


class RetryPolicy(Model):
    """Attempts after the first, and the delays between them."""

    noun: ClassVar[str] = "a retry policy"
    aliases: ClassVar = {"initial_delay": "retry_delay", "strategy": "backoff", "retry_on": "errors"}

    max_retries: Annotated[
        int, Kind(integer(0, MAX_RETRIES), {"type": "integer", "minimum": 0, "maximum": MAX_RETRIES})
    ] = Field(3, description="Attempts after the first.")
    retry_delay: RetryDelay = Field(1.0, description="Delay before the first retry.")
    backoff: Annotated[str, word("exponential", "linear", "fixed")] = Field(
        "exponential", description="How the delay grows from retry to retry."
    )
    backoff_factor: Factor = Field(2.0, description="Factor of exponential backoff.")
    max_delay: RetryDelay = Field(60.0, description="No delay is longer than this; up to 24 hours.")
    jitter: Annotated[str, word("full", "none", synonyms={True: "full", False: "none"})] = Field(
        "full", description="`full` spreads each delay at random between zero and its length."
    )
    errors: Texts = Field(("*",), description="Error types that are retried; `*` is all.")
    exclude_errors: Texts = Field((), description="Error types that are not retried.")
    fresh: Flag | None = Field(None, description="Whether an agent forgets the steps of the attempts before.")

    @property
    def planned(self) -> policies.RetryPolicy:
        """As a plan has it."""
        return policies.RetryPolicy(
            max_retries=self.max_retries,
            delay=self.retry_delay,
            backoff=self.backoff,
            factor=self.backoff_factor,
            max_delay=self.max_delay,
            jitter=self.jitter == "full",
            errors=self.errors,
            exclude_errors=self.exclude_errors,
            fresh=self.fresh,
        )


RetryPolicies = Annotated[tuple[RetryPolicy, ...], Many(single=True)]


class FallbackDefinition(Model):
    """Tried once when a node has failed: a node of the graph, another agent, tool or workflow, or a value."""

    noun: ClassVar[str] = "a fallback"
    aliases: ClassVar = {"agent_id": "agent", "tool_id": "tool"}
    keeps_null: ClassVar = frozenset({"value"})

    node: Reference | None = Field(None, description="Id of a node of this graph.")
    agent: DynamicId | None = Field(None, description="Agent to run instead.")
    tool: DynamicId | None = Field(None, description="Tool to run instead.")
    workflow_id: DynamicId | None = Field(None, description="Workflow to run instead.")
    value: Value = Field(MISSING, description="Template used as the output.")
    inputs: Inputs | None = Field(None, description="Inputs of the fallback; by default the node's.")
    prompt: Text | None = Field(None, description="Prompt; by default the node's.")
    outputs: Value = Field(None, description="Outputs; by default the node's.")
    output_schema: Schema = Field(None, description="By default the node's.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("node", "agent", "tool", "workflow_id") if getattr(self, name) is not None]
        ways += ["value"] if self.value is not MISSING else []
        if len(ways) != 1:
            found = "has none" if not ways else "has " + ", ".join(f"`{way}`" for way in ways)
            raise problem(
                rules.COMBINATION,
                f"a fallback needs one of `agent`, `tool`, `workflow_id` or `value`; this one {found}",
            )
        if ways[0] in ("agent", "tool", "workflow_id") and has_template(getattr(self, ways[0])):
            hint = "Add a node with `allow`, and name it here: `fallback: <node id>`."
            raise problem(rules.DYNAMIC_ID, f"`{ways[0]}` of a fallback cannot be computed", hint, (ways[0],))
        return self


Fallback = Annotated[FallbackDefinition, TextAs("node")]


class ErrorRule(Model):
    """What becomes of errors of these types: fail, skip, continue, or a target node."""

    noun: ClassVar[str] = "an error rule"
    aliases: ClassVar = {"error_type": "errors"}

    errors: Texts = Field(("*",), description="Error types this rule is for; `*` is all.")
    do: Annotated[str | None, word("fail", "skip", "continue")] = Field(
        None,
        description="`fail`: on to the handlers; `skip`: edges are dead; `continue`: edges are alive, output null.",
    )
    target: Reference | None = Field(None, description="Node that runs with `${error}`.")

    @model_validator(mode="after")
    def _one_reaction(self) -> Self:
        if (self.do is None) == (self.target is None):
            raise problem(rules.COMBINATION, "an error rule needs one of `do` and `target`")
        return self


OnError = Annotated[tuple[Annotated[ErrorRule, TextAs("do")], ...], Many(single=True)]

ACTIONS = ("retry", "fallback", "skip", "continue", "fail", "compensate", "escalate")


class HandlerAction(RetryPolicy):
    """What an error handler does; the fields of a retry policy belong to `retry`, `target` to `fallback`."""

    noun: ClassVar[str] = "an error handler's action"

    type: Annotated[str, word(*ACTIONS)] = Field(description="What to do.")
    target: Reference | None = Field(None, description="Node or workflow to run instead.")

    @model_validator(mode="after")
    def _fields_of_type(self) -> Self:
        given = self.model_fields_set - {"type", "target"}
        if self.type != "retry" and given:
            text = f"`{min(given)}` belongs to the action `retry`, not `{self.type}`"
            raise problem(rules.COMBINATION, text, at=(min(given),))
        if (self.type == "fallback") != (self.target is not None):
            need = "needs a `target`" if self.type == "fallback" else "takes no `target`"
            raise problem(rules.COMBINATION, f"the action `{self.type}` {need}")
        return self


class ErrorHandler(Model):
    """A rule of the whole workflow: the first whose pattern and error types match acts."""

    noun: ClassVar[str] = "an error handler"
    aliases: ClassVar = {"error_type": "errors"}

    node_pattern: Pattern = Field(".*", description="Regular expression (RE2) that matches a node's whole id.")
    errors: Texts = Field(("*",), description="Error types; `*` is all.")
    action: Annotated[HandlerAction, TextAs("type")] = Field(description="What to do.")


ErrorHandlers = Annotated[tuple[ErrorHandler, ...], Many(single=True)]

_OCCASIONS = ("failure", "cancel", "timeout")


class CompensationDefinition(Model):
    """When and in what order the nodes that succeeded are undone."""

    noun: ClassVar[str] = "`compensation`"

    on: Annotated[tuple[Annotated[str, word(*_OCCASIONS)], ...], Many(single=True)] = Field(
        _OCCASIONS, description="Occasions."
    )
    order: Annotated[str, word("reverse", "parallel")] = Field("reverse", description="Order of undoing.")


class CallbackDefinition(Model):
    """After its code returned, the node waits until somebody completes its task token."""

    noun: ClassVar[str] = "`callback`"

    timeout: Duration | None = Field(None, description="How long to wait.")
    heartbeat: Duration | None = Field(None, description="Longest silence.")
