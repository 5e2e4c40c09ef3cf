"""What errors and numbers are called in lines that people read."""

from __future__ import annotations

from workflow_runtime.errors import ErrorDocument, NodeError, error_line
from workflow_runtime.language.texts import counted


def test_an_error_without_a_message_is_its_type() -> None:
    assert [str(NodeError("oops", "")), ErrorDocument.of("oops", "").text] == ["oops", "oops"]
    assert error_line({"type": "oops", "message": "why"}) == "oops: why"


def test_a_number_of_things_is_told_as_people_do() -> None:
    assert [counted(number, "node") for number in (0, 1, 2_000)] == ["0 nodes", "1 node", "2,000 nodes"]
