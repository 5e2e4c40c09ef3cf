"""Text to tokens. Everything that looks like another language's habit is refused here or in the parser with a hint."""

from __future__ import annotations

import re

import msgspec

from workflow_runtime.language.expressions.errors import ExpressionSyntaxError
from workflow_runtime.language.expressions.limits import INTEGER_MAX, SOURCE_BYTES_MAX
from workflow_runtime.language.expressions.names import ID_CHARACTERS_MAX, is_identifier
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import INVISIBLE, look_alike, named

NAME, VALUE, OPERATOR, END = "name", "value", "operator", "end"


class Token(msgspec.Struct, frozen=True, gc=False):
    """``text``: the operator (words and their symbols are one: ``&&`` is ``and``) or the name; ``value``: of a
    literal."""

    kind: str
    text: str
    start: int
    end: int
    value: Json = None


NAME_IN_ASCII = "[A-Za-z_][A-Za-z0-9_]*(?:-+[A-Za-z0-9_]+)*"
"""Pattern of a name without letters of other scripts; how long it may be apart."""
_NAME_CHARACTER = r"(?:[A-Za-z0-9_]|[^\x00-\x7f])"
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\n]+)
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<name>(?:[A-Za-z_]|[^\x00-\x7f]){_NAME_CHARACTER}*(?:-+{_NAME_CHARACTER}+)*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<operator>\$\{{|\?\?|&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{{}}])
    """,
    re.VERBOSE | re.DOTALL,
)
_SYMBOLS = {"&&": "and", "||": "or"}
_FOREIGN = {
    "=": ("a single =", "use == to compare"),
    "&": ("a single &", "use `and`"),
    "|": ("a single |", "there are no filters; write default(x, 1) instead of x | default(1), and `or` for a choice"),
    "$": ("a lone $", "write ${name} or just name"),
    "^": ("the character ^", "there is no power operator"),
}
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "/": "/", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_PLACEHOLDER = re.compile(r"(?<!\$)\$\{")


def tokenize(source: str, start: int = 0, *, closing: bool = False) -> list[Token]:
    """Tokens of ``source`` from ``start``, the last one of kind END.

    With ``closing`` the expression stands in a template and ends before the ``}`` that closes it (END points there).
    Raises `ExpressionSyntaxError`.
    """
    if not closing:
        _check_size(source, start, len(source))
    tokens: list[Token] = []
    position, depth, length = start, 0, len(source)
    limit = min(length, start + SOURCE_BYTES_MAX)
    while position < length:
        if position > limit:
            raise ExpressionSyntaxError(f"an expression is longer than {SOURCE_BYTES_MAX:,} bytes", start)
        match = _TOKEN.match(source, position)
        if match is None:
            raise _unexpected(source, position)
        kind, following = match.lastgroup, match.end()
        if kind == "operator":
            text = match[0]
            if text in ("{", "${"):
                depth += 1
            elif text == "}":
                depth -= 1
                if depth < 0 and closing:
                    break
            tokens.append(Token(OPERATOR, _SYMBOLS.get(text, text), position, following))
        elif kind == "name":
            tokens.append(_word(match[0], position, following))
        elif kind == "text":
            tokens.append(Token(VALUE, match[0], position, following, _unquote(match[0], position)))
        elif kind == "number":
            tokens.append(Token(VALUE, match[0], position, following, _number(match)))
        position = following
    else:
        if closing:
            raise ExpressionSyntaxError("${ is never closed", start - 2, "add the }, or write $${ for a literal ${")
    if closing:
        _check_size(source, start, position)
    tokens.append(Token(END, "", position, position))
    return tokens


def _check_size(source: str, start: int, end: int) -> None:
    size = end - start
    if size <= SOURCE_BYTES_MAX and not source.isascii():
        size = len(source[start:end].encode("utf-8", "surrogatepass"))
    if size > SOURCE_BYTES_MAX:
        raise ExpressionSyntaxError(
            f"an expression is longer than {SOURCE_BYTES_MAX:,} bytes",
            start,
            "do this work in a tool or over several nodes",
        )


def _word(text: str, start: int, end: int) -> Token:
    """An operator that is a word, or a name. What the pattern finds in ASCII is a name unless it is too long."""
    is_ascii = text.isascii()
    if text == "in" or (is_ascii and len(text) <= 3 and text.lower() in ("and", "or", "not")):
        return Token(OPERATOR, text.lower(), start, end, text)
    if len(text) > ID_CHARACTERS_MAX or not (is_ascii or is_identifier(text)):
        raise _bad_name(text, start)
    return Token(NAME, text, start, end)


def _number(match: re.Match[str]) -> int | float:
    text, end = match[0], match.end()
    following = match.string[end : end + 1]
    if following and (
        (following.isascii() and (following.isalpha() or following == "_")) or ("_" + following).isidentifier()
    ):
        raise ExpressionSyntaxError(
            f"a name cannot start with a digit: {text}{following}…", match.start(), 'write nodes["2fa"] for such an id'
        )
    if text.isdigit():
        if len(text.lstrip("0")) > 19 or int(text) > INTEGER_MAX:
            raise ExpressionSyntaxError("an integer beyond 64 bits", match.start(), "write it as a text")
        return int(text)
    value = float(text)
    if value == float("inf"):
        raise ExpressionSyntaxError("a number too large", match.start())
    return value


def _unquote(quoted: str, start: int) -> str:
    body = quoted[1:-1]
    placeholder = _PLACEHOLDER.search(body)
    if placeholder:
        raise ExpressionSyntaxError(
            "${ inside a quoted text",
            start + 1 + placeholder.start(),
            "leave the quotes out (${a} == \"x\"), join with + ('text ' + string(a)), or write $${ for a literal ${",
        )
    body = body.replace("$${", "${")
    if "\\" in body:
        body = _ESCAPE.sub(_unescape, body)
    if body.isascii():
        return body
    try:
        return body.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeError:
        raise ExpressionSyntaxError("half of a surrogate pair in a text", start, "write the character itself") from None


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    if len(escape) == 5:
        return chr(int(escape[1:], 16))
    # other escapes stay as they are: patterns such as '\d+' are what authors write there
    return _ESCAPES.get(escape, match[0])


def _bad_name(text: str, start: int) -> ExpressionSyntaxError:
    for position, character in enumerate(text):
        if character != "-" and (INVISIBLE.match(character) or not ("_" + character).isidentifier()):
            return _unexpected(text, position, start)
    return ExpressionSyntaxError(
        f"not a name: {text[:40]}", start, "names have at most 128 characters and start with a letter"
    )


def _unexpected(source: str, position: int, start: int = 0) -> ExpressionSyntaxError:
    character, offset = source[position], start + position
    if character in "\"'":
        return ExpressionSyntaxError(f"the quote {character} is never closed", offset, f"add the closing {character}")
    what, hint = _FOREIGN.get(character, ("", ""))
    meant = look_alike(character)
    if meant is not None:
        what, hint = named(character), f"write {'a plain space' if meant == ' ' else meant}"
    elif not what:
        what = f"the character {character}" if character.isascii() and character.isprintable() else named(character)
    return ExpressionSyntaxError(f"{what} has no place in an expression", offset, hint)
