"""When a switch case equals the value it is compared with (language §2.2)."""

from __future__ import annotations

from workflow_runtime.language.expressions import equals
from workflow_runtime.language.json_values import Json


def case_matches(value: Json, wanted: Json) -> bool:
    """By JSON value; a string also matches a number or boolean of the same text, both ways; only null matches null."""
    if equals(value, wanted):
        return True
    if isinstance(value, str):
        return isinstance(wanted, (bool, int, float)) and value == _text(wanted)
    return isinstance(wanted, str) and isinstance(value, (bool, int, float)) and wanted == _text(value)


def _text(value: bool | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
