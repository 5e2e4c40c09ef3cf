"""JSON values: what flows between nodes, is stored, and travels in messages; and the one check of what enters from
Python or from other systems.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import re
import uuid
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list of Json, dict of str to Json."""

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from a document's top to a value in it."""

_SIMPLE_KEY = re.compile(r"[\w-]+\Z")


_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""The escape of half a character, in JSON text; good enough for text that is not JSON."""


_AT_BYTE = re.compile(r" \(byte (\d+)\)$")
_NO_NUMBER = re.compile(rb"(?:NaN|Infinity)\b")
"""What Python's ``json.dumps`` writes, and JSON has not."""


def malformed(text: str, error: Exception) -> str:
    """Why a text is not JSON: what the decoder said; or what JSON has not, with what to write in its place.

    A place that it knows stands at the end, as in the decoder's words: ``(byte 7)``.
    """
    found = _LONE_SURROGATE.search(text)
    if found is not None:
        return f"`{found[0]}` is half of a character, and the other half is missing (a lone surrogate)"
    said = str(error)
    if said.startswith("Number out of range"):
        return "a number is beyond 1.8e308, the largest that can be read; use text"
    at = _AT_BYTE.search(said)
    word = _NO_NUMBER.match(text.removeprefix("\ufeff").encode("utf-8", "replace"), int(at[1])) if at else None
    return f"`{word[0].decode()}` is nothing that JSON can hold; use null{at[0]}" if word and at else said


def path_text(path: Sequence[str | int]) -> str:
    """``nodes[2].inputs.text``; keys that are not plain names stand in brackets and quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _SIMPLE_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def walk_texts(value: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text in a JSON value (tuples count as lists; keys are not texts), with its path below ``path``."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str):  # most do not need an iterator of their own
                yield (*path, key), item
            else:
                yield from walk_texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from walk_texts(item, (*path, position))


Convert: TypeAlias = Callable[[Any], Any]
"""Makes a value of a type that is not known here one that is. Raises `NotJson`."""

DEPTH_MAX = 100  # lists and objects in each other; a deeper value is circular, or nothing a definition could read
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1  # what every part stores and reads back as the same integer
DECIMAL_DIGITS_MAX = 20  # before the point: as many as INTEGER_MAX has
KEY_CHARS_SHOWN = 40
STEPS_SHOWN = 16  # of the way to a value in a message
TOO_DEEP = f"is nested more than {DEPTH_MAX} levels deep, or contains itself"


class NotJson(ValueError):
    """A value that is not JSON and has no obvious JSON form. ``reason`` says why; ``path`` leads to it, innermost key
    or index first.
    """

    def __init__(self, reason: str, path: list[str | int] | None = None) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path or []

    def __str__(self) -> str:
        steps = [_shown(part) for part in reversed(self.path)]
        place = path_text(steps[:STEPS_SHOWN]) + ("…" if len(steps) > STEPS_SHOWN else "")
        return f"{place or 'the value'} {self.reason}"

    def under(self, name: str) -> NotJson:
        """The same, of a value that is called ``name``."""
        return NotJson(self.reason, [*self.path, name])


def _shown(part: str | int) -> str | int:
    """A step of a path, short and fit for UTF-8."""
    return part if isinstance(part, int) else part[:KEY_CHARS_SHOWN].encode("utf-8", "replace").decode()


def to_json(value: Any, place: str = "", convert: Convert | None = None) -> Json:
    """``value`` as JSON, copied; linear in its size.

    Tuples, mappings, dataclasses, msgspec Structs, dates (ISO 8601), enums and UUIDs have an obvious form. A decimal
    becomes a number, the nearest float when it is not integral. ``convert`` may know more types. Everything else is
    refused, never guessed: NaN, infinities, bytes, sets, keys that are not text, integers beyond 64 bits, lone
    surrogates, nesting beyond `DEPTH_MAX`.

    Raises `NotJson`, which names the place in the value; ``place`` is what the value itself is called.
    """
    try:
        return _json(value, 0, convert)
    except NotJson as error:
        raise (error.under(place) if place else error) from None


class TooDeep(msgspec.DecodeError):
    """JSON text whose lists and objects stand in each other too deep to be decoded."""


def read_json(text: str | bytes, levels: int = DEPTH_MAX) -> Json:
    """The JSON value in ``text``, nested at most ``levels`` deep. Raises `msgspec.DecodeError`, `UnicodeError`.

    For text of strangers; numbers and characters are as the decoder reads them (`to_json` is stricter).
    """
    check_levels(text, levels)
    return msgspec.json.decode(text)


def check_levels(text: str | bytes, levels: int = DEPTH_MAX) -> None:
    """Raises `TooDeep` for JSON text that is nested more than ``levels`` deep, before anything decodes it: decoders
    recurse, and how deep they can depends on who calls them. Linear in the text, and without recursion.

    Up to the first mistake in it, the text is taken apart here as any decoder does, and none reads on after that: so
    none goes deeper than is found here, whatever the text is.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data.count(b"[") + data.count(b"{") <= levels:
        return
    marks = _ESCAPE.sub(b"", data).translate(None, _NO_MARKS)
    brackets = b"".join(marks.split(b'"')[::2])  # every other piece is inside of a text
    if max(accumulate(array("b", brackets.translate(_UP_OR_DOWN))), default=0) > levels:
        raise TooDeep(f"the value is nested more than {levels} levels deep")


