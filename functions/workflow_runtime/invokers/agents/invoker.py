"""Runs one attempt of an agent node on pydantic-ai, which is imported when the first agent runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.registry import AgentRegistry
from workflow_runtime.invokers.agents.schemas import expected_schema
from workflow_runtime.invokers.containment import Containment
from workflow_runtime.invokers.gate import ModelGate
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.language.model_schemas import WRAPPER_FIELD, for_model
from workflow_runtime.language.schemas import SchemaUnusable, schema_problems, validator_of
from workflow_runtime.language.suggestions import with_hint

if TYPE_CHECKING:
    from pydantic_ai import Agent, ModelSettings
    from pydantic_ai.models import Model
    from pydantic_ai.usage import UsageLimits

Models = Callable[[AgentDefinition], "Model | str"]

TRUNCATED = "the model stopped at its limit of tokens: the output may be cut off (settings: max_tokens)"
AGENT_QUOTA = "agent:"
REQUESTS_MAX = 50  # model requests of one attempt when the agent sets no limit: a loop that costs money must end
TOTAL_TOKENS_MAX = 1_000_000  # likewise, of all its requests together; the longest contexts there are have as many
OUTPUT_BYTES_MAX = 4 * 1024 * 1024  # as JSON: far more than any model writes at once


def _named_model(agent: AgentDefinition) -> str:
    return agent.model


class AgentInvoker:
    """Runs agents. ``models`` chooses the model of an agent (a pydantic-ai model or its name); by default, the one it
    names."""

    def __init__(self, registry: AgentRegistry, models: Models = _named_model) -> None:
        self._registry = registry
        self._models = models
        self._containment = Containment()

    @property
    def abandoned(self) -> int:
        """Agents that still run although their attempt was cancelled."""
        return self._containment.abandoned

    def limiters(self, target: str) -> Sequence[str]:
        """Those that the agent names; those of it, and of its model, that a quota sets; and the one that is called as
        the model's provider is."""
        agent = self._registry.get(target)
        if agent is None:
            return (f"{AGENT_QUOTA}{target}",)
        provider, _, model = agent.model.partition(":")
        return (*agent.limiter, f"{AGENT_QUOTA}{target}", f"{AGENT_QUOTA}{model}", provider)

    async def invoke(self, call: NodeCall) -> NodeResult:
        """One attempt. Raises `NodeError`: ``not_found``, ``validation_error``, ``rate_limited``, ``timeout``,
        ``budget_exceeded``, ``execution_error``."""
        agent = self._registry.get(call.target)
        if agent is None:
            text = with_hint(f"there is no agent {call.target!r}", call.target, self._registry.ids)
            raise NodeError("not_found", text)
        try:
            from workflow_runtime.invokers.agents.model_errors import node_error
        except ImportError as error:
            raise NodeError(
                "execution_error",
                f"agents need pydantic-ai ({error.name} is not installed): "
                'pip install "agent-workflow-runtime[agents]", or the extra of a provider: bedrock, anthropic, openai',
            ) from None
        run = _Run(agent, expected_schema(call, agent.output_schema))
        try:
            outcome = await self._containment.run(self._run(run, agent, call))
        finally:
            call.meter.usage = run.used  # also of an attempt that failed, or that nobody waits for any more
        raised = outcome.error
        if raised is None or isinstance(raised, NodeError):
            return outcome.result()
        if isinstance(raised, SchemaUnusable):
            raise NodeError("validation_error", f"agent {agent.id!r}: output_schema: {raised}")
        # Every provider raises its own errors: they are sorted into error types in one place. Without the cause: errors
        # of providers quote keys and requests, and causes reach the logs.
        raise node_error(agent, raised, run.problems) from None

    async def _run(self, run: _Run, agent: AgentDefinition, call: NodeCall) -> NodeResult:
        model = self._models(agent)
        return await run(model if call.gate is None else _gated(model, call.gate), _message(call))


