"""What the server writes to stderr: requests, executions, node runs; one line each, never a payload."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import msgspec

from workflow_runtime.deployment.log_fields import current_log_fields
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.findings import Finding
from workflow_runtime.language.texts import cut, log_lines, visible
from workflow_runtime.runtime.observation import Silence
from workflow_runtime.storage import keys

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
TIME_FORMAT = "%H:%M:%S"
VALUE_CHARS_MAX = 4_000  # of what is kept or written for programs: authors log what they like
# What these say at INFO, the observer says better.
QUIET_LOGGERS = ("workflow_runtime.services.work.runner", "workflow_runtime.services.intake.starts")

logger = logging.getLogger("workflow_runtime.frontends.server")

_errors = msgspec.json.Decoder(ErrorDocument)


@contextmanager
def log_to(handler: logging.Handler) -> Generator[None, None, None]:
    """Inside, this package's logs, and nobody else's, go to ``handler``."""
    package = logging.getLogger("workflow_runtime")
    levels = {package.name: logging.INFO, **dict.fromkeys(QUIET_LOGGERS, logging.WARNING)}
    before, propagates = {name: logging.getLogger(name).level for name in levels}, package.propagate
    package.addHandler(handler)
    package.propagate = False
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.propagate = propagates
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def text_lines(stream: TextIO) -> logging.Handler:
    """Lines for people."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ReasonFormatter(FORMAT, TIME_FORMAT))
    return handler


def fields_beside(record: logging.LogRecord, names: Sequence[str]) -> dict[str, str]:
    """What a record says beside its message: of whose it is, and those of ``names`` that it has."""
    beside = {name: str(getattr(record, name)) for name in names if hasattr(record, name)}
    return {**current_log_fields(), **beside}


class ReasonFormatter(logging.Formatter):
    """Adds what services put beside a message: the execution, the node, the reason. Shows control characters, and of
    long lines the beginning.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = log_lines(super().format(record))
        extra = [str(getattr(record, name)) for name in ("execution_id", "node", "reason") if hasattr(record, name)]
        first, newline, rest = text.partition("\n")
        return f"{first} ({visible(cut(', '.join(extra)))}){newline}{rest}" if extra else text


class ExecutionLog(Silence):
    """A `client.observation.Observer` that logs executions and node runs. Writes that happen twice are logged twice."""

    def wrote(self, execution_id: str, sort: str, attributes: Mapping[str, Any]) -> None:
        status = attributes.get("status")
        if not isinstance(status, str):
            return
        if sort == keys.HEADER:
            name = f" of {attributes['workflow']}" if "workflow" in attributes else ""
            self._line(execution_id, f"execution{name}", status, attributes, level=_level(status))
        elif sort.startswith(keys.RUN_PREFIX) and status != "running":
            path = str(attributes["path"])
            if path.startswith("~"):
                return
            started, ended = (int(attributes.get(name) or 0) for name in ("started_at", "ended_at"))
            took = f" in {ended - started} ms" if started and ended else ""
            self._line(execution_id, f"  {path}", f"{status}{took}", attributes, level=logging.INFO)

    def _line(self, execution_id: str, what: str, status: str, attributes: Mapping[str, Any], *, level: int) -> None:
        error = attributes.get("error")
        reason = ""
        if isinstance(error, bytes):
            document = _errors.decode(error)
            reason = f": {document.text}"
        logger.log(level, "%s %s %s%s", execution_id, what, status, reason)


def _level(status: str) -> int:
    return logging.WARNING if status == "failed" else logging.INFO


def log_request(method: str, path: str, status: int, milliseconds: float) -> None:
    level = logging.ERROR if status >= 500 else logging.INFO
    logger.log(level, "%s %s %d %.0f ms", method, visible(path), status, milliseconds)  # a line is a line


def log_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        logger.log(logging.ERROR if finding.severity == "error" else logging.WARNING, "%s", finding)
