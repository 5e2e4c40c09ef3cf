"""The model that an agent's run asks: one, or several of which the next answers where one does not.

No provider's library tries a request again by itself: the node's retry policy does, and the next of the agent's models
is asked at once. Imports pydantic-ai: import it only to run an agent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec.structs import replace
from pydantic_ai import ModelSettings
from pydantic_ai.exceptions import ContentFilterError, OutputTokenLimitExceeded, UserError
from pydantic_ai.messages import ModelMessage, ModelRequestAttempt, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.models.fallback import ExceptionHandler, FallbackModel
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.gated_model import GatedModel
from workflow_runtime.invokers.agents.live_model import LiveModel
from workflow_runtime.invokers.agents.model_choices import OPENAI, ModelChoice
from workflow_runtime.invokers.agents.model_errors import MissingPackage, fallback_of
from workflow_runtime.invokers.gate import is_for_next_model
from workflow_runtime.invokers.invocation import NodeCall

if TYPE_CHECKING:
    from botocore.client import BaseClient

CONNECT_TIMEOUT_SECONDS = 5.0  # to AWS; pydantic-ai gives other providers as long
READ_TIMEOUT_SECONDS = 600.0  # for an answer, when the agent's settings do not say: as those of other providers
NO_KEY = "api-key-not-set"  # instead of the one in the environment, which is for the provider, not for another address
CLIENTS_KEPT = 8  # of Bedrock: making one reads files and takes some 100 ms
ANSWERS = {"refused": ContentFilterError, "truncated": OutputTokenLimitExceeded}
"""What pydantic-ai calls answers that are none: naming the error stands for the answer, which is not raised yet."""

Choose = Callable[[ModelChoice], "Model | str"]
Keys = Mapping[str, str]
"""Credentials by the names of their secrets."""


async def revealed(agent: AgentDefinition, call: NodeCall) -> tuple[NodeCall, Keys]:
    """The credentials of the agent's models, and the call that hides them. Raises `NodeError` (``not_found``)."""
    keys: dict[str, str] = {}
    for name in dict.fromkeys(choice.secret for choice in agent.choices if choice.secret is not None):
        keys[name], mask = await call.reveal(name)
        call = replace(call, mask=mask)
    return call, keys


def model_of(agent: AgentDefinition, call: NodeCall, keys: Keys, choose: Choose | None) -> tuple[Model, ModelSettings]:
    """What ``agent`` asks, and with which settings. ``choose``: which model a choice stands for, if not the one that it
    names. Raises `MissingPackage`, and pydantic-ai's `UserError`."""
    models = [_model(agent, choice, keys, choose) for choice in agent.choices]
    settings = _settings(agent, models)
    told: list[Model] = [LiveModel(model, call.live, call.mask) for model in models]
    asked: list[Model] = told
    if call.gate is not None:
        limiters = map(agent.limiters_of, agent.choices)
        asked = [GatedModel(model, call.gate, names, call.budgets) for model, names in zip(told, limiters, strict=True)]
    if len(asked) == 1:
        return asked[0], settings
    answers = [error for name, error in ANSWERS.items() if name in agent.fallback_on]
    return _OneAfterTheOther(*asked, fallback_on=[_is_for_next(agent), *answers]), settings


def replaced(messages: Sequence[ModelMessage]) -> tuple[str, ...]:
    """What people should know of models that others have answered in place of."""
    texts = [
        f"the model {attempt.model_name} gave no answer that is taken; {message.model_name} was asked in its place"
        for message in messages
        if isinstance(message, ModelResponse)
        for attempt in message.failed_attempts or ()
    ]
    return tuple(dict.fromkeys(texts))


class _OneAfterTheOther(FallbackModel):
    """What it keeps of attempts that failed holds no text of a provider, which may quote keys, prompts and inputs."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        response = await super().request(messages, model_settings, model_request_parameters)
        if response.failed_attempts:
            response.failed_attempts = [_without_text(attempt) for attempt in response.failed_attempts]
        return response


def _without_text(attempt: ModelRequestAttempt) -> ModelRequestAttempt:
    kind = attempt.error.partition(":")[0] if attempt.error is not None else None
    return dataclasses.replace(attempt, error=kind)


def _is_for_next(agent: AgentDefinition) -> ExceptionHandler:
    def is_for_next(error: Exception) -> bool:
        return fallback_of(error) in agent.fallback_on or is_for_next_model(error)

    return is_for_next


def _settings(agent: AgentDefinition, models: list[Model]) -> ModelSettings:
    """The agent's, and ours. What is ours is left out where a model would warn that it does nothing."""
    settings: dict[str, Any] = {**agent.settings.for_model(), "max_retries": 0}
    if agent.settings.timeout is not None:
        settings["request_timeout"] = agent.settings.timeout  # some providers know no timeout of a single request
    if agent.cache is not None:
        settings["cache"] = agent.cache
    for name in ("timeout", "max_retries"):
        if all(name in model.unsupported_settings for model in models):
            settings.pop(name, None)
    return settings  # type: ignore[return-value]  # keys checked by AgentSettings; provider keys pass as they are


def _model(agent: AgentDefinition, choice: ModelChoice, keys: Keys, choose: Choose | None) -> Model:
    try:
        return infer_model(choose(choice)) if choose is not None else _built(agent, choice, keys)
    except ImportError:
        raise MissingPackage(choice.model) from None


def _built(agent: AgentDefinition, choice: ModelChoice, keys: Keys) -> Model:
    key = keys[choice.secret] if choice.secret is not None else None
    if choice.provider == "bedrock":
        timeout = agent.settings.timeout or READ_TIMEOUT_SECONDS
        return infer_model(choice.model, lambda _: _bedrock(choice.base_url, timeout))
    if choice.base_url is None and key is None:
        return infer_model(choice.model)
    name = choice.model
    if choice.base_url is not None and choice.provider == "openai":
        name = f"openai-chat:{choice.name}"  # of OpenAI's two APIs, the one that others have too
    return infer_model(name, partial(_provider, choice, key))


def _provider(choice: ModelChoice, key: str | None, kind: str) -> Provider[Any]:
    if choice.base_url is not None and kind in OPENAI:
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

        host = urlsplit(choice.base_url).netloc
        return OpenAICompatibleProvider(host, base_url=choice.base_url, api_key=key)
    if kind.startswith("gateway/"):
        return infer_provider(kind)
    if choice.base_url is not None and key is None:
        key = NO_KEY
    arguments = {"api_key": key, "base_url": choice.base_url}
    provider_class = infer_provider_class(kind)
    try:
        return provider_class(**{name: value for name, value in arguments.items() if value is not None})
    except TypeError:
        raise UserError(f"the provider {kind} takes no `credentials`") from None


def _bedrock(base_url: str | None, timeout_seconds: float) -> Provider[BaseClient]:
    from pydantic_ai.providers.bedrock import BedrockProvider

    return BedrockProvider(bedrock_client=_bedrock_client(base_url, timeout_seconds))


@lru_cache(maxsize=CLIENTS_KEPT)
def _bedrock_client(base_url: str | None, timeout_seconds: float) -> BaseClient:
    """One for all agents with the same address and timeout; botocore's clients may be used by several threads."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=timeout_seconds,
    )
    try:
        client: BaseClient = boto3.session.Session().client("bedrock-runtime", endpoint_url=base_url, config=config)
    except NoRegionError:
        raise UserError("no AWS region is set: AWS_DEFAULT_REGION, or a profile with one") from None
    return client
