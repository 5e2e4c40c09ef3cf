"""Files of agents, tools, mocks and scenarios are read like workflow files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.errors import DefinitionError
from workflow_runtime.language.yaml.small_files import WRONG_FIELD, parse_document, read_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: on\nb: no\nc: 12:30\nd: 2026-01-02\ne: 010\nf: 1_000",
         {"a": "on", "b": "no", "c": "12:30", "d": "2026-01-02", "e": 10, "f": "1_000"}),
        ("a: ~\nb:\nc: TRUE\nd: 0x1F\ne: 1e3\nf: .5\ng: -3",
         {"a": None, "b": None, "c": True, "d": 31, "e": 1000.0, "f": 0.5, "g": -3}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("\ufeff中: '文'", {"中": "文"}), ('{"a": "\\u4e2d"}', {"a": "中"}), ("", None),
        ("a: '<<'\n'<<': b", {"a": "<<", "<<": "b"}),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert parse_document(text.encode()).value == value


BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a: 1\nb: 2\na: 3", "f.yaml:3:1: error WF108: the key `a` already stands at line 1"),
        (b"a: !!python/object:os.system {}", "WF107"), (b"a: !x 1", "WF107"), (b"a: [1", "not valid YAML"),
        (b"? [1]\n: 2", "a list cannot be a key"), (b"1: a", "the key 1 is not text"), (b"\xff", "not UTF-8"),
        (b"a: &a [*a]", "inside its own anchor"), (b"[" * 500, "nested more than 64"),
        (BOMB.encode(), "aliases expand"), (b"a: 1e999", "too large"), (b"a" * 5_000_000, "bytes; at most"),
        (b"a: 1\n---\nb: 2", "f.yaml:2:1: error WF110: a second document"), (b"a: ${x: 1}: 2", "in quotes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_safely_is_refused_with_its_place(text: bytes, expected: str) -> None:
    with pytest.raises(DefinitionError, match=expected) as caught:
        parse_document(text, "f.yaml")
    assert all(finding.line > 0 and finding.file == "f.yaml" for finding in caught.value.findings)


def test_everything_that_is_wrong_with_a_file_is_reported_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_document("a: 1\na: 2\nb: !x 3\n2: c\n")
    assert [(finding.id, finding.line) for finding in caught.value.findings] == [
        ("WF108", 2),
        ("WF107", 3),
        ("WF109", 4),
    ]


def test_a_finding_stands_at_the_nearest_place_that_exists() -> None:
    document = parse_document(b"a:\n  - b: 1\n    c: 2\n", "f.yaml")
    finding = document.finding(WRONG_FIELD, "wrong", ("a", 0, "c", "d"))
    assert (finding.line, finding.column, finding.path) == (3, 8, "a[0].c.d")


def test_a_file_that_cannot_be_opened_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"error WF601: the file .*gone\.yaml cannot be read"):
        read_document(tmp_path / "gone.yaml")
