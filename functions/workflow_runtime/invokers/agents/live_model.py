"""A model whose answers are told while it writes them, if anybody watches. Imports pydantic-ai: import it only to run
an agent.

It is what a request of the model is, whether it is streamed or not: same answer, same errors, one request.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from workflow_runtime.invokers.live import Live
from workflow_runtime.invokers.masking import Mask
from workflow_runtime.storage.live import Part


class LiveModel(WrapperModel):
    """``mask``: what must not be told."""

    def __init__(self, wrapped: Model, live: Live, mask: Mask) -> None:
        super().__init__(wrapped)
        self._live = live
        self._mask = mask

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        if not self._live.is_watched:
            return await self.wrapped.request(messages, model_settings, model_request_parameters)
        async with AsyncExitStack() as stack:
            try:
                stream = await stack.enter_async_context(
                    self.wrapped.request_stream(messages, model_settings, model_request_parameters)
                )
            except (NotImplementedError, AssertionError):  # a model that cannot: nothing was asked yet
                return await self.wrapped.request(messages, model_settings, model_request_parameters)
            message = _Message(self._live, self._mask)
            async for event in stream:
                await message.take(event)
            await message.end()
            return stream.get()


class _Message:
    """One message, as far as it is written: a text for each of its parts."""

    def __init__(self, live: Live, mask: Mask) -> None:
        self._live = live
        self._mask = mask
        self._number = live.next_message()
        self._written: dict[int, Part] = {}
        self._told: dict[int, int] = {}

    async def take(self, event: ModelResponseStreamEvent) -> None:
        match event:
            case PartStartEvent(index=index, part=TextPart(content=text)):
                await self._live.tell(Part("start", self._number, part=index))
                self._written[index] = Part("text", self._number, part=index)
                await self._write(index, text)
            case PartStartEvent(index=index, part=ToolCallPart() as call):
                await self._live.tell(Part("call", self._number, name=call.tool_name, part=index))
                self._written[index] = Part("arguments", self._number, part=index)
                await self._write(index, call.args if isinstance(call.args, str) else "")
            case PartDeltaEvent(index=index, delta=TextPartDelta(content_delta=text)):
                await self._write(index, text)
            case PartDeltaEvent(index=index, delta=ToolCallPartDelta(args_delta=str() as text)):
                await self._write(index, text)
            case _:
                pass

    async def end(self) -> None:
        for index, written in self._written.items():
            await self._tell(index, hold=0)
            await self._live.tell(Part("stop" if written.kind == "text" else "called", self._number, part=index))
        await self._live.tell(Part("end", self._number))

    async def _write(self, index: int, text: str) -> None:
        part = self._written.get(index)
        if part is None or not text:
            return
        self._written[index] = Part(part.kind, part.message, part.text + text, part=part.part)
        await self._tell(index, hold=self._mask.reach)

    async def _tell(self, index: int, hold: int) -> None:
        """What is new of a part, but for the last ``hold`` characters: they may be the beginning of a secret."""
        part, told = self._written[index], self._told.get(index, 0)
        shown = self._mask.text(part.text) if self._mask else part.text
        upto = len(shown) - hold
        if upto > told:
            self._told[index] = upto
            await self._live.tell(Part(part.kind, part.message, shown[told:upto], part=part.part))
