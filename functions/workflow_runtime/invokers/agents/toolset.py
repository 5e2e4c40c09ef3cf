"""The tools of an agent as pydantic-ai sees them. Imports pydantic-ai: import it only to run an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_ai import ModelRetry, RunContext, ToolDefinition
from pydantic_ai.exceptions import CallDeferred, ToolFailed
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import SchemaValidator, ValidationError, core_schema

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.invokers.agents.guardrails import AskAgain, Guard
from workflow_runtime.invokers.agents.offers import Offer
from workflow_runtime.invokers.agents.step_log import GoesOn
from workflow_runtime.invokers.agents.tool_calls import FAILED, VALUE, WRONG, ToolCalls
from workflow_runtime.invokers.agents.turns import Place, Turns
from workflow_runtime.invokers.agents.waits import Deferred, needs_approval
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import cut

REASON_CHARS_MAX = 200
WRONG_ARGUMENTS_MAX = 3  # in a row, of one tool: then the model does not understand it
_ANY_OBJECT = SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))


class Arguments:
    """Reads the arguments of a tool's calls as a model gave them: an object, or its JSON text. What is none is not
    repeated to the model, however long it is. ``deny``: is told that a call is not made."""

    def __init__(self, deny: Callable[[], None]) -> None:
        self._deny = deny

    def validate_json(self, input: str | bytes | bytearray, **_: Any) -> Any:
        return self._read(_ANY_OBJECT.validate_json, input)

    def validate_python(self, input: Any, **_: Any) -> Any:
        return self._read(_ANY_OBJECT.validate_python, input)

    def _read(self, read: Callable[[Any], Any], given: Any) -> Any:
        try:
            return read(given)
        except ValidationError as error:
            self._deny()
            reason = cut(error.errors(include_input=False, include_url=False)[0]["msg"], REASON_CHARS_MAX)
            raise ModelRetry(f"The arguments must be a JSON object: {reason}") from None


class OfferedTools(AbstractToolset[Any]):
    """What an agent is offered. A tool checks its arguments itself, by the rules that hold for tool nodes."""

    def __init__(self, offers: Mapping[str, Offer], turns: Turns, calls: ToolCalls, guard: Guard) -> None:
        self._offers = offers
        self._turns = turns
        self._calls = calls
        self._guard = guard
        self._waits: dict[int, tuple[Wait, ...]] = {}

    @property
    def waits(self) -> list[Wait]:
        """What the calls of this run wait for, in the order in which they were asked for."""
        return [wait for number in sorted(self._waits) for wait in self._waits[number]]

    @property
    def id(self) -> str:
        return "tools"

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:  # noqa: ARG002  always the same
        return {name: self._tool(offer) for name, offer in self._offers.items()}

    def _tool(self, offer: Offer) -> ToolsetTool[Any]:
        definition = ToolDefinition(name=offer.name, description=offer.description, parameters_json_schema=offer.schema)
        arguments = Arguments(lambda: self._turns.deny(offer.name))
        return ToolsetTool(toolset=self, tool_def=definition, max_retries=WRONG_ARGUMENTS_MAX, args_validator=arguments)

    async def call_tool(
        self,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[Any],
        tool: ToolsetTool[Any],  # noqa: ARG002
    ) -> Any:
        assert ctx.tool_call_id is not None, "calls that models make have an id"
        offer, place = self._offers[name], self._turns.place(ctx.tool_call_id)
        steps = self._steps_before(place)
        try:
            arguments, doubted = await self._guard.arguments(offer.id, tool_args, steps)
            asks = doubted or needs_approval(offer, arguments, steps)
            result = await self._calls.make(offer, arguments, place, must_be_approved=asks)
        except AskAgain as asked:
            self._turns.deny(name)
            raise ToolFailed(asked.reason) from None
        except GoesOn:
            raise CallDeferred from None
        except Deferred as deferred:
            self._waits[place.number] = deferred.waits
            raise CallDeferred from None
        if WRONG in result:
            self._turns.deny(name)
            raise ModelRetry(str(result[WRONG]))
        if FAILED in result:
            raise ToolFailed(str(result[FAILED]))
        return result[VALUE]

    def _steps_before(self, place: Place) -> list[Json]:
        return [{"tool": self._offers[name].id, "args": arguments} for name, arguments in self._turns.before(place)]
