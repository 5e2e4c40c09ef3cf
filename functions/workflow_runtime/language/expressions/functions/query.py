"""Foreign query languages: regular expressions by re2 (linear time), and JMESPath on an interpreter that pays its
way."""

from __future__ import annotations

import re
from typing import Any

from workflow_runtime.language.caching import ByteCache
from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.functions.registry import function
from workflow_runtime.language.expressions.limits import (
    PATTERN_CHARACTERS_MAX,
    PATTERN_MEMORY_BYTES_MAX,
    PATTERNS_CACHED_BYTES_MAX,
    QUERY_CHARACTERS_MAX,
    QUERY_PARTS_MAX,
)
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.values import text
from workflow_runtime.language.json_values import Json

_SEARCH_SHIFT = 9
"""Without memory for its automaton re2 tries every instruction at every character; 2**9 of those take microseconds."""

_COMPILING_STEPS = 50
"""A pattern that is computed may be a new one each time; compiling takes far longer than searching a short text, and is
paid by the size of the program, too."""

_patterns: ByteCache[str, Any] = ByteCache(PATTERNS_CACHED_BYTES_MAX)

_QUERY_PART = re.compile(r"&&|\|\||[=!<>]=|[\[({*!&|<>]")
_PROGRAM_SHIFT = 1  # two instructions are compiled in about a microsecond
_INSTRUCTION_BYTES = 16


@function("matches(text, pattern)", 2)
def matches(scope: Scope, value: Json, pattern: Json) -> bool:
    """Whether the pattern (RE2 syntax) is found anywhere in the text; ``^`` and ``$`` tie it down."""
    scope.charge(_COMPILING_STEPS + len(text(pattern)))
    scope.charge(compile_pattern(pattern).programsize >> _PROGRAM_SHIFT)
    return found(scope, value, pattern)


def found(scope: Scope, value: Json, pattern: str) -> bool:
    """`matches` for a pattern that is part of the source: it is compiled once, so only the search is paid."""
    subject, compiled = text(value), compile_pattern(pattern)
    scope.charge(1 + (len(subject) * compiled.programsize >> _SEARCH_SHIFT))
    return compiled.search(subject) is not None


def compile_pattern(pattern: str) -> Any:
    """The compiled pattern. Raises `EvaluationError`."""
    compiled = _patterns.get(pattern)
    if compiled is None:
        compiled = _compiled(pattern)
        program = _INSTRUCTION_BYTES * compiled.programsize
        _patterns.put(pattern, compiled, program + PATTERN_MEMORY_BYTES_MAX // 4)  # few searches fill an automaton
    return compiled


def _compiled(pattern: str) -> Any:
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise EvaluationError(f"a pattern longer than {PATTERN_CHARACTERS_MAX:,} characters")
    import re2

    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES_MAX
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise EvaluationError("not a regular expression", quote=reason[:100]) from None


def check_query(query: str) -> None:
    """Raises `EvaluationError` unless ``query`` is JMESPath within the bounds."""
    _check_size(query)
    from jmespath import compile as parse
    from jmespath.exceptions import JMESPathError

    try:
        parse(query)
    except (JMESPathError, ValueError) as error:
        raise EvaluationError("not a JMESPath query", quote=str(error).partition("\n")[0][:200]) from None


def _check_size(query: str) -> None:
    if len(query) > QUERY_CHARACTERS_MAX:
        raise EvaluationError(f"a query longer than {QUERY_CHARACTERS_MAX:,} characters")
    if len(_QUERY_PART.findall(query)) > QUERY_PARTS_MAX:
        raise EvaluationError(f"a query of more than {QUERY_PARTS_MAX} brackets and operators, which may be too deep")


@function("jmespath(x, query)", 2)
def jmespath(scope: Scope, value: Json, query: Json) -> Json:
    """The result of a JMESPath query; null where it finds nothing."""
    _check_size(text(query))
    scope.charge(1 + len(query))
    from jmespath.exceptions import JMESPathError

    from workflow_runtime.language.expressions.functions.jmespath_bounded import search

    try:
        return search(query, value, scope)
    except JMESPathError as error:
        reason = str(error).partition("\n")[0]
        raise EvaluationError("JMESPath", quote=reason[:200]) from None
    except (TypeError, ValueError, OverflowError, ZeroDivisionError, AttributeError) as error:
        # its functions let Python's own errors through: slice step 0, infinite floats, text of too many digits
        raise EvaluationError("JMESPath", quote=str(error)[:200]) from None
