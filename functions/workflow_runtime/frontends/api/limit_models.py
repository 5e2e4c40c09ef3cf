"""What is said of limiters, as pydantic models."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from workflow_runtime.frontends.api.api_model import ApiModel
from workflow_runtime.frontends.api.chart_models import Time

RATE = "A number and a time: `60/min`, `200k/min`, `5/s`."


class LimiterBudget(ApiModel):
    """What the models of all that name a limiter may cost in a time; one of `usd` and `tokens` at least."""

    model_config = ConfigDict(extra="forbid", strict=True)

    usd: str | None = Field(None, description="Dollars in a time: `20/day`, counted from midnight UTC.")
    tokens: str | None = Field(None, description="Tokens in a time: `5M/day`.")
    reserve: Literal["worst", "expected"] | None = None
    on_exceeded: Literal["fail", "degrade"] | None = None
    unknown_price: Literal["refuse", "tokens"] | None = None


class LimiterFields(ApiModel):
    """What a limiter allows; one of `requests`, `tokens`, `concurrency` and `budget` at least."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requests: str | None = Field(None, description=f"Starts in a time. {RATE}", examples=["60/min"])
    tokens: str | None = Field(None, description=f"Tokens of model requests in a time. {RATE}")
    concurrency: int | None = Field(None, description="How many go on at once.")
    burst: int | None = Field(None, description="Starts that may come earlier than the rate has them.")
    horizon: float | str | None = Field(None, description="How far ahead a start may be booked; 5 s by default.")
    key: str | None = Field(None, description="Template: a limiter for each of its values.")
    weight: int | str | None = Field(None, description="How many of a tenant are served in a row, 1 to 10.")
    budget: LimiterBudget | None = None


class LimiterRequest(LimiterFields):
    paused: bool | None = Field(None, description="Whether nothing may begin that takes of the limiter.")


class LimitsRequest(ApiModel):
    """Limiters by name, as definitions/limits.yaml has them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    limits: dict[str, LimiterFields]


class Limiter(LimiterFields):
    name: str
    source: Literal["declared", "set"] = Field(description="By a file, or by whoever set it, who wins.")
    declared: LimiterFields | None = Field(None, description="What a file says of one that was set.")


class LimiterList(ApiModel):
    items: list[Limiter]


class DrawnDollars(ApiModel):
    limit: float
    drawn: float


class DrawnTokens(ApiModel):
    limit: int
    drawn: int


class Drawn(ApiModel):
    """What executions have drawn of a limiter's budget in the time that `ends_at` then. They draw slices, and give back
    at their ends what they have not used."""

    usd: DrawnDollars | None = None
    tokens: DrawnTokens | None = None
    ends_at: Time


class Gauge(ApiModel):
    """What is taken of a limiter, and who waits for it, for one value of its key."""

    key: str | None
    held: int = Field(description="Slots that are taken.")
    waiting: int = Field(description="How many wait, of the first 1,000.")
    more: bool
    waiting_by_tenant: dict[str, int]
    oldest_since: Time | None
    last_start: Time | None = Field(
        description="When the last of them is expected to begin, if there is a rate of requests."
    )
    paused: bool
    closed_until: Time | None = Field(description="A provider has had enough until then.")
    budget: Drawn | None


class LimiterDetail(Limiter):
    gauges: list[Gauge] = Field(
        description="One; of a limiter with a `key`, one for each of its values that anybody has waited for."
    )


class Dollars(ApiModel):
    limit: float
    used: float = Field(description="What is reserved included.")
    reserved: float = Field(description="For requests of models that are under way.")


class Tokens(ApiModel):
    limit: int
    used: int = Field(description="What is reserved included.")
    reserved: int = Field(description="For requests of models that are under way.")


class Spending(ApiModel):
    """What models may use, and have used."""

    usd: Dollars | None
    tokens: Tokens | None
