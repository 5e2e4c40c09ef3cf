"""Log lines of `awr serve`: one object a line, whatever an author's text holds."""

from __future__ import annotations

import json
import logging
from io import StringIO

from workflow_runtime.deployment.log_fields import log_fields
from workflow_runtime.frontends.serve.json_log import json_lines
from workflow_runtime.frontends.server.log import VALUE_CHARS_MAX

RIGHT_TO_LEFT = "\N{RIGHT-TO-LEFT OVERRIDE}"


def line(message: str, **beside: object) -> dict[str, str]:
    stream = StringIO()
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "x", **beside})
    json_lines(stream).handle(record)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert RIGHT_TO_LEFT not in text
    assert "\x1b" not in text
    found: dict[str, str] = json.loads(text)
    return found


def test_a_line_says_whose_it_is() -> None:
    with log_fields(execution_id="ex-1", correlation_id="order-4711"):
        found = line("a node ended", node="查询", ms=12)
    assert found["message"] == "a node ended"
    assert {name: found[name] for name in ("execution_id", "correlation_id", "node", "ms")} == {
        "execution_id": "ex-1",
        "correlation_id": "order-4711",
        "node": "查询",
        "ms": "12",
    }


def test_texts_of_authors_are_one_line_without_control_characters_and_bounded() -> None:
    found = line(f"a{RIGHT_TO_LEFT}b\x1b[31m\nc" + "x" * 2 * VALUE_CHARS_MAX)
    assert found["message"].startswith("a\\u202eb\\x1b[31m\nc")
    assert len(found["message"]) < VALUE_CHARS_MAX + 100
