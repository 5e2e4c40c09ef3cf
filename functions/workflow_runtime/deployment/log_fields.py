"""What every log line says of whose it is: the execution and its correlation id, also on lines of agents and tools.

A correlation id names what brought work about: it goes from the request that starts an execution to the execution's
orders, its children, its events, and what those start in turn.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from contextvars import ContextVar

_fields: ContextVar[dict[str, str] | None] = ContextVar("log_fields", default=None)


class log_fields:
    """Lines logged inside, in this task and the threads it offloads to, say so."""

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: str) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _fields.set({**(_fields.get() or {}), **self._fields})

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):  # a coroutine that nobody ended is closed in another context: that has its own
            _fields.reset(self._token)


def add_log_fields(**fields: str) -> None:
    """Add to those of the innermost `log_fields`, if there is one, until it ends."""
    known = _fields.get()
    if known is not None:
        known.update(fields)


def current_log_fields() -> dict[str, str]:
    """Those of the innermost `log_fields`."""
    return dict(_fields.get() or {})


class LogFields(logging.Filter):
    """Puts the fields on each record that a handler takes, unless it says otherwise itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in (_fields.get() or {}).items():
            record.__dict__.setdefault(name, value)
        return True
