"""YAML text to values and places, built from the parser's events within bounds.

Composing (PyYAML's next layer) recurses in C and dies on deep nesting, and expands aliases before anybody can count;
events are a flat stream, so every bound is checked before memory is spent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import msgspec
import yaml

from workflow_runtime.findings import Rule
from workflow_runtime.language.templates import is_cut
from workflow_runtime.language.yaml import rules
from workflow_runtime.language.yaml.bounds import (
    MAX_ALIAS_CHARACTERS,
    MAX_ALIAS_EXPANSIONS,
    MAX_DEPTH,
    MAX_KEY_CHARACTERS,
    MAX_PROBLEMS,
    MAX_SCALAR_CHARACTERS,
    MAX_VALUES,
)
from workflow_runtime.language.yaml.places import (
    MappingPlace,
    Place,
    Position,
    SequencePlace,
    position,
    position_of,
    unpack,
)
from workflow_runtime.language.yaml.plain import read_plain
from workflow_runtime.language.yaml.scalars import NotJson, resolve
from workflow_runtime.language.yaml.syntax import comment_follows, syntax_error
from workflow_runtime.language.yaml.text import LINE_BREAK, Unreadable


class Problem(msgspec.Struct, frozen=True):
    """Something wrong at a place, while reading went on."""

    rule: Rule
    message: str
    position: Position
    hint: str | None = None


class Document(msgspec.Struct, frozen=True, dict=True):
    """What a file holds. ``find_place``: gives `place`; ``is_empty`` tells a file without any value from one that says
    null; ``templates_in_keys``: some key holds a ``${``."""

    value: Any
    find_place: Callable[[], Place]
    problems: tuple[Problem, ...] = ()
    is_empty: bool = False
    templates_in_keys: bool = False

    @cached_property
    def place(self) -> Place:
        """Where the value stands, found when it is first asked for: it must be as it was read."""
        return self.find_place()


class _Cost(msgspec.Struct):
    """What an alias of a value would bring in: values, characters, levels."""

    values: int = 1
    characters: int = 0
    height: int = 0


class _Anchor(msgspec.Struct):
    value: Any
    place: Place
    cost: _Cost


class _Frame:
    """A collection being read. ``merges``: what stands under ``<<``, with its place and where it is written."""

    __slots__ = ("anchor", "cost", "is_mapping", "key", "key_position", "merges", "place", "skip", "value")

    def __init__(self, place: MappingPlace | SequencePlace, value: Any, anchor: str | None, cost: _Cost) -> None:
        self.place = place
        self.value = value
        self.is_mapping = type(value) is dict
        self.anchor = anchor
        self.cost = cost
        self.key: str | None = None
        self.key_position: Position = 0
        self.skip = False
        self.merges: list[tuple[Any, Place, Position]] | None = None


_MERGE = "\x00<<"
"""Key of a merge while it is read, to tell it from a quoted "<<"."""


class Builder:
    """Takes the events of any document one by one; `result` is the document once they ended."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: list[str] | None = None
        self._frames: list[_Frame] = []
        self._frame: _Frame | None = None  # the innermost one
        self._anchors: dict[str, _Anchor | None] = {}
        self._problems: list[Problem] = []
        self._templates_in_keys = False
        self._documents = 0
        self._values = 0
        self._expanded = _Cost(0)
        self._root: tuple[Any, Place] | None = None

    @property
    def lines(self) -> list[str]:
        if self._lines is None:
            self._lines = LINE_BREAK.split(self._text)
        return self._lines

    def result(self) -> Document:
        value, place = self._root or (None, position(1, 1))
        return Document(value, lambda: place, tuple(self._problems), self._root is None, self._templates_in_keys)

    @property
    def takers(self) -> dict[type, Callable[[Any], None]]:
        """What takes an event, by its type; nothing needs the others. Raise `Unreadable` when reading cannot or must
        not go on."""
        return {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._open,
            yaml.SequenceStartEvent: self._open,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._begin_document,
        }

    def _begin_document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(rules.SEVERAL_DOCUMENTS, "a second document starts here", _start(event))

    def _stop(self, rule: Rule, message: str, at: Position, hint: str | None = None) -> None:
        line, column = unpack(at)
        raise Unreadable(rule, message, line, column, hint)

    def _report(self, rule: Rule, message: str, at: Position, hint: str | None = None) -> None:
        self._problems.append(Problem(rule, message, at, hint))
        if len(self._problems) >= MAX_PROBLEMS:
            self._stop(rules.MORE_FINDINGS, f"reading stops after {MAX_PROBLEMS} problems", at)

    def _count(self, event: Any) -> Position:
        """Count a value that begins; where it does."""
        mark = event.start_mark
        at = position(mark.line + 1, mark.column + 1)
        self._values += 1
        if self._values > MAX_VALUES:
            self._stop(rules.TOO_MANY_VALUES, f"the file holds more than {MAX_VALUES:,} values", at)
        if event.tag is not None and event.tag != "!":
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")[:60]
            self._report(rules.TAG, f"the tag `{tag}` is not allowed", at)
        return at

    def _expects_key(self) -> bool:
        frame = self._frame
        return frame is not None and frame.is_mapping and frame.key is None

    def _scalar(self, event: Any) -> None:
        at = self._count(event)
        text: str = event.value
        if len(text) > MAX_SCALAR_CHARACTERS:
            limit = f"at most {MAX_SCALAR_CHARACTERS:,} are allowed"
            self._stop(rules.TOO_LARGE, f"the text that starts here has {len(text):,} characters; {limit}", at)
        value: Any = text
        plain = not event.style and event.implicit[0] and event.tag is None
        if plain:
            if "${" in text and is_cut(text) and comment_follows(self.lines, event.end_mark):
                self._report(rules.COMMENT_CUTS, "the rest of this `${…}` is a comment, since it follows ` #`", at)
            try:
                value = resolve(text)
            except NotJson as error:
                self._report(rules.NOT_A_JSON_NUMBER, str(error), at)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, at, _Cost(1, len(text)))
        frame = self._frame
        if frame is not None and frame.is_mapping and frame.key is None:
            self._key(_MERGE if plain and text == "<<" else value, at)
            return
        if frame is not None:
            frame.cost.values += 1
            frame.cost.characters += len(text)
        self._put(value, at, at)

    def _key(self, value: Any, at: Position) -> None:
        frame = self._frame
        assert frame is not None, "where a key is expected there is a mapping"
        frame.key_position = at
        if not isinstance(value, str):
            shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            self._report(rules.KEY_NOT_TEXT, f"the key {shown} is not text", at, f'Put the key in quotes: "{shown}": …')
            frame.key, frame.skip = "", True
            return
        if len(value) > MAX_KEY_CHARACTERS:
            self._stop(
                rules.TOO_LARGE,
                f"the key has {len(value):,} characters; at most {MAX_KEY_CHARACTERS:,} are allowed",
                at,
            )
        if "${" in value:
            self._templates_in_keys = True
        frame.key, frame.skip = value, value in frame.value and value != _MERGE
        if frame.merges and value == _MERGE:
            line, column = unpack(frame.merges[0][2])
            text = f"`<<` already stands above, for the value at line {line}, column {column}"
            self._report(rules.DUPLICATE_KEY, text, at, "Write `<<: [*one, *two]`.")
        if frame.skip:
            assert isinstance(frame.place, MappingPlace)
            line, column = unpack(frame.place.keys[value])
            self._report(
                rules.DUPLICATE_KEY, f"the key `{value[:60]}` already stands at line {line}, column {column}", at
            )

    def _open(self, event: Any) -> None:
        at = self._count(event)
        is_mapping = type(event) is yaml.MappingStartEvent
        if len(self._frames) >= MAX_DEPTH:
            self._stop(rules.TOO_DEEP, f"values are nested more than {MAX_DEPTH} levels deep", at)
        if self._expects_key():
            kind = "mapping" if is_mapping else "list"
            hint = "Put the value in quotes if it starts with a bracket or brace that is text."
            self._stop(rules.KEY_NOT_TEXT, f"a {kind} cannot be a key", at, hint)
        if event.anchor:
            self._anchors[event.anchor] = None
        place = MappingPlace(at) if is_mapping else SequencePlace(at)
        self._frame = _Frame(place, {} if is_mapping else [], event.anchor, _Cost())
        self._frames.append(self._frame)

    def _close(self, _: Any) -> None:
        frame = self._frames.pop()
        self._frame = self._frames[-1] if self._frames else None
        if frame.merges:
            self._merge(frame)
        value = frame.value
        frame.cost.height += 1
        if frame.anchor:
            self._anchors[frame.anchor] = _Anchor(value, frame.place, frame.cost)
        self._attach(value, frame.place, frame.cost, frame.place.position)

    def _alias(self, event: Any) -> None:
        at = _start(event)
        name: str = event.anchor
        if name not in self._anchors:
            self._stop(rules.BAD_ALIAS, f"`*{name[:60]}` has no anchor above it", at, _star_hint(name))
        anchor = self._anchors[name]
        if anchor is None:
            self._stop(
                rules.BAD_ALIAS, f"`*{name[:60]}` stands inside its own anchor", at, "A value cannot hold itself."
            )
        assert anchor is not None
        self._expanded.values += anchor.cost.values
        self._expanded.characters += anchor.cost.characters
        if self._expanded.values > MAX_ALIAS_EXPANSIONS or self._expanded.characters > MAX_ALIAS_CHARACTERS:
            limits = f"{MAX_ALIAS_EXPANSIONS:,} values or {MAX_ALIAS_CHARACTERS:,} characters"
            self._stop(rules.TOO_MANY_ALIASES, f"aliases expand to more than {limits}", at)
        if len(self._frames) + anchor.cost.height > MAX_DEPTH:
            self._stop(rules.TOO_DEEP, f"with this alias, values are nested more than {MAX_DEPTH} levels deep", at)
        if self._expects_key():
            self._key(anchor.value, at)
        else:
            self._attach(anchor.value, anchor.place, anchor.cost, at)

    def _attach(self, value: Any, place: Place, cost: _Cost, at: Position) -> None:
        """Put a finished value where it belongs, and count its cost there."""
        if self._frame is not None:
            whole = self._frame.cost
            whole.values += cost.values
            whole.characters += cost.characters
            whole.height = max(whole.height, cost.height)
        self._put(value, place, at)

    def _put(self, value: Any, place: Place, at: Position) -> None:
        """Put a finished value where it belongs; ``at`` is where it is written (an alias's place is its anchor's)."""
        frame = self._frame
        if frame is None:
            self._root = (value, place)
            return
        around = frame.place
        if isinstance(around, SequencePlace):
            frame.value.append(value)
            around.children.append(place)
            return
        key, frame.key = frame.key, None
        assert key is not None
        if key == _MERGE:
            frame.merges = [*(frame.merges or ()), (value, place, at)]
        elif not frame.skip:
            frame.cost.characters += len(key)
            frame.value[key] = value
            around.keys[key] = frame.key_position
            around.children[key] = place

    def _merge(self, frame: _Frame) -> None:
        """Fill in what ``<<`` brings and the mapping does not say itself; of several, the first that says it counts."""
        assert isinstance(frame.place, MappingPlace)
        for value, place, at in frame.merges or ():
            pairs = [(value, place)]
            if isinstance(value, list) and isinstance(place, SequencePlace):
                pairs = list(zip(value, place.children, strict=True))
            for merged, merged_place in pairs:
                if not isinstance(merged, dict) or not isinstance(merged_place, MappingPlace):
                    self._report(rules.BAD_MERGE, "`<<` can only merge a mapping", max(at, position_of(merged_place)))
                    continue
                for key in [key for key in merged if key not in frame.value]:
                    frame.value[key] = merged[key]
                    frame.place.keys[key] = merged_place.keys[key]
                    frame.place.children[key] = merged_place.children[key]


def _start(event: Any) -> Position:
    mark = event.start_mark
    return position(mark.line + 1, mark.column + 1)


def _star_hint(name: str) -> str | None:
    return f'Put the value in quotes if `*` is meant as text: "*{name}".' if not name.isidentifier() else None


def read_document(text: str) -> Document:
    """The values and places of a YAML or JSON text. Raises `Unreadable` where reading cannot go on."""
    plain = read_plain(text)
    return read_closely(text) if plain is None else Document(plain.value, plain.place)


def read_closely(text: str) -> Document:
    """The same, of a text that may hold anything."""
    builder = Builder(text)
    try:
        next_event, takers = yaml.CSafeLoader(text).get_event, builder.takers
        while (event := next_event()) is not None:
            take = takers.get(type(event))
            if take is not None:
                take(event)
    except yaml.YAMLError as error:
        raise syntax_error(error, builder.lines) from None
    return builder.result()
