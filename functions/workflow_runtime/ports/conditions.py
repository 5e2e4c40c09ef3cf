"""Conditions of writes and of reads by an index, as DynamoDB has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

Attribute: TypeAlias = str | int | bytes | bool | None


class Absent(msgspec.Struct, frozen=True):
    """Condition: there is no item of this key."""


class Equals(msgspec.Struct, frozen=True):
    """Condition: the item exists and its ``attribute`` has this value."""

    attribute: str
    value: str | int


class Below(msgspec.Struct, frozen=True):
    """Condition: the item exists and its numeric ``attribute`` is less than ``value``."""

    attribute: str
    value: int


class Missing(msgspec.Struct, frozen=True):
    """Condition: there is no item, or it lacks this attribute."""

    attribute: str


class Present(msgspec.Struct, frozen=True):
    """Condition: the item exists and has this attribute."""

    attribute: str


class Between(msgspec.Struct, frozen=True):
    """Condition: the item exists and its numeric ``attribute`` is at least ``low`` and at most ``high``."""

    attribute: str
    low: int
    high: int


class AllOf(msgspec.Struct, frozen=True):
    """Condition: each of these holds; there is at least one."""

    conditions: tuple[Condition, ...]


class AnyOf(msgspec.Struct, frozen=True):
    """Condition: one of these holds."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Absent | Equals | Below | Missing | Present | Between | AllOf | AnyOf


def holds(condition: Condition, attributes: Mapping[str, Attribute] | None) -> bool:
    """Whether it does for an item with these attributes; None: there is no item. DynamoDB compares values of one type
    only."""
    match condition:
        case Absent():
            return attributes is None
        case Missing(attribute=name):
            return attributes is None or name not in attributes
        case Present(attribute=name):
            return attributes is not None and name in attributes
        case AllOf(conditions=conditions):
            return all(holds(one, attributes) for one in conditions)
        case AnyOf(conditions=conditions):
            return any(holds(one, attributes) for one in conditions)
    current = (attributes or {}).get(condition.attribute)
    if isinstance(current, bool) or not isinstance(current, (int, str)):
        return False
    if isinstance(condition, Equals):
        return isinstance(current, str) is isinstance(condition.value, str) and current == condition.value
    if isinstance(current, str):
        return False
    if isinstance(condition, Below):
        return current < condition.value
    return condition.low <= current <= condition.high
