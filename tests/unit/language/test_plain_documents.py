"""Plain documents are read quickly, and as any other would be."""

from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest

from workflow_runtime.language.yaml.document import Document, read_closely, read_document
from workflow_runtime.language.yaml.places import MappingPlace, Place, SequencePlace
from workflow_runtime.language.yaml.plain import read_plain
from workflow_runtime.language.yaml.text import Unreadable

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "definitions").glob("**/*.yaml"))
ODD = sorted((ROOT / "tests" / "unit" / "definition" / "golden").glob("*.yaml"))
# fmt: off
SCRATCHES = ["'", '"', "\n", " ", ": ", "- ", "{", "}", "[", "]", ",", "#", " #", "|\n", ">-\n", "&a ", "*a", "<<: ",
             "!", "!!str ", "?", "${", "}", "1", "null", "0x1G", ".inf", "9" * 25, "\n---\n", "\n...\n", "字", "\t"]
# fmt: on
TEXTS = 600


def _dump(place: Place) -> Any:
    if isinstance(place, MappingPlace):
        return place.position, list(place.keys.items()), [(key, _dump(item)) for key, item in place.children.items()]
    if isinstance(place, SequencePlace):
        return place.position, [_dump(item) for item in place.children]
    return place


def _closely(text: str) -> Document | None:
    try:
        return read_closely(text)
    except Unreadable:
        return None


def _scratched(text: str, random: Random) -> str:
    """A part of the text with a few scratches."""
    text = text[: random.randrange(len(text) + 1)] if random.random() < 0.5 else text
    for _ in range(random.randrange(4)):
        at = random.randrange(len(text) + 1)
        text = text[:at] + random.choice(SCRATCHES) + text[at + random.randrange(3) :]
    return text


def test_what_is_plain_is_read_as_anything_is() -> None:
    texts = [path.read_text("utf-8") for path in chain(SHIPPED, ODD)]
    plain = 0
    for seed in range(TEXTS):
        random = Random(seed)
        text = _scratched(random.choice(texts), random)
        quickly = read_plain(text)
        if quickly is None:
            continue
        plain += 1
        closely = _closely(text)
        assert closely is not None, f"seed {seed}"
        flags = (closely.problems, closely.is_empty, closely.templates_in_keys)
        assert flags == ((), False, False), f"seed {seed}"
        assert repr(quickly.value) == repr(closely.value), f"seed {seed}"  # types and order, too
        assert _dump(quickly.place()) == _dump(closely.place), f"seed {seed}"
    assert plain > TEXTS / 10


def test_nearly_all_that_is_shipped_is_plain() -> None:
    others = [path.name for path in SHIPPED if read_plain(path.read_text("utf-8")) is None]
    assert len(others) < len(SHIPPED) / 4, others


@pytest.mark.parametrize(
    "text",
    ["a: &x 1", "a: *x", "a: !!str 1", "{<<: {a: 1}}", "{a: 1, a: 2}", "1: a", "[a]: b", "${a}: b", "a: ${b #c}", "",
     "a: .inf", "a: 1\n---\nb: 1", "a: [", "k" * 1_025 + ": 1", f"[{'x' * (1024 * 1024 + 1)}]", "[" * 65 + "]" * 65,
     f"[{'1,' * 200_000}]"],
)  # fmt: skip
def test_everything_else_is_read_closely(text: str) -> None:
    assert read_plain(text) is None


def test_what_is_asked_where_it_stands_has_been_found_once() -> None:
    document = read_document("a: [1, {b: 2}]")
    assert document.place is document.place
