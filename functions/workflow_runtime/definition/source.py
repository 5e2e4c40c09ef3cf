"""A definition's source: where its fields stand, and findings made with those places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from workflow_runtime.definition.charts.actions import ACTIONS
from workflow_runtime.definition.workflow import WRITTEN
from workflow_runtime.findings import Finding, Rule
from workflow_runtime.language.json_values import path_text
from workflow_runtime.language.yaml.document import Document
from workflow_runtime.language.yaml.places import (
    MappingPlace,
    Place,
    Position,
    SequencePlace,
    position,
    position_of,
    shown_position,
    unpack,
)
from workflow_runtime.language.yaml.syntax import QUOTE_HINT, has_comment_after_template
from workflow_runtime.language.yaml.text import LINE_BREAK

_FREE_KEY = re.compile(r"^x-|^metadata\Z|schemas?\Z")


class Source:
    """Text and places of one file. Paths start at the top-level ``workflow:`` mapping and use canonical field names."""

    def __init__(self, text: str = "", file: str = "", document: Document | None = None, key: str = "") -> None:
        """``key``: paths start at what stands under it, at the top of the document."""
        self.file = file
        self.text = text
        self._document = document
        self._key = key

    @cached_property
    def _lines(self) -> list[str]:
        return LINE_BREAK.split(self.text)

    @cached_property
    def _top(self) -> tuple[Place, Position]:
        """Where paths start, and where to point for it."""
        top = position(1, 1) if self._document is None else self._document.place
        if not self._key:
            return top, position_of(top)
        assert isinstance(top, MappingPlace)
        return top.children[self._key], top.keys[self._key]

    def position(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Line and column (from 1) of the value at ``path``, or of its nearest ancestor that exists.

        A value that starts below its key (a block) is where its key is.
        """
        return unpack(self._find(path)[0])

    def finding(self, rule: Rule, message: str, path: Sequence[str | int] = (), hint: str | None = None) -> Finding:
        """A finding of ``rule`` at ``path``, with the rule's hint unless another is given."""
        at, written = self._find(path, at_key=rule.about_key)
        return self.finding_at(rule, message, *unpack(at), path=path_text(written), hint=hint)

    def finding_at(
        self, rule: Rule, message: str, line: int, column: int, path: str = "", hint: str | None = None
    ) -> Finding:
        """A finding at a line and column (from 1)."""
        hint = rule.hint if hint is None else hint
        written = self._line(line)
        if "in quotes" not in hint and has_comment_after_template(written):
            hint = f"{hint} {QUOTE_HINT}".strip()
        return Finding(rule.id, rule.severity, message, path, line, column, hint, self.file)

    def keys_with(self, part: str) -> Iterator[tuple[tuple[str | int, ...], Position]]:
        """Every key that holds ``part``, with its path as written and where it stands, in no particular order.

        Not below `metadata`, `x-…` and JSON Schemas: what stands there is not evaluated.
        """
        pending: list[tuple[tuple[str | int, ...], Place]] = [((), self._top[0])]
        while pending:
            path, place = pending.pop()
            if isinstance(place, SequencePlace):
                inner = enumerate(place.children)
                pending += [((*path, index), child) for index, child in inner if not isinstance(child, int)]
            elif isinstance(place, MappingPlace):
                if part in "\n".join(place.keys):
                    yield from (((*path, key), at) for key, at in place.keys.items() if part in key)
                for key, child in place.children.items():
                    if not isinstance(child, int) and not _FREE_KEY.search(key):
                        pending.append(((*path, key), child))

    def _line(self, line: int) -> str:
        return self._lines[line - 1] if 0 < line <= len(self._lines) else ""

    def _find(self, path: Sequence[str | int], *, at_key: bool = False) -> tuple[Position, tuple[str | int, ...]]:
        """Position and written path of the deepest part of ``path`` that stands in the file. ``at_key``: of its key, if
        all of it does."""
        place, at = self._top
        named = at
        written: list[str | int] = []
        for index, step in enumerate(path):
            keys: tuple[str, ...] = ()
            if isinstance(place, MappingPlace):
                keys = _written(place, step) if isinstance(step, str) else _state_key(place, path[:index], step)
            for name in keys:
                assert isinstance(place, MappingPlace)
                named, place = place.keys[name], place.children[name]
                at = shown_position(named, place)
            written += keys
            if keys:
                continue
            if isinstance(place, SequencePlace) and isinstance(step, int) and 0 <= step < len(place.children):
                place = place.children[step]
                at = named = position_of(place)
                written.append(step)
            elif isinstance(place, SequencePlace) and step == "targets":
                continue  # a list of targets is short for a mapping with them
            elif step != 0 or isinstance(place, SequencePlace):
                return at, tuple(written)  # a 0 below a mapping or scalar is a list of one, written without the list
        return named if at_key else at, tuple(written)


def _state_key(place: MappingPlace, path: Sequence[str | int], position: int) -> tuple[str, ...]:
    """The key of a state among states that are written as a mapping by name."""
    if not path or path[-1] != "states":
        return ()
    names = [name for name in place.children if not name.startswith("x-")]
    return tuple(names[position : position + 1])


_WRAPPERS = ("config", "params", *ACTIONS, "to")
"""Keys under which fields of the mapping around them may stand."""


def _written(place: MappingPlace, name: str) -> tuple[str, ...]:
    """The keys under which the canonical field ``name`` stands: itself, an alias, one of these below `config` or the
    like, or the kind of an action whose value is short for that field."""
    names = (name, *WRITTEN.get(name, ()))
    direct = next((key for key in names if key in place.children), None)
    if direct is not None:
        return (direct,)
    for wrapper in _WRAPPERS:
        nested = place.children.get(wrapper)
        if isinstance(nested, MappingPlace):
            below = _written(nested, name)
            if below:
                return (wrapper, *below)
        elif nested is not None and wrapper in ACTIONS and ACTIONS[wrapper].short == name:
            return (wrapper,)
    return ()
