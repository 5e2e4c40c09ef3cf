"""Suggestions name what an author most likely meant."""

from __future__ import annotations

import pytest

from workflow_runtime.language.suggestions import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("Send_Email", ["send-email", "echo"], "send-email"),
        ("depends-on", ["dependencies", "depends_on"], "depends_on"),
        ("查寻", ["查询", "通知"], "查询"),
        ("e\u0301tat", ["état"], "état"),
        ("ｎame", ["id", "name"], "name"),
        ("zzz", ["send-email"], None),
        ("x", [], None),
    ],
)
def test_the_nearest_word_ignores_case_separators_and_how_characters_are_written(
    word: str, known: list[str], expected: str | None
) -> None:
    assert nearest(word, known) == expected


def test_few_known_words_are_listed_and_many_are_not() -> None:
    assert did_you_mean("zzz", ["one", "two"]) == "Known here: `one`, `two`."
    assert did_you_mean("zzz", [f"name{number}" for number in range(100)]) is None
