"""What an evaluation may cost, whatever the data is: paid per element, per instruction of a pattern, per byte."""

import tracemalloc
from contextlib import suppress

import pytest

from workflow_runtime.language.expressions import EvaluationError, Scope, compile_expression, compile_template
from workflow_runtime.language.expressions.limits import EXPRESSIONS_CACHED_BYTES_MAX, MEMORY_BYTES_MAX, STEPS_MAX
from workflow_runtime.language.expressions.values import equals, freeze
from workflow_runtime.language.json_values import Json

MODULUS = 2**61 - 1  # of Python's hash of numbers: they hash alike if they differ by a multiple


def steps_of(source: str, **names: Json) -> int:
    """What one evaluation pays."""
    scope = Scope(names)
    compile_expression(source).evaluate(scope)
    return STEPS_MAX - scope.steps


def test_steps_after_a_star_are_paid_per_element() -> None:
    long = "+".join(["1"] * 200)
    few, many = ([list(range(300))] * count for count in (10, 1000))
    assert steps_of(f"len(a.*[{long}])", a=few) * 100 == steps_of(f"len(a.*[{long}])", a=many)
    assert steps_of(f"len(a.*[{long}])", a=many) >= 12 * steps_of("len(a.*[1])", a=many)


def test_a_long_index_after_a_star_over_many_elements_is_refused() -> None:
    source = f"a.*[{'+'.join(['1'] * 1900)}]"
    with pytest.raises(EvaluationError, match="more than 100,000 steps"):
        compile_expression(source).evaluate(Scope({"a": [[0] * 2000] * 1000}))


def test_a_star_over_a_hundred_thousand_elements_is_within_the_bounds() -> None:
    assert compile_expression("len(a.*.b)").evaluate(Scope({"a": [{"b": 1}] * 99_000})) == 99_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, [1 + MODULUS]], [1, [1 + 2 * MODULUS]]),
        (1, 1 + MODULUS),
        ({"a": 1}, {"a": 1 + MODULUS}),
        (2.0**61 - 1, 0),
    ],
)
def test_no_cost_depends_on_how_numbers_hash(one: Json, other: Json) -> None:
    scope = Scope({})
    frozen = {type(freeze(one, scope)), type(freeze(other, scope))}
    assert frozen <= {str, bytes}, "the only types that hash under a key of the process"
    assert freeze(one, scope) != freeze(other, scope)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0, -0.0),
        (0, False),
        (None, "null"),
        ("1", 1),
        (2**53 + 1, float(2**53)),
        ([1.0, {"b": 2, "a": 1}], [1, {"a": 1.0, "b": 2}]),
        (10**19, 1e19),
        (1e300, 1e300),
        ("[1]", [1]),
        ({}, []),
    ],
)
def test_stand_ins_are_equal_exactly_for_equal_values(one: Json, other: Json) -> None:
    assert (freeze(one, Scope({})) == freeze(other, Scope({}))) == equals(one, other)


def test_a_computed_pattern_is_paid_by_the_size_of_its_program() -> None:
    assert steps_of("matches('x', p)", p=r"\pL{3}") > 20 * steps_of("matches('x', p)", p=r"[a-z]{3}")


def test_a_pattern_with_too_large_a_program_is_refused() -> None:
    with pytest.raises(EvaluationError, match="too large"):
        compile_expression("matches('x', p)").evaluate(Scope({"p": r"(?i)\pL{50}"}))


def test_many_different_patterns_end_within_the_steps() -> None:
    source = r"count_by(a, matches('x', '\pL{3}' + string(item)))"
    with pytest.raises(EvaluationError, match="more than 100,000 steps"):
        compile_expression(source).evaluate(Scope({"a": list(range(1200))}))


@pytest.mark.parametrize(
    "body",
    [
        "[" + ",".join(["item + 'x'"] * 3) + "]",
        "[" + ",".join(["{}"] * 14) + "]",
        "{" + ",".join(f"k{number}: item" for number in range(14)) + "}",
        "split(item, 'b')",
    ],
)
def test_memory_is_bounded_from_the_first_character(body: str) -> None:
    """All that is made is paid for, and what cannot be paid for is refused."""
    text, expression = "abcabcab" * 44, compile_expression(f"map(a, {body})")
    with pytest.raises(EvaluationError, match=r"more than (100,000 steps|64 MiB of values)"):
        expression.evaluate(Scope({"a": [text] * 90_000}))
    scope = Scope({"a": [text] * 2_000})
    tracemalloc.start()
    try:
        with suppress(EvaluationError):  # its result is too large
            expression.evaluate(scope)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 1_000_000 < peak < MEMORY_BYTES_MAX - scope.memory


def test_parsed_json_is_bounded_in_depth() -> None:
    with pytest.raises(EvaluationError, match="100 levels"):
        compile_expression("parse_json(a)").evaluate(Scope({"a": "[" * 101 + "]" * 101}))
    with pytest.raises(EvaluationError, match="100 levels"):
        compile_expression("parse_json(a)").evaluate(Scope({"a": "[" * 100_000}))
    assert compile_expression("parse_json(a)").evaluate(Scope({"a": "[" * 100 + "]" * 100})) is not None


@pytest.mark.parametrize("name", ["sum", "avg"])
def test_a_text_after_a_fraction_is_no_number_either(name: str) -> None:
    with pytest.raises(EvaluationError, match="string where a number is expected"):
        compile_expression(f"{name}(a)").evaluate(Scope({"a": [1.5, "x"]}))


def test_many_files_of_large_templates_do_not_fill_the_memory() -> None:
    tracemalloc.start()
    try:
        for number in range(100):
            compile_template(f"{number} ${{a}}" + "字" * 900_000)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < EXPRESSIONS_CACHED_BYTES_MAX
