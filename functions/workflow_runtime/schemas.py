"""JSON Schema 2020-12: checks of inputs, outputs and tool arguments, with messages for people. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

VALIDATORS_CACHED_MAX = 256  # warm processes meet few schemas
VIOLATIONS_SHOWN_MAX = 5  # the first few say what is wrong


def violation(schema: Any, value: Any) -> str | None:
    """What is wrong with ``value`` by ``schema``, in one line; None when nothing is."""
    validator = _validator(msgspec.json.encode(schema, order="deterministic"))
    if validator.is_valid(value):
        return None
    texts = []
    for error in validator.iter_errors(value):
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path).lstrip(".")
        texts.append(f"{place}: {error.message}" if place else error.message)
        if len(texts) == VIOLATIONS_SHOWN_MAX:
            break
    return "; ".join(texts)


@lru_cache(VALIDATORS_CACHED_MAX)
def _validator(schema: bytes) -> Any:
    return jsonschema_rs.validator_for(msgspec.json.decode(schema))
