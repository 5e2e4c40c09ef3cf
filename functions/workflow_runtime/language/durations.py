"""Durations as people write them, in seconds. Used for fields of a definition and by expressions."""

from __future__ import annotations

import math
import re

DURATION_SECONDS_MAX = 100 * 366 * 86400
"""A century: longer is a mistake, and sums with times stay within the calendar."""

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_PARTS = re.compile(rf"({_NUMBER})\s?(ms|s|m|h|d|w)\s?")
_PLAIN = re.compile(rf"{_NUMBER}\Z")
_ISO = re.compile(
    rf"P(?:({_NUMBER})W)?(?:({_NUMBER})D)?(?:T(?=[0-9])(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?\Z",
    re.IGNORECASE,
)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_ORDER = ("w", "d", "h", "m", "s", "ms")


def parse_duration(value: str | int | float) -> float:
    """Seconds of ``500ms``, ``90s``, ``5m``, ``2h``, ``1d``, ``1h30m``, ISO 8601 ``PT15M``, or a number (also as
    text): seconds.

    Raises `ValueError`, with a message for the author, for anything else, for negative and for unbounded durations.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a duration is a number of seconds or a text such as 90s, 5m, 1h30m or PT15M")
    seconds = _parse_text(value) if isinstance(value, str) else value
    if seconds < 0:
        raise ValueError(f"a duration cannot be negative: {value}")
    if isinstance(seconds, float) and math.isnan(seconds):
        raise ValueError("a duration must be a finite number of seconds")
    if seconds > DURATION_SECONDS_MAX:
        raise ValueError(f"a duration cannot be longer than a century: {str(value)[:40]}")
    return float(seconds)


def _parse_text(value: str) -> float:
    text = value.strip()
    if _PLAIN.match(text):
        return float(text)
    if text[:1] in ("P", "p"):
        match = _ISO.match(text)
        if match is None or not any(match.groups()):
            hint = " (years and months have no fixed length)" if re.match(r"(?i)P[0-9.]+[YM]", text) else ""
            raise ValueError(f"not an ISO 8601 duration such as PT15M or P1DT2H: {text[:40]!r}{hint}")
        units = (604800, 86400, 3600, 60, 1)
        return math.fsum(float(part) * unit for part, unit in zip(match.groups(), units, strict=True) if part)
    return _parse_units(text)


def _parse_units(text: str) -> float:
    total: list[float] = []
    position, last = 0, -1
    while position < len(text):
        match = _PARTS.match(text, position)
        if match is None:
            raise ValueError(
                f"not a duration: {text[:40]!r}; write 500ms, 90s, 5m, 2h, 1d, 1h30m, PT15M or a number of seconds"
            )
        rank = _ORDER.index(match[2])
        if rank <= last:
            raise ValueError(f"not a duration: {text[:40]!r}; units go from the largest to the smallest, once each")
        # whole milliseconds stay exact: 500 / 1000, not 500 * 0.001
        total.append(float(match[1]) / 1000 if match[2] == "ms" else float(match[1]) * _SECONDS[match[2]])
        position, last = match.end(), rank
    if not total:
        raise ValueError(
            "a duration is a number of seconds or a text such as 90s, 5m, 1h30m or PT15M, not an empty text"
        )
    return math.fsum(total)
