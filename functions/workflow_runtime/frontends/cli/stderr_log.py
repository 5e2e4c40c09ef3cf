"""The runtime's own log on stderr: quiet about what the summary says anyway, complete with ``--verbose``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import InvokerAround
from workflow_runtime.invokers.masking import NOTHING_SECRET, Mask
from workflow_runtime.language.texts import log_lines

if TYPE_CHECKING:
    from workflow_runtime.invokers.invocation import NodeCall, NodeResult

TOLD_LOGGERS = (  # of what the progress and the summary say anyway
    "workflow_runtime.services.work.runner",
    "workflow_runtime.services.work.queue",
    "workflow_runtime.failures",
)
FIELDS = ("node", "path", "status", "ms", "reason", "error", "at", "receives")

logger = logging.getLogger("workflow_runtime.frontends.cli")


@contextmanager
def log_to_stderr(verbose: bool) -> Iterator[None]:
    """While inside, warnings go to stderr (``verbose``: information too); attempts are logged only with ``verbose``."""
    handler = _StderrHandler()
    handler.setFormatter(_Formatter(verbose))
    levels = {"": logging.WARNING}
    if verbose:
        levels["workflow_runtime"] = logging.INFO
    else:
        levels.update(dict.fromkeys(TOLD_LOGGERS, logging.CRITICAL))
    before = {name: logging.getLogger(name).level for name in levels}
    root = logging.getLogger()
    root.addHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


class TracedInvoker(InvokerAround):
    """An invoker that logs what agents and tools raise, with its traceback; the runtime itself never does, as it may
    hold values. A `NodeError` of the invoker's own says nothing new, its cause does."""

    async def invoke(self, call: NodeCall) -> NodeResult:
        try:
            return await self._invoker.invoke(call)
        except Exception as error:
            raised = error.__cause__ if isinstance(error, NodeError) else error
            if raised is not None:
                logger.info(
                    "attempt %d raised", call.attempt, exc_info=raised, extra={"node": call.path, "mask": call.mask}
                )
            raise


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

    def format(self, record: logging.LogRecord) -> str:
        mask: Mask = getattr(record, "mask", NOTHING_SECRET)
        return log_lines(mask.text(super().format(record)))

    def formatMessage(self, record: logging.LogRecord) -> str:
        found = [f"{name}={record.__dict__[name]}" for name in FIELDS if name in record.__dict__]
        return super().formatMessage(record) + (f" ({', '.join(found)})" if found else "")

    def formatException(self, ei: Any) -> str:
        return super().formatException(ei) if self._verbose else f"  {ei[0].__name__}: {ei[1]} (--verbose shows where)"
