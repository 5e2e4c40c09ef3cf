"""Errors, one class per reaction that the catcher owes.

=====================  ==========================================================
``InvalidEvent``       reject the event and acknowledge its message
``ConflictError``      reload and start over: somebody else committed first
``RetryableError``     leave the message; the queue delivers it again
``NodeError``          fail this attempt of the node, with the error type it names
``DefinitionError``    tell the author: carries every finding
``RequestError``       tell the caller: the request cannot be carried out
=====================  ==========================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workflow_runtime.findings import Finding


class WorkflowRuntimeError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidEvent(WorkflowRuntimeError):
    """An event that no state of this execution could accept: wrong path, unknown serial, malformed body."""


class ConflictError(WorkflowRuntimeError):
    """A conditional write lost against another writer."""


class RetryableError(WorkflowRuntimeError):
    """A fault of the infrastructure (throttle, timeout, partial failure) that outlasted the adapter's own retries."""


class NodeError(WorkflowRuntimeError):
    """A node's attempt failed. ``type`` is an error type of the language (``timeout``, ``not_found`` …) or the node's
    own. ``retry_after``: seconds before which another attempt makes no sense.
    """

    def __init__(self, type: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(error_text(type, message))
        self.type = type
        self.message = message
        self.retry_after = retry_after


class TransportError(NodeError):
    """The way to something that a node needs has failed, not what the node does: an agent's next attempt goes on from
    the steps that were recorded."""


class WrongArguments(NodeError):
    """What is called does not take these arguments: nothing was called, and nothing happened."""

    def __init__(self, message: str) -> None:
        super().__init__("validation_error", message)


class RequestError(WorkflowRuntimeError):
    """A request (start, publish, query) that cannot be carried out as it is. ``code`` is stable, for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class WouldBreak(RequestError):
    """A change that published workflows do not fit. ``findings``: what the compiler would say of them."""

    def __init__(self, message: str, findings: Sequence[Finding]) -> None:
        super().__init__("conflict", message)
        self.findings = tuple(findings)


class DefinitionError(WorkflowRuntimeError):
    """A workflow definition that cannot be compiled; ``findings`` holds everything that is wrong with it, not the
    first.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


ERROR_MESSAGE_CHARS_MAX = 2_000  # an error text is for people; more than this is a payload in disguise


RETRY_AFTER_SECONDS_MAX = 30 * 86_400  # an error that asks for a longer delay means something else


ERROR_TYPE_CHARS_MAX = 128  # as long as an id may be; authors match on it


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an error came from: an execution, and the node in it where it began."""

    execution_id: str
    node: str = ""


class ErrorDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a node or an execution failed. ``node`` is the path of the node where it began.

    ``retry_after``: seconds that a retry waits at least. ``cause``: of a node whose sub-workflow failed.
    """

    type: str
    message: str
    node: str = ""
    retry_after: float = 0.0
    cause: Cause | None = None

    @classmethod
    def of(
        cls,
        type: str,
        message: str,
        node: str = "",
        retry_after: float | None = None,
        cause: Cause | None = None,
    ) -> ErrorDocument:
        if len(message) > ERROR_MESSAGE_CHARS_MAX:
            message = message[: ERROR_MESSAGE_CHARS_MAX - 1] + "…"
        type, message = storable_text(type[:ERROR_TYPE_CHARS_MAX]), storable_text(message)
        return cls(type, message, node, _seconds(retry_after), cause)

    @property
    def text(self) -> str:
        """What went wrong, in a line."""
        return error_text(self.type, self.message)


def error_text(type: str, message: str) -> str:
    """An error in a line: ``timeout: it took too long``. Authors' own may have no message."""
    return f"{type}: {message}" if message else type


def error_line(error: Mapping[str, Any]) -> str:
    """The same, of an error as documents of executions have it."""
    return error_text(str(error["type"]), str(error["message"]))


def _seconds(value: object) -> float:
    """A delay that an error asks for, whatever its author put there; 0 for what is not a delay."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= RETRY_AFTER_SECONDS_MAX:
        return 0.0
    return float(value)


def storable_text(text: str) -> str:
    """``text`` without lone surrogates, which UTF-8 cannot hold: errors quote what others wrote."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
