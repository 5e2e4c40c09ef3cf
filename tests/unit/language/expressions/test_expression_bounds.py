"""Nothing escapes and nothing blows up: every attack ends soon, in one of the two errors, before memory grows."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest

from workflow_runtime.language.expressions import (
    EvaluationError,
    ExpressionSyntaxError,
    Scope,
    compile_expression,
    compile_template,
)

MEMORY_BYTES_MAX = 64 * 1024 * 1024
SECONDS_MAX = 5.0  # far above what any of them takes; a blow-up would take ages


def outcome(source: str, names: dict[str, Any] | None = None) -> str:
    """ "value", or the message of the error; fails on anything else, and on time and memory out of proportion."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    started = time.thread_time()
    try:
        try:
            compile_expression(source).evaluate(Scope(names or {}))
        except (ExpressionSyntaxError, EvaluationError) as error:
            return error.message
        return "value"
    finally:
        assert time.thread_time() - started < SECONDS_MAX
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        assert peak - before < MEMORY_BYTES_MAX


class Secret:
    """Something that no scope should hold; even then nothing of it can be reached."""

    token = "s3cret"

    def __getitem__(self, key: str) -> str:
        raise TypeError("not a container")


@pytest.mark.parametrize(
    "source",
    [
        "x.__class__",
        "x.__class__.__mro__",
        "x.__init__.__globals__",
        "x['__class__']",
        "x.token",
        "x.keys",
        "x.get",
        "x.format",
        "t.__class__",
        "t.upper",
        "t.format",
        "l.append",
        "l.__len__",
        "o.items",
        "o.keys",
        "o.__getattribute__",
        "n.real",
        "n.bit_length",
        "__builtins__",
        "__import__",
        "self",
        "scope",
        "scope.names",
        "x.*.token",
        "t[0].__class__",
        "item",
        "item.__class__",
    ],
)
def test_no_attribute_of_any_value_can_be_reached(source: str) -> None:
    scope = Scope({"x": Secret(), "t": "text", "l": [1], "o": {"a": 1}, "n": 1})
    assert compile_expression(source).evaluate(scope) is None
    assert scope.unresolved == [source]


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os')",
        "eval('1')",
        "exec('1')",
        "open('/etc/passwd')",
        "getattr(x, 'a')",
        "x.format(1)",
        "(lambda: 1)()",
        "[i for i in l]",
        "'%s' % x",
        "f'{x}'",
        "x := 1",
        "x; y",
        "import os",
        "`x`",
        "@x",
        "\\x",
        "x\\",
        "#",
        "x if y else z",
        "print(x)",
        "().__class__",
        "ｅval('1')",
        "ｌen(l)",
        "lеn(l)",
        "𝐥𝐞𝐧(l)",
        "len\xad(l)",
        "ＡＮＤ ＯＲ",
        "a ａnd b",
    ],
)
def test_python_and_look_alikes_of_it_mean_nothing(source: str) -> None:
    assert outcome(source, {"x": 1, "y": 1, "z": 1, "l": []}) != "value"


def test_names_that_look_the_same_are_the_same_and_others_are_not() -> None:
    scope = Scope({"ａ": 1, "ﬁ": 2, "é": 3})
    assert [compile_expression(name).evaluate(scope) for name in ("ａ", "a", "ﬁ", "fi", "é", "e\u0301")] == [
        1,
        None,
        2,
        None,
        3,
        3,
    ]
    assert compile_expression("ｔrue").evaluate(scope) is None


@pytest.mark.parametrize(
    "source",
    [
        "(" * 60 + "1" + ")" * 60,
        "[" * 60 + "]" * 60,
        "{a:" * 60 + "1" + "}" * 60,
        "not " * 60 + "a",
        "!" * 60 + "a",
        "- " * 60 + "a",
        "len(" * 60 + "a" + ")" * 60,
        "a[" * 60 + "0" + "]" * 60,
        "a ? " * 60 + "1" + " : 2" * 60,
        "a ? 1 : " * 60 + "2",
        "${" * 60 + "a" + "}" * 60,
        "(" * 2000,
        "[" * 4000,
        "not " * 1000,
    ],
)
def test_deep_nesting_is_refused(source: str) -> None:
    assert "deep" in outcome(source)


