"""One run of one agent on pydantic-ai. Imports it: import this only to run an agent."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic_ai import Agent, DeferredToolRequests, ModelRetry, ModelSettings, StructuredDict
from pydantic_ai.models import Model
from pydantic_ai.usage import RunUsage, UsageLimits

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.conversation import conversation_of
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.durability import AwrDurability
from workflow_runtime.invokers.agents.guardrails import AskAgain, Guard
from workflow_runtime.invokers.agents.model_steps import ModelSteps, Paid
from workflow_runtime.invokers.agents.models import replaced
from workflow_runtime.invokers.agents.nested import Invoke
from workflow_runtime.invokers.agents.offers import Offer
from workflow_runtime.invokers.agents.step_log import StepLog
from workflow_runtime.invokers.agents.tool_calls import ToolCalls
from workflow_runtime.invokers.agents.toolset import OfferedTools
from workflow_runtime.invokers.agents.turns import Turns
from workflow_runtime.invokers.agents.waits import Deferred
from workflow_runtime.invokers.invocation import Invoker, NodeCall, NodeResult
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.language.model_schemas import WRAPPER_FIELD, for_model
from workflow_runtime.language.schemas import schema_problems, validator_of

TRUNCATED = "the model stopped at its limit of tokens: the output may be cut off (settings: max_tokens)"
REQUESTS_MAX = 50  # model requests of a visit when the agent sets no limit: a loop that costs money must end
TOTAL_TOKENS_MAX = 1_000_000  # likewise, of all its requests together; the longest contexts there are have as many
OUTPUT_BYTES_MAX = 4 * 1024 * 1024  # as JSON: far more than any model writes at once


class AgentRun:
    """``problems``: how the last output the model gave failed the schema. ``paid``: see `Meter.usage`."""

    def __init__(
        self, agent: AgentDefinition, schema: Json, call: NodeCall, log: StepLog, paid: Paid, guard: Guard
    ) -> None:
        self._definition = agent
        self._schema = schema
        self._call = call
        self._log = log
        self._paid = paid
        self._guard = guard
        self._misfits = 0
        self.problems: list[str] = []

    async def __call__(
        self, model: Model, settings: ModelSettings, offers: dict[str, Offer], tools: Invoker, agents: Invoke
    ) -> NodeResult:
        if self._schema is not None:
            validator_of(self._schema)  # before the model is paid for
        turns = Turns(self._definition, offers)
        calls = ToolCalls(self._call, self._log, tools, agents)
        toolset = OfferedTools(offers, turns, calls, self._guard)
        conversation = await conversation_of(self._definition, self._call, self._log)
        allow = conversation.check if conversation is not None else None
        durability = AwrDurability(self._log, ModelSteps(self._log, turns, self._call.mask, self._paid, allow))
        agent, wrapped = self._agent(model, settings, durability, [toolset] if offers else [])
        message = await self._guard.message(_message(self._call))
        async with agent:  # closes the provider's connections: the next attempt may have another event loop
            before = None
            if conversation is not None:
                before = await conversation.history(model, settings, self._log, self._paid)
            try:
                result = await agent.run(
                    message, message_history=before, usage_limits=_usage_limits(self._definition), usage=RunUsage()
                )
            except Deferred:  # people are asked about the output, which the next run takes from the log
                await self._log.flush()
                raise
        if isinstance(result.output, DeferredToolRequests):
            return NodeResult(None, tuple(calls.warnings), goes_on=True, waits=tuple(toolset.waits))
        output = result.output[WRAPPER_FIELD] if wrapped else result.output
        if problems := self._problems_of(output):
            raise NodeError("validation_error", _mismatch(self._definition, problems))
        if len(msgspec.json.encode(output)) > OUTPUT_BYTES_MAX:
            text = f"agent {self._definition.id!r}: the output is larger than {OUTPUT_BYTES_MAX:,} bytes"
            raise NodeError("budget_exceeded", text)
        cut = (TRUNCATED,) if result.response.finish_reason == "length" else ()
        said = conversation.said(result.new_messages(), self._call) if conversation is not None else None
        warnings = (*replaced(result.new_messages()), *cut, *calls.warnings)
        return NodeResult(output, warnings=warnings, said=said)

    def _problems_of(self, output: Json) -> list[str]:
        """Why the output cannot be taken; empty when it can."""
        try:
            to_json(output)
        except NotJson as error:
            return [str(error)]
        return schema_problems(self._schema, output) if self._schema is not None else []

    def _agent(
        self, model: Model, settings: ModelSettings, durability: AwrDurability, toolsets: list[OfferedTools]
    ) -> tuple[Agent[object, Any], bool]:
        definition = self._definition
        output_type: Any = str
        wrapped = False
        if self._schema is not None:
            object_schema, wrapped = for_model(self._schema)
            output_type = StructuredDict(object_schema, name="output")
        agent: Agent[object, Any] = Agent(
            model,
            output_type=[output_type, DeferredToolRequests] if toolsets else output_type,
            instructions=definition.instructions or None,
            name=definition.id,
            model_settings=settings,
            retries=definition.output_retries + self._guard.retries,
            toolsets=toolsets,
            capabilities=[durability],
        )

        @agent.output_validator
        async def check(output: Any) -> Any:
            if isinstance(output, DeferredToolRequests):
                return output
            checked = await self._checked(output.get(WRAPPER_FIELD) if wrapped else output)
            return {WRAPPER_FIELD: checked} if wrapped else checked

        return agent, wrapped

    async def _checked(self, output: Json) -> Json:
        """The output that fits. Raises pydantic-ai's `ModelRetry` where the model is asked for another, `NodeError`."""
        self.problems = self._problems_of(output)
        if self.problems:
            self._misfits += 1
            if self._misfits > self._definition.output_retries:
                raise NodeError("validation_error", _mismatch(self._definition, self.problems))
            raise ModelRetry("The output does not match its schema: " + "; ".join(self.problems))
        try:
            return await self._guard.output(output)
        except AskAgain as asked:
            raise ModelRetry(f"The output cannot be taken: {asked.reason}") from None


def _message(call: NodeCall) -> str:
    """The user message: the prompt, or the inputs as JSON (UTF-8, not escaped)."""
    return call.prompt if call.prompt is not None else msgspec.json.encode(call.inputs).decode()


def _usage_limits(agent: AgentDefinition) -> UsageLimits:
    limits = agent.limits
    return UsageLimits(
        request_limit=limits.requests or REQUESTS_MAX,
        input_tokens_limit=limits.input_tokens,
        output_tokens_limit=limits.output_tokens,
        total_tokens_limit=limits.total_tokens or TOTAL_TOKENS_MAX,
    )


def _mismatch(agent: AgentDefinition, problems: list[str]) -> str:
    return f"agent {agent.id!r}: the output does not match its schema: {'; '.join(problems)}"
