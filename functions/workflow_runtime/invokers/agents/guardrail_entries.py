"""What an agent's definition says of the checks that its input, its output and its calls of tools have to pass."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from workflow_runtime.invokers.agents.fields import FrozenModel, as_tuple, expression_over, expression_problem
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.schemas import SchemaUnusable, validator_of

CHECKS = ("expression", "schema", "tool", "agent")
GUARDRAILS_MAX = 20  # of one list: each may cost a call
REPEATS_MAX = 10  # each is a request that is paid for

_Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(normalized)]


class Check(FrozenModel):
    """One of: an expression that has to be true, a JSON Schema, a tool or an agent that says whether all is well."""

    expression: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema", description="JSON Schema that the value has to match.")
    tool: _Id | None = Field(None, description="A tool that takes `value`.")
    agent: _Id | None = Field(None, description="An agent that is given `value`.")

    @property
    def kind(self) -> str:
        return next(kind for kind in CHECKS if getattr(self, "schema_" if kind == "schema" else kind) is not None)

    @field_validator("schema_")
    @classmethod
    def _is_a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            validator_of(value)
        except SchemaUnusable as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(value is not None for value in (self.expression, self.schema_, self.tool, self.agent)) != 1:
            raise ValueError("a check is an expression, or a mapping with one of `schema`, `tool` and `agent`")
        return self


def _check(value: object) -> object:
    if not isinstance(value, str | bool | dict):
        raise ValueError("a check is an expression, or a mapping with one of `schema`, `tool` and `agent`")
    return value if isinstance(value, dict) else {"expression": str(value).lower() if value in (True, False) else value}


class Guardrail(FrozenModel):
    """A check, and what is to be done where it fails. ``message``: what is told then, instead of what failed."""

    names: ClassVar[tuple[str, ...]] = ()
    on_fails: ClassVar[tuple[str, ...]] = ("retry", "fix", "fail", "human")

    check: Annotated[Check, BeforeValidator(_check, json_schema_input_type=str | Check)]
    on_fail: Literal["retry", "fix", "fail", "human"] = Field(
        "fail",
        description="What to do where the check fails: ask again, take the checker's value, fail, or ask a person.",
    )
    max: Annotated[int, Field(gt=0, le=REPEATS_MAX)] | None = Field(
        None, description="With `retry`: how often, by default 2."
    )
    message: str = Field("", description="What the model and people are told, instead of what failed.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        if self.check.expression is not None:
            problem = expression_problem(self.check.expression, self.names)
            if problem is not None:
                yield f"`check`: {problem}"
        if self.on_fail not in self.on_fails:
            yield f"`on_fail: {self.on_fail}` cannot be here: nobody would give another input"
        if self.on_fail == "fix" and self.check.kind not in ("tool", "agent"):
            yield "`on_fail: fix` needs a tool or an agent that gives the `value` to take instead"
        if self.max is not None and self.on_fail != "retry":
            yield "`max` is for `on_fail: retry`"


class InputGuardrail(Guardrail):
    names = ("inputs", "message")
    on_fails = ("fix", "fail", "human")


class OutputGuardrail(Guardrail):
    names = ("inputs", "output")


class CallGuardrail(Guardrail):
    names = ("args", "inputs", "steps")


class Rule(FrozenModel):
    """What must not happen in the course of a visit. Either ``deny`` or ``require`` with ``before`` names a tool."""

    deny: _Id | None = Field(None, description="A tool that may not be called where `when` holds.")
    require: Literal["approve"] | None = Field(None, description="What the calls of the tool `before` need.")
    before: _Id | None = Field(None, description="The tool that `require` is about.")
    when: Annotated[str, expression_over(*CallGuardrail.names)] = Field(
        "true", description="Expression over `args`, `inputs` and `steps`: the calls before this one."
    )
    message: str = Field("", description="What the model is told of a call that is denied.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.deny is None) == (self.require is None) or (self.require is None) != (self.before is None):
            raise ValueError("a rule has `deny`, the id of a tool, or `require: approve` and `before`")
        return self


def _limited(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(entries) > GUARDRAILS_MAX:
        raise ValueError(f"at most {GUARDRAILS_MAX} checks, one after the other")
    return entries


_Listed = (AfterValidator(_limited), BeforeValidator(as_tuple))


class Guardrails(FrozenModel):
    """The checks of an agent, each list in its order."""

    input: Annotated[tuple[InputGuardrail, ...], *_Listed] = Field(default=(), description="Of the message.")
    output: Annotated[tuple[OutputGuardrail, ...], *_Listed] = Field(default=(), description="Of what the model gives.")
    tools: dict[_Id, Annotated[tuple[CallGuardrail, ...], *_Listed]] = Field(
        default={}, description="Of the arguments of calls, by tool."
    )


Rules = Annotated[tuple[Rule, ...], *_Listed]