@pytest.mark.parametrize(
    "source",
    [
        "(" * 49 + "1" + ")" * 49,
        "+".join(["1"] * 2000),
        " and ".join(["true"] * 400),
        "a" + ".b" * 2000,
        "a" + "[0]" * 1300,
        "1 ?? " * 800 + "1",
        "[" + "1," * 2000 + "]",
        "a or b and c == d ?? 1 + 2 * (" * 25 + "1" + ")" * 25,
    ],
)
def test_long_but_flat_is_fine(source: str) -> None:
    assert outcome(source, {"a": None, "b": 1, "c": 1, "d": 1}) == "value"


@pytest.mark.parametrize(
    "source", ["x" * 4097, "'" + "x" * 4096 + "'", " " * 5000 + "1", "'" + "买" * 1365 + "'", "9" * 4097]
)
def test_a_long_source_is_refused(source: str) -> None:
    with pytest.raises(ExpressionSyntaxError, match="longer than 4,096 bytes"):
        compile_expression(source)
    with pytest.raises(ExpressionSyntaxError, match=r"longer than 4,096 bytes|not a name|64 bits"):
        compile_template("text ${" + source + "}")


@pytest.mark.parametrize("source", ["9" * 4000, "1e99999", "9223372036854775808", "-9223372036854775809"])
def test_huge_literals_are_refused(source: str) -> None:
    assert outcome(source) in ("an integer beyond 64 bits", "a number too large")


def doubling(step: str, start: str, rounds: int = 40) -> str:
    """``map([…map([start], step)…], step)``: ``step`` over ``item``, again and again."""
    source = f"[{start}]"
    for _ in range(rounds):
        source = f"map({source}, {step})"
    return source


@pytest.mark.parametrize(
    "source",
    [
        doubling("item + item", "'xxxxxxxx'"),
        doubling("item * item", "9"),
        doubling("item * item", "1.5"),
        doubling("item - item * item", "-7"),
        doubling("item + item", "[1]"),
        doubling("[item, item]", "1"),
        doubling("{a: item, b: item}", "1"),
        doubling("join([item, item, item], item)", "'x'", 30),
        doubling("replace(item, 'x', item)", "'xx'", 30),
        doubling("join([item, item])", "'xxxxxxxx'"),
        doubling("url_encode(item + item)", "'%'"),
        doubling("base64_encode(item + item)", "'%'"),
        doubling("json(item)", "'\"'"),
        doubling("flatten([item, item])", "[1]"),
        doubling("merge({a: item}, {b: item})", "1"),
        doubling("upper(item) + item", "'ß'"),
        "len(json(" + doubling("[item, item]", "1") + "))",
        "hash(" + doubling("[item, item]", "1") + ")",
        "unique([" + doubling("[item, item]", "1") + "])",
        "string(" + doubling("[item, item]", "1") + ")",
        doubling("[item, item]", "1", 30) + " == " + doubling("[item, item]", "1", 30),
        doubling("[item, item]", "1", 30) + " in [" + doubling("[item, item]", "1", 30) + "]",
        "range(1000000000)",
        "range(0, 9223372036854775807)",
        "range(-9223372036854775807, 9223372036854775807)",
        "map(range(1000), map(range(1000), item))",
        "map(range(100000), map(range(100000), map(range(100000), 1)))",
        "any_of(range(400), all_of(range(400), any_of(range(400), false) or true) and false)",
        "map(range(50000), range(50000))",
        "map(range(90000), [item, item, item, item, item, item, item, item])",
        "join(map(range(90000), 'xxxxxxxxxxxxxxxxxxxx'), 'yyyyyyyyyyyyyyyyyyyy')",
        "replace(" + "replace(" * 5 + "'xxxxxxxxxx'" + ", 'x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx')" * 6,
        "map(range(1000), big + 'x')",
        "map(range(1000), lower(big))",
        "map(range(100000), big == other)",
        "map(range(100000), 'x' in big)",
        "map(range(100000), starts_with(big, other))",
        "map(range(1000), hash(big))",
        "map(range(1000), parse_json(document))",
        "map(range(1000), matches(big, '(a|b|ab)*c$'))",
        "map(range(100000), matches('a', 'a{' + string(item) + '}'))",
        "map(range(1000), sort(numbers))",
        "map(range(1000), unique(numbers))",
        "map(range(1000), numbers.*)",
        "map(range(1000), 5 in numbers)",
        "map(range(1000), split(big, 'x'))",
    ],
)
def test_growth_is_refused_before_it_happens(source: str) -> None:
    big, other = "x" * 500_000, "x" * 499_999 + "y"
    names = {"big": big, "other": other, "document": "[" + "1," * 9_999 + "1]", "numbers": list(range(9_000))}
    message = outcome(source, names)
    assert message.partition("(): ")[2] or message in message
    assert any(words in message for words in ("steps", "larger than 1,024 KiB", "64 bits", "finite", "longer than"))


