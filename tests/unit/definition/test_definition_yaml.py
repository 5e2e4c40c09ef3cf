"""Reading YAML: the core schema, positions, bounds."""

import json
from typing import Any

import pytest

from workflow_runtime.definition.loader import load
from workflow_runtime.language.yaml.document import read_document
from workflow_runtime.language.yaml.text import Unreadable


def _value(text: str) -> Any:
    document = read_document(text)
    assert not document.problems
    return document.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1'", "1"),
        ("! 1", "1"),
        ("9223372036854775807", 9223372036854775807),
        ("00000000000000000000000000000000001", 1),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    read = _value(f"a: {text}")["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text", [".inf", "-.INF", ".nan", "9223372036854775808", "1e999", "0x" + "f" * 5000, "9" * 100_000]
)
def test_numbers_that_json_cannot_hold_are_refused(text: str) -> None:
    (problem,) = read_document(f"a: {text}").problems
    assert problem.rule.id == "WF111"


def test_merges_fill_in_what_the_mapping_does_not_say() -> None:
    text = "x-a: &a {one: 1, two: 2}\nx-b: &b {two: 22, three: 3}\nc: {<<: [*a, *b], one: 11}\nd: {'<<': 1}"
    value = _value(text)
    assert value["c"] == {"one": 11, "two": 2, "three": 3}
    assert value["d"] == {"<<": 1}


def test_a_duplicate_key_is_refused_with_both_positions() -> None:
    (problem,) = read_document("a: 1\nb: 2\na: 3\n").problems
    assert problem.rule.id == "WF108"
    assert "line 1, column 1" in problem.message


@pytest.mark.parametrize(
    ("content", "rule", "line", "column"),
    [
        (b"a: \xff", "WF101", 1, 4),
        ("订单: 1\nb: ".encode() + b"\xc3\x28", "WF101", 2, 4),
        (b"\xff\xfea\x00", "WF101", 1, 1),
        ("a: b\nc: \x00", "WF101", 2, 4),
        ("a: b\r\nc: \x07", "WF101", 2, 4),
        ("a: [1, 2\nb: 3", "WF102", 2, 2),
        ("? [a]\n: b", "WF109", 1, 3),
        ("a: &x 1\nb: *y", "WF112", 2, 4),
        ("a: 1\n---\nb: 2", "WF110", 2, 1),
        ("[" * 65, "WF104", 1, 65),
    ],
)
def test_what_cannot_be_read_is_reported_where_it_stands(
    content: str | bytes, rule: str, line: int, column: int
) -> None:
    loaded = load(content, "x.yaml")
    assert loaded.definition is None
    (finding,) = loaded.findings
    assert (finding.id, finding.line, finding.column, finding.file) == (rule, line, column, "x.yaml")


def test_sixty_four_levels_are_read() -> None:
    assert _value("[" * 64 + "]" * 64)


def test_a_byte_order_mark_is_no_problem() -> None:
    assert load(b"\xef\xbb\xbfworkflow: {id: a, nodes: [{id: x, type: tool, tool: t}]}").definition is not None


def test_json_with_escaped_emoji_is_yaml() -> None:
    text = json.dumps(
        {"workflow": {"id": "a", "name": "😀 \\ud83d", "nodes": [{"id": "x", "type": "tool", "tool": "t"}]}}
    )
    loaded = load(text)
    assert loaded.findings == []
    assert loaded.definition is not None
    assert loaded.definition.name == "😀 \\ud83d"


def test_aliases_count_what_they_expand_to() -> None:
    anchor = "a: &a [" + "1," * 998 + "1]\n"
    assert read_document(anchor + "b: [" + "*a," * 10 + "]").value
    with pytest.raises(Unreadable) as caught:
        read_document(anchor + "b: [" + "*a," * 11 + "]")
    assert caught.value.rule.id == "WF105"


def test_aliases_count_the_levels_below_them() -> None:
    with pytest.raises(Unreadable) as caught:
        read_document("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40)
    assert caught.value.rule.id == "WF104"
