"""Log lines for machines: one JSON object a line, with the fields that deployed functions log."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from workflow_runtime.frontends.server.log import VALUE_CHARS_MAX, fields_beside
from workflow_runtime.language.texts import cut, visible_lines

BESIDE = ("execution_id", "correlation_id", "node", "status", "ms", "reason", "attempt")

_encoder = msgspec.json.Encoder()


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **fields_beside(record, BESIDE),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        shown = {name: visible_lines(cut(value, VALUE_CHARS_MAX)) for name, value in line.items()}
        return _encoder.encode(shown).decode()


def json_lines(stream: TextIO) -> logging.Handler:
    """No text of an author breaks a line, colours a terminal or turns round what is beside it."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    return handler