@pytest.mark.parametrize(
    "query",
    [
        "[@, @] | " * 60 + "@",
        "[@, @][] | " * 60 + "@",
        "to_string(@) | [@, @] | to_string(@) | " * 20 + "@",
        "join('', [@, @]) | " * 60 + "@",
        "{a: @, b: @} | " * 60 + "to_string(@)",
        "[@, @] | " * 40 + "contains([@], `1`)",
        "[@, @] | " * 40 + "@ == @",
        "[*]." * 200 + "a",
        "[" * 900,
        "(" * 900 + "@" + ")" * 900,
        "!" * 900 + "@",
        "a" * 2000,
        "[@, @] | " * 30 + "[] | " * 30 + "@",
        "reverse(@) | " * 60 + "[@, @, @, @] | [][][][][][]",
    ],
)
@pytest.mark.parametrize("value", ["x" * 1000, list(range(1000))])
def test_queries_stay_within_the_bounds(query: str, value: Any) -> None:
    outcome("jmespath(v, q)", {"v": value, "q": query})


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", "((a{0,99}){0,9})*b", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_no_pattern_can_hang(pattern: str) -> None:
    assert outcome(f"matches(t, '{pattern}')", {"t": "a" * 20_000 + "!"}) in (
        "value",
        "matches(): more than 100,000 steps",
    )


@pytest.mark.parametrize(
    "pattern", ["a{1001}", "(a{1000}){1000}", "(?P<n>", "(?=a)", "\\1", "x" * 1001, "((a{100}){100}){100}"]
)
def test_patterns_beyond_the_bounds_are_refused(pattern: str) -> None:
    assert outcome("matches(t, p)", {"t": "a", "p": pattern}) != "value"


def test_deep_values_are_refused_where_they_would_be_walked() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    other: Any = 1
    for _ in range(5_000):
        other = [other]
    names = {"deep": deep, "other": other}
    assert outcome("deep", names) == "value"
    for source in ("deep == other", "json(deep)", "unique([deep])", "hash(deep)", "other in [deep]", "parse_json(t)"):
        assert "deep" in outcome(source, names | {"t": "[" * 5_000 + "]" * 5_000})
    with pytest.raises(EvaluationError, match="deep"):
        compile_template("x ${deep}").evaluate(Scope(names))


def test_what_is_no_json_is_refused_in_results() -> None:
    for value in (Secret(), {1: 2}, float("nan"), float("inf"), 10**30, b"x"):
        with pytest.raises(EvaluationError):
            compile_expression("[x]").evaluate(Scope({"x": value}))


def test_half_a_surrogate_pair_is_an_error_of_evaluation() -> None:
    for source in ("hash(x)", "json(x)", "url_encode(x)", "base64_encode(x)", "matches(x, 'a')"):
        assert "Unicode" in outcome(source, {"x": "\ud800"}) or source == "matches(x, 'a')"


def test_a_template_is_bounded_as_a_whole() -> None:
    scope = Scope({"big": "x" * 600_000, "l": list(range(50_000))})
    assert compile_template(["${big}", "${big}", "${big}"]).evaluate(scope)[2] is scope.names["big"]
    with pytest.raises(EvaluationError, match="larger than") as caught:
        compile_template(["a ${big}", {"k": "b ${big}"}]).evaluate(scope)
    assert caught.value.path == (1, "k")
    with pytest.raises(EvaluationError, match="in one template"):
        compile_template(["${any_of(l, item < 0)}"] * 30).evaluate(scope)
    with pytest.raises(EvaluationError, match="larger than"):
        compile_template("${l}" * 4).evaluate(scope)
