"""Budgets: what models may cost an execution, a visit of an agent, or all that name a limiter."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import Kind, word
from workflow_runtime.definition.rates import RATE, read_amount, read_rate
from workflow_runtime.definition.reading import Model, kind_of, problem
from workflow_runtime.language.templates import has_template
from workflow_runtime.plan.limiters import MICROS, Budget, Rate

USD_MAX = 1_000_000  # catches a slipped digit
TOKENS_MAX = 1_000_000_000_000


def read_usd(value: object) -> float:
    """An amount of dollars."""
    if has_template(value):
        raise problem(rules.LITERAL_FOR_NOW, "an amount must be a literal, not `${…}`")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise problem(rules.WRONG_KIND, f"expected an amount of dollars, not {kind_of(value)}", "For example `2.50`.")
    if not 1 / MICROS <= value <= USD_MAX:
        raise problem(rules.OUT_OF_RANGE, f"{value:g} dollars are out of range: more than 0, at most {USD_MAX:,}")
    return float(value)


def read_usd_rate(value: object) -> Rate:
    """``20/day``: so many dollars in so much time, as micro-dollars."""
    return read_rate(value, MICROS, "20/day")


def read_tokens(value: object) -> int:
    """``400k``, or a plain number."""
    tokens = read_amount(value)
    if not 1 <= tokens <= TOKENS_MAX:
        raise problem(rules.OUT_OF_RANGE, f"{tokens:,} tokens are out of range: 1 to {TOKENS_MAX:,}")
    return tokens


_TOKENS = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\s*[0-9.]+\s*[kM]?\s*$"}]}
Usd = Annotated[float, Kind(read_usd, {"type": "number", "exclusiveMinimum": 0, "maximum": USD_MAX})]
Tokens = Annotated[int, Kind(read_tokens, _TOKENS)]
MoneyRate = Annotated[Rate, Kind(read_usd_rate, RATE)]
TokenRate = Annotated[Rate, Kind(read_rate, RATE)]
Reserve = Annotated[str, word("worst", "expected")]
UnknownPrice = Annotated[str, word("refuse", "tokens")]


class VisitBudgetDefinition(Model):
    """What the models of an agent's visit may cost."""

    noun: ClassVar[str] = "a budget"

    usd: Usd | None = Field(None, description="Dollars.")
    tokens: Tokens | None = Field(None, description="Tokens, of input and output together: `400k`.")
    reserve: Reserve = Field("worst", description="What a request is taken to need before it is made.")
    on_exceeded: Annotated[str, word("fail", "degrade")] = Field(
        "fail", description="`degrade`: the next of the agent's models is asked."
    )
    unknown_price: UnknownPrice = Field(
        "refuse", description="A model without a price: `refuse` it, or count `tokens`."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.usd is None and self.tokens is None:
            raise problem(rules.REQUIRED, "a budget needs `usd` or `tokens`")
        return self

    def budget(self) -> Budget:
        return Budget(
            micros=round((self.usd or 0) * MICROS),
            tokens=self.tokens or 0,
            expected=self.reserve == "expected",
            on_exceeded=self.on_exceeded,
            tokens_suffice=self.unknown_price == "tokens",
        )


class BudgetDefinition(VisitBudgetDefinition):
    """What the models of an execution may cost, its awaited children included."""

    on_exceeded: Annotated[str, word("fail", "degrade", "ask", "compensate")] = Field(
        "fail", description="`degrade`: the agent's next model is asked; `ask`: people; `compensate`: fail, and undo."
    )


class LimiterBudgetDefinition(Model):
    """What the models of all that name a limiter may cost in a time."""

    noun: ClassVar[str] = "a budget"

    usd: MoneyRate | None = Field(None, description="Dollars in a time: `20/day`; days and hours are those of UTC.")
    tokens: TokenRate | None = Field(None, description="Tokens in a time: `5M/day`.")
    reserve: Reserve = Field("worst", description="What a request is taken to need before it is made.")
    on_exceeded: Annotated[str, word("fail", "degrade")] = Field(
        "fail", description="`degrade`: the next of the agent's models is asked."
    )
    unknown_price: UnknownPrice = Field(
        "refuse", description="A model without a price: `refuse` it, or count `tokens`."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        given = [rate for rate in (self.usd, self.tokens) if rate is not None]
        if not given:
            raise problem(rules.REQUIRED, "a budget needs `usd` or `tokens`")
        if len({rate.milliseconds for rate in given}) > 1:
            raise problem(rules.COMBINATION, "`usd` and `tokens` of a limiter's budget are for the same time")
        return self

    def budget(self) -> Budget:
        rate = self.usd or self.tokens
        assert rate is not None
        return Budget(
            micros=self.usd.units if self.usd else 0,
            tokens=self.tokens.units if self.tokens else 0,
            window_ms=rate.milliseconds,
            expected=self.reserve == "expected",
            on_exceeded=self.on_exceeded,
            tokens_suffice=self.unknown_price == "tokens",
        )
