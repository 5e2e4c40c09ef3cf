"""The kinds of field that the language knows (literal, template, expression, duration, ids …) as annotated types.

Each checks one value completely and raises `problem(...)` with a message for the author;
pydantic's own texts never show.
The JSON Schema of each kind stands beside its check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Final

import jsonschema_rs
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, ValidationError, core_schema

from workflow_runtime.definition import rules
from workflow_runtime.definition.reading import kind_of, problem
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import look_alike_hint
from workflow_runtime.language.schemas import dangling_reference
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.templates import has_template, is_one_template
from workflow_runtime.language.texts import quoted, shorten

QUOTE = "Put it in quotes to make it text."
MAX_NAME_LENGTH = 256
MAX_COUNT = 1_000_000
"""Above every count that a workflow can reach; catches a slipped digit."""
MAX_DURATION_SECONDS = 400 * 86_400.0
"""The longest life of an execution; nothing inside can last longer."""


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
"""A templated value that was not given (null is a value)."""


def not_literal(value: str) -> PydanticCustomError:
    return problem(rules.TEMPLATE_IN_LITERAL, f"this field is taken literally, but holds `${{`: {quoted(value)}")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    hint = QUOTE if isinstance(value, int | float) else None
    raise problem(rules.WRONG_KIND, f"expected text, not {kind_of(value)}", hint)


def read_literal(value: object) -> str:
    text = _text(value)
    if has_template(text):
        raise not_literal(text)
    if not text.strip():
        raise problem(rules.WRONG_KIND, "expected some text, not empty text")
    return text


def read_label(value: object) -> str:
    """A name or version for people: numbers are welcome (``version: 1.2``)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    text = read_literal(value)
    if len(text) > MAX_NAME_LENGTH:
        raise problem(rules.OUT_OF_RANGE, f"the text has {len(text)} characters; at most {MAX_NAME_LENGTH} are allowed")
    return text


def raise_at(errors: list[tuple[int | str, PydanticCustomError]]) -> None:
    """Raise all of ``errors``, each at its own index or key; nothing when there are none."""
    if errors:
        lines = [InitErrorDetails(type=error, loc=(key,), input=None) for key, error in errors]
        raise ValidationError.from_exception_data("value", lines)


def raise_all(errors: Sequence[PydanticCustomError]) -> None:
    """Raise all of ``errors``, which say themselves where they are; nothing when there are none."""
    if errors:
        lines = [InitErrorDetails(type=error, loc=(), input=None) for error in errors]
        raise ValidationError.from_exception_data("value", lines)


def read_texts(value: object) -> tuple[str, ...]:
    """One literal text or a list of them."""
    items = value if isinstance(value, list) else [value]
    errors: list[tuple[int | str, PydanticCustomError]] = []
    texts = []
    for index, item in enumerate(items):
        try:
            texts.append(read_literal(item))
        except PydanticCustomError as error:
            if not isinstance(value, list):
                raise
            errors.append((index, error))
    raise_at(errors)
    return tuple(texts)


