"""JSON Schema 2020-12: checks of inputs, outputs and arguments, with messages for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import msgspec

from workflow_runtime.language.caching import cached_by_bytes
from workflow_runtime.language.json_values import Json, Path

PROBLEMS_SHOWN = 5  # what a model or a person can fix at once
PROBLEM_CHARS_MAX = 300  # of one message; it may quote the value
VALIDATORS_CACHED_BYTES_MAX = 64 * 1024 * 1024  # warm processes meet few schemas
VALIDATOR_BYTES = 8 * 1024  # of a small one; a larger one takes about 30 bytes per byte of its schema


class SchemaUnusable(ValueError):
    """A JSON Schema that is wrong itself, or refers to other documents."""


def violation(schema: Json, value: Json) -> str | None:
    """What is wrong with ``value`` by ``schema`` (or with the schema), in one line; None when nothing is."""
    try:
        problems = schema_problems(schema, value)
    except SchemaUnusable as error:
        return str(error)
    return "; ".join(problems) or None


def schema_problems(schema: Json, value: Json) -> list[str]:
    """How ``value`` fails ``schema``, one line each, the first few only; empty when it matches. Raises
    `SchemaUnusable`."""
    problems: list[str] = []
    for error in validator_of(schema).iter_errors(value):
        if len(problems) == PROBLEMS_SHOWN:
            problems.append("…")
            break
        place = "/".join(str(part) for part in error.instance_path)
        problems.append(f"{place}: {_short(error.message)}" if place else _short(error.message))
    return problems


def dangling_reference(schema: Json) -> tuple[Path, str] | None:
    """The first ``$ref`` of a schema that leads nowhere in it, with its place; None when there is none.

    References to other documents count: none is ever read.
    """
    anchors = {value for key in ("$anchor", "$dynamicAnchor", "$id") for value in _values_of(schema, key)}
    for path, reference in _references(schema, ()):
        if reference not in anchors and reference.removeprefix("#") not in anchors and not _leads(schema, reference):
            return path, reference
    return None


def resolve(root: Json, reference: str) -> Json:
    """What a ``$ref`` of the form ``#/…`` leads to in ``root``; None when nothing is there."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    target = root
    for step in unquote(reference[2:]).split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, dict) and key in target:
            target = target[key]
        elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
            target = target[int(key)]
        else:
            return None
    return target


def _leads(root: Json, reference: str) -> bool:
    return resolve(root, reference) is not None


def _references(schema: Json, path: Path) -> Iterator[tuple[Path, str]]:
    """Every ``$ref`` with its place; what stands in `enum`, `const`, `default` and `examples` is data."""
    if isinstance(schema, dict):
        for key, item in schema.items():
            if key == "$ref" and isinstance(item, str):
                yield (*path, key), item
            elif key not in ("enum", "const", "default", "examples"):
                yield from _references(item, (*path, key))
    elif isinstance(schema, list):
        for position, item in enumerate(schema):
            yield from _references(item, (*path, position))


def _values_of(schema: Json, name: str) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get(name), str):
            yield schema[name]
        for item in schema.values():
            yield from _values_of(item, name)
    elif isinstance(schema, list):
        for item in schema:
            yield from _values_of(item, name)


def validator_of(schema: Json) -> Any:
    """The validator of ``schema``, cached. Never reads another document, by network or file. Raises
    `SchemaUnusable`."""
    try:
        encoded = msgspec.json.encode(schema, order="deterministic")
    except (TypeError, ValueError, OverflowError) as error:
        raise SchemaUnusable(f"the schema is not a JSON value: {error}") from None
    return _validator(encoded)


def _bytes_of(encoded: bytes, _: Any) -> int:
    return VALIDATOR_BYTES + 30 * len(encoded)


@cached_by_bytes(VALIDATORS_CACHED_BYTES_MAX, _bytes_of)
def _validator(encoded: bytes) -> Any:
    try:
        return jsonschema_rs.Draft202012Validator(msgspec.json.decode(encoded), retriever=_refuse)
    except ValueError as error:
        raise SchemaUnusable(f"not a valid JSON Schema:  {str(error).splitlines()[0]}") from None


def _refuse(uri: str) -> Json:
    raise ValueError(f"a schema may not refer to another document ({uri})")


def _short(message: str) -> str:
    return message if len(message) <= PROBLEM_CHARS_MAX else f"{message[:PROBLEM_CHARS_MAX]}…"
