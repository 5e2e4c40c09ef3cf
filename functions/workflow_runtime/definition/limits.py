"""Limiters, as workflows and ``definitions/limits.yaml`` declare them (language §5.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import TEXT, Count, Duration, Kind, Priority, integer, read_text
from workflow_runtime.definition.ids import id_problem
from workflow_runtime.definition.reading import Model, details, kind_of, problem
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.templates import has_template, is_one_template
from workflow_runtime.language.texts import quoted
from workflow_runtime.plan.limiters import HORIZON_MS, Limiter, Rate

WEIGHT_MAX = 10
HORIZON_SECONDS_MAX = 900.0  # what is booked ahead waits in a queue, which keeps a message back for so long
_RATE = re.compile(
    r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([kM]?)\s*/\s*(\d{1,6}(?:\.\d{1,3})?)?\s*(s|sec|second|min|minute|h|hour|day)\s*"
)
_MULTIPLES = {"": 1, "k": 1_000, "M": 1_000_000}
_SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86_400}
_RATE_HINT = "For example `60/min`, `200k/min` or `5/s`; units are s, min, h and day."


def read_rate(value: object) -> Rate:
    """``60/min``: so many in so much time."""
    if has_template(value):
        raise problem(rules.LITERAL_FOR_NOW, "a rate must be a literal, not `${…}`")
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        shown = quoted(value) if isinstance(value, str) else kind_of(value)
        raise problem(rules.BAD_RATE, f"{shown} is not a rate", _RATE_HINT)
    units = float(found[1]) * _MULTIPLES[found[2]]
    if units < 1:
        raise problem(rules.BAD_RATE, "a rate of less than one lets nothing begin", "Name a longer time: `1/day`.")
    milliseconds = round(float(found[3] or 1) * _SECONDS[found[4]] * 1000)
    if milliseconds < 1:
        raise problem(rules.BAD_RATE, "a rate is so many in some time, not in none", _RATE_HINT)
    return Rate(round(units), milliseconds)


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


RATE = {"type": "string", "pattern": r"^\s*[0-9.]+\s*[kM]?\s*/\s*[0-9.]*\s*(s|sec|second|min|minute|h|hour|day)\s*$"}
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

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.requests is None and self.tokens is None and not self.concurrency:
            raise problem(rules.REQUIRED, "a limiter needs `requests`, `tokens` or `concurrency`")
        if self.burst and self.requests is None:
            raise problem(rules.COMBINATION, "`burst` is for a rate of `requests`", at=("burst",))
        if self.horizon is not None and self.horizon > HORIZON_SECONDS_MAX:
            message = f"a start is booked at most {HORIZON_SECONDS_MAX:g} s ahead"
            raise problem(rules.OUT_OF_RANGE, message, at=("horizon",))
        return self

    def limiter(self) -> Limiter:
        horizon = HORIZON_MS if self.horizon is None else round(self.horizon * 1000)
        weight = self.weight if isinstance(self.weight, (int, str)) else 1
        return Limiter(self.requests, self.tokens, self.concurrency, self.burst, horizon, self.key, weight)


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


def limiter_of(fields: Mapping[str, Json], name: str) -> Limiter:
    """The limiter that somebody sets by these fields. Raises `RequestError` (``invalid_request``)."""
    try:
        return LimiterDefinition.model_validate(dict(fields)).limiter()
    except ValidationError as error:
        found = [(line, getattr(line["type"], "context", None) or {}) for line in details(error)]
        texts = [f"{'.'.join(map(str, line['loc'])) or name}: {context.get('text', '')}" for line, context in found]
        raise RequestError("invalid_request", "; ".join(texts)) from None
