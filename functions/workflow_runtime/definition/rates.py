"""Amounts with a multiple (``400k``), and so many of them in a time (``60/min``)."""

from __future__ import annotations

import re

from workflow_runtime.definition import rules
from workflow_runtime.definition.reading import kind_of, problem
from workflow_runtime.language.templates import has_template
from workflow_runtime.language.texts import quoted
from workflow_runtime.plan.limiters import Rate

_AMOUNT = r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([kM]?)\s*"
_ONE = re.compile(_AMOUNT)
_RATE = re.compile(_AMOUNT + r"/\s*(\d{1,6}(?:\.\d{1,3})?)?\s*(s|sec|second|min|minute|h|hour|day)\s*")
_MULTIPLES = {"": 1, "k": 1_000, "M": 1_000_000}
_SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86_400}

RATE = {"type": "string", "pattern": r"^\s*[0-9.]+\s*[kM]?\s*/\s*[0-9.]*\s*(s|sec|second|min|minute|h|hour|day)\s*$"}


def read_rate(value: object, units: int = 1, example: str = "60/min") -> Rate:
    """``60/min``: so many in so much time. ``units``: how many of what is counted one of them is."""
    hint = f"For example `{example}`, `200k/min` or `5/s`; units are s, min, h and day."
    if has_template(value):
        raise problem(rules.LITERAL_FOR_NOW, "a rate must be a literal, not `${…}`")
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise problem(rules.BAD_RATE, f"{_shown(value)} is not a rate", hint)
    amount = round(float(found[1]) * _MULTIPLES[found[2]] * units)
    if amount < 1:
        raise problem(rules.BAD_RATE, "a rate of less than one lets nothing begin", "Name a longer time: `1/day`.")
    milliseconds = round(float(found[3] or 1) * _SECONDS[found[4]] * 1000)
    if milliseconds < 1:
        raise problem(rules.BAD_RATE, "a rate is so many in some time, not in none", hint)
    return Rate(amount, milliseconds)


def read_amount(value: object) -> int:
    """``400k``, or a whole number."""
    if has_template(value):
        raise problem(rules.LITERAL_FOR_NOW, "an amount must be a literal, not `${…}`")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _ONE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise problem(rules.WRONG_KIND, f"{_shown(value)} is not an amount", "For example `400k`, `2M` or `1500`.")
    return round(float(found[1]) * _MULTIPLES[found[2]])


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str) else kind_of(value)
