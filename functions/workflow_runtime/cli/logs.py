"""The runtime's own log on stderr: quiet about what the summary says anyway, complete with ``--verbose``."""

from __future__ import annotations

import logging
import sys
from typing import Any

ATTEMPT_LOGGERS = ("workflow_runtime.services.node_runner", "workflow_runtime.services.worker")


def set_up_logging(verbose: bool) -> None:
    """The runtime's log goes to stderr. How an attempt failed is in the summary; its traceback comes with ``verbose``."""
    handler = _StderrHandler()
    handler.setFormatter(_Formatter(verbose))
    root = logging.getLogger()
    root.handlers[:] = [old for old in root.handlers if not isinstance(old, _StderrHandler)] + [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("workflow_runtime").setLevel(logging.INFO if verbose else logging.NOTSET)
    for name in ATTEMPT_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET if verbose else logging.CRITICAL)


class _StderrHandler(logging.StreamHandler[Any]):
    """Writes to ``sys.stderr`` as it is at that moment: the live table puts itself there, and lines go above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


class _Formatter(logging.Formatter):
    """One line per record, with its node; tracebacks only when ``verbose``."""

    def __init__(self, verbose: bool) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._verbose = verbose

    def formatMessage(self, record: logging.LogRecord) -> str:
        found = [
            f"{name}={record.__dict__[name]}"
            for name in ("node", "path", "reason", "status", "ms")
            if name in record.__dict__
        ]
        return super().formatMessage(record) + (f" ({', '.join(found)})" if found else "")

    def formatException(self, ei: Any) -> str:
        return super().formatException(ei) if self._verbose else f"  {ei[0].__name__}: {ei[1]} (--verbose shows where)"
