"""The samples in `definitions/en` and `events/en` are those beside `en` with English texts for Chinese ones."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
KINDS = ("agents", "mocks", "tools", "workflows")
SAMPLES = sorted(
    [
        *(path for kind in KINDS for path in (ROOT / "definitions" / kind).iterdir() if path.is_file()),
        *(ROOT / "events").glob("*.input.json"),
        *(ROOT / "events" / "incident_response").glob("*.json"),
    ]
)


def counterpart(sample: Path) -> Path:
    folder = "definitions" if sample.is_relative_to(ROOT / "definitions") else "events"
    return ROOT / folder / "en" / sample.relative_to(ROOT / folder)


def content(file: Path) -> Any:
    text = file.read_text("utf-8")
    match file.suffix:
        case ".json":
            return json.loads(text)
        case ".py":
            return ast_value(ast.parse(text))
    return yaml.safe_load(text)


def ast_value(node: Any) -> Any:
    """A syntax tree without positions, as lists and mappings; an f-string is one text."""
    if isinstance(node, ast.JoinedStr):
        return ast.unparse(node)
    if isinstance(node, ast.AST):
        return {"": type(node).__name__} | {name: ast_value(value) for name, value in ast.iter_fields(node)}
    return [ast_value(each) for each in node] if isinstance(node, list) else node


def differences(chinese: Any, english: Any, path: str = "") -> Iterator[str]:
    """Where two values differ in more than the language of their texts."""
    match chinese, english:
        case (dict(), dict()) if chinese.keys() == english.keys():
            for key in chinese:
                yield from differences(chinese[key], english[key], f"{path}.{key}")
        case (list(), list()) if len(chinese) == len(english):
            for index, (ours, theirs) in enumerate(zip(chinese, english, strict=True)):
                yield from differences(ours, theirs, f"{path}[{index}]")
        case (str(), str()) if CHINESE.search(chinese):
            if not english.strip() or CHINESE.search(english):
                yield f"{path}: {english!r} does not say {chinese!r} in English"
        case _ if chinese != english:
            yield f"{path}: {chinese!r} became {english!r}"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_sample_with_chinese_texts_has_an_english_counterpart(sample: Path) -> None:
    if not CHINESE.search(sample.read_text("utf-8")):
        assert not counterpart(sample).exists(), "the sample itself serves both languages"
        return
    assert not CHINESE.search(counterpart(sample).read_text("utf-8"))
    assert list(differences(content(sample), content(counterpart(sample)))) == []


def test_every_english_sample_has_its_original() -> None:
    english = {path for folder in ("definitions", "events") for path in (ROOT / folder / "en").rglob("*.*")}
    assert {path for path in english if "__pycache__" not in path.parts} <= set(map(counterpart, SAMPLES))


@pytest.mark.parametrize(
    ("chinese", "english"),
    [
        ({"id": "a", "name": "订单"}, {"id": "b", "name": "Order"}),
        ({"name": "订单"}, {"name": "订单"}),
        ({"name": "订单"}, {"name": "Order", "timeout": 1}),
        (["订单", 1], ["Order"]),
        (["订单"], [""]),
    ],
    ids=["id", "untranslated", "field", "item", "no text"],
)
def test_more_than_the_language_is_a_difference(chinese: Any, english: Any) -> None:
    assert list(differences({"id": "a", "name": "订单 ${n}"}, {"id": "a", "name": "Order ${n}"})) == []
    assert list(differences(chinese, english))
