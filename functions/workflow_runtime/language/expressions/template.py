"""Templates: any JSON value with ``${…}`` in its strings.

A string that is exactly one ``${…}`` becomes the value itself; in other strings values are rendered into the text.
``$${`` is a literal ``${``. Keys of objects are literal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from workflow_runtime.language.caching import cached_by_bytes
from workflow_runtime.language.expressions.errors import EvaluationError, ExpressionSyntaxError
from workflow_runtime.language.expressions.expression import Expression, compile_tokens, plain_path
from workflow_runtime.language.expressions.lexer import tokenize
from workflow_runtime.language.expressions.limits import (
    COMPILED_BYTES_PER_CHARACTER,
    EXPRESSIONS_CACHED_BYTES_MAX,
    RESULT_BYTES_MAX,
    STEPS_MAX,
    TEMPLATE_DEPTH_MAX,
    TEMPLATE_STEPS_MAX,
)
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.syntax import Reference
from workflow_runtime.language.expressions.values import TOO_LARGE, json_bytes, render_text, text_bytes
from workflow_runtime.language.json_values import DEPTH_MAX, Json, is_deeper

TOO_DEEP = f"the value would be nested more than {DEPTH_MAX} levels deep"

Where: TypeAlias = tuple[str | int, ...]
Piece: TypeAlias = str | Expression
Render: TypeAlias = Callable[[Scope], Json]


class Template:
    """Made by `compile_template`. ``references`` carry, as ``where``, the place of their string inside the value;
    ``is_constant``: nothing in it is evaluated.

    Most are never evaluated in the process that checks them: what renders one is made when it is first evaluated.
    """

    __slots__ = ("_render", "_value", "is_constant", "references")

    def __init__(self, value: Json, references: tuple[Reference, ...], *, is_constant: bool) -> None:
        self.is_constant = is_constant
        self._value = _rendering(value, ())[0] if is_constant else value
        self._render: Render | None = None
        self.references = references

    def evaluate(self, scope: Scope) -> Json:
        """The value with every ``${…}`` replaced. Raises `EvaluationError`, with the place of the string as ``path``.

        What all of them compute together is bounded, like a single computed result; plain references are not copied,
        and bounded in depth only. The value may share parts with the template and the scope: treat it as immutable.
        """
        if self.is_constant:
            return self._value
        if self._render is None:
            self._render = _rendering(self._value, ())[1]
        assert self._render is not None, "it is not constant"
        scope.template_steps = TEMPLATE_STEPS_MAX
        scope.bytes_left = RESULT_BYTES_MAX
        return self._render(scope)


def compile_template(value: Json) -> Template:
    """Compile a JSON value, which must not be changed any more. Raises `ExpressionSyntaxError`, with the place of the
    string as ``path``."""
    references: list[Reference] = []
    is_constant = _check(value, (), references)
    return Template(value, tuple(references), is_constant=is_constant)


def _check(value: Json, where: Where, references: list[Reference]) -> bool:
    """Collect what a template refers to. Returns whether nothing in it is evaluated. Raises `ExpressionSyntaxError`."""
    if len(where) > TEMPLATE_DEPTH_MAX:
        raise ExpressionSyntaxError(f"a template nested more than {TEMPLATE_DEPTH_MAX} deep", 0, "", where)
    if isinstance(value, str):
        return "${" not in value or _check_string(value, where, references)
    if isinstance(value, dict):
        for key in value:
            if isinstance(key, str) and "${" in key:
                raise ExpressionSyntaxError(
                    "${ in a key", key.index("${"), "keys are literal; build such an object in a tool", (*where, key)
                )
        are_constant = [_check(item, (*where, key), references) for key, item in value.items()]
        return all(are_constant)
    if isinstance(value, (list, tuple)):
        are_constant = [_check(item, (*where, index), references) for index, item in enumerate(value)]
        return all(are_constant)
    return True


def _check_string(text: str, where: Where, references: list[Reference]) -> bool:
    try:
        pieces = parse_string(text)
    except ExpressionSyntaxError as error:
        raise ExpressionSyntaxError(error.message, error.offset, error.hint, where) from None
    is_constant = True
    for piece in pieces:
        if isinstance(piece, Expression):
            is_constant = False
            references += [reference.at(where) for reference in piece.references] if where else piece.references
    return is_constant


def _rendering(value: Json, where: Where) -> tuple[Json, Render | None]:
    """Of a checked value: the constant that it is, or None and what renders it."""
    if isinstance(value, str):
        return _rendering_of_string(value, where)
    if isinstance(value, list | tuple):
        items = [_rendering(item, (*where, index)) for index, item in enumerate(value)]
        if all(render is None for _, render in items):
            return [constant for constant, _ in items], None
        renders = tuple(render or _constant(constant) for constant, render in items)
        return None, lambda scope: [render(scope) for render in renders]
    if isinstance(value, dict):
        entries = {key: _rendering(item, (*where, key)) for key, item in value.items()}
        if all(render is None for _, render in entries.values()):
            return {key: constant for key, (constant, _) in entries.items()}, None
        pairs = tuple((key, render or _constant(constant)) for key, (constant, render) in entries.items())
        return None, lambda scope: {key: render(scope) for key, render in pairs}
    return value, None


def _constant(value: Json) -> Render:
    return lambda _: value


def _rendering_of_string(text: str, where: Where) -> tuple[Json, Render | None]:
    if "${" not in text:
        return text, None
    pieces = parse_string(text)
    if not any(isinstance(piece, Expression) for piece in pieces):
        return "".join(piece for piece in pieces if isinstance(piece, str)), None
    if len(pieces) == 1 and isinstance(pieces[0], Expression):
        return None, _value(pieces[0], where)
    return None, _text(pieces, where)


def _bytes_of(text: str, pieces: tuple[Piece, ...]) -> int:
    formulas = sum([len(piece.source) + 4 for piece in pieces if isinstance(piece, Expression)])
    return 8 * len(text) + COMPILED_BYTES_PER_CHARACTER * formulas  # the key and the pieces, wide ones


def parse_string(text: str) -> tuple[Piece, ...]:
    """The literal parts of a string and the expressions between them. Raises `ExpressionSyntaxError`."""
    is_one = text.startswith("${") and text.find("}") == len(text) - 1
    expression = plain_path(text, 2, "}") if is_one else None  # not kept, as by `compile_expression`
    return _parsed(text) if expression is None else (expression,)


@cached_by_bytes(EXPRESSIONS_CACHED_BYTES_MAX, _bytes_of)
def _parsed(text: str) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    literal = ""
    position = 0
    while (opening := text.find("${", position)) >= 0:
        if opening > position and text[opening - 1] == "$":
            literal += text[position : opening - 1] + "${"
            position = opening + 2
            continue
        literal += text[position:opening]
        expression = plain_path(text, opening + 2, "}")
        if expression is not None:
            end = opening + 2 + len(expression.source)
        else:
            tokens = tokenize(text, opening + 2, closing=True)
            expression, end = compile_tokens(text, tokens), tokens[-1].end
        if literal:
            pieces.append(literal)
        literal = ""
        pieces.append(expression)
        position = end + 1
    literal += text[position:]
    if literal:
        pieces.append(literal)
    return tuple(pieces)


def _evaluate(expression: Expression, where: Where, scope: Scope) -> Json:
    try:
        value = expression.evaluate(scope)
    except EvaluationError as error:
        error.path = where
        if expression.reads_secrets:
            raise error.without_quote() from None
        raise
    if expression.reads_secrets:
        scope.derived.append((expression.source, value))
    scope.template_steps -= STEPS_MAX - scope.steps
    if scope.template_steps < 0:
        raise EvaluationError(f"more than {TEMPLATE_STEPS_MAX:,} steps in one template", expression.offset, where)
    return value


def _pay(scope: Scope, size: int, offset: int, where: Where) -> None:
    scope.bytes_left -= size
    if scope.bytes_left < 0:
        raise EvaluationError(TOO_LARGE, offset, where)


def _value(expression: Expression, where: Where) -> Render:
    may_deepen = bool(where) or expression.computes  # else the value stays as it was, and was looked at before
    levels = DEPTH_MAX - len(where)

    def render(scope: Scope) -> Json:
        value = _evaluate(expression, where, scope)
        if expression.computes:
            _pay(scope, json_bytes(value), expression.offset, where)
        if may_deepen and is_deeper(value, levels):
            raise EvaluationError(
                f"the value would be nested more than {DEPTH_MAX} levels deep", expression.offset, where
            )
        return value

    return render


def _text(pieces: tuple[Piece, ...], where: Where) -> Render:
    literal_bytes = sum(text_bytes(piece) for piece in pieces if isinstance(piece, str))

    def render(scope: Scope) -> str:
        _pay(scope, literal_bytes, 0, where)
        parts: list[str] = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            value = _evaluate(piece, where, scope)
            try:
                part = render_text(value, scope)
                size = text_bytes(part)
            except EvaluationError as error:
                raise error.at(piece.offset, where) from None
            except UnicodeError:
                raise EvaluationError("a text that is not valid Unicode", piece.offset, where) from None
            _pay(scope, size, piece.offset, where)
            parts.append(part)
        return "".join(parts)

    return render
