"""Schedules: what people write becomes an expression of EventBridge Scheduler, and when such an expression fires next.

`cron_expression` and `rate_expression` take five fields of Unix cron, six of EventBridge, intervals and durations;
`next_time` is for what runs without AWS, where the service does it. Source: EventBridge Scheduler user guide, "Schedule
types"; crontab(5). The two disagree in the numbers of weekdays (Unix: 0 or 7 is Sunday; EventBridge: 1), in `?`, which
EventBridge wants for whichever of the two kinds of day says nothing, and when both say something: Unix fires on either,
EventBridge has no way to say that. Local times that daylight saving time leaves out are skipped; those that it repeats
fire the first time only.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.texts import quoted

YEAR_MIN, YEAR_MAX = 1970, 2199
RATE_MAX = 10_000_000  # of any unit; beyond any year that cron knows

_MONTHS = {
    "JAN": 1,
    "FEB": 2,
    "MAR": 3,
    "APR": 4,
    "MAY": 5,
    "JUN": 6,
    "JUL": 7,
    "AUG": 8,
    "SEP": 9,
    "OCT": 10,
    "NOV": 11,
    "DEC": 12,
}
_WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_UNIT_MS = {"day": 86_400_000, "hour": 3_600_000, "minute": 60_000}
_RATE = re.compile(r"rate\(([0-9]{1,18}) (minute|hour|day)s?\)")
_INTERVAL = re.compile(r"([0-9]{1,18}) ?(minute|hour|day)s?")
_CRON = re.compile(r"cron\(([^()]*)\)")
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")

_FIELD = re.compile(r"[0-9A-Z*?,/#L-]+")

CRON_HINT = "Five fields (minute hour day month weekday) or six (… year), for example `0 8 * * 1-5`."

Days = Callable[[int, int], set[int]]
"""The days of a month on which it fires, by year and month."""


class _Cron(msgspec.Struct, frozen=True):
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: Days
    months: tuple[int, ...]
    years: tuple[int, ...]

    def after(self, wall: datetime) -> Iterator[datetime]:
        """The local times at which it fires, from the minute of ``wall`` on."""
        for year in self.years:
            for month in self.months:
                if (year, month) < (wall.year, wall.month):
                    continue
                for day in sorted(self.days(year, month)):
                    if date(year, month, day) < wall.date():
                        continue
                    yield from (
                        datetime(year, month, day, hour, minute)  # noqa: DTZ001  a local time, not yet an instant
                        for hour in self.hours
                        for minute in self.minutes
                    )


class ScheduleError(ValueError):
    """What is wrong with a schedule, and what to write instead (perhaps nothing)."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def cron_expression(text: str, timezone: str = "UTC") -> str:
    """``cron(…)`` with six fields, of five (Unix) or six (EventBridge). Raises `ScheduleError`."""
    wrapped = re.fullmatch(r"\s*cron\((.*)\)\s*", text)
    fields = (wrapped.group(1) if wrapped else text).upper().split()
    if len(fields) == 5:
        fields = _from_unix(*fields)
    if len(fields) != 6 or not all(_FIELD.fullmatch(field) for field in fields):
        raise ScheduleError(f"{quoted(text)} is not a cron expression", CRON_HINT)
    expression = f"cron({' '.join(fields)})"
    try:
        fires = next_time(expression, timezone, 0)
    except ValueError as error:
        raise ScheduleError(str(error)) from None
    if fires is None:
        raise ScheduleError(
            f"{quoted(text)} never fires: no date of the calendar fits", "Check its day, month and year."
        )
    return expression


def rate_expression(value: str | int | float) -> str:
    """``rate(n minutes|hours|days)`` of an interval (``5 minutes``) or a duration. Raises `ScheduleError`."""
    text = value.strip() if isinstance(value, str) else ""
    written = _INTERVAL.fullmatch(text) or _RATE.fullmatch(text)
    if written:
        count, unit = int(written[1]), written[2]
    else:
        count, unit = _whole_units(value)
    if not 1 <= count <= RATE_MAX:
        raise ScheduleError(f"a rate of {count} {unit}s is out of range: 1 to {RATE_MAX:,} {unit}s")
    return f"rate({count} {unit}s)"


