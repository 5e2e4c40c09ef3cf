"""Literals, paths and operators mean what the language says."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from workflow_runtime.language.expressions import (
    EvaluationError,
    ExpressionSyntaxError,
    Reference,
    Scope,
    compile_expression,
    compile_template,
)

NAMES: dict[str, Any] = {
    "a": {"b": 3, "c": {"d": "x"}, "none": None, "and": 1, "in": 2, "not": {"true": 4}},
    "n": 7,
    "zero": 0,
    "half": 0.5,
    "text": "hello",
    "empty": "",
    "yes": True,
    "no": False,
    "nothing": None,
    "list": [1, 2, 3],
    "orders": [{"id": "o1", "total": 5}, {"id": "o2"}, {"id": "o3", "total": None}],
    "by_name": {"x": {"v": 1}, "y": {"v": 2}},
    "intent-recognition": {"intent": "buy"},
    "total-1": 99,
    "total": 10,
    "意图": {"名称": "购买"},
    "หนังสือ": 5,
    "key": "b",
    "nodes": {"2fa": {"status": "success"}},
}


def evaluate(source: str, **scope: Any) -> Any:
    return compile_expression(source).evaluate(Scope(NAMES, **scope))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1", 1),
        ("010", 10),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("2E-1", 0.2),
        ("-3", -3),
        ("9223372036854775807", 2**63 - 1),
        ("true", True),
        ("false", False),
        ("null", None),
        ("'it'", "it"),
        ('"say \\"x\\""', 'say "x"'),
        (r"'it\'s'", "it's"),
        (r"'a\n\t\\'", "a\n\t\\"),
        (r"'\u4e2d\ud83d\ude00'", "中😀"),
        (r"'^\d+\.\w$'", r"^\d+\.\w$"),
        ("'$${x}'", "${x}"),
        ("'买一'", "买一"),
        ("[]", []),
        ("[1, 'a', [true,],]", [1, "a", [True]]),
        ("{}", {}),
        ("{a: 1, 'b c': n, \"d\": {in: null},}", {"a": 1, "b c": 7, "d": {"in": None}}),
        ("  (1)\n", 1),
    ],
)
def test_a_literal_is_the_value_it_shows(source: str, value: Any) -> None:
    result = evaluate(source)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("n", 7),
        ("a.b", 3),
        ("a.c.d", "x"),
        ('a["b"]', 3),
        ("a['c']['d']", "x"),
        ("a[key]", 3),
        ("a[${key}]", 3),
        ("list[0]", 1),
        ("list[-1]", 3),
        ("list[n - 5]", 3),
        ("list[1.0]", 2),
        ("a.none", None),
        ("a.and + a.in", 3),
        ("a.not.true", 4),
        ("orders.*.id", ["o1", "o2", "o3"]),
        ("orders.*.total", [5, None]),
        ("orders.*", NAMES["orders"]),
        ("by_name.*.v", [1, 2]),
        ("orders.*.total[0]", []),
        ("[[{x: 1}], [{x: 2}, {}]].*.*.x", [[1], [2]]),
        ("first(orders).id", "o1"),
        ("[10, 20][1]", 20),
        ("{x: {y: 1}}.x.y", 1),
        ("(a.c).d", "x"),
        ("${a.c}.d", "x"),
        ("(orders.*.id)[0]", "o1"),
        ("intent-recognition.intent", "buy"),
        ("total-1", 99),
        ("total - 1", 9),
        ("total -1", 9),
        ("3-1", 2),
        ("意图.名称", "购买"),
        ("หนังสือ", 5),
        ('nodes["2fa"].status', "success"),
    ],
)
def test_a_path_leads_to_its_value(source: str, value: Any) -> None:
    scope = Scope(NAMES)
    assert compile_expression(source).evaluate(scope) == value
    assert scope.unresolved == []


@pytest.mark.parametrize(
    "source",
    [
        "missing",
        "a.missing",
        "a.b.c",
        "text.upper",
        "list.b",
        "list[3]",
        "list[-4]",
        "list['0']",
        "a[0]",
        "text[0]",
        "a.none.x",
        "a[nothing]",
        "list[0.5]",
        "list[true]",
        "n.*.x",
        "missing.*.b",
        "first(orders).x.y",
        "a.c.d.e",
    ],
)
def test_a_path_that_leads_nowhere_is_null_and_is_noted_as_written(source: str) -> None:
    scope = Scope(NAMES)
    assert compile_expression(source).evaluate(scope) is None
    assert scope.unresolved == [source]


def test_a_path_that_leads_nowhere_again_and_again_is_noted_once() -> None:
    scope = Scope(NAMES)
    assert compile_expression("map(orders, item.x)").evaluate(scope) == [None, None, None]
    assert scope.unresolved == ["item.x"]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("exists(a.b)", True),
        ("exists(a.none)", True),
        ("exists(nothing)", True),
        ("exists(a.x)", False),
        ("exists(missing)", False),
        ("exists(list[2])", True),
        ("exists(list[3])", False),
        ("exists(${a.b})", True),
        ("required(a.b)", 3),
        ("required(a.none)", None),
        ("default(a.x, 1)", 1),
        ("default(a.none, 1)", 1),
        ("default(a.b, 1)", 3),
        ("default(no, 1)", False),
        ("coalesce(missing, a.x, a.none, n)", 7),
        ("coalesce(missing)", None),
        ("missing ?? a.none ?? 5", 5),
        ("zero ?? 5", 0),
        ("(a.x ?? a.c).d", "x"),
    ],
)
def test_asking_whether_a_path_leads_somewhere_notes_nothing(source: str, value: Any) -> None:
    scope = Scope(NAMES)
    assert compile_expression(source).evaluate(scope) == value
    assert scope.unresolved == []


def test_required_refuses_only_what_leads_nowhere() -> None:
    with pytest.raises(EvaluationError, match=r"a\.x is required") as caught:
        evaluate("1 + required(a.x)")
    assert caught.value.offset == 4


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 2 - 3", 5),
        ("2 * 3 % 4", 2),
        ("-2 * 3", -6),
        ("2 * -3", -6),
        ("- -n", 7),
        ("6 / 2", 3),
        ("7 / 2", 3.5),
        ("0.1 + 0.2", 0.1 + 0.2),
        ("0.5 + 0.5", 1),
        ("-7 % 3", 2),
        ("9007199254740993 / 1", 9007199254740993),
        ("'a' + 'b' + 'c'", "abc"),
        ("[1] + [2]", [1, 2]),
        ("a.x ?? 1 + 1", None),
        ("(a.x ?? 1) + 1", 2),
        ("a.b ?? 0 > 2", True),
        ("yes ? 1 : 2", 1),
        ("no ? 1 : yes ? 2 : 3", 2),
        ("no ? 1 : no ? 2 : 3", 3),
        ("n > 3 ? 'big' : 'small'", "big"),
        ("not no and yes", True),
        ("not (no and yes)", True),
        ("no or yes and no", False),
        ("not no == no", False),
        ("not n in list", True),
        ("yes AND Not no Or no", True),
        ("yes && !no || no", True),
        ("!no", True),
        ("!!n", True),
        ("!a.b and yes", False),
        ("${a.b} >= 3 OR ${n} == 1", True),
        ("${a.b >= 3 or n == 1}", True),
        ("a.b >= 3 or n == 1", True),
        ("empty or 'guest'", "guest"),
        ("text and n", 7),
        ("yes and yes and zero and missing", 0),
        ("no or zero or text or missing", "hello"),
    ],
)
def test_operators_bind_as_the_language_says(source: str, value: Any) -> None:
    if source == "a.x ?? 1 + 1":  # `??` is looser than `+`
        value = 2
    result = evaluate(source)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 == 1.0", True),
        ("1.0 == 1", True),
        ("'1' == 1", False),
        ("true == 1", False),
        ("1 == true", False),
        ("yes == true", True),
        ("yes != 1", True),
        ("zero == false", False),
        ("zero == no", False),
        ("nothing == null", True),
        ("missing == null", True),
        ("no == null", False),
        ("null == nothing", True),
        ("n != null", True),
        ("[1, [true]] == [1.0, [true]]", True),
        ("[1] == [true]", False),
        ("{a: 1, b: 2} == {b: 2.0, a: 1}", True),
        ("{a: 1} == {b: 1}", False),
        ("[] == {}", False),
        ("a == a", True),
        ("1 < 2", True),
        ("n <= 7", True),
        ("n > 7.5", False),
        ("n >= 7.0", True),
        ("'a' < 'b'", True),
        ("text >= text", True),
        ("'1' < 2", False),
        ("1 < '2'", False),
        ("null < 1", False),
        ("1 > nothing", False),
        ("nothing <= nothing", False),
        ("yes > 0", False),
        ("yes >= no", False),
        ("list < [4]", False),
        ("n > half", True),
        ("2 in list", True),
        ("2.0 in list", True),
        ("true in [1]", False),
        ("null in [null]", True),
        ("'b' in a", True),
        ("'z' in a", False),
        ("'ell' in text", True),
        ("'' in text", True),
        ("1 in nothing", False),
        ("1 not in nothing", True),
        ("nothing in text", False),
        ("nothing in a", False),
        ("4 not in list", True),
        ("[1] in [[1], 2]", True),
    ],
)
def test_comparison_is_of_json_values(source: str, value: bool) -> None:
    assert evaluate(source) is value


@pytest.mark.parametrize("false", ["null", "false", "0", "0.0", "''", "[]", "{}"])
def test_exactly_these_are_false(false: str) -> None:
    assert evaluate(f"{false} ? 1 : 2") == 2
    assert evaluate(f"not {false}") is True


@pytest.mark.parametrize("true", ["true", "1", "-0.1", "'0'", "' '", "'false'", "[null]", "{a: null}"])
def test_everything_else_is_true(true: str) -> None:
    assert evaluate(f"{true} ? 1 : 2") == 1


@pytest.mark.parametrize(
    ("source", "offset", "words"),
    [
        ("n + 1 / zero", 6, "division by zero"),
        ("n % 0", 2, "division by zero"),
        ("text + n", 5, "cannot add number to string"),
        ("n + null", 2, "cannot add null to number"),
        ("yes + 1", 4, "cannot add number to boolean"),
        ("text - 1", 5, "string - number"),
        ("1 * yes", 2, r"number \* boolean"),
        ("-text", 0, "minus needs a number"),
        ("1 in text", 2, "a string is expected"),
        ("1 in a", 2, "a string is expected"),
        ("1 in n", 2, "not number"),
        ("1 + len(n)", 4, r"len\(\): number has no length"),
        ("lower(null)", 0, r"lower\(\): null where a string is expected"),
        ("9223372036854775807 + 1", 20, "64 bits"),
        ("1e308 * 10", 6, "finite"),
    ],
)
def test_an_evaluation_error_says_what_and_where(source: str, offset: int, words: str) -> None:
    with pytest.raises(EvaluationError, match=words) as caught:
        evaluate(source)
    assert caught.value.offset == offset


def test_an_output_alias_is_read_through() -> None:
    names = {"u": {"x": 1}, "v": {"output": {"x": 2}}, "w": "plain", "z": None, "i": {"x": 3}}
    scope = Scope(names, outputs=frozenset({"u", "v", "w", "z"}))

    def read(source: str) -> Any:
        return compile_expression(source).evaluate(scope)

    assert [read("u.output.x"), read("u.x"), read("u.output")] == [1, 1, {"x": 1}]
    assert [read("v.output.x"), read("v.output"), read('u["output"].x')] == [2, {"x": 2}, 1]
    assert [read("w.output"), read("z.output"), read("exists(u.output.x)")] == ["plain", None, True]
    assert scope.unresolved == []
    assert [read("v.output.y"), read("i.output.x"), read("u.output.y")] == [None, None, None]
    assert scope.unresolved == ["v.output.y", "i.output.x", "u.output.y"]


def test_now_is_bound_by_the_caller_or_made_of_the_time_of_the_scope() -> None:
    now = compile_expression("now")
    assert now.evaluate(Scope({"now": "2026-01-01T00:00:00.000Z"}, now_ms=5)) == "2026-01-01T00:00:00.000Z"
    assert now.evaluate(Scope({}, now_ms=1_500)) == "1970-01-01T00:00:01.500Z"
    assert compile_expression("current_time").evaluate(Scope({}, now_ms=1)) == "1970-01-01T00:00:00.001Z"


@pytest.mark.parametrize(
    ("source", "references"),
    [
        ("a", [Reference("a", (), 0, True)]),
        ("1 + a.b.c", [Reference("a", ("b", "c"), 4, True)]),
        ("a['b c'].d", [Reference("a", ("b c", "d"), 0, True)]),
        ("a.b[0].c", [Reference("a", ("b",), 0, False)]),
        ("a.b.*.c", [Reference("a", ("b",), 0, False)]),
        ("a[k.v].c", [Reference("k", ("v",), 2, True), Reference("a", (), 0, False)]),
        ("${a.b} > ${c}", [Reference("a", ("b",), 2, True), Reference("c", (), 11, True)]),
        ("(a.b).c", [Reference("a", ("b", "c"), 1, True)]),
        ("total-1", [Reference("total-1", (), 0, True)]),
        ("filter(list, item.x > limit)", [Reference("list", (), 7, True), Reference("limit", (), 22, True)]),
        ("item.x", [Reference("item", ("x",), 0, True)]),
        ("map(item, item)", [Reference("item", (), 4, True)]),
        ("exists(a.b) or {a: x}.a", [Reference("a", ("b",), 7, True), Reference("x", (), 19, True)]),
        ("true and now", [Reference("now", (), 9, True)]),
        ("len('a.b')", []),
    ],
)
def test_references_name_what_an_expression_reads(source: str, references: list[Reference]) -> None:
    assert list(compile_expression(source).references) == references


def test_a_plain_reference_is_not_copied() -> None:
    big = [["x" * 100] * 100] * 1000
    scope = Scope({"big": big, "o": {"big": big}})
    for source in ("big", "o.big", "big ?? 1", "default(o.big, 1)", "true ? big : 1", "required(big)", "o.x or big"):
        assert compile_expression(source).evaluate(scope) is big
    assert compile_expression("first(big)").evaluate(scope) is big[0]


def test_equal_sources_are_compiled_once() -> None:
    assert compile_expression("a.b + 1 > 2") is compile_expression("a.b + 1 > 2")


def test_a_path_on_its_own_means_what_the_parser_makes_of_it() -> None:
    words = ["a", "a-b", "x1", "item", "nodes", "in", "and", "NOT", "true", "None", "secrets", "a-", "1a", "ü"]
    words.append("w" * 129)
    texts = [*words, *map(".".join, product(words, words)), ".".join(words[:5]), "a..b", "a.", ".a", "a.b.c.d" * 20]
    values = {name: {other: f"{name}.{other}" for other in words} for name in words}
    for text in texts:
        assert _meaning(text, values) == _meaning(f"{text} ", values), text
        assert _meaning_of_template(f"${{{text}}}", values) == _meaning_of_template(f"${{ {text}}}", values), text


def test_a_comparison_of_a_path_means_what_the_parser_makes_of_it() -> None:
    lefts = ["a.b", "${a.b}", "${a}", "a", "${in}", "true", "${a", "nodes.x1", "ü"]
    rights = [
        "true",
        "null",
        "7",
        "007",
        "1.5",
        "-1",
        "'x'",
        '"a.b"',
        "'$'",
        "'${a}'",
        "''",
        "'ü'",
        "'\\n'",
        "a",
        "a b",
    ]
    values = {name: {"b": "a.b", "x1": 7} for name in ("a", "nodes", "ü")}
    for left, operator, right in product(lefts, ["==", "!=", "<", "<=", ">", ">=", "=", "in"], rights):
        text = f"{left} {operator} {right}"
        assert _meaning(text, values) == _meaning(f"{text} ", values), text


def _meaning(source: str, values: dict[str, Any]) -> object:
    """What it refers to, and its value; or what is wrong."""
    try:
        expression = compile_expression(source)
    except ExpressionSyntaxError as error:
        return error.message, error.hint
    scope = Scope(values)
    try:
        value = expression.evaluate(scope)
    except EvaluationError as error:
        value = error.message, error.offset
    return expression.references, value, scope.unresolved, scope.doubts, expression.computes, expression.reads_secrets


def _meaning_of_template(text: str, values: dict[str, Any]) -> object:
    scope = Scope(values)
    try:
        template = compile_template({"at": [text]})
        references = [(found.name, found.path, found.where) for found in template.references]
        return references, template.evaluate(scope), scope.unresolved
    except ExpressionSyntaxError as error:
        return error.message, error.hint, error.path
