"""The tree that the parser makes and the compiler turns into closures. Offsets count characters of the source."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import shorten

SKETCHED_CHARACTERS = 60
"""Of a piece of an expression: more of it is shortened."""


class Reference(msgspec.Struct, frozen=True, gc=False):
    """One mention of a name. ``path``: the keys that follow as far as they are fixed; ``exact``: all of the path was.

    ``offset`` points at the name; ``where`` is the place of the string inside a template's value, empty for an
    expression.
    """

    name: str
    path: tuple[str, ...]
    offset: int
    exact: bool
    where: tuple[str | int, ...] = ()

    def at(self, where: tuple[str | int, ...]) -> Reference:
        """The same in the string at this place of a template's value."""
        return Reference(self.name, self.path, self.offset, self.exact, where)


class Literal(msgspec.Struct, frozen=True, gc=False):
    """Null, a boolean, a number or a text."""

    value: Json
    offset: int


class Name(msgspec.Struct, frozen=True, gc=False):
    """A root name, looked up in the scope."""

    name: str
    offset: int


class Item(msgspec.Struct, frozen=True, gc=False):
    """``item`` inside ``filter``, ``map`` and their like."""

    offset: int


class Key(msgspec.Struct, frozen=True, gc=False):
    """Path step: ``.key`` or ``["key"]``."""

    key: str


class At(msgspec.Struct, frozen=True, gc=False):
    """Path step: ``[expression]``, an index of a list or a key of an object."""

    index: Node


class Star(msgspec.Struct, frozen=True, gc=False):
    """Path step: ``.*``; the rest of the path applies to every element."""


class Path(msgspec.Struct, frozen=True, gc=False):
    """``base`` and at least one step. ``text`` is the path as written."""

    base: Node
    steps: tuple[Key | At | Star, ...]
    text: str
    offset: int


class ListOf(msgspec.Struct, frozen=True, gc=False):
    items: tuple[Node, ...]
    offset: int


class ObjectOf(msgspec.Struct, frozen=True, gc=False):
    entries: tuple[tuple[str, Node], ...]
    offset: int


class Call(msgspec.Struct, frozen=True, gc=False):
    name: str
    arguments: tuple[Node, ...]
    offset: int


class Not(msgspec.Struct, frozen=True, gc=False):
    operand: Node
    offset: int


class Negative(msgspec.Struct, frozen=True, gc=False):
    operand: Node
    offset: int


class Arithmetic(msgspec.Struct, frozen=True, gc=False):
    """A chain of one precedence, left to right: ``first``, then (operator, operand, offset of the operator)."""

    first: Node
    rest: tuple[tuple[str, Node, int], ...]
    offset: int


class Compare(msgspec.Struct, frozen=True, gc=False):
    """``operator``: ``== != < <= > >= in`` or ``not in``; ``offset`` is the operator's."""

    operator: str
    left: Node
    right: Node
    offset: int


class Choice(msgspec.Struct, frozen=True, gc=False):
    """``and``, ``or``, ``??`` over two or more operands: the first that decides is the value."""

    operator: str
    operands: tuple[Node, ...]
    offset: int


class Conditional(msgspec.Struct, frozen=True, gc=False):
    condition: Node
    then: Node
    otherwise: Node
    offset: int


Node: TypeAlias = (
    Literal
    | Name
    | Item
    | Path
    | ListOf
    | ObjectOf
    | Call
    | Not
    | Negative
    | Arithmetic
    | Compare
    | Choice
    | Conditional
)


def sketch(node: Node) -> str:
    """A short text to recognise a piece of an expression by: references and literals as written, ``…`` for the rest."""
    match node:
        case Name(name):
            return name
        case Path(text=text):
            return text if len(text) <= SKETCHED_CHARACTERS else shorten(text)
        case Literal(str(value)):
            return f"'{value if len(value) <= SKETCHED_CHARACTERS else shorten(value)}'"
        case Literal(value):
            return msgspec.json.encode(value).decode()
        case Call(name):
            return f"{name}(…)"
        case Compare(operator, left, right):
            return f"{sketch(left)} {operator} {sketch(right)}"
        case _:
            return "…"
