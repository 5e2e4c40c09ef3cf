"""The comparisons in an expression or a template whose sides are a plain reference and fixed values."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from workflow_runtime.language.expressions.lexer import tokenize
from workflow_runtime.language.expressions.parser import Parser
from workflow_runtime.language.expressions.syntax import Compare, Key, ListOf, Literal, Name, Node, Path
from workflow_runtime.language.json_values import Json

MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Comparison(msgspec.Struct, frozen=True):
    """``name`` with ``path`` stands left of ``operator`` (mirrored if need be), ``values`` right: one, or for ``in``
    and ``not in`` those of the list. ``offset``: of the name.
    """

    operator: str
    name: str
    path: tuple[str, ...]
    values: tuple[Json, ...]
    offset: int


def comparisons_in(text: str, *, is_expression: bool) -> Iterator[Comparison]:
    """Those of a text that is known to parse."""
    for tree in _trees(text, is_expression):
        yield from _walk(tree)


def reference_of(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Name and path of an expression that is nothing but a reference."""
    return _reference(next(_trees(text, True)))


def _trees(text: str, is_expression: bool) -> Iterator[Node]:
    if is_expression:
        yield Parser(text, tokenize(text)).parse()
        return
    position = 0
    while (opening := text.find("${", position)) >= 0:
        if opening > position and text[opening - 1] == "$":
            position = opening + 2
            continue
        tokens = tokenize(text, opening + 2, closing=True)
        yield Parser(text, tokens).parse()
        position = tokens[-1].end + 1


def _walk(node: object) -> Iterator[Comparison]:
    if isinstance(node, Compare):
        found = _comparison(node)
        if found is not None:
            yield found
    if isinstance(node, msgspec.Struct):
        for field in node.__struct_fields__:
            yield from _walk(getattr(node, field))
    elif isinstance(node, tuple):
        for item in node:
            yield from _walk(item)


def _comparison(node: Compare) -> Comparison | None:
    left, right, operator = node.left, node.right, node.operator
    if operator in ("in", "not in"):
        values = _fixed(right.items) if isinstance(right, ListOf) else None
    else:
        if isinstance(left, Literal):
            left, right, operator = right, left, MIRRORED.get(operator, operator)
        values = _fixed((right,))
    reference = _reference(left)
    if reference is None or values is None:
        return None
    return Comparison(operator, *reference, values, left.offset)


def _fixed(nodes: tuple[Node, ...]) -> tuple[Json, ...] | None:
    values = tuple(node.value for node in nodes if isinstance(node, Literal))
    return values if len(values) == len(nodes) else None


def _reference(node: Node) -> tuple[str, tuple[str, ...]] | None:
    if isinstance(node, Name):
        return node.name, ()
    if not isinstance(node, Path) or not isinstance(node.base, Name):
        return None
    keys = tuple(step.key for step in node.steps if isinstance(step, Key))
    return (node.base.name, keys) if len(keys) == len(node.steps) else None
