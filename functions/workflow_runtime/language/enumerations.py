"""Enumerations whose members are looked up at every step."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

E = TypeVar("E", bound=Enum)


def direct(enumeration: type[E]) -> type[E]:
    """A class decorator: keeps the members in the class itself, where Python 3.12 has them anyway. Python 3.11 finds
    each through a descriptor, which takes five times as long."""
    for name, member in enumeration.__members__.items():
        type.__setattr__(enumeration, name, member)
    return enumeration
