"""A model that reserves before each request and settles after it. Imports pydantic-ai: import it only to run agents."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from genai_prices import Usage, calc_price
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from workflow_runtime.invokers.agents.model_errors import fallback_of, retry_after_of
from workflow_runtime.invokers.gate import ModelGate, ModelRequest, NestedBudget, Permit, Price, Spent
from workflow_runtime.plan.limiters import MICROS
from workflow_runtime.plan.tokens import characters_of, described

FILE_TOKENS = 3_000  # of an image or a document, whose size says nothing about its tokens

Messages = list[ModelMessage]


class GatedModel(WrapperModel):
    """The wrapped model, behind a gate; one for each of the models that an agent has. ``limiters``, ``budgets``: as its
    requests have them."""

    def __init__(
        self,
        wrapped: Model | str,
        gate: ModelGate,
        limiters: tuple[str, ...] = (),
        budgets: tuple[NestedBudget, ...] = (),
    ) -> None:
        super().__init__(wrapped)
        self._gate = gate
        self._limiters = limiters
        self._budgets = budgets

    async def request(
        self, messages: Messages, model_settings: ModelSettings | None, model_request_parameters: ModelRequestParameters
    ) -> ModelResponse:
        permit = await self._reserved(messages, model_settings, model_request_parameters)
        settings = _bounded(model_settings, permit)
        try:
            response = await self.wrapped.request(messages, settings, model_request_parameters)
        except Exception as error:
            await self._failed(permit, error, _spent_by(error))
            raise
        await self._gate.settle(permit, _spent(response, permit.request.price))
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: Messages,
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        permit = await self._reserved(messages, model_settings, model_request_parameters)
        settings = _bounded(model_settings, permit)
        stream: StreamedResponse | None = None
        try:
            async with self.wrapped.request_stream(messages, settings, model_request_parameters, run_context) as stream:
                yield stream
        except Exception as error:
            await self._failed(permit, error, _spent_by(error) if stream is None else None)
            raise
        await self._gate.settle(permit, _spent(stream.get(), permit.request.price))

    async def _failed(self, permit: Permit, error: Exception, spent: Spent | None) -> None:
        await self._gate.settle(permit, spent)
        if fallback_of(error) == "rate_limited":
            await self._gate.heed(permit, retry_after_of(error))

    async def _reserved(
        self, messages: Messages, settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> Permit:
        most = (settings or {}).get("max_tokens") or (self.wrapped.settings or {}).get("max_tokens") or 0
        estimated = estimated_tokens(messages, parameters)
        price = price_of(self.wrapped)
        return await self._gate.reserve(
            ModelRequest(self.model_name, estimated, most, price, self._limiters, self._budgets)
        )


def price_of(model: Model) -> Price:
    """What a model costs, by the list of prices that pydantic-ai keeps; the test model costs nothing."""
    name, provider = model.model_name, model.system

    def price(input_tokens: int, output_tokens: int) -> int | None:
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        try:
            return -int(-calc_price(usage, name, provider_id=provider).total_price * MICROS // 1)
        except LookupError:
            return None

    return (lambda _input, _output: 0) if isinstance(model, TestModel) else price


def estimated_tokens(messages: Messages, parameters: ModelRequestParameters) -> int:
    """How many tokens a request has, at the most, as far as that can be said without asking its provider."""
    tools = [*parameters.function_tools, *parameters.output_tools]
    told = [described(tool.name, tool.description, tool.parameters_json_schema) for tool in tools]
    texts = list(_texts(messages))
    known = [text for text in texts if text is not None]
    return characters_of(*known, *told).tokens + (len(texts) - len(known)) * FILE_TOKENS


def _texts(value: object) -> Iterator[str | None]:
    """All texts that messages hold; None for a file."""
    match value:
        case str():
            yield value
        case bytes():
            yield None
        case list() | tuple():
            for part in value:
                yield from _texts(part)
        case dict():
            yield json.dumps(value, ensure_ascii=False, default=str)
        case _:
            for name in ("instructions", "parts", "content", "args", "data", "url"):
                yield from _texts(getattr(value, name, None) or ())


def _bounded(settings: ModelSettings | None, permit: Permit) -> ModelSettings | None:
    """No more output than was reserved for."""
    return {**(settings or {}), "max_tokens": permit.output_tokens} if permit.output_tokens else settings


def _spent(response: ModelResponse, price: Price) -> Spent | None:
    usage = response.usage
    if not usage.has_values():
        return None  # nobody has counted
    try:
        micros: int | None = -int(-response.cost().total_price * MICROS // 1)
    except (LookupError, ValueError, AssertionError):  # what it says of itself is not enough for a price
        micros = price(usage.input_tokens, usage.output_tokens)
    return Spent(usage.input_tokens, usage.output_tokens, micros)


def _spent_by(error: Exception) -> Spent | None:
    """What a failed request used: nothing, if the provider has refused it; else nobody knows."""
    return Spent() if isinstance(error, ModelHTTPError) else None