_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_UP_OR_DOWN = bytes.maketrans(b"[{]}", array("b", (1, 1, -1, -1)).tobytes())


def is_deeper(value: Json, levels: int) -> bool:
    """Whether lists and objects stand in each other more than ``levels`` deep in a JSON value; without recursion."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(levels):
        if not level:
            return False
        level = [
            child
            for item in level
            for child in (item.values() if type(item) is dict else item)
            if type(child) in _CONTAINERS
        ]
    return bool(level)


def _json(value: Any, depth: int, convert: Convert | None) -> Json:
    kind = type(value)
    if kind in _ALWAYS:
        return value
    if kind is str:
        return value if value.isascii() else _text(value)
    if kind is int or kind is float:
        return _number(value)
    if depth > DEPTH_MAX or (depth == DEPTH_MAX and kind in (dict, list)):
        raise NotJson(TOO_DEEP)
    if kind is dict:
        return _object(value, depth, convert)
    if kind is list:
        return _array(value, depth, convert)
    return _converted(value, depth, convert)


_ALWAYS = frozenset({bool, type(None)})
_CONTAINERS = frozenset({dict, list})


def _converted(value: Any, depth: int, convert: Convert | None) -> Json:
    """A value of another type than JSON's own."""
    match value:
        case enum.Enum():
            return _json(value.value, depth + 1, convert)
        case int() | float() | decimal.Decimal():
            return _number(value)
        case str():
            return _text(str.__str__(value))
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case uuid.UUID():
            return str(value)
        case Mapping():
            return _object(value, depth, convert)
        case list() | tuple():
            return _array(value, depth, convert)
        case msgspec.Struct():
            fields = {field.encode_name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
            return _object(fields, depth, convert)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth, convert)
    if convert is not None:
        return _json(convert(value), depth + 1, None)
    raise no_json(value)


def no_json(value: Any) -> NotJson:
    """That ``value``'s type has no JSON form, with what to do about it."""
    advice = "use dicts, lists, texts and numbers"
    if isinstance(value, set | frozenset):
        advice = "a set has no order: use sorted(…)"
    elif isinstance(value, bytes | bytearray):
        advice = "decode it, or use base64"
    return NotJson(f"is of type {type(value).__name__}, which is not a JSON value; {advice}")


def _object(value: Mapping[Any, Any], depth: int, convert: Convert | None) -> dict[str, Json]:
    result: dict[str, Json] = {}
    key: Any = ""
    try:
        for key, item in value.items():
            name = key if type(key) is str and key.isascii() else _key(key)
            result[name] = _json(item, depth + 1, convert)
    except NotJson as error:
        if isinstance(key, str):  # else the key is what is wrong, and this mapping the place
            error.path.append(key)
        raise
    return result


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise NotJson(f"has a key of type {type(key).__name__}; keys must be text")
    return _text(str.__str__(key))


def _array(value: list[Any] | tuple[Any, ...], depth: int, convert: Convert | None) -> list[Json]:
    result: list[Json] = []
    try:
        for item in value:
            result.append(_json(item, depth + 1, convert))  # noqa: PERF401  the length says which item is wrong
    except NotJson as error:
        error.path.append(len(result))
        raise
    return result


def _number(value: int | float | decimal.Decimal) -> int | float:
    if isinstance(value, decimal.Decimal):
        return _of_decimal(value)
    if isinstance(value, int):
        if INTEGER_MIN <= value <= INTEGER_MAX:
            return int(value)
        raise NotJson("is an integer beyond 64 bits; use text")
    if math.isfinite(value):
        return float(value)
    raise NotJson(f"is {float(value)}, which JSON cannot hold; use None")


def _of_decimal(value: decimal.Decimal) -> int | float:
    if not value.is_finite():
        raise NotJson(f"is {value}, which JSON cannot hold; use None")
    if value.adjusted() >= DECIMAL_DIGITS_MAX:  # before anything makes an integer of 1E+999999999
        raise NotJson("is a decimal beyond 64 bits; use text")
    whole = value.to_integral_value()
    return _number(int(whole)) if value == whole else float(value)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotJson("is text with lone surrogates, which UTF-8 cannot hold") from None
    return value


_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def kind_of(value: object) -> str:
    """What a value is, for a sentence: ``an object``, ``a list``; of what is not JSON, its Python type."""
    return _KINDS.get(type(value)) or f"a {type(value).__name__}"