def _whole_units(value: str | int | float) -> tuple[int, str]:
    """A duration in the largest unit of which it is a whole number."""
    try:
        seconds = parse_duration(value)
    except (ValueError, OverflowError):
        raise ScheduleError(f"{quoted(str(value))} is not a rate", "For example `5 minutes` or `1h`.") from None
    for unit, length_ms in _UNIT_MS.items():
        count = seconds * 1000 / length_ms
        if count >= 1 and count.is_integer():
            return int(count), unit
    raise ScheduleError(
        f"{seconds:g} seconds are not a whole number of minutes",
        "Schedules are exact to the minute; write `1m` or more.",
    )


def _from_unix(minute: str, hour: str, day: str, month: str, weekday: str) -> list[str]:
    by_day, by_weekday = day not in ("*", "?"), weekday not in ("*", "?")
    if by_day and by_weekday:
        raise ScheduleError(
            "a day of the month and a weekday together cannot be expressed", "Write two triggers, one for each."
        )
    days = "?" if by_weekday else _stepped(day.replace("?", "*"), 1)
    weekdays = _weekdays(weekday) if by_weekday else "?"
    return [_stepped(minute, 0), _stepped(hour, 0), days, _stepped(month, 1), weekdays, "*"]


def _stepped(field: str, first: int) -> str:
    """``*/n`` counts from the first value of the field in both; EventBridge's documents write that value."""
    return re.sub(r"(?<![^,])\*/", f"{first}/", field)


def _weekdays(field: str) -> str:
    """Unix weekdays as EventBridge numbers them, as a range where they are one."""
    found: set[int] = set()
    for part in field.split(","):
        written = re.fullmatch(r"(\*|[0-7]|[A-Z]{3})(?:-([0-7]|[A-Z]{3}))?(?:/([1-7]))?", part)
        if written is None or (part.startswith("*-")):
            hint = "For L, W and # write the six fields of EventBridge, where 1 is Sunday."
            raise ScheduleError(f"`{part}` is not a weekday of a cron expression with five fields", hint)
        start, end, step = written.groups()
        first = 0 if start == "*" else _weekday(start)
        last = 6 if start == "*" or (step and not end) else _weekday(end) if end else first
        if end in ("0", "SUN") and first > 0:
            last = 7
        if last < first:
            raise ScheduleError(f"`{part}` ends before it begins", "Write the two parts with a comma.")
        found.update(day % 7 + 1 for day in range(first, last + 1, int(step or 1)))
    days = sorted(found)
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{days[0]}-{days[-1]}"
    return ",".join(map(str, days))


def _weekday(text: str) -> int:
    if text.isdigit():
        return int(text)
    if text not in _WEEKDAYS:
        raise ScheduleError(f"`{text}` is not a weekday", f"One of {', '.join(_WEEKDAYS)}, or 0 to 7.")
    return _WEEKDAYS[text] - 1


def next_time(expression: str, timezone: str, after_ms: int) -> int | None:
    """The first time (epoch ms) after ``after_ms`` at which it fires; None: never again. A rate counts from there.

    Raises `ValueError` for what EventBridge Scheduler would not take.
    """
    zone = _zone(timezone)
    rate = _RATE.fullmatch(expression)
    if rate is not None:
        count = int(rate[1])
        if not 1 <= count <= RATE_MAX:
            raise ValueError(f"{expression}: a rate is a positive number")
        return after_ms + count * _UNIT_MS[rate[2]]
    cron = _parsed(expression)
    after = datetime.fromtimestamp(after_ms / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    for wall in cron.after(after):
        instant = wall.replace(tzinfo=zone).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) != wall:
            continue  # the clocks went forward over it
        time_ms = int(instant.timestamp()) * 1000
        if time_ms > after_ms:
            return time_ms
    return None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone") from error


