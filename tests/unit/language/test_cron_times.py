"""Expressions of EventBridge Scheduler: when they fire next, held against a slow reading of the same rules."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_runtime.language.schedules import next_time


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def times(expression: str, after: str, count: int = 3, zone: str = "UTC") -> list[str]:
    """The next times as local ones."""
    found: list[str] = []
    at = ms(after, zone)
    while len(found) < count:
        following = next_time(expression, zone, at)
        if following is None:
            break
        at = following
        found.append(datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(15 10 * * ? *)", ["2024-02-27 10:15", "2024-02-28 10:15", "2024-02-29 10:15"]),
        ("cron(0/15 8-9 ? * MON-FRI *)", ["2024-02-27 08:00", "2024-02-27 08:15", "2024-02-27 08:30"]),
        ("cron(*/20 23 28,29 2 ? *)", ["2024-02-28 23:00", "2024-02-28 23:20", "2024-02-28 23:40"]),
        ("cron(50/5 * ? * * *)", ["2024-02-27 00:50", "2024-02-27 00:55", "2024-02-27 01:50"]),
        ("cron(0 0 L * ? *)", ["2024-02-29 00:00", "2024-03-31 00:00", "2024-04-30 00:00"]),
        ("cron(0 0 LW * ? *)", ["2024-02-29 00:00", "2024-03-29 00:00", "2024-04-30 00:00"]),
        ("cron(0 0 1W * ? *)", ["2024-03-01 00:00", "2024-04-01 00:00", "2024-05-01 00:00"]),
        ("cron(0 0 1W 6,9 ? *)", ["2024-06-03 00:00", "2024-09-02 00:00", "2025-06-02 00:00"]),
        ("cron(0 0 31W * ? *)", ["2024-03-29 00:00", "2024-05-31 00:00", "2024-07-31 00:00"]),
        ("cron(0 0 ? * L *)", ["2024-03-02 00:00", "2024-03-09 00:00", "2024-03-16 00:00"]),
        ("cron(0 0 ? * 6L *)", ["2024-03-29 00:00", "2024-04-26 00:00", "2024-05-31 00:00"]),
        ("cron(0 0 ? * FRIL *)", ["2024-03-29 00:00", "2024-04-26 00:00", "2024-05-31 00:00"]),
        ("cron(0 0 ? * 3#1 *)", ["2024-03-05 00:00", "2024-04-02 00:00", "2024-05-07 00:00"]),
        ("cron(0 0 ? * MON#5 *)", ["2024-04-29 00:00", "2024-07-29 00:00", "2024-09-30 00:00"]),
        ("cron(0 0 ? * 1 *)", ["2024-03-03 00:00", "2024-03-10 00:00", "2024-03-17 00:00"]),
        ("cron(0 0 ? * sun,Wed *)", ["2024-02-28 00:00", "2024-03-03 00:00", "2024-03-06 00:00"]),
        ("cron(0 12 29 FEB ? *)", ["2024-02-29 12:00", "2028-02-29 12:00", "2032-02-29 12:00"]),
        ("cron(0 12 1 JAN-MAR/2 ? *)", ["2024-03-01 12:00", "2025-01-01 12:00", "2025-03-01 12:00"]),
        ("cron(0 12 1 1 ? 2024-2030/3)", ["2027-01-01 12:00", "2030-01-01 12:00"]),
        ("cron(0 12 1 1 ? 2023,2026)", ["2026-01-01 12:00"]),
        ("cron(0 0 31 2 ? *)", []),
        ("cron(0 0 1 1 ? 2020)", []),
        ("rate(1 minute)", ["2024-02-27 00:01", "2024-02-27 00:02", "2024-02-27 00:03"]),
        ("rate(36 hours)", ["2024-02-28 12:00", "2024-03-01 00:00", "2024-03-02 12:00"]),
        ("rate(2 days)", ["2024-02-29 00:00", "2024-03-02 00:00", "2024-03-04 00:00"]),
    ],
)
def test_an_expression_fires_when_it_says(expression: str, expected: list[str]) -> None:
    assert times(expression, "2024-02-27T00:00") == expected


def test_it_fires_after_the_time_given_never_at_it() -> None:
    at = ms("2024-01-01T10:15")
    assert next_time("cron(15 10 * * ? *)", "UTC", at - 1) == at
    assert next_time("cron(15 10 * * ? *)", "UTC", at) == ms("2024-01-02T10:15")


def test_local_times_that_do_not_exist_are_skipped() -> None:
    """Berlin, 31 March 2024: after 01:59 comes 03:00."""
    expected = ["2024-03-30 02:30", "2024-04-01 02:30"]
    assert times("cron(30 2 * * ? *)", "2024-03-30T00:00", 2, "Europe/Berlin") == expected
    hourly = ["2024-03-31 01:30", "2024-03-31 03:30"]
    assert times("cron(30 * * * ? *)", "2024-03-31T01:00", 2, "Europe/Berlin") == hourly


def test_local_times_that_come_twice_fire_the_first_time_only() -> None:
    """Berlin, 27 October 2024: after 02:59 comes 02:00 again."""
    first = next_time("cron(30 2 * * ? *)", "Europe/Berlin", ms("2024-10-27T00:00", "Europe/Berlin"))
    assert first == ms("2024-10-27T00:30")
    assert times("cron(30 2 * * ? *)", "2024-10-27T00:00", 2, "Europe/Berlin") == [
        "2024-10-27 02:30",
        "2024-10-28 02:30",
    ]
    second_half_past_two = ms("2024-10-27T01:30")
    following = next_time("cron(0/10 * * * ? *)", "Europe/Berlin", second_half_past_two)
    assert following == ms("2024-10-27T02:00"), "the repeated hour is over"


def test_a_zone_half_an_hour_off_is_exact() -> None:
    assert times("cron(0 9 * * ? *)", "2024-02-27T00:00", 1, "Asia/Kolkata") == ["2024-02-27 09:00"]
    assert next_time("cron(0 9 * * ? *)", "Asia/Kolkata", ms("2024-02-27T00:00")) == ms("2024-02-27T03:30")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "cron()",
        "cron(* * * * *)",
        "cron(* * * * * *)",
        "cron(* * ? * ? *)",
        "cron(60 * * * ? *)",
        "cron(* 24 * * ? *)",
        "cron(* * 0 * ? *)",
        "cron(* * 32 * ? *)",
        "cron(* * * 13 ? *)",
        "cron(* * ? * 8 *)",
        "cron(* * ? * 0 *)",
        "cron(* * ? * MON#6 *)",
        "cron(* * * * ? 1969)",
        "cron(* * * * ? 2200)",
        "cron(30-10 * * * ? *)",
        "cron(*/0 * * * ? *)",
        "cron(1,,2 * * * ? *)",
        "cron(a * * * ? *)",
        "cron(* * W * ? *)",
        "cron(* * L-3 * ? *)",
        "cron(* * * MONDAY ? *)",
        "cron(١ * * * ? *)",
        "rate(0 minutes)",
        "rate(1 week)",
        "rate(-1 hours)",
        "rate(1.5 hours)",
        "at(2024-01-01T00:00:00)",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        next_time(expression, "UTC", 0)


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../etc/passwd", "欧洲"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        next_time("cron(0 0 * * ? *)", zone, 0)


NUMBERS = st.sampled_from(["*", "0", "5", "3-20", "1/7", "*/9", "2,4,19", "0-18/6"])
DAYS = st.sampled_from(["*", "1", "31", "28-31", "15,30", "2/10"])
MONTHS = st.sampled_from(["*", "2", "JAN,JUL", "3-11/4"])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])


MONTH_NUMBERS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}


def _matches(field: str, value: int, low: int, high: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first == "*" else MONTH_NUMBERS.get(first) or int(first)
        end = int(last) if last else (high if step or first == "*" else start)
        if value in range(start, end + 1, int(step or 1)):
            return True
    return False


@settings(max_examples=10, deadline=None)
@given(NUMBERS, NUMBERS, DAYS, MONTHS, ZONES, st.integers(ms("2023-01-01T00:00"), ms("2026-01-01T00:00")))
def test_the_next_time_is_the_first_minute_that_matches(
    minute: str, hour: str, day: str, month: str, zone: str, after: int
) -> None:
    expression = f"cron({minute} {hour} {day} {month} ? *)"
    found = next_time(expression, zone, after)
    instant = datetime.fromtimestamp(after // 60_000 * 60, UTC)
    for _ in range(24 * 60):  # minute by minute, for a day
        instant += timedelta(minutes=1)
        wall = instant.astimezone(ZoneInfo(zone))
        first = wall.fold == 0
        fits = _matches(minute, wall.minute, 0, 59) and _matches(hour, wall.hour, 0, 23)
        if first and fits and _matches(day, wall.day, 1, 31) and _matches(month, wall.month, 1, 12):
            assert found == int(instant.timestamp()) * 1000
            return
    assert found is None or found > int(instant.timestamp()) * 1000
