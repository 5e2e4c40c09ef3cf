"""The model requests of one run of an agent as steps. Imports pydantic-ai: import it only to run an agent."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable

from pydantic_ai.durable_exec import JSON_CODEC
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters

from workflow_runtime.invokers.agents.fingerprints import RequestPrints, difference
from workflow_runtime.invokers.agents.step_log import StepLog
from workflow_runtime.invokers.agents.turns import Turns
from workflow_runtime.invokers.masking import Mask
from workflow_runtime.invokers.steps import EndsAsRecorded
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.steps import Step

MODEL = "model"
TOKENS = ("input_tokens", "output_tokens")
USAGE_FIELDS = (*TOKENS, "cache_read_tokens", "cache_write_tokens")

Request = Callable[[], Awaitable[ModelResponse]]


class Paid:
    """What the model requests of this run have used that were really made; ``model``: the one that answered last."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._tokens: Counter[str] = Counter()
        self._requests = 0
        self._usd: float | None = None

    def add(self, response: ModelResponse) -> None:
        """Count one more request."""
        self._model = response.model_name or self._model
        self._tokens.update({name: getattr(response.usage, name) for name in TOKENS})
        self._requests += 1
        if (usd := cost_of(response)) is not None:
            self._usd = (self._usd or 0.0) + usd

    @property
    def usage(self) -> dict[str, Json] | None:
        """See `Meter.usage`; None as long as no model has answered."""
        if not self._requests:
            return None
        tokens = {name: self._tokens[name] for name in TOKENS}
        used: dict[str, Json] = {"model": self._model, **tokens, "requests": self._requests}
        return used if self._usd is None else {**used, "usd": self._usd}


def cost_of(response: ModelResponse) -> float | None:
    """In dollars; None: nobody knows a price of the model."""
    if response.usage.cost is not None:
        return float(response.usage.cost)
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError, AssertionError):  # what it says of itself is not enough for a price
        return None


class ModelSteps:
    """``paid``: what was used by requests that were really made, which those taken from the log were not. ``allow`` is
    awaited before each of them."""

    def __init__(
        self, log: StepLog, turns: Turns, mask: Mask, paid: Paid, allow: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._log = log
        self._turns = turns
        self._mask = mask
        self._paid = paid
        self._allow = allow
        self._prints = RequestPrints(mask)

    async def take(
        self, messages: list[ModelMessage], parameters: ModelRequestParameters, request: Request
    ) -> ModelResponse:
        """The answer to a request: the recorded one, or that of ``request``.

        Secrets are hidden in it before anybody reads it, so that a replay goes on with what was really answered.
        """
        asked = Step(name=MODEL, ordinal=self._log.next_of(MODEL), fingerprint=self._prints.of(messages, parameters))
        made: list[tuple[ModelResponse, Json]] = []

        async def do() -> Step:
            response, step = await self._made(asked, request)
            made.append((response, step.result))
            return step

        step = await self._log.take(asked, do, difference, may_be_last=True)
        if step.result is None:
            raise EndsAsRecorded
        is_own = bool(made) and step.result is made[0][1] and not self._mask
        response = made[0][0] if is_own else JSON_CODEC.load(ModelResponse, step.result)
        self._turns.take(response)
        return response

    async def _made(self, asked: Step, request: Request) -> tuple[ModelResponse, Step]:
        if self._allow is not None:
            await self._allow()
        began = time.monotonic()
        response = await request()
        milliseconds = round((time.monotonic() - began) * 1000)
        self._paid.add(response)
        return response, Step(
            name=asked.name,
            ordinal=asked.ordinal,
            fingerprint=asked.fingerprint,
            result=self._mask.value(JSON_CODEC.dump(ModelResponse, response)),
            usage=usage_of(response),
            milliseconds=milliseconds,
        )


def usage_of(response: ModelResponse) -> dict[str, Json]:
    """What is recorded of what a request has used."""
    tokens = {name: count for name in USAGE_FIELDS if (count := getattr(response.usage, name))}
    usd = cost_of(response)
    return {"model": response.model_name, **tokens, **({"usd": usd} if usd is not None else {})}