def read_expression(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise problem(rules.WRONG_KIND, f"expected an expression, not {kind_of(value)}", 'For example "${total} > 10".')
    if not value.strip():
        raise problem(rules.WRONG_KIND, "the expression is empty")
    return value


def read_text(value: object) -> str:
    return _text(value)


def read_mapping(value: object) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise problem(rules.WRONG_KIND, f"expected a mapping, not {kind_of(value)}")
    return value


def read_inputs(value: object) -> dict[str, Json]:
    hint = "Give each input a name: `inputs: {text: …}`."
    if not isinstance(value, dict):
        raise problem(rules.WRONG_KIND, f"`inputs` must be a mapping, not {kind_of(value)}", hint)
    return value


def read_flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if has_template(value):
        raise problem(rules.LITERAL_FOR_NOW, "expected true or false; `${…}` is not possible here")
    raise problem(
        rules.WRONG_KIND, f"expected true or false, not {kind_of(value)}", "YAML 1.2: only `true` and `false`."
    )


def read_duration(value: object) -> float:
    if has_template(value):
        raise problem(rules.LITERAL_FOR_NOW, "a duration must be a literal for now, not `${…}`")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise problem(rules.BAD_DURATION, f"expected a duration, not {kind_of(value)}")
    try:
        seconds = float(parse_duration(value))
    except (ValueError, OverflowError):
        hint = look_alike_hint(value) if isinstance(value, str) else None
        raise problem(rules.BAD_DURATION, f"{quoted(str(value))} is not a duration", hint) from None
    if not 0 <= seconds <= MAX_DURATION_SECONDS:
        raise problem(rules.OUT_OF_RANGE, f"a duration is between 0 and {MAX_DURATION_SECONDS / 86_400:.0f} days")
    return seconds


def read_positive_duration(value: object) -> float:
    seconds = read_duration(value)
    if seconds == 0:
        raise problem(rules.OUT_OF_RANGE, "a duration of 0 leaves no time at all", "Leave the field out for no limit.")
    return seconds


def integer(least: int, most: int = MAX_COUNT) -> Callable[[object], int]:
    """A reader of whole numbers from ``least`` to ``most``."""

    def read(value: object) -> int:
        if has_template(value):
            raise problem(rules.LITERAL_FOR_NOW, "a number must be a literal for now, not `${…}`")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise problem(rules.WRONG_KIND, f"expected a whole number, not {kind_of(value)}")
        if not least <= value <= most:
            raise problem(rules.OUT_OF_RANGE, f"{value} is out of range: {least} to {most}")
        return value

    return read


def read_factor(value: object) -> float:
    if has_template(value):
        raise problem(rules.LITERAL_FOR_NOW, "a number must be a literal for now, not `${…}`")
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise problem(rules.WRONG_KIND, f"expected a number, not {kind_of(value)}")
    if not 1 <= value <= 100:
        raise problem(rules.OUT_OF_RANGE, f"{value} is out of range: 1 to 100")
    return float(value)


def read_list_or_template(value: object) -> Json:
    if isinstance(value, list):
        return value
    if isinstance(value, str) and is_one_template(value):
        return value.strip()
    if has_template(value):
        raise problem(rules.NOT_ONE_TEMPLATE, f"expected a list or exactly one `${{…}}`, not {quoted(str(value))}")
    raise problem(rules.WRONG_KIND, f"expected a list or `${{…}}`, not {kind_of(value)}")


def read_schema(value: object) -> Json:
    """A JSON Schema, checked against the 2020-12 meta-schema."""
    if not isinstance(value, dict | bool):
        raise problem(rules.BAD_SCHEMA, f"a JSON Schema is a mapping, not {kind_of(value)}")
    try:
        jsonschema_rs.meta.validate(value)
    except jsonschema_rs.ValidationError as error:
        raise problem(
            rules.BAD_SCHEMA, f"not a JSON Schema: {shorten(error.message, 200)}", at=tuple(error.instance_path)
        ) from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise problem(rules.BAD_SCHEMA, f"not a JSON Schema: {shorten(str(error), 200)}") from None
    dangling = dangling_reference(value)
    if dangling is not None:
        place, reference = dangling
        hint = "Schemas refer to parts of themselves only, for example `#/$defs/item`."
        raise problem(rules.BAD_SCHEMA, f"the reference {quoted(reference)} leads nowhere", hint, place)
    return value


class Kind:
    """Annotation of a field: how a value is read (all of the checking), and the JSON Schema that editors see."""

    def __init__(self, read: Callable[[Any], Any], schema: dict[str, Json]) -> None:
        self.read = read
        self.schema = schema

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Json]:
        return dict(self.schema)


def word(*known: str, synonyms: Mapping[object, str] | None = None) -> Kind:
    """One of the words ``known``; ``synonyms`` are other spellings that are understood."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in known:
            return value
        if synonyms and isinstance(value, str | bool) and value in synonyms:
            return synonyms[value]
        if has_template(value):
            raise not_literal(str(value))
        shown = f"{quoted(value)}" if isinstance(value, str) else kind_of(value)
        hint = did_you_mean(value, known) if isinstance(value, str) else None
        raise problem(rules.UNKNOWN_WORD, f"{shown} is not one of {', '.join(known)}", hint)

    return Kind(read, {"enum": [*known, *(synonyms or {})]})


ONE_TEMPLATE = r"^\s*\$\{[\s\S]*\}\s*$"
TEXT: dict[str, Json] = {"type": "string", "minLength": 1}
TEXT_OR_TEXTS: dict[str, Json] = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}
SECONDS_OR_TEXT: dict[str, Json] = {"anyOf": [{"type": "number", "minimum": 0}, TEXT]}


def _whole(least: int) -> Kind:
    return Kind(integer(least), {"type": "integer", "minimum": least, "maximum": MAX_COUNT})


Literal = Annotated[str, Kind(read_literal, TEXT)]
Label = Annotated[str, Kind(read_label, {"type": ["string", "number"]})]
Text = Annotated[str, Kind(read_text, {"type": "string"})]
Texts = Annotated[tuple[str, ...], Kind(read_texts, TEXT_OR_TEXTS)]
Expression = Annotated[str, Kind(read_expression, {"type": ["string", "boolean"], "minLength": 1})]
Value = Annotated[Json, Kind(lambda value: value, {})]
Object = Annotated[dict[str, Json], Kind(read_mapping, {"type": "object"})]
Inputs = Annotated[dict[str, Json], Kind(read_inputs, {"type": "object"})]
Flag = Annotated[bool, Kind(read_flag, {"type": "boolean"})]
Duration = Annotated[float, Kind(read_positive_duration, SECONDS_OR_TEXT)]
Delay = Annotated[float, Kind(read_duration, SECONDS_OR_TEXT)]
Count = Annotated[int, _whole(0)]
Priority = Annotated[int, _whole(-MAX_COUNT)]
Factor = Annotated[float, Kind(read_factor, {"type": "number", "minimum": 1, "maximum": 100})]
ListOrTemplate = Annotated[
    Json, Kind(read_list_or_template, {"anyOf": [{"type": "array"}, {"type": "string", "pattern": ONE_TEMPLATE}]})
]
Schema = Annotated[Json, Kind(read_schema, {"type": ["object", "boolean"]})]
