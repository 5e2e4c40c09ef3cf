"""One expression: compiled once, evaluated against any scope."""

from __future__ import annotations

import re

from workflow_runtime.language.caching import cached_by_bytes
from workflow_runtime.language.expressions.compiler import Compiler, builds, picks
from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.lexer import END, NAME_IN_ASCII, Token, tokenize
from workflow_runtime.language.expressions.limits import (
    COMPILED_BYTES_PER_CHARACTER,
    EXPRESSIONS_CACHED_BYTES_MAX,
    MEMORY_BYTES_MAX,
    RESULT_BYTES_MAX,
    SOURCE_BYTES_MAX,
    STEPS_MAX,
)
from workflow_runtime.language.expressions.names import ID_CHARACTERS_MAX
from workflow_runtime.language.expressions.operators import Evaluator
from workflow_runtime.language.expressions.parser import NOT_NAMES, Parser
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.syntax import Compare, Key, Literal, Name, Node, Path, Reference
from workflow_runtime.language.expressions.values import json_bytes
from workflow_runtime.language.json_values import Json

SECRETS = "secrets"
"""The name whose values are followed: what is derived from them, and that errors quote none of it."""

_PLAIN = re.compile(rf"{NAME_IN_ASCII}(?:\.{NAME_IN_ASCII})*+")
_PLAIN_CHARACTERS_MAX = ID_CHARACTERS_MAX  # none of its names can be longer than one may be
_COMPARED = re.compile(r""" (==|!=|<=?|>=?) (?:(true|false|null)|([0-9]{1,15})|'([^'\\$]*)'|"([^"\\$]*)")""", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None}


class Expression:
    """Made by `compile_expression`. ``references``: every mention of a name, in order (``item`` of ``filter`` and
    its like left out). ``tree``: None for one that is known to be plain.

    A large workflow has thousands of expressions that only pick or compare, and most are never evaluated in the process
    that checks them: their closures, and the trees of plain ones, are made when they are first evaluated. Others may
    have mistakes that show only then (a broken pattern), so they are compiled at once. Raises `ExpressionSyntaxError`
    for those.
    """

    __slots__ = ("_builds", "_run", "_tree", "offset", "reads_secrets", "references", "source")

    def __init__(self, source: str, tree: Node | None, references: tuple[Reference, ...], offset: int = 0) -> None:
        self.source = source
        self.references = references
        self.reads_secrets = SECRETS in source and SECRETS in [reference.name for reference in references]
        self.offset = offset
        self._tree = tree
        self._run: Evaluator | None = None if tree is None or picks(tree) else Compiler().compile(tree)
        self._builds = tree is not None and builds(tree)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    @property
    def computes(self) -> bool:
        """Whether the value may be new; a value that is only picked from the scope is not bounded."""
        return self._builds

    def evaluate(self, scope: Scope) -> Json:
        """The value. Paths that led nowhere are added to ``scope.unresolved``. Raises `EvaluationError`.

        The value may share parts with the scope's: treat it as immutable.
        """
        scope.steps = STEPS_MAX
        scope.memory = MEMORY_BYTES_MAX
        run = self._run
        if run is None:
            run = self._run = Compiler().compile(self._tree or _plain_tree(self.source, self.references[0]))
        try:
            value = run(scope)
            if self._builds and value is not None and type(value) is not bool:
                json_bytes(value, RESULT_BYTES_MAX)
        except EvaluationError as error:
            if error.offset < 0:
                error.offset = self.offset
            raise
        except UnicodeError:
            raise EvaluationError("a text that is not valid Unicode", self.offset) from None
        return value


def _bytes_of(source: str, _: Expression) -> int:
    return COMPILED_BYTES_PER_CHARACTER * (len(source) + 4)


def compile_expression(source: str) -> Expression:
    """Compile a whole string that is one expression; equal sources share the result, unless it is plain: such a one is
    made in no more time than it would take to find and to keep it.

    Raises `ExpressionSyntaxError` with the offset of the first mistake and a hint on how to fix it.
    """
    return plain_path(source) or _plain_comparison(source) or _compiled(source)


@cached_by_bytes(EXPRESSIONS_CACHED_BYTES_MAX, _bytes_of)
def _compiled(source: str) -> Expression:
    return compile_tokens(source, tokenize(source))


def plain_path(source: str, start: int = 0, closing: str = "") -> Expression | None:
    """The expression from ``start`` to ``closing``, or to the end, if it is names with points between them, as most
    are: what the parser would make of it, in a fraction of the time. None if it is anything else.
    """
    text = _plain_text(source, start, closing)
    return None if text is None else Expression(text, None, (_plain_reference(text, start),), start)


def _plain_comparison(source: str) -> Expression | None:
    """The same of such a path, in ``${}`` or not, that is compared with a word, a number or a text."""
    start = 2 if source.startswith("${") else 0
    text = _plain_text(source, start, "}" if start else " ")
    if text is None or not source.isascii() or len(source) > SOURCE_BYTES_MAX:
        return None
    if _COMPARED.fullmatch(source, start + len(text) + bool(start)) is None:
        return None
    return Expression(source, None, (_plain_reference(text, start),))


def _plain_text(source: str, start: int, closing: str) -> str | None:
    found = _PLAIN.match(source, start)
    if found is None:
        return None
    end = found.end()
    if source[end : end + 1] != closing or end - start > _PLAIN_CHARACTERS_MAX:
        return None
    text = found[0]
    name = text.partition(".")[0]
    return None if name in NOT_NAMES or name.lower() in ("and", "or", "not") else text


def _plain_reference(text: str, start: int) -> Reference:
    name, *keys = text.split(".")
    return Reference(name, tuple(keys), start, True)


def _plain_tree(source: str, reference: Reference) -> Node:
    """What the parser would make of `plain_path` and `_plain_comparison`."""
    name, keys, start = reference.name, reference.path, reference.offset
    text = ".".join((name, *keys))
    path = Path(Name(name, start), tuple(map(Key, keys)), text, start) if keys else Name(name, start)
    if source == text:
        return path
    found = _COMPARED.fullmatch(source, start + len(text) + bool(start))
    assert found is not None, "what is no path is a comparison"
    operator, word, number, *texts = found.groups()
    if word is not None:
        value: Json = _WORDS[word]
    else:
        value = int(number) if number is not None else next(text for text in texts if text is not None)
    return Compare(operator, path, Literal(value, found.end(1) + 1), found.start(1))


def compile_tokens(source: str, tokens: list[Token]) -> Expression:
    """Compile the expression that ``tokens`` of ``source`` make. Raises `ExpressionSyntaxError`."""
    parser = Parser(source, tokens)
    tree = parser.parse()
    assert tokens[-1].kind == END, "the lexer always ends with END"
    start, end = tokens[0].start, tokens[-1].start
    return Expression(source[start:end], tree, tuple(parser.references), start)
