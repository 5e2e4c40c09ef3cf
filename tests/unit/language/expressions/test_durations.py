"""Durations read as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.language.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1d 2h 3m 4s 5ms", 93784.005),
        ("1.5h", 5400),
        (" 10s ", 10),
        ("90", 90),
        ("0", 0),
        ("PT15M", 900),
        ("pt1.5s", 1.5),
        ("P1DT2H", 93600),
        ("P2W", 1209600),
        (30, 30),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_read_in_seconds(text: Any, seconds: float) -> None:
    result = parse_duration(text)
    assert result == seconds
    assert type(result) is float


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("soon", "not a duration"),
        ("5 minutes", "not a duration"),
        ("30m1h", "largest to the smallest"),
        ("1h1h", "largest to the smallest"),
        ("-5m", "not a duration"),
        (-1, "negative"),
        ("P", "ISO 8601"),
        ("PT", "ISO 8601"),
        ("P1DT", "ISO 8601"),
        ("P1Y", "no fixed length"),
        ("999999999d", "century"),
        (1e300, "century"),
        (float("inf"), "century"),
        (float("nan"), "finite"),
        (True, "number of seconds"),
        (None, "number of seconds"),
        ("５m", "not a duration"),
        ("1" * 100_000, "not a duration"),
    ],
)
def test_anything_else_is_refused_with_a_reason(text: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_duration(text)
