"""What is not an expression is refused with its place and a hint on how to fix it."""

from __future__ import annotations

import pytest

from workflow_runtime.language.expressions import (
    FUNCTIONS,
    RESERVED_NAMES,
    ExpressionSyntaxError,
    compile_expression,
    is_id,
    is_identifier,
)


@pytest.mark.parametrize(
    ("source", "offset", "words", "hint"),
    [
        ("", 0, "missing", ""),
        ("  ", 2, "missing", ""),
        ("${}", 2, "unexpected }", ""),
        ("a = 1", 2, "single =", "=="),
        ("a === b", 4, "single =", "=="),
        ("a <> b", 3, "unexpected >", "!="),
        ("a & b", 2, "single &", "and"),
        ("a | default(1)", 2, "single |", "default(x, 1)"),
        ("a ** 2", 3, "unexpected *", "power"),
        ("a // 2", 3, "unexpected /", "floor"),
        ("a ^ 2", 2, "character ^", "power"),
        ("$a", 0, "lone $", "${name}"),
        ("a b", 2, "unexpected b", "operator"),
        ("a 'b'", 2, "unexpected 'b'", "operator"),
        ("a +", 3, "too early", ""),
        ("+ a", 0, "unexpected +", ""),
        ("(a", 0, "( is never closed", ")"),
        ("[a", 0, "[ is never closed", "]"),
        ("a[1", 1, "[ is never closed", "]"),
        ("{a: 1", 0, "{ is never closed", "}"),
        ("len(a", 3, "( is never closed", ")"),
        ("${a", 0, "${ is never closed", "}"),
        ("a)", 1, "unexpected )", ""),
        ("a}", 1, "unexpected }", ""),
        ("'a", 0, "quote ' is never closed", "'"),
        ('x == "a', 5, 'quote " is never closed', '"'),
        ("'${a}' == 'x'", 1, "${ inside a quoted text", "leave the quotes out"),
        ('"a ${b}"', 3, "${ inside a quoted text", "join"),
        ("a < b < c", 6, "chained", "and"),
        ("a == b == c", 7, "chained", "and"),
        ("a in b in c", 7, "chained", "and"),
        ("!a == b", 0, "ambiguous", "!(a == b)"),
        ("!a + 1", 0, "ambiguous", "!(a + b)"),
        ("!a in b", 0, "ambiguous", "!(a in b)"),
        ("a == !b", 5, "! as an operand", "parentheses"),
        ("a == not b", 5, "not as an operand", "parentheses"),
        ("a not b", 2, "unexpected not", "parentheses"),
        ("a IN b", 2, "unexpected IN", "lower case"),
        ("True", 0, "unknown literal", "true"),
        ("a == None", 5, "unknown literal", "null"),
        ("2fa.x", 0, "start with a digit", "nodes["),
        ("a.2fa", 2, "start with a digit", "nodes["),
        ("a.0", 2, "number after a point", "[0]"),
        (".5", 0, "unexpected .", "digit"),
        ("a.", 2, "name is missing", "a.b"),
        ("a..b", 2, "name is missing", "a.b"),
        ("a?.b", 2, "unexpected .", "a.b"),
        ("a[]", 2, "index is missing", "a[0]"),
        ("a[*].b", 2, "[*]", "a.*.b"),
        ("a[1:2]", 3, "[a:b]", "slice"),
        ("a ? b", 2, "? without :", ""),
        ("{a}", 1, "key without a value", ""),
        ("{1: 2}", 1, "unexpected 1", "quoted"),
        ("{a: 1, 'a': 2}", 7, "duplicate key a", ""),
        ("foo(1)", 0, "unknown function foo", ""),
        ("lenght(a)", 0, "unknown function", "len(x)"),
        ("size(a)", 0, "unknown function", "len(x)"),
        ("a.upper()", 7, "unexpected (", ""),
        ("(a)(1)", 3, "unexpected (", ""),
        ("round()", 0, "1 to 2 arguments, not 0", "round(x"),
        ("len(a, b)", 0, "takes 1 argument, not 2", "len(x)"),
        ("merge()", 0, "at least 1 argument, not 0", "merge(a"),
        ("exists(1)", 0, "asks about a path", "exists(a.b)"),
        ("required(a + 1)", 0, "asks about a path", ""),
        ("matches(a, '(')", 11, "not a regular expression", "RE2"),
        ("matches(a, 1)", 11, "must be a text", ""),
        ("jmespath(a, '[')", 12, "not a JMESPath query", "jmespath.org"),
        ("jmespath(a, 1)", 12, "must be a text", ""),
        ("99999999999999999999", 0, "64 bits", ""),
        ("1e999", 0, "too large", ""),
        ("“a”", 0, "`“` (U+201C)", 'write "'),
        ("f，g", 1, "`，` (U+FF0C)", "write ,"),
        ("a\u3000> 1", 1, "U+3000 (ideographic space)", "plain space"),
        ("a\u00a0> 1", 1, "U+00A0 (no-break space)", "plain space"),
        ("a\ufe0f > 1", 1, "U+FE0F", ""),
        ("a \u200b> 1", 2, "U+200B (zero width space)", ""),
        ("a －１", 2, "`－` (U+FF0D)", "write -"),
        ("a\x00", 1, "U+0000", ""),
        ("a\u200b", 1, "U+200B", ""),
        ("'\\ud800'", 0, "surrogate", ""),
        ("\ud800", 0, "U+D800", ""),
        ("x" * 129, 0, "not a name", "128"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_a_hint(source: str, offset: int, words: str, hint: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression(source)
    error = caught.value
    assert words in error.message
    assert hint in error.hint
    assert error.offset == offset
    assert error.path == ()
    assert error.message in str(error)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_refuses_a_wrong_number_of_arguments(name: str) -> None:
    function = FUNCTIONS[name]
    wrong = [count for count in range(6) if not function.accepts(count)]
    assert wrong, f"{name} accepts any number"
    for count in wrong:
        with pytest.raises(ExpressionSyntaxError, match=r"takes .* argument"):
            compile_expression(f"{name}({', '.join(['a'] * count)})")


@pytest.mark.parametrize("name", ["a", "_x", "intent-recognition", "意图", "a--b", "a1", "हिन्दी", "a-1", "ａ"])
def test_an_identifier_stands_in_an_expression_as_it_is(name: str) -> None:
    assert is_identifier(name)
    assert is_id(name)
    assert [reference.name for reference in compile_expression(name).references] == [name]


@pytest.mark.parametrize("name", ["", "2fa", "-a", "a-", "a.b", "a b", "a,b", "x" * 129, "a\u200b", "²"])
def test_what_is_no_identifier_does_not(name: str) -> None:
    assert not is_identifier(name)


def test_an_id_may_start_with_a_digit_and_end_with_a_hyphen() -> None:
    assert is_id("2fa")
    assert is_id("a-")
    assert not any(map(is_id, ["", "-a", "a.b", "a b", "x" * 129]))


def test_reserved_names_are_those_of_the_language() -> None:
    assert {"execution", "nodes", "previous", "now", "item", "current"} <= RESERVED_NAMES
    assert len(RESERVED_NAMES) == 19
