"""What an agent's definition says of the models that it may ask, and where they are."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from workflow_runtime.invokers.agents.fields import FrozenModel, as_tuple

MODELS_MAX = 8  # asked one after the other while somebody waits
URL_CHARACTERS_MAX = 2_000
OPENAI = ("openai", "openai-chat", "openai-responses")
WITH_BASE_URL = (*OPENAI, "anthropic", "bedrock")
WITHOUT_CREDENTIALS = ("test", "bedrock")  # one needs none, the other takes those of AWS
_MODEL_NAME = r"^(test|[a-z0-9/-]+:\S+)$"
_SECRET = re.compile(r"\s*\$\{\s*secrets\.([A-Za-z0-9_][\w./+=@-]{0,200})\s*\}\s*")

Fallback = Literal["rate_limited", "timeout", "unavailable", "refused", "truncated"]
FALLBACKS: tuple[Fallback, ...] = ("rate_limited", "timeout", "unavailable")
"""What the next model is asked after, unless the definition says otherwise: that this one has not answered."""


def _model_name(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_MODEL_NAME, value):
        raise ValueError("a model is `provider:name`, for example `openai:gpt-5`, or `test`")
    return value


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 (raises unless it is a port)
    except ValueError as error:
        raise ValueError(f"this is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL with http or https is needed, for example `https://models.example.com/v1`")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL holds no credentials: use `credentials: ${secrets.NAME}`")
    if parts.query or parts.fragment:
        raise ValueError("the URL that requests are made below has no `?` and no `#`")
    return value


def _credentials(value: str) -> str:
    if _SECRET.fullmatch(value) is None:
        raise ValueError("credentials are named, not written down: `${secrets.NAME}`")
    return value


ModelName = Annotated[str, Field(pattern=_MODEL_NAME, max_length=300), BeforeValidator(_model_name)]
BaseUrl = Annotated[str, Field(max_length=URL_CHARACTERS_MAX), AfterValidator(_base_url)]
Credentials = Annotated[str, AfterValidator(_credentials)]


class ModelChoice(FrozenModel):
    """One of an agent's models; ``base_url`` and ``credentials`` take the place of the agent's."""

    model: ModelName = Field(description="`provider:name`, or `test`.")
    base_url: BaseUrl | None = Field(None, description="Where the provider's API is, if not where it usually is.")
    credentials: Credentials | None = Field(None, description="The key for that API: `${secrets.NAME}`.")

    @property
    def provider(self) -> str:
        return self.model.partition(":")[0]

    @property
    def name(self) -> str:
        """The model's, as its provider calls it."""
        return self.model.partition(":")[2] or self.model

    @property
    def secret(self) -> str | None:
        """The name of the secret that holds the credentials."""
        found = _SECRET.fullmatch(self.credentials) if self.credentials is not None else None
        return found[1] if found is not None else None

    def problem(self) -> str | None:
        """Why the provider cannot take what is said of it."""
        if self.base_url is not None and self.provider not in WITH_BASE_URL:
            known = ", ".join(WITH_BASE_URL)
            return f"`base_url` is for {known}; a server with an API like OpenAI's is `openai:NAME`, not `{self.model}`"
        if self.credentials is not None and self.provider in WITHOUT_CREDENTIALS:
            reason = (
                "its requests are signed by the credentials of AWS" if self.provider == "bedrock" else "it has none"
            )
            return f"`credentials` are not for `{self.model}`: {reason}"
        return None


def _choice(value: object) -> object:
    if not isinstance(value, str | dict):
        raise ValueError("a model is `provider:name`, or a mapping with `model`")
    return {"model": value} if isinstance(value, str) else value


def _choices(value: object) -> object:
    return as_tuple(value) if isinstance(value, list | tuple) else (value,)


def _usable(choices: tuple[ModelChoice, ...]) -> tuple[ModelChoice, ...]:
    if not 0 < len(choices) <= MODELS_MAX:
        raise ValueError(f"an agent has 1 to {MODELS_MAX} models")
    for number, choice in enumerate(choices):
        if choice in choices[:number]:
            raise ValueError(f"{choice.model!r} is listed twice")
    return choices


_Choice = Annotated[ModelChoice, BeforeValidator(_choice, json_schema_input_type=ModelName | ModelChoice)]
ModelChoices = Annotated[
    tuple[_Choice, ...],
    AfterValidator(_usable),
    BeforeValidator(_choices, json_schema_input_type=_Choice | list[_Choice]),
]
Fallbacks = Annotated[tuple[Fallback, ...], BeforeValidator(as_tuple, json_schema_input_type=list[Fallback])]
