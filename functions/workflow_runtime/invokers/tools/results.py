"""Return values of tools as JSON: what every door takes, and pydantic models."""

from __future__ import annotations

import decimal
from typing import Any

from pydantic import BaseModel

from workflow_runtime.language.json_values import Json, no_json, to_json


def result_json(value: Any) -> Json:
    """``value`` as JSON. Raises `NotJson`."""
    return to_json(value, convert=_of_model)


def _of_model(value: Any) -> Json:
    if not isinstance(value, BaseModel):
        raise no_json(value)
    return _with_numbers(value.model_dump(by_alias=True), value.model_dump(mode="json", by_alias=True))


def _with_numbers(plain: Any, dumped: Any) -> Any:
    """``dumped`` with decimals as they are elsewhere, numbers; unless the model itself writes them in another way.

    ``plain`` is the same dump in Python's types: a decimal there is a text in ``dumped``.
    """
    match plain, dumped:
        case decimal.Decimal(), str() if dumped == str(plain):
            return plain
        case dict(), dict() if len(plain) == len(dumped):  # keys may be written in another way, too
            pairs = zip(plain.values(), dumped.items(), strict=True)
            return {key: _with_numbers(item, shown) for item, (key, shown) in pairs}
        case ((list() | tuple()), list()):
            return [_with_numbers(item, shown) for item, shown in zip(plain, dumped, strict=True)]
    return dumped
