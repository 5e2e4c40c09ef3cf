"""pydantic-ai's exceptions as error types of the language. Imports pydantic-ai: import it only to run an agent."""

from __future__ import annotations

import re

from pydantic_ai import exceptions
from pydantic_ai.models.fallback import ResponseRejected

from workflow_runtime.errors import NodeError, TransportError
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.model_choices import Fallback
from workflow_runtime.language.texts import cut

EXTRAS = ("anthropic", "bedrock", "openai")
TIMEOUT_STATUSES = (408, 504)
REASON_CHARS_MAX = 300
REJECTED = {"refused": "the provider's content filter refused", "truncated": "it was cut off at the limit of tokens"}
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")  # a provider's error code; anything else it says may quote secrets


class MissingPackage(ImportError):
    """A provider's package is not installed."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model


def node_error(agent: AgentDefinition, error: BaseException, problems: list[str]) -> NodeError:
    """The failure of this attempt. Its message holds no text of the provider: that may quote keys, prompts and inputs.

    ``problems``: how the last output failed its schema, if that was the reason.
    """
    type, reason = _sort(agent, error, problems)
    kind = TransportError if _is_of_transport(error) else NodeError
    return kind(type, f"agent {agent.id!r}: {reason}", retry_after_of(error))


def _is_of_transport(error: BaseException) -> bool:
    """Whether no model has answered: nothing is recorded of that request, so another attempt makes it again."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_of_transport, error.exceptions))
    return isinstance(error, exceptions.ModelAPIError)


def retry_after_of(error: BaseException) -> float | None:
    """How many seconds the provider asks to wait; of several models, the shortest wait: one is enough."""
    if isinstance(error, BaseExceptionGroup):
        waits = [retry_after_of(one) for one in error.exceptions]
        return min((seconds for seconds in waits if seconds is not None), default=None) if all(waits) else None
    return error.retry_after if isinstance(error, exceptions.ModelAPIError) else None


def fallback_of(error: BaseException) -> Fallback | None:
    """What another model may be asked after, if this error is of that kind."""
    match error:
        case exceptions.ContentFilterError():
            return "refused"
        case exceptions.OutputTokenLimitExceeded():
            return "truncated"
        case exceptions.ModelAPIError():
            return _not_answered(error)
        case exceptions.RunTimedOut() | TimeoutError():
            return "timeout"
    return None


def _not_answered(error: exceptions.ModelAPIError) -> Fallback | None:
    status = error.status_code if isinstance(error, exceptions.ModelHTTPError) else None
    match error:
        case exceptions.ModelRateLimitError():
            return "rate_limited"
        case exceptions.ModelRequestTimeout() | exceptions.ModelTimeoutError():
            return "timeout"
        case (
            exceptions.ModelConnectionError()
            | exceptions.ModelUnavailableError()
            | exceptions.ModelServerError()
            | exceptions.ModelQuotaExceededError()
        ):
            return "timeout" if status in TIMEOUT_STATUSES else "unavailable"
    if status == 429:
        return "rate_limited"
    if status in TIMEOUT_STATUSES:
        return "timeout"
    return "unavailable" if status is not None and status >= 500 else None


def _sort(agent: AgentDefinition, error: BaseException, problems: list[str]) -> tuple[str, str]:
    model = " or ".join(dict.fromkeys(choice.model for choice in agent.models))
    match error:
        case NodeError():  # of one of several models: a budget that has not enough for it
            return error.type, error.message
        case exceptions.UsageLimitExceeded():
            return "budget_exceeded", error.message
        case exceptions.ModelAPIError():
            return _api_error(error)
        case exceptions.ContentFilterError():
            return "execution_error", f"the provider's content filter refused (model {model})"
        case exceptions.UnexpectedModelBehavior():
            if problems:
                return "validation_error", f"the output does not match its schema: {'; '.join(problems)}"
            reason, *_ = error.message.split("\n", 1)
            return "validation_error", f"the model {model} gave no usable output: {cut(reason, REASON_CHARS_MAX)}"
        case exceptions.RunTimedOut() | TimeoutError():
            return "timeout", f"the model {model} did not answer in time"
        case ImportError():
            return "execution_error", _missing_extra(error.model if isinstance(error, MissingPackage) else agent.model)
        case exceptions.UserError():
            return "execution_error", f"the model {model} cannot be used: {error.message}"
        case BaseExceptionGroup():  # several models in a row failed: the first one is the preferred
            failures = [_sort(agent, one, problems) for one in error.exceptions]
            return failures[0][0], "; ".join(dict.fromkeys(reason for _, reason in failures))
        case ResponseRejected():
            how = " or ".join(text for name, text in REJECTED.items() if name in agent.fallback_on)
            return "execution_error", f"no answer of {model} was taken: {how}"
        case _:
            return "execution_error", f"{error.__class__.__name__} while running the model {model}"


def _api_error(error: exceptions.ModelAPIError) -> tuple[str, str]:
    status = error.status_code if isinstance(error, exceptions.ModelHTTPError) else None
    model = error.model_name
    said = f"HTTP {status}" if status else "an error"
    codes = (error.provider_error_code, error.provider_error_type)
    if code := next((code for code in codes if code and _CODE.fullmatch(code)), None):
        said += f" ({code})"
    match error:
        case exceptions.ModelQuotaExceededError():
            return "execution_error", f"the quota or credit for the model {model} is used up: {said}"
        case exceptions.ModelRequestTimeout() | exceptions.ModelTimeoutError():
            return "timeout", f"the model {model} did not answer in time"
        case exceptions.ModelContextWindowExceededError():
            return "execution_error", f"the input is larger than the context window of the model {model}"
        case exceptions.ModelAuthenticationError():
            return "execution_error", f"the provider refused the credentials for the model {model}: {said}"
        case exceptions.ModelNotFoundError():
            return "execution_error", f"the provider has no model {model}: {said}"
        case exceptions.ModelConnectionError():
            return "execution_error", f"the provider of the model {model} could not be reached"
    match _not_answered(error):
        case "rate_limited":
            return "rate_limited", f"the provider limits the rate of the model {model}: {said}"
        case "timeout":
            return "timeout", f"the model {model} did not answer in time: {said}"
    if isinstance(error.__cause__, ValueError):  # of a parser
        return "execution_error", f"the model {model} gave an answer that cannot be read"
    return "execution_error", f"the model {model} answered with {said}"


def _missing_extra(model: str) -> str:
    provider = model.split(":")[0].split("-")[0]
    package = "agent-workflow-runtime" if provider in EXTRAS else "pydantic-ai-slim"
    return f'the model {model} needs a package that is not installed: pip install "{package}[{provider}]"'
