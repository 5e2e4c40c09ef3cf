"""Runs one attempt of an agent node on pydantic-ai, which is imported when the first agent runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.output import expected_schema
from workflow_runtime.invokers.agents.registry import AgentRegistry
from workflow_runtime.invokers.agents.schemas import WRAPPER_FIELD, for_model
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import SchemaUnusable, schema_problems, validator_of
from workflow_runtime.language.suggestions import did_you_mean

if TYPE_CHECKING:
    from pydantic_ai import Agent, ModelSettings
    from pydantic_ai.models import Model
    from pydantic_ai.usage import UsageLimits

Models = Callable[[AgentDefinition], "Model | str"]

REQUESTS_MAX = 50  # model requests of one attempt when the agent sets no limit: a loop that costs money must end


def _named_model(agent: AgentDefinition) -> str:
    return agent.model


class AgentInvoker:
    """Runs agents. ``models`` chooses the model of an agent (a pydantic-ai model or its name); by default, the one it
    names."""

    def __init__(self, registry: AgentRegistry, models: Models = _named_model) -> None:
        self._registry = registry
        self._models = models

    @property
    def abandoned_threads(self) -> int:
        return 0  # agents run on the event loop

    async def invoke(self, call: NodeCall) -> NodeResult:
        """One attempt. Raises `NodeError`: ``not_found``, ``validation_error``, ``rate_limited``, ``timeout``,
        ``budget_exceeded``, ``execution_error``."""
        agent = self._registry.get(call.target)
        if agent is None:
            hint = did_you_mean(call.target, self._registry.ids)
            raise NodeError("not_found", f"there is no agent {call.target!r}" + (f". {hint}" if hint else ""))
        try:
            from workflow_runtime.invokers.agents.model_errors import node_error
        except ImportError as error:
            raise NodeError(
                "execution_error",
                f"agents need pydantic-ai ({error.name} is not installed): "
                'pip install "agent-workflow-runtime[agents]", or the extra of a provider: bedrock, anthropic, openai',
            ) from None
        schema = expected_schema(call, agent.output_schema)
        run = _Run(agent, schema)
        try:
            if schema is not None:
                validator_of(schema)  # before the model is paid for
            return await run(self._models(agent), _message(call))
        except NodeError:
            raise
        except SchemaUnusable as error:
            raise NodeError("validation_error", f"agent {agent.id!r}: output_schema: {error}") from None
        except Exception as error:  # every provider raises its own: sorted into error types in one place
            # Without its cause: providers quote keys and requests in their errors, and causes reach the logs.
            raise node_error(agent, error, run.problems) from None


class _Run:
    """One run of one agent. ``problems``: how the last output the model gave failed the schema."""

    def __init__(self, agent: AgentDefinition, schema: Json) -> None:
        self._definition = agent
        self._schema = schema
        self.problems: list[str] = []

    async def __call__(self, model: Model | str, message: str) -> NodeResult:
        agent, wrapped = self._agent(model)
        async with agent:  # closes the provider's connections: the next attempt may have another event loop
            result = await agent.run(message, usage_limits=_usage_limits(self._definition))
        output = result.output[WRAPPER_FIELD] if wrapped else result.output
        if self._schema is not None and (problems := schema_problems(self._schema, output)):
            raise NodeError("validation_error", _mismatch(self._definition, problems))
        usage = result.usage
        return NodeResult(
            output,
            {
                "model": result.response.model_name or self._definition.model,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "requests": usage.requests,
            },
        )

    def _agent(self, model: Model | str) -> tuple[Agent[object, Any], bool]:
        from pydantic_ai import Agent, ModelRetry, StructuredDict, UserError

        definition = self._definition
        output_type: Any = str
        wrapped = False
        if self._schema is not None:
            object_schema, wrapped = for_model(self._schema)
            try:
                output_type = StructuredDict(object_schema, name="output")
            except UserError:
                raise SchemaUnusable("its `$defs` refer to themselves, which models cannot be given") from None
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
                self.problems = schema_problems(self._schema, value)
                if self.problems:
                    raise ModelRetry("The output does not match its schema: " + "; ".join(self.problems))
                return output

        return agent, wrapped


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
        total_tokens_limit=limits.total_tokens,
    )


def _mismatch(agent: AgentDefinition, problems: list[str]) -> str:
    return f"agent {agent.id!r}: the output does not match its schema: {'; '.join(problems)}"
