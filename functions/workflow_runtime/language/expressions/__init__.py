"""The expression language of definitions: text in, JSON value out, nothing else reachable.

What lives here, in the order text meets it:

- `names`: what a name may look like, and which names are reserved.
- `lexer`, `parser`: text -> tokens -> the small tree of `syntax`; `hints`: what they say when it is none.
- `paths`, `operators`, `compiler`: the tree -> closures, once; evaluation only calls closures.
- `functions`: the functions by family, in one table (``FUNCTIONS``).
- `template`: strings with ``${…}`` in them, alone or anywhere inside a JSON value.
- `scope`: what an evaluation may read, and its budgets. `limits`: every bound, with its reason.

It imports the standard library, msgspec, and lazily re2 and jmespath. It must never know about plans, nodes, storage
or the clock: the caller puts names and the time into the scope.
"""

from workflow_runtime.language.expressions.errors import EvaluationError, ExpressionSyntaxError
from workflow_runtime.language.expressions.expression import Expression, compile_expression
from workflow_runtime.language.expressions.functions import FUNCTIONS
from workflow_runtime.language.expressions.functions.query import compile_pattern
from workflow_runtime.language.expressions.limits import PATTERN_MEMORY_BYTES_MAX
from workflow_runtime.language.expressions.names import (
    ID_PATTERN,
    IDENTIFIER_PATTERN,
    RESERVED_NAMES,
    is_id,
    is_identifier,
)
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.syntax import Reference
from workflow_runtime.language.expressions.template import Template, compile_template
from workflow_runtime.language.expressions.times import format_iso, parse_iso
from workflow_runtime.language.expressions.values import equals, render_text

__all__ = [
    "FUNCTIONS",
    "IDENTIFIER_PATTERN",
    "ID_PATTERN",
    "PATTERN_MEMORY_BYTES_MAX",
    "RESERVED_NAMES",
    "EvaluationError",
    "Expression",
    "ExpressionSyntaxError",
    "Reference",
    "Scope",
    "Template",
    "compile_expression",
    "compile_pattern",
    "compile_template",
    "equals",
    "format_iso",
    "is_id",
    "is_identifier",
    "parse_iso",
    "render_text",
]
