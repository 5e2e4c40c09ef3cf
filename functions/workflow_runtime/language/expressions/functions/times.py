"""Functions on times (`language.expressions.times` says what a time is). None reads a clock: ``now`` is a name."""

from __future__ import annotations

from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.functions.registry import function
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.times import (
    format_iso,
    format_pattern,
    parse_iso,
    parse_pattern,
    time_ms,
)
from workflow_runtime.language.expressions.values import kind, text
from workflow_runtime.language.json_values import Json

_STEPS = 5  # datetime arithmetic takes a few microseconds


@function("format_time(t, pattern)", 1, 2)
def format_time(scope: Scope, value: Json, pattern: Json = None) -> str:
    """A time (ISO 8601, or epoch milliseconds) in a strftime pattern, in UTC; without one as ISO 8601."""
    scope.charge(_STEPS)
    ms = time_ms(value)
    return format_iso(ms) if pattern is None else format_pattern(ms, text(pattern))


@function("parse_time(text, pattern)", 1, 2)
def parse_time(scope: Scope, value: Json, pattern: Json = None) -> str:
    """The time of a text, as ISO 8601 in UTC; read by a strftime pattern if one is given, else as ISO 8601."""
    if pattern is None:
        scope.charge(_STEPS)
        return format_iso(time_ms(value))
    scope.charge(_STEPS * 20)  # a pattern becomes a regular expression
    return format_iso(parse_pattern(text(value), text(pattern)))


@function("add_time(t, duration)", 2)
def add_time(scope: Scope, value: Json, duration: Json) -> str:
    """The time a duration later (``"1h30m"``, ``"PT15M"``, seconds), or earlier with a minus (``"-1d"``)."""
    scope.charge(_STEPS)
    start = parse_iso(value) if type(value) is str else time_ms(value)
    if type(duration) not in (str, int, float):
        raise EvaluationError(f"{kind(duration)} where a duration is expected")
    negative = duration.strip().startswith("-") if type(duration) is str else duration < 0
    amount = duration.strip()[1:] if negative and type(duration) is str else abs(duration) if negative else duration
    try:
        seconds = parse_duration(amount)
    except ValueError as error:
        raise EvaluationError("not a duration", quote=str(error).removeprefix("not a duration: ")) from None
    return format_iso(start + round(seconds * 1000) * (-1 if negative else 1))
