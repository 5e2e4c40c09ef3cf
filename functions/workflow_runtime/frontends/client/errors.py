"""What an engine's calls raise, the same whether the runtime is in this process or behind HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from workflow_runtime.errors import (
    ConflictError,
    DefinitionError,
    RequestError,
    RetryableError,
    WorkflowRuntimeError,
)
from workflow_runtime.findings import Finding
from workflow_runtime.language.json_values import Json, NotJson, to_json


class EngineError(WorkflowRuntimeError):
    """A call that was refused or failed. ``code`` is stable, for programs; the classes below are the usual ones."""

    def __init__(self, message: str, code: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class NotFound(EngineError):
    """The workflow, version or execution does not exist."""


class Conflict(EngineError):
    """The call contradicts what is there: an idempotency key used with another input, a workflow that others publish,
    an event for an execution that has ended."""


class InvalidInput(EngineError):
    """The input is no JSON object, too large, or not what the workflow's ``input_schema`` asks for; or the event is
    none that the workflow listens to; or what else is asked cannot be."""


class InvalidDefinition(EngineError):
    """A definition that cannot be compiled. ``findings``: everything that is wrong with it."""

    def __init__(self, findings: Sequence[Finding], message: str = "") -> None:
        super().__init__(message or "\n".join(str(finding) for finding in findings), "invalid_definition")
        self.findings = tuple(findings)


class NotAuthorized(EngineError):
    """The API wants credentials, or other ones."""


class TooLarge(EngineError):
    """The definition or input has more bytes than the API takes."""


class Unavailable(EngineError):
    """The runtime could not be reached or failed, also after repeats; the same call may work later."""


class WaitTimeout(EngineError, TimeoutError):
    """The execution has not ended in time; it goes on."""

    def __init__(self, execution_id: str, seconds: float) -> None:
        super().__init__(f"execution {execution_id} has not ended within {seconds:g} s", "wait_timeout")
        self.execution_id = execution_id


BY_CODE: dict[str, type[EngineError]] = {
    "not_found": NotFound,
    "conflict": Conflict,
    "ended": Conflict,
    "refused": Conflict,
    "forbidden": NotAuthorized,
    "too_many": Unavailable,
    "invalid_event": InvalidInput,
    "invalid_input": InvalidInput,
    "invalid_request": InvalidInput,
    "too_large": TooLarge,
}


def checked_json(value: Any, name: str, code: str) -> Json:
    """``value``, called ``name``, as JSON before it is sent. Raises `InvalidInput`, as the runtime itself would."""
    try:
        return to_json(value, name)
    except NotJson as error:
        raise InvalidInput(str(error), code) from None


def not_encodable(error: UnicodeEncodeError) -> InvalidInput:
    """The error of an argument with a character that cannot be sent or stored where it stands."""
    character = error.object[error.start]
    if "\ud800" <= character <= "\udfff":
        why = f"{character!a} is half of a character (a lone surrogate), which UTF-8 cannot hold"
    else:
        why = f"{character!r} cannot stand in a header of HTTP, which is ASCII: another key is needed"
    return InvalidInput(why, "invalid_request")


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the services as errors of the SDK."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise not_encodable(error) from error
    except DefinitionError as error:
        raise InvalidDefinition(error.findings) from error
    except RequestError as error:
        raise BY_CODE.get(error.code, EngineError)(error.message, error.code) from error
    except ConflictError as error:
        raise Conflict(str(error), "conflict") from error
    except RetryableError as error:
        raise Unavailable(str(error), "unavailable") from error
