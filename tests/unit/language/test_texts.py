"""How texts are shown: in their width, on one line, obeyed by no terminal, and at a cost that does not follow their
length."""

from __future__ import annotations

import json
import random
import unicodedata
from typing import Any

import pytest
from tests.seeds import for_seeds

from workflow_runtime.language.texts import (
    CHARACTERS_PER_COLUMN,
    LABEL_COLUMNS,
    columns,
    preview,
    shorten,
    visible,
    visible_lines,
)

MEGABYTE = 1024 * 1024


class Counted(str):
    """A text that counts how many of its characters are looked at; only its slices may be."""

    looked_at = 0

    def __getitem__(self, key: Any) -> str:
        found = super().__getitem__(key)
        self.looked_at += len(found)
        return found

    def _whole(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the whole text is looked at")

    __iter__ = __contains__ = __add__ = __format__ = __str__ = _whole
    split = strip = lstrip = rstrip = encode = translate = isprintable = isascii = splitlines = replace = _whole


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert (columns("订单"), columns("ab"), columns("é"), columns("e\u0301"), columns("क्\u200dष")) == (4, 2, 1, 1, 2)


def test_a_shortened_text_is_one_line_and_says_that_more_follows() -> None:
    assert shorten("a\n b\t c") == "a b c"
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
    assert shorten("订单订单", 6) == "订单…"
    assert shorten("订单订", 6) == "订单订"


@for_seeds(range(50))
def test_a_shortened_text_never_takes_more_room_than_there_is(seed: int) -> None:
    choose = random.Random(seed)
    text = "".join(choose.choice("ab 订单\u0301\u202e\x1b\n🙂é") for _ in range(choose.randrange(400)))
    room = choose.randrange(1, 60)
    shown = shorten(text, room)
    assert columns(shown) <= room
    assert shown.isprintable()
    whole = visible(" ".join(text.split()))
    assert shown == whole if columns(whole) <= room and len(text) <= room else whole.startswith(shown.removesuffix("…"))


@pytest.mark.parametrize("character", ["x", " ", "订", "\u0301", "\u202e", "\n"])
def test_shortening_looks_at_what_it_shows_and_not_at_the_rest(character: str) -> None:
    text = Counted(character * MEGABYTE)
    shown = shorten(text)
    assert shown.endswith("…")
    assert columns(shown) <= LABEL_COLUMNS
    assert text.looked_at <= LABEL_COLUMNS * CHARACTERS_PER_COLUMN


def test_a_preview_is_the_beginning_of_the_json_text() -> None:
    for value in (None, True, 1.5, "a", [], {}, [1, "二", {"a": []}], {"x": {"y": [None, False]}}):
        assert preview(value, 100) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert preview({"text": "x" * 100}, 20) == '{"text":"xxxxxxxxxx…'


def test_a_preview_reads_no_more_than_it_shows() -> None:
    text, last = Counted("x" * MEGABYTE), Counted("y" * MEGABYTE)
    assert preview({"first": [text, last]}, 20) == '{"first":["xxxxxxxx…'
    assert text.looked_at <= 20 * CHARACTERS_PER_COLUMN + 1
    assert last.looked_at == 0


def test_a_preview_of_a_deep_value_ends() -> None:
    value: Any = "x"
    for _ in range(50_000):
        value = [value]
    assert preview(value, 2_000).startswith("[[[[")


def test_control_and_bidirectional_characters_are_shown_and_not_obeyed() -> None:
    hostile = ["\x1b[2J", "\a", "\r", "\x9b", "\u202e", "\u2066", "\u200f", "\u061c", "\u2028", "\ufeff", "\x7f"]
    for text in hostile:
        shown = visible(f"a{text}b")
        assert shown.startswith("a\\")
        assert all(unicodedata.category(character)[0] not in "C" for character in shown)


def test_what_has_lines_keeps_them() -> None:
    assert visible_lines("Traceback:\n  a\x1b[2J\n\n订单\u202e") == "Traceback:\n  a\\x1b[2J\n\n订单\\u202e"


def test_ordinary_text_of_any_script_is_shown_as_it_is() -> None:
    for text in ("订单\u3000状态", "می\u200cخواهم", "👩\u200d💻", "naïve\u00a0café", "क्\u200dष"):
        assert visible(text) == text
