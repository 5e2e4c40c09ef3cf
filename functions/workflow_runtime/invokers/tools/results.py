"""Return values of tools as JSON. What has no one obvious JSON form is refused, never guessed."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel

from workflow_runtime.language.json_values import Json

DEPTH_MAX = 100  # deeper values are circular, or nothing a definition could read
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1  # what the JSON codec (msgspec) reads back as an integer


class NotJson(ValueError):
    """A value that is not JSON and has no obvious JSON form."""


def to_json(value: Any, place: str = "", depth: int = 0) -> Json:
    """``value`` as JSON: models, dataclasses, Structs, mappings, tuples, dates (ISO 8601), enums, UUIDs, decimals.

    A decimal becomes a number. Raises `NotJson`, naming the place in the value.
    """
    if depth > DEPTH_MAX:
        raise NotJson(f"{place or 'the value'} is nested more than {DEPTH_MAX} levels deep (or contains itself)")
    match value:
        case enum.Enum():
            return to_json(value.value, place, depth + 1)
        case None | bool():
            return value
        case int() | float() | decimal.Decimal():
            return _number(value, place)
        case str():
            return _text(value, place)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case uuid.UUID():
            return str(value)
        case Mapping():
            return _object(value, place, depth)
        case list() | tuple():
            return [to_json(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
        case BaseModel():
            return to_json(value.model_dump(mode="json", by_alias=True), place, depth + 1)
        case msgspec.Struct():
            fields = {field.encode_name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
            return _object(fields, place, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _object(fields, place, depth)
    raise NotJson(f"{place or 'the value'} is a {type(value).__name__}, which is no JSON value{_advice(value)}")


def _object(value: Mapping[Any, Any], place: str, depth: int) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise NotJson(f"{place or 'the value'} has the key {key!r}, which is no text")
        result[_text(key, place)] = to_json(item, f"{place}.{key}" if place else key, depth + 1)
    return result


def _number(value: int | float | decimal.Decimal, place: str) -> int | float:
    if not math.isfinite(value):
        raise NotJson(f"{place or 'the value'} is {value}, which JSON cannot hold; return None instead")
    if isinstance(value, decimal.Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise NotJson(f"{place or 'the value'} is an integer beyond 64 bits; return it as text")
        return int(value)
    return float(value)


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotJson(f"{place or 'the value'} is text with lone surrogates, which UTF-8 cannot hold") from None
    return str(value)


def _advice(value: Any) -> str:
    match value:
        case set() | frozenset():
            return "; a set has no order: return sorted(…)"
        case bytes() | bytearray():
            return "; decode it, or return base64"
    return "; return dicts, lists, texts and numbers"
