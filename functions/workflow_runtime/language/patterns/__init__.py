"""EventBridge event patterns: what a trigger's `filters` and the topology's rules match events with. Pure.

Semantics and limits are those of AWS (*Comparison operators for use in event patterns*) and of its matcher, Event
Ruler: a pattern names fields, all must match; a field's list says any of; a value that is an array matches if one of
its elements does, and fields below one array must match within one of its elements; `exists` is about leaves.

Beyond AWS: a single value or operator may stand without its list (``state: running``, ``amount: {numeric: [">", 0]}``).
"""

from workflow_runtime.language.patterns.operators import PatternError
from workflow_runtime.language.patterns.pattern import (
    ANY_OF,
    Pattern,
    compile_pattern,
    pattern_problem,
    stray_operators,
    undotted,
    values_test,
)

__all__ = [
    "ANY_OF",
    "Pattern",
    "PatternError",
    "compile_pattern",
    "pattern_problem",
    "stray_operators",
    "undotted",
    "values_test",
]
