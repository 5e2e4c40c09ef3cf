"""Any text compiles or is refused, any value evaluates or is refused, and where CEL means the same, so do we."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from workflow_runtime.language.expressions import (
    FUNCTIONS,
    EvaluationError,
    ExpressionSyntaxError,
    Scope,
    compile_expression,
    compile_template,
    is_identifier,
)

quick = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

characters = st.characters(exclude_categories=["Cs"])  # as by default, where a second goes into finding UTF-8's

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters, max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcx"), inner, max_size=3),
    max_leaves=8,
)
pieces = st.sampled_from(
    [
        *"()[]{}.,:?!+-*/%<>='\"\\$& \n",
        "${",
        "}",
        "$${",
        "==",
        "!=",
        "<=",
        "??",
        "&&",
        "||",
        " and ",
        " or ",
        " not ",
        " in ",
        ".*",
    ]
    + ["a", "b", "item", "x-1", "意", "ａ", "1", "2.5", "1e9", "'s'", '"d"', "null", "true", "\u0301", "\u200b"]
    + [f"{name}(" for name in FUNCTIONS]
)
soup = st.lists(pieces, max_size=14).map("".join)
scopes = st.fixed_dictionaries({}, optional=dict.fromkeys(("a", "b", "item", "x-1"), values))


@quick
@given(st.text(characters, max_size=60) | soup)
def test_any_text_compiles_or_is_refused(text: str) -> None:
    for compile_text in (compile_expression, compile_template, lambda text: compile_template("a ${" + text + "} b")):
        refusal = None
        try:
            compile_text(text)
        except ExpressionSyntaxError as error:
            refusal = error
        assert refusal is None or (0 <= refusal.offset <= len(text) + 7 and refusal.message)


def expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(
        ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or", "??"]
    )
    calls = st.sampled_from(
        [function for function in FUNCTIONS.values() if function.name not in ("exists", "required")]
    )
    return (
        st.tuples(inner, binary, inner).map(lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})")
        | inner.map(lambda source: f"not ({source})")
        | inner.map(lambda source: f"-({source})")
        | st.tuples(inner, inner).map(lambda parts: f"({parts[0]})[{parts[1]}]")
        | inner.map(lambda source: f"({source}).*.a")
        | st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]}) ? ({parts[1]}) : ({parts[2]})")
        | st.tuples(inner, inner).map(lambda parts: f"[{parts[0]}, {parts[1]}]")
        | st.tuples(calls, st.lists(inner, min_size=3, max_size=3)).map(
            lambda parts: f"{parts[0].name}({', '.join(parts[1][: max(parts[0].least, 0)])})"
        )
    )


sources = st.recursive(
    st.sampled_from(
        [
            "a",
            "b",
            "a.b",
            "b.x[0]",
            "item",
            "x-1",
            "'2026-01-01'",
            "'a'",
            "''",
            "1",
            "0",
            "-2.5",
            "null",
            "true",
            "{a: b}",
        ]
    ),
    expressions,
    max_leaves=8,
)


@quick
@given(sources, scopes)
def test_evaluation_yields_json_or_an_evaluation_error(source: str, names: dict[str, Any]) -> None:
    try:
        expression = compile_expression(source)
    except ExpressionSyntaxError:
        return
    scope = Scope(names)
    result: Any = None
    offset = 0
    try:
        result = expression.evaluate(scope)
    except EvaluationError as error:
        offset = error.offset
        names = {}
    assert 0 <= offset <= len(source)
    if not names:
        return
    assert type(result) in (type(None), bool, int, float, str, list, dict)
    again = Scope(names)
    assert expression.evaluate(again) == result
    assert again.unresolved == scope.unresolved


@quick
@given(st.text(characters, max_size=12))
def test_what_is_an_identifier_compiles_to_a_reference(text: str) -> None:
    assume(text.lower() not in ("and", "or", "not", "in", "true", "false", "null", "none", "nil", "undefined"))
    if is_identifier(text):
        assert [reference.name for reference in compile_expression(text).references] == [text]


# -- the subset that means the same in the Common Expression Language

integers = st.integers(-1000, 1000)
numbers = st.recursive(
    integers.map(lambda value: f"({value})") | st.just("n"),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=4,
)
fractions = st.recursive(
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: f"({value!r})") | st.just("f"),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=4,
).filter(lambda source: "e" not in source)
texts = st.text("ab买\u00e9 ", max_size=4).map(lambda value: f"'{value}'") | st.just("t") | st.just("(t + 'b')")
comparisons = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
atoms = (
    st.tuples(numbers, comparisons, numbers).map(" ".join)
    | st.tuples(fractions, comparisons, fractions).map(" ".join)
    | st.tuples(texts, comparisons, texts).map(" ".join)
    | st.tuples(numbers, st.just("in"), st.just("l")).map(" ".join)
    | st.tuples(texts, st.just("in"), st.just("m")).map(" ".join)
    | st.tuples(st.integers(0, 2), comparisons, numbers).map(lambda parts: f"l[{parts[0]}] {parts[1]} {parts[2]}")
    | st.sampled_from(["m.a == 1", "m['b'] < n", "yes", "!yes", "l == [1, 2, 3]", "n > 0 ? yes : f > 1.0"])
    | st.tuples(st.sampled_from(["contains", "starts_with", "ends_with", "matches"]), texts).map(
        lambda parts: f"{parts[0]}(t, {parts[1]})"
    )
)
conditions = st.recursive(
    atoms.map(lambda source: f"({source})"),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")
        | inner.map(lambda source: f"!({source})")
    ),
    max_leaves=4,
)
CEL_NAMES = {"contains": "contains", "starts_with": "startsWith", "ends_with": "endsWith", "matches": "matches"}


def in_cel(source: str) -> str:
    for ours, theirs in CEL_NAMES.items():
        source = source.replace(f"{ours}(t, ", f"t.{theirs}(")
    return source


@quick
@given(conditions | numbers | fractions, integers, st.floats(-100, 100), st.text("ab买 ", max_size=4), st.booleans())
def test_the_common_subset_agrees_with_cel(source: str, n: int, f: float, t: str, yes: bool) -> None:
    import cel  # with its command line: here, only the process that runs this test loads it

    names = {"n": n, "f": f, "t": t, "yes": yes, "l": [1, 2, 3], "m": {"a": 1, "b": 5}}
    assert compile_expression(source).evaluate(Scope(names)) == cel.evaluate(in_cel(source), names)
