"""Schedules as people write them (five fields of Unix cron, intervals) become expressions of EventBridge Scheduler.

Source: EventBridge Scheduler user guide, "Schedule types"; crontab(5). The two disagree in the numbers of weekdays
(Unix: 0 or 7 is Sunday; EventBridge: 1), in `?`, which EventBridge wants for whichever of the two kinds of day says
nothing, and when both say something: Unix fires on either, EventBridge has no way to say that.
"""

from __future__ import annotations

import re

from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.schedules import next_time

WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60}


class NoSchedule(ValueError):
    """What is wrong with a schedule, and what to write instead (perhaps nothing)."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def cron_expression(text: str, timezone: str) -> str:
    """``cron(…)`` with six fields. Raises `NoSchedule`."""
    wrapped = re.fullmatch(r"\s*cron\((.*)\)\s*", text)
    fields = (wrapped.group(1) if wrapped else text).upper().split()
    if len(fields) == 5:
        fields = _from_unix(*fields)
    expression = f"cron({' '.join(fields)})"
    try:
        fires = next_time(expression, timezone, 0)
    except ValueError as error:
        raise NoSchedule(str(error)) from None
    if fires is None:
        raise NoSchedule("there is no time at which it fires")
    return expression


def rate_expression(value: str) -> str:
    """``rate(n minutes|hours|days)`` of an interval or a duration. Raises `NoSchedule`."""
    written = re.fullmatch(r"(?:rate\()?([0-9]+) (minute|hour|day)s?\)?", value)
    if written:
        return f"rate({written.group(1)} {written.group(2)}s)"
    seconds = parse_duration(float(value) if re.fullmatch(r"[0-9.]+", value) else value)
    for unit, length in UNITS.items():
        if seconds >= length and seconds % length == 0:
            return f"rate({seconds / length:.0f} {unit})"
    raise NoSchedule(f"{seconds:g} seconds are no whole number of minutes", "Schedules are kept to the minute.")


def _from_unix(minute: str, hour: str, day: str, month: str, weekday: str) -> list[str]:
    by_day, by_weekday = day not in ("*", "?"), weekday not in ("*", "?")
    if by_day and by_weekday:
        raise NoSchedule(
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
            raise NoSchedule(f"`{part}` is no weekday of a cron expression with five fields", hint)
        start, end, step = written.groups()
        first = 0 if start == "*" else _weekday(start)
        last = 6 if start == "*" or (step and not end) else _weekday(end) if end else first
        if end in ("0", "SUN") and first > 0:
            last = 7
        if last < first:
            raise NoSchedule(f"`{part}` ends before it begins", "Write the two parts with a comma.")
        found.update(day % 7 + 1 for day in range(first, last + 1, int(step or 1)))
    days = sorted(found)
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{days[0]}-{days[-1]}"
    return ",".join(map(str, days))


def _weekday(text: str) -> int:
    if text.isdigit():
        return int(text)
    if text not in WEEKDAYS:
        raise NoSchedule(f"`{text}` is no weekday", f"One of {', '.join(WEEKDAYS)}, or 0 to 7.")
    return WEEKDAYS[text]
