"""Reading small YAML files."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.errors import DefinitionError
from workflow_runtime.language.yaml.small_files import WRONG_FIELD, nearest, parse_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: on\nb: no\nc: 12:30\nd: 2026-01-02\ne: 010\nf: 1_000",
         {"a": "on", "b": "no", "c": "12:30", "d": "2026-01-02", "e": 10, "f": "1_000"}),
        ("a: ~\nb:\nc: TRUE\nd: 0x1F\ne: 1e3\nf: .5\ng: -3",
         {"a": None, "b": None, "c": True, "d": 31, "e": 1000.0, "f": 0.5, "g": -3}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("\ufeff中: '文'", {"中": "文"}), ('{"a": "\\u4e2d"}', {"a": "中"}), ("", None), ("1: a", {"1": "a"}),
        ("a: '<<'\n'<<': b", {"a": "<<", "<<": "b"}),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert parse_document(text.encode()).value == value


BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a: 1\nb: 2\na: 3", ":3:1: error WF601: f.yaml has the key 'a' twice"),
        (b"a: !!python/object:os.system {}", "uses the tag"), (b"a: !x 1", "uses the tag"), (b"a: [1", "no valid YAML"),
        (b"a: {<<: {b: 1}}", "merge"), (b"? [1]\n: 2", "a key that is no text"), (b"\xff", "not UTF-8"),
        (b"a: &a [*a]", "nested more than"), (b"[" * 500, "nested more than|no valid YAML"),
        (BOMB.encode(), "more than 50000"),
        (b"a: 1e999", "out of range"), (b"a" * 2_000_000, "larger than"), (b"a: 1\n---\nb: 2", "no valid YAML"),
        (b"a: ${x: 1}: 2", "put quotes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_safely_is_refused(text: bytes, expected: str) -> None:
    with pytest.raises(DefinitionError, match=expected):
        parse_document(text, "f.yaml")


def test_a_finding_stands_at_the_nearest_place_that_exists() -> None:
    document = parse_document(b"a:\n  - b: 1\n    c: 2\n", "f.yaml")
    finding = document.finding(WRONG_FIELD, "wrong", ("a", 0, "c", "d"))
    assert (finding.line, finding.column, finding.path) == (3, 8, "a[0].c.d")


def test_near_names_ignore_case_and_separators() -> None:
    assert nearest("Send_Email", ["send-email", "echo"]) == ["send-email"]
    assert nearest("zzz", ["send-email"]) == []
