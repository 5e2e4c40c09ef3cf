"""Plain documents: mappings, lists and scalars without tags, anchors, merges and mistakes. Nearly all files are such.

Reading one takes little more than its parser does. Where the values stand is only noted: nobody asks unless there is
something to report.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from yaml import (
    AliasEvent,
    CSafeLoader,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    YAMLError,
)

from workflow_runtime.language.templates import is_cut
from workflow_runtime.language.yaml.bounds import MAX_DEPTH, MAX_KEY_CHARACTERS, MAX_SCALAR_CHARACTERS, MAX_VALUES
from workflow_runtime.language.yaml.places import MappingPlace, Place, Position, SequencePlace, position
from workflow_runtime.language.yaml.scalars import NotJson, resolve


class PlainDocument(NamedTuple):
    """``marks``: the parser's, of where each key and value begins, in the order of the text."""

    value: Any
    marks: list[Any]

    def place(self) -> Place:
        """Where the value stands, which must be as it was read."""
        return _place(self.value, iter(self.marks))


def read_plain(text: str) -> PlainDocument | None:
    """None for a document that is not plain, or beyond a bound."""
    try:
        return _read(text)
    except (YAMLError, NotJson):
        return None


def _read(text: str) -> PlainDocument | None:
    """One loop with few calls: a file may have hundreds of thousands of values."""
    top: list[Any] = []
    here: Any = top  # the innermost open collection
    around: list[Any] = []
    key: str | None = None
    keys: dict[str, str] = {}  # few are different: each of them is looked at, and kept, once
    marks: list[Any] = []
    may_have_anchors = "&" in text
    next_event: Callable[[], Any] = CSafeLoader(text).get_event
    while (event := next_event()) is not None:
        kind = type(event)
        if kind is ScalarEvent:
            value = event.value
            if len(value) > MAX_SCALAR_CHARACTERS:
                return None
            if not event.style:
                if "${" in value and is_cut(value):
                    return None
                value = resolve(value)
        elif kind is MappingStartEvent:
            value = {}
        elif kind is SequenceStartEvent:
            value = []
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            here = around.pop()
            continue
        elif kind is AliasEvent:
            return None
        else:  # where the text and the document begin and end
            continue
        if event.tag is not None or (may_have_anchors and event.anchor) or len(marks) >= MAX_VALUES:
            return None
        marks.append(event.start_mark)
        if key is not None:
            here[key] = value
            key = None
        elif type(here) is list:
            here.append(value)
        elif kind is ScalarEvent:
            key = keys.get(value) or _new_key(value, keys)
            if key is None or key in here:
                return None
            continue
        else:
            return None
        if kind is not ScalarEvent:
            if len(around) >= MAX_DEPTH:
                return None
            around.append(here)
            here = value
    return PlainDocument(top[0], marks) if len(top) == 1 else None


def _new_key(value: Any, keys: dict[str, str]) -> str | None:
    """A key met for the first time, which is then in ``keys``; None if there is anything to say about it."""
    if type(value) is not str or len(value) > MAX_KEY_CHARACTERS or "${" in value or value == "<<":
        return None
    return keys.setdefault(value, sys.intern(value))


def _place(value: Any, marks: Iterator[Any]) -> Place:
    at = _position(next(marks))
    if isinstance(value, dict):
        mapping = MappingPlace(at)
        for key, item in value.items():
            mapping.keys[key] = _position(next(marks))
            mapping.children[key] = _place(item, marks)
        return mapping
    if isinstance(value, list):
        sequence = SequencePlace(at)
        sequence.children += [_place(item, marks) for item in value]
        return sequence
    return at


def _position(mark: Any) -> Position:
    return position(mark.line + 1, mark.column + 1)
