"""Log lines for machines: one JSON object a line, with the fields that deployed functions log."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from workflow_runtime.deployment.log_fields import current_log_fields
from workflow_runtime.language.texts import cut

VALUE_CHARS_MAX = 4_000  # of a value: authors log what they like
BESIDE = ("execution_id", "correlation_id", "node", "status", "ms", "reason", "attempt")

_encoder = msgspec.json.Encoder()


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        beside = {name: str(getattr(record, name)) for name in BESIDE if hasattr(record, name)}
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **current_log_fields(),
            **beside,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        shown = {name: cut(value, VALUE_CHARS_MAX) for name, value in line.items()}
        return _encoder.encode(shown).decode()


def json_lines(stream: TextIO) -> logging.Handler:
    """Escaped as JSON is: no text of an author breaks a line or colours a terminal."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    return handler
