"""Ids: names that entries of a document have, and how others refer to them.

Names that look the same are the same: they are read in Unicode's form NFC.
"""

from __future__ import annotations

from typing import Annotated

import re2
from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import (
    QUOTE,
    TEXT,
    TEXT_OR_TEXTS,
    Kind,
    not_literal,
    raise_at,
    read_literal,
    read_mapping,
    read_text,
)
from workflow_runtime.definition.reading import kind_of, problem
from workflow_runtime.language.expressions import RESERVED_NAMES, is_id
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import look_alike_hint, normalized
from workflow_runtime.language.templates import has_template, is_one_template
from workflow_runtime.language.texts import quoted

MAX_ID_LENGTH = 128
"""Ids become parts of keys and of paths; longer ones are hashed everywhere and help nobody."""
MAX_POOL_LENGTH = 40  # with the name of the stack around it, a queue's stays within 80
POOL_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_POOL = re2.compile(POOL_PATTERN)
ID_PATTERN = r"^[\p{L}\p{N}_][\p{L}\p{N}\p{M}_-]{0,127}$"


def id_problem(value: object) -> PydanticCustomError | None:
    """What is wrong with ``value`` as an id, or None."""
    if not isinstance(value, str):
        hint = QUOTE if isinstance(value, int | float) else None
        return problem(rules.BAD_ID, f"an id is text, not {kind_of(value)}", hint)
    if has_template(value):
        return not_literal(value)
    if value in RESERVED_NAMES:
        return problem(rules.RESERVED, f"`{value}` is a reserved name")
    if not 0 < len(value) <= MAX_ID_LENGTH:
        return problem(rules.BAD_ID, f"an id has 1 to {MAX_ID_LENGTH} characters, this one has {len(value)}")
    if not is_id(value):
        hint = look_alike_hint(value)
        return problem(rules.BAD_ID, f"{quoted(value)} is not an id", hint and f"{hint} {rules.BAD_ID.hint}")
    return None


def read_id(value: object) -> str:
    wrong = id_problem(value)
    if wrong is not None:
        raise wrong
    assert isinstance(value, str)
    return normalized(value)


def read_ids(value: object) -> tuple[str, ...]:
    """One id or a list of ids that other entries have; whether they exist is the compiler's question."""
    if isinstance(value, list):
        wrong = [(index, _id_text_problem(item)) for index, item in enumerate(value)]
        raise_at([(index, error) for index, error in wrong if error is not None])
        return tuple([normalized(item) for item in value])
    error = _id_text_problem(value)
    if error is not None:
        raise error
    return (normalized(str(value)),)


def _id_text_problem(value: object) -> PydanticCustomError | None:
    if isinstance(value, str) and value.strip() and not has_template(value):
        return None
    if isinstance(value, str) and value.strip():
        return not_literal(value)
    shown = "empty text" if isinstance(value, str) else kind_of(value)
    hint = QUOTE if isinstance(value, int | float) else None
    return problem(rules.WRONG_KIND, f"expected an id or a list of ids, not {shown}", hint)


def read_variables(value: object) -> dict[str, Json]:
    names = read_mapping(value)
    wrong = [(name, id_problem(name)) for name in names]
    raise_at([(name, error) for name, error in wrong if error is not None])
    normal: dict[str, Json] = {}
    for name, item in names.items():
        if normalized(name) in normal:
            raise_at([(name, problem(rules.DUPLICATE_ID, f"the variable `{name}` is already set"))])
        normal[normalized(name)] = item
    return normal


def read_dynamic_id(value: object) -> str:
    """An id, or exactly one ``${…}``."""
    text = read_text(value)
    if has_template(text):
        if not is_one_template(text):
            raise problem(rules.NOT_ONE_TEMPLATE, f"expected an id or exactly one `${{…}}`, not {quoted(text)}")
        return text.strip()
    return read_reference(text)


def read_reference(value: object) -> str:
    """The id of something else, written literally."""
    return normalized(read_literal(value))


def read_pool(value: object) -> str:
    """The name of a worker pool; a queue and a Lambda function are named after it, so it is plain."""
    if isinstance(value, str) and len(value) <= MAX_POOL_LENGTH and _POOL.fullmatch(value):
        return value
    hint = f"Small letters, digits and single hyphens, at most {MAX_POOL_LENGTH} of them."
    raise problem(rules.BAD_ID, f"{quoted(str(value))} is not the name of a worker pool", hint)


def check_allow(value: str, allow: tuple[str, ...], field: str) -> None:
    """Refuse a computed id that could be anything, and a list for one that is not computed."""
    if has_template(value) and not allow:
        raise problem(rules.DYNAMIC_ID, f"`{field}` is computed, so `allow` must list what it may be", at=(field,))
    if allow and not has_template(value):
        raise problem(rules.COMBINATION, f"`allow` only goes with a computed `{field}`", at=("allow",))


Id = Annotated[str, Kind(read_id, {"type": "string", "pattern": ID_PATTERN})]
Pool = Annotated[str, Kind(read_pool, {"type": "string", "pattern": POOL_PATTERN, "maxLength": MAX_POOL_LENGTH})]
Ids = Annotated[tuple[str, ...], Kind(read_ids, TEXT_OR_TEXTS)]
Reference = Annotated[str, Kind(read_reference, TEXT)]
"""The id of something else; whether it exists is the compiler's question."""
Variables = Annotated[
    dict[str, Json], Kind(read_variables, {"type": "object", "propertyNames": {"pattern": ID_PATTERN}})
]
DynamicId = Annotated[str, Kind(read_dynamic_id, TEXT)]
