"""What a file in ``definitions/agents`` may say about an agent."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.model_schemas import for_model
from workflow_runtime.language.schemas import SchemaUnusable, validator_of

ID_PATTERN = r"^\w[\w-]*$"  # language §1: letters, digits, `_`, `-` of any script

PositiveInt = Annotated[int, Field(gt=0)]
PROVIDER_PREFIXES = ("anthropic_", "bedrock_", "google_", "openai_")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentSettings(_Model):
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


class AgentLimits(_Model):
    """Most that one attempt may use; beyond it the attempt fails with ``budget_exceeded``. Without a limit of its own,
    an agent has 50 requests and a million tokens."""

    requests: PositiveInt | None = None
    input_tokens: PositiveInt | None = None
    output_tokens: PositiveInt | None = None
    total_tokens: PositiveInt | None = None


class AgentDefinition(_Model):
    """An agent. ``model`` is pydantic-ai's ``provider:name`` (``bedrock:…``, ``openai:…``, ``anthropic:…``) or
    ``test``.

    ``limiter``: one limiter, or several, that hold back its runs, beside those of the nodes.
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
    limiter: tuple[str, ...] = ()
    output_retries: Annotated[int, Field(ge=0, le=10)] = 1
    metadata: dict[str, Any] = {}

    @field_validator("limiter", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

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
