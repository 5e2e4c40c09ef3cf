"""What a file in ``definitions/agents`` may say about an agent."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field, field_validator, model_validator

from workflow_runtime.definition.budgets import VisitBudgetDefinition
from workflow_runtime.invokers.agents.fields import FrozenModel, PositiveInt, TextOrTexts
from workflow_runtime.invokers.agents.guardrail_entries import Guardrails, Rules
from workflow_runtime.invokers.agents.model_choices import (
    FALLBACKS,
    BaseUrl,
    Credentials,
    Fallbacks,
    ModelChoice,
    ModelChoices,
)
from workflow_runtime.invokers.agents.session_entry import Session
from workflow_runtime.invokers.agents.tool_entries import OnUnknown, ToolEntries
from workflow_runtime.invokers.sessions import OnBusy
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.model_schemas import for_model
from workflow_runtime.language.schemas import SchemaUnusable, validator_of
from workflow_runtime.plan.limiters import MICROS, Budget

ID_PATTERN = r"^\w[\w-]*$"  # letters, digits, `_`, `-` of any script

AGENT_QUOTA = "agent:"  # begins the name of a limiter of an agent, or of a model
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


def _model_or_models(schema: dict[str, Any]) -> None:
    """What pydantic does not say by itself: a definition has one of two keys."""
    properties = schema["properties"]
    one_or_several = properties.pop("model")["anyOf"]
    properties["model"] = {"anyOf": [form for form in one_or_several if form.get("type") != "array"]}
    properties["models"] = next(form for form in one_or_several if form.get("type") == "array")
    schema["required"].remove("model")
    schema["oneOf"] = [{"required": ["model"]}, {"required": ["models"]}]


class AgentDefinition(FrozenModel):
    """An agent. Its ``models`` are pydantic-ai's ``provider:name`` (``bedrock:…``, ``openai:…``, ``anthropic:…``) or
    ``test``; ``model`` is the same as a list of one. The next one is asked after what ``fallback_on`` lists.

    ``base_url``: where the API of the models is; ``credentials``: the secret with the key for it.
    ``cache``: how long the provider is to keep the beginning of what it is sent, where it can.
    ``limiter``: one limiter, or several, that hold back its runs, beside those of the nodes.
    ``tools``: what it may call; ``on_unknown``: what to do when a crash leaves open whether a call happened that must
    not happen twice, for tools that do not say.
    ``session``: the conversation that its visits go on with; ``on_busy``: what a visit does while another one works on
    that.
    ``budget``: what the models of one visit may cost.
    ``guardrails``: the checks that the message to the model, its output and the arguments of its calls have to pass;
    ``rules``: which calls must not be made after which others.
    ``output_schema`` is a JSON Schema (2020-12) of the output; a node's own comes first. ``output_retries``: how often
    the model is asked again, within one attempt, for an output that does not match its schema.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_model_or_models)

    id: Annotated[str, Field(pattern=ID_PATTERN, max_length=128), AfterValidator(normalized)]
    models: ModelChoices = Field(validation_alias=AliasChoices("model", "models"))
    fallback_on: Fallbacks = FALLBACKS
    base_url: BaseUrl | None = None
    credentials: Credentials | None = None
    cache: Literal["5m", "1h"] | None = None
    instructions: str = ""
    name: str = ""
    description: str = ""
    output_schema: dict[str, Any] | None = None
    settings: AgentSettings = AgentSettings()
    limits: AgentLimits = AgentLimits()
    limiter: TextOrTexts = ()
    tools: ToolEntries = ()
    on_unknown: OnUnknown | None = None
    session: Session | None = None
    on_busy: OnBusy = "queue"
    budget: VisitBudgetDefinition | None = None
    guardrails: Guardrails = Guardrails()
    rules: Rules = ()
    output_retries: Annotated[int, Field(ge=0, le=10)] = 1
    metadata: dict[str, Any] = Field(default={})

    @property
    def model(self) -> str:
        """The one that is asked first."""
        return self.models[0].model

    @property
    def choices(self) -> tuple[ModelChoice, ...]:
        """The models in their order, each with all that is said of it."""
        return tuple(
            choice.model_copy(
                update={
                    "base_url": choice.base_url or self.base_url,
                    "credentials": choice.credentials or self.credentials,
                }
            )
            for choice in self.models
        )

    def limiters_of(self, choice: ModelChoice) -> tuple[str, ...]:
        """Names of the limiters that hold its requests of one of its models, if there are such: those that it names;
        those of it, and of the model, that a quota sets; and the one that is called as the model's provider is."""
        return (*self.limiter, f"{AGENT_QUOTA}{self.id}", f"{AGENT_QUOTA}{choice.name}", choice.provider)

    @model_validator(mode="before")
    @classmethod
    def _one_way_to_name_models(cls, value: object) -> object:
        if isinstance(value, dict) and {"model", "models"} <= value.keys():
            raise ValueError("an agent has `model` or `models`, not both")
        if isinstance(value, dict) and isinstance(value.get("model"), list):
            raise ValueError("`model` is one model; a list of them is `models`")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        if "fallback_on" in self.model_fields_set and not (self.fallback_on and len(self.models) > 1):
            yield "`fallback_on` says after what the next of several `models` is asked"
        if "on_busy" in self.model_fields_set and self.session is None:
            yield "`on_busy` says what to do while others work on the agent's `session`"
        for field in ("base_url", "credentials"):
            if getattr(self, field) is not None and len({choice.provider for choice in self.models}) > 1:
                yield f"`{field}` would go to several providers: write it beside each model, `{{model: …, {field}: …}}`"
        yield from (problem for choice in self.choices if (problem := choice.problem()) is not None)

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

    @property
    def visit_budget(self) -> Budget | None:
        """What the models of one visit may cost: `budget`, or the money of `limits`."""
        if self.budget is not None:
            return self.budget.budget()
        return Budget(micros=round(self.limits.usd * MICROS)) if self.limits.usd is not None else None

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        if self.budget is not None and self.limits.usd is not None:
            raise ValueError("`limits: {usd: …}` is short for a budget; this agent has one")
        return self
