"""What `awr dev` writes to stderr: requests, executions, nodes, reloads; one line each, never a payload. The last lines
are kept for `awr logs`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from workflow_runtime.deployment.log_fields import current_log_fields
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.findings import Finding
from workflow_runtime.language.texts import cut, log_lines, visible
from workflow_runtime.storage import keys

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
TIME_FORMAT = "%H:%M:%S"
# What these say at INFO, the observer says better.
QUIET_LOGGERS = ("workflow_runtime.services.work.runner", "workflow_runtime.services.intake.starts")

LINES_KEPT_MAX = 20_000
VALUE_CHARS_MAX = 4_000  # of a line: authors log what they like
SHOWN = ("node", "status", "ms", "reason", "correlation_id")  # of what stands beside a message

logger = logging.getLogger("workflow_runtime.frontends.dev")

_errors = msgspec.json.Decoder(ErrorDocument)


def log_to(stream: TextIO = sys.stderr) -> logging.Handler:
    """Send this package's logs to ``stream``; returns the handler, to be removed again."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ReasonFormatter(FORMAT, TIME_FORMAT))
    package = logging.getLogger("workflow_runtime")
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


class ReasonFormatter(logging.Formatter):
    """Adds what services put beside a message: the execution, the node, the reason. Shows control characters, and of
    long lines the beginning.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = log_lines(super().format(record))
        extra = [str(getattr(record, name)) for name in ("execution_id", "node", "reason") if hasattr(record, name)]
        first, newline, rest = text.partition("\n")
        return f"{first} ({visible(cut(', '.join(extra)))}){newline}{rest}" if extra else text


class ExecutionLog:
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
            milliseconds = int(attributes.get("ended_at") or 0) - int(attributes.get("started_at") or 0)
            self._line(execution_id, f"  {path}", f"{status} in {milliseconds} ms", attributes, level=logging.INFO)

    def _line(self, execution_id: str, what: str, status: str, attributes: Mapping[str, Any], *, level: int) -> None:
        error = attributes.get("error")
        reason = ""
        if isinstance(error, bytes):
            document = _errors.decode(error)
            reason = f": {document.type}: {document.message}"
        logger.log(level, "%s %s %s%s", execution_id, what, status, reason)


def _level(status: str) -> int:
    return logging.WARNING if status == "failed" else logging.INFO


def log_request(method: str, path: str, status: int, milliseconds: float) -> None:
    level = logging.ERROR if status >= 500 else logging.INFO
    logger.log(level, "%s %s %d %.0f ms", method, visible(path), status, milliseconds)  # a line is a line


def log_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        logger.log(logging.ERROR if finding.severity == "error" else logging.WARNING, "%s", finding)


class LogLine(msgspec.Struct, frozen=True):
    """``at``: epoch ms; ``fields``: as `awr logs` shows them."""

    at: int
    execution_id: str
    fields: dict[str, str]


class RecentLines(logging.Handler):
    """Takes records from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=LINES_KEPT_MAX)
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        beside = {name: str(getattr(record, name)) for name in ("execution_id", *SHOWN) if hasattr(record, name)}
        known = {**current_log_fields(), **beside}
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message = f"{message}: {record.exc_info[1]!r}"
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        line = LogLine(
            int(record.created * 1000),
            known.get("execution_id", ""),
            {
                "@timestamp": time,
                "level": record.levelname,
                "message": cut(message, VALUE_CHARS_MAX),
                **{name: cut(known[name], VALUE_CHARS_MAX) for name in SHOWN if name in known},
            },
        )
        with self._guard:
            self._lines.append(line)

    def of(self, execution_id: str, start: int, end: int) -> list[Mapping[str, str]]:
        """The lines about an execution, or that name it, between two times (epoch ms), the oldest first."""
        with self._guard:
            lines = list(self._lines)
        return [
            {**line.fields, "message": line.fields["message"].removeprefix(execution_id).strip()}
            for line in lines
            if start <= line.at <= end and _is_about(line, execution_id)
        ]


def _is_about(line: LogLine, execution_id: str) -> bool:
    return line.execution_id == execution_id or (not line.execution_id and execution_id in line.fields["message"])
