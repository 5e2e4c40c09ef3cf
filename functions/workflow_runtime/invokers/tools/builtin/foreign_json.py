"""JSON from other systems, which authors cannot change: what values here cannot hold is replaced, not refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from workflow_runtime.language.json_values import INTEGER_MAX, INTEGER_MIN, Json, NotJson, check_levels, to_json

CONTAINERS_MAX = 250_000  # lists and objects: an empty one of two bytes takes sixty in memory, and as many as a copy
INTEGER_CHARACTERS_MAX = 20  # of an integer within 64 bits, with its sign: longer ones need not be computed

_LONG_NUMBER = re.compile("[0-9]{19}")  # a number that msgspec may read as a float, with its last digits lost
_LONE = re.compile("[\ud800-\udfff]")


class TooManyParts(ValueError):
    """JSON that would take far more memory than it has characters."""


def read_json(text: str, name: str, warn: Callable[[str], None]) -> Json:
    """The JSON value in ``text``. Numbers beyond 64 bits become text, NaN and infinities null, lone surrogates U+FFFD;
    ``warn`` is told of each kind once, and ``name`` is what the text is called then.

    Raises `ValueError` for what is not JSON, or nested too deeply; `TooManyParts`, which is one.
    """
    if text.count("[") + text.count("{") > CONTAINERS_MAX:
        raise TooManyParts(f"has more than {CONTAINERS_MAX:,} lists and objects")
    check_levels(text)
    if not _LONG_NUMBER.search(text):
        try:
            return to_json(msgspec.json.decode(text))
        except (msgspec.DecodeError, NotJson, UnicodeError):
            pass
    return _Reader(name, warn).read(text)


class _Reader:
    """Reads JSON that values here cannot hold as it is."""

    def __init__(self, name: str, warn: Callable[[str], None]) -> None:
        self._name = name
        self._warn = warn
        self._noted: set[str] = set()

    def read(self, text: str) -> Json:
        decoder = json.JSONDecoder(parse_int=self._integer, parse_float=self._float, parse_constant=self._constant)
        value = decoder.decode(text)
        return to_json(self._without_surrogates(value) if "\\u" in text else value)

    def _integer(self, digits: str) -> int | str:
        if len(digits) <= INTEGER_CHARACTERS_MAX:
            number = int(digits)
            if INTEGER_MIN <= number <= INTEGER_MAX:
                return number
        return self._as_text(digits)

    def _float(self, digits: str) -> float | str:
        number = float(digits)
        return number if abs(number) != float("inf") else self._as_text(digits)

    def _as_text(self, digits: str) -> str:
        self._note("numbers beyond 64 bits are given as text")
        return digits

    def _constant(self, name: str) -> None:
        self._note(f"{name} is given as null")

    def _without_surrogates(self, value: Any) -> Any:
        if isinstance(value, str) and _LONE.search(value):
            self._note("lone surrogates were replaced")
            return _LONE.sub("\ufffd", value)
        if isinstance(value, list):
            return [self._without_surrogates(item) for item in value]
        if isinstance(value, dict):
            pairs = value.items()
            return {self._without_surrogates(key): self._without_surrogates(item) for key, item in pairs}
        return value

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._warn(f"{self._name} is JSON with values that cannot be kept: {text}")
