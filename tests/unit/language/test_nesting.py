"""Nothing recurses deeper than its bounds let it: with a small budget of calls, what is at the bound is taken, and what
is beyond is refused, by an error of its own and never a `RecursionError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from tests.recursion import calls_left

from workflow_runtime.errors import InvalidEvent
from workflow_runtime.invokers.tools.builtin import foreign_json
from workflow_runtime.language.expressions import (
    EvaluationError,
    ExpressionSyntaxError,
    Scope,
    compile_expression,
    compile_template,
)
from workflow_runtime.language.expressions.limits import DEPTH_MAX as BRACKETS_MAX
from workflow_runtime.language.expressions.limits import HEIGHT_MAX, QUERY_PARTS_MAX, SOURCE_BYTES_MAX
from workflow_runtime.language.json_values import DEPTH_MAX, TooDeep, check_levels, is_deeper, read_json
from workflow_runtime.services.intake.bus_events import parse_body
from workflow_runtime.services.messages import LEVELS_MAX, execution_named, parse_mail, parse_order, parse_timer

DECODER_CALLS = 200  # a decoder recurses once for each level
EXPRESSION_CALLS = 700  # of the 1,000 that Python allows
HUGE = 200_000


def nested(levels: int, inner: str = "") -> str:
    return "[" * levels + inner + "]" * levels


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


# ---- JSON


def test_the_levels_of_json_text_are_those_of_its_value() -> None:
    random = Random(1)
    for _ in range(1_000):
        value: Any = random.choice(("[", '"]"', '\\"[[', "\\", "é{", 1, None, "\\\\"))
        for _ in range(random.randint(0, 8)):
            others = ["]]]", {"[": 1}][: random.randint(0, 2)]
            value = random.choice(([value, *others], [*others, value], {'"[{': value, "b": others}))
        text = json.dumps(value, ensure_ascii=random.random() < 0.5)
        for form in (text, text.encode(), " " + text):
            for levels in range(1, 11):
                if is_deeper(value, levels):
                    with pytest.raises(TooDeep, match=f"more than {levels} levels"):
                        check_levels(form, levels)
                else:
                    check_levels(form, levels)


def test_no_text_that_is_no_json_hides_how_deep_a_decoder_goes_before_it_sees_that() -> None:
    random = Random(2)
    for _ in range(50):
        hiding = "".join(random.choices('[]{}"\\:,1', k=random.randint(0, 12)))
        text = nested(150, hiding)[: random.randint(140, 320)]
        with pytest.raises(TooDeep):
            check_levels("[" * 101 + hiding)
        with calls_left(DECODER_CALLS), pytest.raises(msgspec.DecodeError):
            read_json(text)


READERS: dict[str, Callable[[str], Any]] = {
    "text": read_json,
    "of other systems": lambda text: foreign_json.read_json(text, "x", lambda _: None),
    "of other systems, with numbers beyond 64 bits": lambda text: foreign_json.read_json(
        text.replace("[]", "[123456789012345678901234567890]"), "x", lambda _: None
    ),
    "parse_json": lambda text: compile_expression("parse_json(t)").evaluate(Scope({"t": text})),
}


@pytest.mark.parametrize("name", READERS)
def test_readers_take_what_is_at_the_bound_and_refuse_what_is_beyond(name: str) -> None:
    read = READERS[name]
    with calls_left(3 * DECODER_CALLS):
        assert is_deeper(read(nested(DEPTH_MAX)), DEPTH_MAX - 1)
        for levels in (DEPTH_MAX + 1, 900, HUGE):
            with pytest.raises((ValueError, EvaluationError), match="levels deep"):
                read(nested(levels))
            with pytest.raises((ValueError, EvaluationError)):
                read("[" * levels)


@pytest.mark.parametrize("parse", [parse_mail, parse_order, parse_timer, parse_body])
def test_messages_are_refused_as_nothing_that_can_be_read(parse: Callable[[str], Any]) -> None:
    with calls_left(DECODER_CALLS):
        for levels in (LEVELS_MAX + 1, 900, HUGE):
            for body in (nested(levels), f'{{"execution_id": "e", "detail": {{"a": {nested(levels)}}}}}'):
                with pytest.raises(InvalidEvent):
                    parse(body)
                assert execution_named(body) is None


# ---- expressions

WRAPPERS = (
    "({})", "[{}]", "{{a: {}}}", "map([1], {})", "(1 + {})", "(1 + 2 * {})", "(z or {})", "(y and not {})", "-({})",
    "(y == {})", "(y ?? {})", "(z ? 1 : {})", "len([{}])", "(z or y and y == 1 + 2 * {})", "first(filter([1], {}))",
    "({}).a", "default(z.q, {})", "merge({{b: 1}}, {{a: {}}})", "(not {})", "(3 in [{}])", "o[{}]", "l.*[{}]",
)  # fmt: skip
CORES = ("1", "d == e", "json(d)", "unique([d])", "jmespath(d, '" + nested(QUERY_PARTS_MAX // 2, "@") + "')")


def worst(random: Random) -> str:
    """An expression as deep as it may be."""
    source, pool = random.choice(CORES), random.sample(WRAPPERS, random.choice((1, 1, 2, 3)))
    while True:
        deeper = random.choice(pool).format(source)
        try:
            assert len(deeper.encode()) <= SOURCE_BYTES_MAX
            compile_expression(deeper)
        except (AssertionError, ExpressionSyntaxError):
            return source
        source = deeper


@pytest.mark.parametrize("part", range(4))
def test_the_deepest_expressions_over_the_deepest_values_need_no_more_calls_than_there_are(part: int) -> None:
    names = {"d": deep(DEPTH_MAX), "e": deep(DEPTH_MAX), "y": True, "z": False, "o": {}, "l": [[1]]}
    for seed in range(part, 24, 4):
        with calls_left(EXPRESSION_CALLS):
            source = worst(Random(seed))
            try:
                compile_expression(source).evaluate(Scope(names))
            except EvaluationError:
                continue


@pytest.mark.parametrize(
    "source",
    [
        nested(BRACKETS_MAX + 1, "1"),
        "-" * (BRACKETS_MAX + 1) + "x",
        "not " * HUGE,
        "(" * HUGE,
        "(z or y and y == x ?? 1 + 2 * " * (HEIGHT_MAX // 6 + 1) + "1" + ")" * (HEIGHT_MAX // 6 + 1),
    ],
)
def test_what_is_nested_deeper_is_refused(source: str) -> None:
    with calls_left(EXPRESSION_CALLS), pytest.raises(ExpressionSyntaxError, match=r"deep|longer|KiB|characters"):
        compile_expression(source)


@pytest.mark.parametrize(
    "query",
    [nested(QUERY_PARTS_MAX + 1, "@"), "!" * 900 + "@", "`" + nested(400) + "`", "a[*]." * 190 + "a", "a||" * 300],
)
def test_a_query_that_may_be_too_deep_is_refused(query: str) -> None:
    for source, names in ((f"jmespath(x, '{query}')", {"x": 1}), ("jmespath(x, q)", {"x": 1, "q": query})):
        with calls_left(EXPRESSION_CALLS), pytest.raises((EvaluationError, ExpressionSyntaxError)):
            compile_expression(source).evaluate(Scope(names))


def test_a_query_of_many_conditions_is_none_of_them() -> None:
    query = "[?a == `1` && b == `2` && (c == `3` || d != `4`)].{a: a, b: b, c: c[0], d: d.e.f.g.h, f: f[*].a | [0]}"
    assert compile_expression("jmespath(x, q)").evaluate(Scope({"x": [], "q": query})) == []


def test_a_template_at_its_depth_renders_the_deepest_expression() -> None:
    source = "${" + "(1 + " * (BRACKETS_MAX - 1) + "1" + ")" * (BRACKETS_MAX - 1) + "}"
    value: Any = source
    for _ in range(64):  # as deep as a file may be
        value = {"a": value}
    with calls_left(EXPRESSION_CALLS):
        assert "50" in json.dumps(compile_template(value).evaluate(Scope({})))
