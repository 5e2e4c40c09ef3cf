"""The functions of the language, one module per family; importing this package fills the table.

A function is ``call(scope, *values)``: it pays the scope for work that grows with its arguments *before* doing it,
refuses a result beyond the bounds before memory grows, and raises `EvaluationError` without an offset (the call
knows its place).
"""

from workflow_runtime.language.expressions.functions import (
    collections,
    conversions,
    encoding,
    numbers,
    query,
    text,
    times,
)
from workflow_runtime.language.expressions.functions.registry import FUNCTIONS, ITEM_FUNCTIONS, PATH_FUNCTIONS, Function

__all__ = [
    "FUNCTIONS",
    "ITEM_FUNCTIONS",
    "PATH_FUNCTIONS",
    "Function",
    "collections",
    "conversions",
    "encoding",
    "numbers",
    "query",
    "text",
    "times",
]
