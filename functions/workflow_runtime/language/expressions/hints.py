"""What to tell an author whose text fits nowhere: whose habit it probably is, and what to write instead."""

from __future__ import annotations

from workflow_runtime.language.expressions.errors import ExpressionSyntaxError
from workflow_runtime.language.expressions.functions import FUNCTIONS, PATH_FUNCTIONS, Function
from workflow_runtime.language.expressions.lexer import NAME, VALUE, Token
from workflow_runtime.language.expressions.syntax import Item, Name, Node, Path
from workflow_runtime.language.suggestions import nearest

_OPERATOR_TWICE = {"*": "there is no power operator", "/": "there is no floor division; use floor(a / b)"}

_USUAL = {
    "size": "len",
    "length": "len",
    "count": "len",
    "str": "string",
    "tostring": "string",
    "to_string": "string",
    "int": "number",
    "float": "number",
    "to_number": "number",
    "boolean": "bool",
    "uppercase": "upper",
    "lowercase": "lower",
    "strip": "trim",
    "has": "exists",
    "any": "any_of",
    "all": "all_of",
    "select": "filter",
    "average": "avg",
    "mean": "avg",
    "to_json": "json",
    "from_json": "parse_json",
    "regex": "matches",
    "sha256": "hash",
    "date_format": "format_time",
    "strftime": "format_time",
}
"""Names of other languages and of query tools for what is here under another name."""


def hint_for(token: Token, before: Token | None) -> str:
    """A hint for a token that may not stand after ``before``; "" when there is nothing to say."""
    if token.kind == NAME and token.text.lower() == "in":
        return "write `in` in lower case"
    if token.text == "not":
        return "put the negation in parentheses: a == (not b)"
    if before is None:
        return "a number needs a digit before the point" if token.text == "." else ""
    if token.kind in (NAME, VALUE) and before.kind in (NAME, VALUE):
        return "an operator is missing between the two"
    if token.text == before.text:
        return _OPERATOR_TWICE.get(token.text, "")
    if token.text == ">" and before.text == "<":
        return "write != for not equal"
    if token.text == ".":
        return (
            "paths never fail; write a.b instead of a?.b"
            if before.text == "?"
            else "a number needs a digit before the point"
        )
    return ""


def check_call(function: Function, arguments: list[Node], name: Token) -> None:
    """Refuse a wrong number of arguments, and anything but a path where only a path can be asked about."""
    count = len(arguments)
    if not function.accepts(count):
        raise ExpressionSyntaxError(
            f"{function.name}() takes {function.expected}, not {count}",
            name.start,
            f"write {function.signature}",
        )
    if function.name in PATH_FUNCTIONS and not isinstance(arguments[0], Name | Item | Path):
        raise ExpressionSyntaxError(f"{function.name}() takes a path", name.start, f"write {function.name}(a.b)")


def function_hint(name: str) -> str:
    """A hint with the function that was probably meant."""
    meant = _USUAL.get(name.lower()) or nearest(name, FUNCTIONS)
    return f"did you mean {FUNCTIONS[meant].signature}?" if meant else "see the list of functions in the guide"
