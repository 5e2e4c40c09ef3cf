"""Requests about an execution as a whole: checked against its status, then mailed to its mailbox like any other news.

The status that is read here may be older than the request's turn, so the engine has the last word: a request that comes
too late is ignored there, and the history says so.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from workflow_runtime.engine.events import CancelRequested
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RequestError, storable_text
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Ports
from workflow_runtime.services.mail import Mailer
from workflow_runtime.storage.executions import KeptAnswer
from workflow_runtime.storage.stores import Stores

CANCEL = "cancel"
REASON_CHARS_MAX = 1_000
KEY_CHARS_MAX = 255
KEPT_MS = 24 * 3600 * 1000  # how long a key gives the same answer


class Asked(msgspec.Struct, frozen=True):
    """A request that was answered. ``changed`` False: the execution was as the request wants it already."""

    execution_id: str
    operation: str
    id: str
    changed: bool

    def json(self) -> dict[str, Json]:
        return {"execution_id": self.execution_id, "operation": self.operation, "id": self.id, "changed": self.changed}


class Control:
    """``new_id`` gives a fresh identity per call."""

    def __init__(self, ports: Ports, stores: Stores, mailer: Mailer, new_id: Callable[[], str]) -> None:
        self._clock = ports.clock
        self._executions = stores.executions
        self._mailer = mailer
        self._new_id = new_id

    def cancel(self, execution_id: str, reason: str = "", key: str | None = None, *, by: str = "") -> Asked:
        """End the execution as cancelled. ``by``: who asks, for the history; ``key``: the same for repeats, which get
        the first answer for 24 hours.

        Raises `RequestError`: ``not_found``, ``ended`` (it has completed or failed), ``conflict`` (the key was used for
        another request), ``invalid_request``; `RetryableError`.
        """
        reason, key = _checked(reason, key)
        header = self._executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        asked = self._answered(execution_id, CANCEL, key)
        if asked is None:
            if header.status.terminal and header.status is not ExecutionStatus.CANCELLED:
                raise RequestError("ended", f"the execution has ended, it is {header.status}: it cannot be cancelled")
            asked = self._answer(execution_id, CANCEL, key, changed=not header.status.terminal)
        if asked.changed and not header.status.terminal:  # also when repeated: the first may have died in between
            event = CancelRequested(f"control:{asked.id}", self._clock.now(), by, reason)
            self._mailer.send(execution_id, event)
        return asked

    def _answered(self, execution_id: str, operation: str, key: str | None) -> Asked | None:
        """The answer that the key got before. Raises `RequestError` (``conflict``)."""
        kept = self._executions.kept_answer(execution_id, key, self._clock.now()) if key is not None else None
        return _kept(execution_id, operation, key or "", kept) if kept is not None else None

    def _answer(self, execution_id: str, operation: str, key: str | None, *, changed: bool) -> Asked:
        if key is None:
            return Asked(execution_id, operation, self._new_id(), changed)
        now = self._clock.now()
        kept = self._executions.keep_answer(execution_id, key, KeptAnswer(operation, changed, now + KEPT_MS), now)
        return _kept(execution_id, operation, key, kept)


def _kept(execution_id: str, operation: str, key: str, kept: KeptAnswer) -> Asked:
    if kept.operation != operation:
        raise RequestError("conflict", f"the key was used for another request: {kept.operation}")
    return Asked(execution_id, operation, key, kept.changed)


def _checked(reason: str, key: str | None) -> tuple[str, str | None]:
    """Raises `RequestError` (``invalid_request``)."""
    reason = checked_reason(reason)
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= KEY_CHARS_MAX):
        raise RequestError("invalid_request", f"a key has 1 to {KEY_CHARS_MAX} characters")
    return reason, key


def checked_reason(reason: str) -> str:
    """Raises `RequestError` (``invalid_request``)."""
    if not isinstance(reason, str) or len(reason) > REASON_CHARS_MAX:
        raise RequestError("invalid_request", f"a reason is a text of at most {REASON_CHARS_MAX:,} characters")
    return storable_text(reason)
