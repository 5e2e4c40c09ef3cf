"""The last lines that were logged, kept for `awr logs`."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from workflow_runtime.frontends.server.log import VALUE_CHARS_MAX, fields_beside
from workflow_runtime.language.texts import cut

LINES_KEPT_MAX = 20_000
SHOWN = ("node", "status", "ms", "reason", "correlation_id")  # of what stands beside a message


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
        known = fields_beside(record, ("execution_id", *SHOWN))
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
