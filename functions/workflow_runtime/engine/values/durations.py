"""Durations that formulas give."""

from __future__ import annotations

from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json


def seconds_of(value: Json) -> float:
    """A duration that a formula gave, in seconds. Raises `EvaluationError`."""
    try:
        return float(parse_duration(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise EvaluationError(f"not a duration: {str(error).removeprefix('not a duration: ')}") from error
