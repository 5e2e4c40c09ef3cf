"""What counts as JSON, at every door."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import time
import uuid
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from workflow_runtime.language.json_values import DEPTH_MAX, NotJson, malformed, to_json


class Colour(enum.Enum):
    RED = "red"


class Count(enum.IntEnum):
    ONE = 1


class Loud(str):
    def __str__(self) -> str:
        raise AssertionError("nobody asks")


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


class Renamed(msgspec.Struct, rename={"kind": "type"}):
    kind: str


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (1.5, 1.5),
        ("你好", "你好"),
        (Loud("a"), "a"),
        ((1, [2]), [1, [2]]),
        (OrderedDict(a=1), {"a": 1}),
        (Colour.RED, "red"),
        (Count.ONE, 1),
        (Decimal("1.10"), 1.1),
        (Decimal("3.00"), 3),
        (Decimal(2**64 - 1), 2**64 - 1),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "2026-01-01T00:00:00+00:00"),
        (dt.date(2026, 1, 1), "2026-01-01"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Renamed("a"), {"type": "a"}),
        ({"a": {"b": (1,)}}, {"a": {"b": [1]}}),
    ],
)
def test_what_has_one_obvious_form_is_taken(value: Any, expected: Any) -> None:
    found = to_json(value)
    assert found == expected
    assert type(found) is type(expected)


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "is nan"),
        (-math.inf, "is -inf"),
        (Decimal("NaN"), "is NaN"),
        (Decimal("sNaN"), "is sNaN"),
        (2**64, "beyond 64 bits"),
        pytest.param(10**5000, "beyond 64 bits", id="huge"),
        (Decimal("1E+999999999"), "beyond 64 bits"),
        (b"x", "bytes"),
        ({1, 2}, "sorted"),
        ({1: 2}, "key of type int"),
        ("a\ud83d", "lone surrogates"),
        (object(), "is of type object"),
        (Point, "is of type type"),
        pytest.param(CIRCLE, "contains itself", id="circle"),
    ],
)
def test_everything_else_is_refused_with_its_place(value: Any, reason: str) -> None:
    with pytest.raises(NotJson) as caught:
        to_json({"a": [0, {"值": value}]}, "input")
    message = str(caught.value)
    assert message.startswith("input.a[1].值")
    assert reason in message
    message.encode()  # it is shown and stored: a wrong key or text must not spoil it


def test_a_key_with_lone_surrogates_is_shown_without_them() -> None:
    with pytest.raises(NotJson) as caught:
        to_json({"a\ud83d": 1})
    assert str(caught.value) == '["a?"] is text with lone surrogates, which UTF-8 cannot hold'


def test_nesting_has_a_limit() -> None:
    deep: Any = 1
    for _ in range(DEPTH_MAX):
        deep = [deep]
    assert to_json(deep) == deep
    with pytest.raises(NotJson, match="levels deep"):
        to_json([[deep]])


def test_the_result_shares_nothing_with_the_value() -> None:
    value: dict[str, Any] = {"a": [1]}
    found = to_json(value)
    value["a"].append(2)
    assert found == {"a": [1]}


def test_the_cost_is_linear_also_under_long_keys() -> None:
    """With the place of every element made ahead, this would copy the key 100,000 times."""
    value = {"k" * 1_000_000: list(range(100_000))}
    start = time.process_time()
    to_json(value)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("text", "half"),
    [(r'{"a": "\ud800"}', r"\ud800"), (r'["\uDC01 x"]', r"\uDC01"), (r'["\ud83d\ude00\ude00"]', r"\ude00")],
)
def test_half_a_character_is_named(text: str, half: str) -> None:
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(text)
    assert f"`{half}` is half of a character" in malformed(text, caught.value)


def test_other_mistakes_are_told_as_the_decoder_does() -> None:
    assert malformed(r'["\ud83d\ude00', ValueError("cut off")) == "cut off"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": NaN}', "`NaN` is nothing that JSON can hold; use null (byte 6)"),
        ('\ufeff["é", -Infinity]', "`Infinity` is nothing that JSON can hold; use null (byte 8)"),
        ('{"a": 1e400}', "a number is beyond 1.8e308, the largest that can be read; use text"),
        ('["NaN", NaNs]', "JSON is malformed: invalid character (byte 8)"),
    ],
)
def test_numbers_that_json_has_not_are_named(text: str, said: str) -> None:
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(text.removeprefix("\ufeff"))
    assert malformed(text, caught.value) == said