class _Run:
    """One run of one agent. ``problems``: how the last output the model gave failed the schema. ``used``: as
    `Meter.usage`.
    """

    def __init__(self, agent: AgentDefinition, schema: Json) -> None:
        from pydantic_ai.usage import RunUsage

        self._definition = agent
        self._schema = schema
        self._usage = RunUsage()  # which the run adds to as it goes
        self._model = agent.model
        self.problems: list[str] = []

    @property
    def used(self) -> dict[str, Json] | None:
        """None as long as no model has answered."""
        usage = self._usage
        if not usage.requests:
            return None
        used: dict[str, Json] = {
            "model": self._model,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "requests": usage.requests,
        }
        return used if usage.cost is None else {**used, "usd": float(usage.cost)}

    async def __call__(self, model: Model | str, message: str) -> NodeResult:
        if self._schema is not None:
            validator_of(self._schema)  # before the model is paid for
        agent, wrapped = self._agent(model)
        async with agent:  # closes the provider's connections: the next attempt may have another event loop
            result = await agent.run(message, usage_limits=_usage_limits(self._definition), usage=self._usage)
        self._model = result.response.model_name or self._model
        output = result.output[WRAPPER_FIELD] if wrapped else result.output
        if problems := self._problems_of(output):
            raise NodeError("validation_error", _mismatch(self._definition, problems))
        if len(msgspec.json.encode(output)) > OUTPUT_BYTES_MAX:
            text = f"agent {self._definition.id!r}: the output is larger than {OUTPUT_BYTES_MAX:,} bytes"
            raise NodeError("budget_exceeded", text)
        cut = result.response.finish_reason == "length"
        return NodeResult(output, warnings=(TRUNCATED,) if cut else ())

    def _problems_of(self, output: Json) -> list[str]:
        """Why the output cannot be taken; empty when it can."""
        try:
            to_json(output)
        except NotJson as error:
            return [str(error)]
        return schema_problems(self._schema, output) if self._schema is not None else []

    def _agent(self, model: Model | str) -> tuple[Agent[object, Any], bool]:
        from pydantic_ai import Agent, ModelRetry, StructuredDict

        definition = self._definition
        output_type: Any = str
        wrapped = False
        if self._schema is not None:
            object_schema, wrapped = for_model(self._schema)
            output_type = StructuredDict(object_schema, name="output")
        agent: Agent[object, Any] = Agent(
            model,
            output_type=output_type,
            instructions=definition.instructions or None,
            name=definition.id,
            model_settings=_settings(definition),
            retries=definition.output_retries,
        )
        if self._schema is not None:

            @agent.output_validator
            def check(output: Any) -> Any:
                value = output.get(WRAPPER_FIELD) if wrapped else output
                self.problems = self._problems_of(value)
                if self.problems:
                    raise ModelRetry("The output does not match its schema: " + "; ".join(self.problems))
                return output

        return agent, wrapped


def _gated(model: Model | str, gate: ModelGate) -> Model:
    from workflow_runtime.invokers.agents.gated_model import GatedModel

    return GatedModel(model, gate)


def _message(call: NodeCall) -> str:
    """The user message: the prompt, or the inputs as JSON (UTF-8, not escaped)."""
    return call.prompt if call.prompt is not None else msgspec.json.encode(call.inputs).decode()


def _settings(agent: AgentDefinition) -> ModelSettings:
    settings: Any = agent.settings.for_model()  # keys checked by AgentSettings; provider keys pass as they are
    return settings  # type: ignore[no-any-return]


def _usage_limits(agent: AgentDefinition) -> UsageLimits:
    from pydantic_ai.usage import UsageLimits

    limits = agent.limits
    return UsageLimits(
        request_limit=limits.requests or REQUESTS_MAX,
        input_tokens_limit=limits.input_tokens,
        output_tokens_limit=limits.output_tokens,
        total_tokens_limit=limits.total_tokens or TOTAL_TOKENS_MAX,
    )


def _mismatch(agent: AgentDefinition, problems: list[str]) -> str:
    return f"agent {agent.id!r}: the output does not match its schema: {'; '.join(problems)}"
