"""Limiters, as workflows and ``definitions/limits.yaml`` declare them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.budgets import LimiterBudgetDefinition
from workflow_runtime.definition.fields import TEXT, Count, Duration, Kind, Priority, integer, read_text
from workflow_runtime.definition.ids import id_problem
from workflow_runtime.definition.rates import RATE, read_rate
from workflow_runtime.definition.reading import Model, details, problem
from workflow_runtime.errors import RequestError
from workflow_runtime.language.expressions import ExpressionSyntaxError, compile_template
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.templates import is_one_template
from workflow_runtime.language.texts import quoted
from workflow_runtime.plan.limiters import HORIZON_MS, Limiter, Rate

WEIGHT_MAX = 10
NAME_CHARS_MAX = 300
QUOTAS = frozenset({"*", "type:agent", "type:tool"})  # of everything, and of all nodes of a type
OF_AGENT = "agent:"  # before the id of an agent, or the name of a model
NOT_AT_START = frozenset({"nodes", "secrets", "event", "error", "output"})
"""What the templates of shared limiters cannot read; other names may be those of inputs and variables."""
HORIZON_SECONDS_MAX = 900.0  # what is booked ahead waits in a queue, which keeps a message back for so long


def read_limiters(value: object) -> tuple[str, ...]:
    """The name of one limiter, or a list of names."""
    names = value if isinstance(value, list) else [value]
    found = tuple(read_limiter_name(name) for name in names)
    if len(set(found)) < len(found):
        raise problem(rules.SAID_TWICE, "a limiter is named twice")
    return found


def read_limiter_name(value: object) -> str:
    wrong = id_problem(value)
    if wrong is not None:
        raise wrong
    assert isinstance(value, str)
    return value


def read_weight(value: object) -> int | str:
    if isinstance(value, str) and is_one_template(value):
        return value.strip()
    return integer(1, WEIGHT_MAX)(value)


RateField = Annotated[Rate, Kind(read_rate, RATE)]
LimiterNames = Annotated[
    tuple[str, ...], Kind(read_limiters, {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]})
]
LimiterName = Annotated[str, Kind(read_limiter_name, TEXT)]
Weight = Annotated[
    Json, Kind(read_weight, {"anyOf": [{"type": "integer", "minimum": 1, "maximum": WEIGHT_MAX}, {"type": "string"}]})
]


class CostDefinition(Model):
    """What one attempt is expected to need of its limiters."""

    noun: ClassVar[str] = "`cost`"

    tokens: Count = Field(0, description="Tokens of model requests.")


class LimiterDefinition(Model):
    """How much of something may begin, and go on, at a time."""

    noun: ClassVar[str] = "a limiter"

    requests: RateField | None = Field(None, description="Starts in a time, for example `60/min`.")
    tokens: RateField | None = Field(None, description="Tokens of model requests in a time, for example `200k/min`.")
    concurrency: Count = Field(0, description="How many go on at once; 0 means no limit.")
    burst: Count = Field(0, description="Starts that may come earlier than the rate has them.")
    horizon: Duration | None = Field(None, description="How far ahead a start may be booked; by default 5 s.")
    key: Annotated[str, Kind(read_text, {"type": "string"})] = Field(
        "", description="Template over input, variables and tenant: a limiter for each of its values."
    )
    weight: Weight = Field(1, description="How many of a tenant are served in a row, 1 to 10.")
    budget: LimiterBudgetDefinition | None = Field(
        None, description="What the models of all that name it may cost in a time."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.requests is None and self.tokens is None and not self.concurrency and self.budget is None:
            raise problem(rules.REQUIRED, "a limiter needs `requests`, `tokens`, `concurrency` or `budget`")
        if self.burst and self.requests is None:
            raise problem(rules.COMBINATION, "`burst` is for a rate of `requests`", at=("burst",))
        if self.horizon is not None and self.horizon > HORIZON_SECONDS_MAX:
            message = f"a start is booked at most {HORIZON_SECONDS_MAX:g} s ahead"
            raise problem(rules.OUT_OF_RANGE, message, at=("horizon",))
        return self

    def limiter(self) -> Limiter:
        horizon = HORIZON_MS if self.horizon is None else round(self.horizon * 1000)
        weight = self.weight if isinstance(self.weight, (int, str)) else 1
        budget = self.budget.budget() if self.budget is not None else None
        return Limiter(self.requests, self.tokens, self.concurrency, self.burst, horizon, self.key, weight, budget)


class Limits(Model):
    """Limits of one execution, and the workflow's own limiters by name."""

    noun: ClassVar[str] = "`limits`"
    others: ClassVar[type[Model] | None] = LimiterDefinition
    model_config = ConfigDict(extra="allow")

    max_concurrency: Count = Field(0, description="Nodes of one execution that run at once; 0 means no limit.")
    priority: Priority = Field(0, description="Higher runs first.")

    __pydantic_extra__: dict[str, LimiterDefinition]

    @property
    def limiters(self) -> Mapping[str, LimiterDefinition]:
        """The workflow's own limiters, by the names that stand in its file."""
        return self.__pydantic_extra__ or {}

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name in self.limiters:
            wrong = id_problem(name)
            if wrong is not None:
                context: dict[str, Any] = {**(wrong.context or {}), "at": (name,)}
                raise problem(rules.BAD_ID, str(context["text"]), context.get("hint"), (name,))
        return self


def check_limiter_name(name: str) -> None:
    """Raises `RequestError` (``invalid_request``) for the name of a limiter that could hold nothing."""
    of_agent = name.removeprefix(OF_AGENT) if name.startswith(OF_AGENT) else ""
    is_quota = name in QUOTAS or (bool(of_agent.strip()) and of_agent.isprintable())
    is_id = name.count("/") <= 1 and all(id_problem(part) is None for part in name.split("/"))
    if len(name) > NAME_CHARS_MAX or not (is_quota or is_id):
        names = "an id as `openai`, `WORKFLOW/NAME`, `*`, `type:agent`, `type:tool`, `agent:ID` or `agent:MODEL`"
        raise RequestError("invalid_request", f"nothing can name a limiter {quoted(name)}; a name is {names}")


def limiter_of(fields: Mapping[str, Json], name: str) -> Limiter:
    """The limiter that somebody sets by these fields. Raises `RequestError` (``invalid_request``)."""
    check_limiter_name(name)
    try:
        limiter = LimiterDefinition.model_validate(dict(fields)).limiter()
    except ValidationError as error:
        found = [(line, getattr(line["type"], "context", None) or {}) for line in details(error)]
        texts = [
            f"{'.'.join(map(str, line['loc'])) or name}: {context.get('text', '')}"
            + (f" ({hint})" if (hint := context.get("hint")) else "")
            for line, context in found
        ]
        raise RequestError("invalid_request", "; ".join(texts)) from None
    wrong = [f"{field}: {text}" for field, text in shared_template_problems(limiter)]
    if wrong:
        raise RequestError("invalid_request", "; ".join(wrong))
    return limiter


def shared_template_problems(limiter: Limiter) -> Iterator[tuple[str, str]]:
    """What is wrong with the templates of a limiter that workflows share, by field; those of a workflow's own are
    compiled with it."""
    for field in ("key", "weight"):
        template = getattr(limiter, field)
        if not isinstance(template, str) or not template:
            continue
        try:
            names = {reference.name for reference in compile_template(template).references}
        except ExpressionSyntaxError as error:
            yield field, f"`{template}` is not a template: {error.message}"
            continue
        for name in sorted(names & NOT_AT_START):
            yield field, f"it is fixed when an execution starts, and cannot read `{name}`"
