"""What a file in ``definitions/agents`` may say about an agent."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, field_validator

from workflow_runtime.invokers.agents.fields import FrozenModel, PositiveInt, TextOrTexts
from workflow_runtime.invokers.agents.tool_entries import OnUnknown, ToolEntries
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.model_schemas import for_model
from workflow_runtime.language.schemas import SchemaUnusable, validator_of

ID_PATTERN = r"^\w[\w-]*$"  # language §1: letters, digits, `_`, `-` of any script

PROVIDER_PREFIXES = ("anthropic_", "bedrock_", "google_", "openai_")


class AgentSettings(FrozenModel):
    """Settings of the model; what is not said is the provider's default. ``timeout`` is seconds per model request.

    A key that starts with a provider's name (``anthropic_…``, ``bedrock_…``) goes to that provider's model as it is
    (pydantic-ai: ``AnthropicModelSettings`` …).
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    max_tokens: PositiveInt | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: PositiveInt | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop_sequences: list[str] | None = None

    def for_model(self) -> dict[str, Any]:
        """The settings that were given, as pydantic-ai's ``ModelSettings``."""
        return self.model_dump(exclude_none=True)


class AgentLimits(FrozenModel):
    """Most that one attempt may use; beyond it the attempt fails with ``budget_exceeded``. Without a limit of its own,
    an agent has 50 requests and a million tokens.

    ``usd``: what the requests may cost; ``turns_without_progress``: how many turns in a row may repeat only calls that
    were made before.
    """

    requests: PositiveInt | None = None
    input_tokens: PositiveInt | None = None
    output_tokens: PositiveInt | None = None
    total_tokens: PositiveInt | None = None
    usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    tool_calls: PositiveInt | None = None
    turns_without_progress: PositiveInt | None = None


class AgentDefinition(FrozenModel):
    """An agent. ``model`` is pydantic-ai's ``provider:name`` (``bedrock:…``, ``openai:…``, ``anthropic:…``) or
    ``test``.

    ``limiter``: one limiter, or several, that hold back its runs, beside those of the nodes.
    ``tools``: what it may call; ``on_unknown``: what to do when a crash leaves open whether a call happened that must
    not happen twice, for tools that do not say.
    ``output_schema`` is a JSON Schema (2020-12) of the output; a node's own comes first. ``output_retries``: how often
    the model is asked again, within one attempt, for an output that does not match its schema.
    """

    id: Annotated[str, Field(pattern=ID_PATTERN, max_length=128), AfterValidator(normalized)]
    model: Annotated[str, Field(pattern=r"^(test|[a-z0-9/-]+:\S+)$")]
    instructions: str = ""
    name: str = ""
    description: str = ""
    output_schema: dict[str, Any] | None = None
    settings: AgentSettings = AgentSettings()
    limits: AgentLimits = AgentLimits()
    limiter: TextOrTexts = ()
    tools: ToolEntries = ()
    on_unknown: OnUnknown | None = None
    output_retries: Annotated[int, Field(ge=0, le=10)] = 1
    metadata: dict[str, Any] = Field(default={})

    @field_validator("output_schema")
    @classmethod
    def _is_a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            try:
                validator_of(value)
                for_model(value)
            except SchemaUnusable as error:
                raise ValueError(str(error)) from None
        return value
