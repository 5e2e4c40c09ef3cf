"""Kinds of field that charts, waits and triggers share: names of events, and times that may be computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeAlias

from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import (
    QUOTE,
    SECONDS_OR_TEXT,
    Kind,
    integer,
    raise_at,
    read_duration,
    read_literal,
    read_positive_duration,
)
from workflow_runtime.definition.reading import kind_of, problem
from workflow_runtime.language.expressions import EvaluationError, format_iso, parse_iso
from workflow_runtime.language.expressions.times import EPOCH_MS_MIN, time_ms
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import INVISIBLE, named, normalized
from workflow_runtime.language.templates import has_template, is_one_template
from workflow_runtime.language.texts import quoted


def read_event_name(value: object) -> str:
    """The exact name of an event."""
    name = _read_name(value)
    if "*" in name:
        hint = "`*` is for transitions, which may listen to several events."
        raise problem(rules.BAD_EVENT, f"{quoted(name)} is not the name of one event", hint)
    return name


def _read_name(value: object) -> str:
    """Names that look the same are the same, as ids are."""
    name = normalized(read_literal(value))
    hidden = INVISIBLE.search(name)
    if hidden is not None:
        hint = f"Character {hidden.start() + 1} is {named(hidden[0])}, which shows nothing: remove it."
        raise problem(rules.BAD_EVENT, f"{quoted(name)} is not the name of an event", hint)
    return name


def read_descriptor(value: object) -> str:
    """What a transition listens to: a name, ``order.*`` for `order` and all below it, or ``*`` for everything."""
    name = _read_name(value)
    if "*" in name and name != "*" and (name.count("*") > 1 or not name.endswith(".*") or name == ".*"):
        raise problem(rules.BAD_EVENT, f"{quoted(name)} has a `*` where it means nothing")
    return name


def read_descriptors(value: object) -> tuple[str, ...]:
    """One descriptor or a list of them."""
    if not isinstance(value, list):
        return (read_descriptor(value),)
    if not value:
        raise problem(rules.REQUIRED, "the list of events is empty")
    found, errors = [], []
    for index, item in enumerate(value):
        try:
            found.append(read_descriptor(item))
        except PydanticCustomError as error:
            errors.append((index, error))
    raise_at([*errors])
    return tuple(found)


def read_event_template(value: object) -> str:
    """The name of an event as a template."""
    return read_some_text(value) if has_template(value) else read_event_name(value)


def read_some_text(value: object) -> str:
    """A template of text that cannot be empty."""
    if isinstance(value, str) and value.strip():
        return value
    shown = "empty text" if isinstance(value, str) else kind_of(value)
    hint = QUOTE if isinstance(value, int | float) else None
    raise problem(rules.WRONG_KIND, f"expected some text, not {shown}", hint)


def integer_or_template(least: int, most: int) -> Callable[[object], int | str]:
    """A reader of whole numbers from ``least`` to ``most``, or exactly one ``${…}``."""
    read = integer(least, most)

    def read_either(value: object) -> int | str:
        return value.strip() if isinstance(value, str) and is_one_template(value) else read(value)

    return read_either


def _or_template(read: Callable[[object], float]) -> Callable[[object], float | str]:
    def read_either(value: object) -> float | str:
        if not isinstance(value, str) or not has_template(value):
            return read(value)
        if not is_one_template(value):
            raise problem(rules.NOT_ONE_TEMPLATE, f"expected a duration or exactly one `${{…}}`, not {quoted(value)}")
        return value.strip()

    return read_either


def read_time(value: object) -> str:
    """An ISO 8601 time (without an offset it is UTC), epoch milliseconds, or exactly one ``${…}``; as text."""
    if isinstance(value, str) and has_template(value):
        if not is_one_template(value):
            raise problem(rules.NOT_ONE_TEMPLATE, f"expected a time or exactly one `${{…}}`, not {quoted(value)}")
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _read_epoch_ms(value)
    if not isinstance(value, str):
        raise problem(rules.BAD_TIME, f"expected a time, not {kind_of(value)}")
    try:
        parse_iso(value)
    except EvaluationError:
        raise problem(rules.BAD_TIME, f"{quoted(value)} is not a time") from None
    return value.strip()


def _read_epoch_ms(value: int | float) -> str:
    if value < EPOCH_MS_MIN:
        hint = "If these are seconds, multiply them by 1000, or write ISO 8601."
        raise problem(rules.BAD_TIME, f"{value} is too small for a time in epoch milliseconds", hint)
    try:
        return format_iso(time_ms(value))
    except EvaluationError as error:
        raise problem(rules.BAD_TIME, f"{value} is not a time: {error.message}") from None


_TEXT: dict[str, Json] = {"type": "string", "minLength": 1}
_DESCRIPTOR: dict[str, Json] = {"type": "string", "pattern": r"^(\*|[^*]+(\.\*)?)$"}

Seconds: TypeAlias = float | str
"""Seconds, or the text of one ``${…}`` that yields a duration."""
EventName = Annotated[str, Kind(read_event_name, {"type": "string", "pattern": "^[^*]+$"})]
Descriptors = Annotated[
    tuple[str, ...],
    Kind(
        read_descriptors,
        {"anyOf": [_DESCRIPTOR, {"type": "array", "items": _DESCRIPTOR, "minItems": 1}]},
    ),
]
EventTemplate = Annotated[str, Kind(read_event_template, _TEXT)]
SomeText = Annotated[str, Kind(read_some_text, _TEXT)]
Time = Annotated[str, Kind(read_time, {"anyOf": [_TEXT, {"type": "number", "minimum": EPOCH_MS_MIN}]})]
DelayOrTemplate = Annotated[Json, Kind(_or_template(read_duration), SECONDS_OR_TEXT)]
DurationOrTemplate = Annotated[Json, Kind(_or_template(read_positive_duration), SECONDS_OR_TEXT)]
