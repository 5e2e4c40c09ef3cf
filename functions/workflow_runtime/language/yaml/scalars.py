"""Plain scalars by the YAML 1.2 core schema: null, booleans, integers, floats; everything else is text."""

from __future__ import annotations

import math
import re

INTEGER_BITS = 64
"""JSON readers and stores agree on no wider integer."""

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_PREFIXED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_FIRST_OF_NUMBERS = frozenset("0123456789+-.")


class NotJson(ValueError):
    """The scalar is a number that JSON, or 64 bits, cannot hold."""


def resolve(text: str) -> bool | int | float | str | None:
    """The value of a plain scalar. Raises `NotJson` for infinities, NaN, and integers beyond 64 bits."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST_OF_NUMBERS:
        return text
    if _INTEGER.match(text):
        return _bounded(text, 10)
    if _PREFIXED.match(text):
        return _bounded(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.match(text):
        number = float(text)
        if math.isinf(number):
            raise NotJson(f"the number {text[:40]} is too large")
        return number
    if _NOT_FINITE.match(text):
        raise NotJson(f"{text}is not a JSON number")
    return text


def _bounded(digits: str, base: int) -> int:
    # Leading zeros apart, 25 digits hold any 64-bit number in base 8, 10 or 16; int() of more may be slow or refused.
    sign, digits = (digits[0], digits[1:]) if digits[0] in "+-" else ("", digits)
    significant = digits.lstrip("0") or "0"
    number = int(sign + significant, base) if len(significant) <= 25 else 1 << INTEGER_BITS
    if not -(1 << INTEGER_BITS - 1) <= number < 1 << INTEGER_BITS - 1:
        raise NotJson(
            f"the number {sign}{significant[:20]}{'…' if len(significant) > 20 else ''} is beyond {INTEGER_BITS} bits"
        )
    return number