@lru_cache(maxsize=256)
def _parsed(expression: str) -> _Cron:
    match = _CRON.fullmatch(expression)
    if match is None:
        raise ValueError(f"{expression!r} is neither cron(…) nor rate(<number> minutes|hours|days)")
    fields = match[1].upper().split()
    if len(fields) != 6:
        raise ValueError(f"{expression}: six fields are expected (minutes hours day month weekday year)")
    minutes, hours, day, month, weekday, year = fields
    if (day == "?") == (weekday == "?"):
        raise ValueError(f"{expression}: exactly one of day of month and day of week must be ?")
    try:
        return _Cron(
            minutes=_values(minutes, 0, 59),
            hours=_values(hours, 0, 23),
            days=_days_of_month(day) if weekday == "?" else _days_of_week(weekday),
            months=_values(month, 1, 12, _MONTHS),
            years=_values(year, YEAR_MIN, YEAR_MAX),
        )
    except ValueError as error:
        raise ValueError(f"{expression}: {error}") from error


def _values(field: str, low: int, high: int, names: dict[str, int] | None = None) -> tuple[int, ...]:
    """The numbers that a field of lists, ranges and steps stands for, ascending."""
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not understood")
        first, last, step = match.groups()
        start = low if first is None else _number(first, low, high, names)
        if last is not None:
            end = _number(last, low, high, names)
        else:
            end = start if first is not None and step is None else high
        if end < start or step == "0":
            raise ValueError(f"{part!r} has no values")
        found.update(range(start, end + 1, int(step or 1)))
    return tuple(sorted(found))


def _number(text: str, low: int, high: int, names: dict[str, int] | None = None) -> int:
    value = (names or {}).get(text)
    if value is None:
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{text!r} is not a number")
        value = int(text)
    if not low <= value <= high:
        raise ValueError(f"{value} is not within {low} to {high}")
    return value


def _days_of_month(field: str) -> Days:
    """``L`` is the last day, ``15W`` the weekday nearest to the 15th in the same month, ``LW`` the last weekday."""
    plain: set[int] = set()
    nearest: list[int] = []
    last = last_weekday = False
    for part in field.split(","):
        if part == "L":
            last = True
        elif part == "LW":
            last_weekday = True
        elif part.endswith("W"):
            nearest.append(_number(part[:-1], 1, 31))
        else:
            plain.update(_values(part, 1, 31))

    def days(year: int, month: int) -> set[int]:
        length = calendar.monthrange(year, month)[1]
        found = {day for day in plain if day <= length}
        found.update(_nearest_weekday(year, month, day) for day in nearest if day <= length)
        if last:
            found.add(length)
        if last_weekday:
            found.add(_nearest_weekday(year, month, length))
        return found

    return days


def _nearest_weekday(year: int, month: int, day: int) -> int:
    length = calendar.monthrange(year, month)[1]
    weekday = calendar.weekday(year, month, day)
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _days_of_week(field: str) -> Days:
    """1 is Sunday. ``L`` is Saturday, ``6L`` the month's last Friday, ``6#3`` its third Friday."""
    plain: set[int] = set()
    last: list[int] = []
    nth: list[tuple[int, int]] = []
    for part in field.split(","):
        weekday, sign, number = part.partition("#")
        if sign:
            nth.append((_number(weekday, 1, 7, _WEEKDAYS), _number(number, 1, 5)))
        elif part == "L":
            plain.add(7)
        elif part.endswith("L"):
            last.append(_number(part[:-1], 1, 7, _WEEKDAYS))
        else:
            plain.update(_values(part, 1, 7, _WEEKDAYS))

    def days(year: int, month: int) -> set[int]:
        length = calendar.monthrange(year, month)[1]
        by_weekday: dict[int, list[int]] = {}
        first = (calendar.weekday(year, month, 1) + 1) % 7 + 1
        for day in range(1, length + 1):
            by_weekday.setdefault((first + day - 2) % 7 + 1, []).append(day)
        found = {day for weekday in plain for day in by_weekday[weekday]}
        found.update(by_weekday[weekday][-1] for weekday in last)
        found.update(by_weekday[weekday][number - 1] for weekday, number in nth if number <= len(by_weekday[weekday]))
        return found

    return days
