"""Templates: values keep their type alone, become text among text, and every mistake has its place."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.language.expressions import (
    EvaluationError,
    ExpressionSyntaxError,
    Reference,
    Scope,
    compile_template,
)

NAMES: dict[str, Any] = {
    "n": 3,
    "f": 2.0,
    "t": "hi",
    "o": {"a": [1, 2.0, "买"]},
    "l": [1, None],
    "nothing": None,
    "yes": True,
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${n}", 3),
        ("${ o.a }", [1, 2.0, "买"]),
        ("${nothing}", None),
        ("${missing}", None),
        ("${n} ", "3 "),
        ("a ${n} b ${t}", "a 3 b hi"),
        ("${t}${t}", "hihi"),
        ("${f}/${nothing}/${yes}/${0.1 + 0.2}", "2//true/0.30000000000000004"),
        ("x: ${o}", 'x: {"a":[1,2,"买"]}'),
        ("x: ${l}", "x: [1,null]"),
        ("$${n}", "${n}"),
        ("a $${n} ${n}", "a ${n} 3"),
        ("$$${n}", "$${n}"),
        ("$ { } $n {n}", "$ { } $n {n}"),
        ("${ {'a': {'b': '}'}}.a.b }", "}"),
        ("${'a}b' + \"}\"} c", "a}b} c"),
        ("${${n} + 1}", 4),
        ("${n}}", "3}"),
        ("", ""),
        (5, 5),
        (None, None),
        ({"a": "${n}", "b": [1, "${t}!", {"c": "$${x}"}]}, {"a": 3, "b": [1, "hi!", {"c": "${x}"}]}),
        ("${n > 2 AND t == 'hi'}", True),
    ],
)
def test_a_template_becomes_its_value(template: Any, value: Any) -> None:
    result = compile_template(template).evaluate(Scope(NAMES))
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("template", ["text", "$${x}", 1, None, True, [], {}, {"a": [1, "b"]}])
def test_a_template_without_placeholders_reads_nothing(template: Any) -> None:
    assert compile_template(template).references == ()


def test_references_carry_their_place_in_the_value() -> None:
    template = compile_template({"a": ["x", "y ${n.b} ${t}"], "c": "${o['k'][0]}"})
    assert template.references == (
        Reference("n", ("b",), 4, True, ("a", 1)),
        Reference("t", (), 11, True, ("a", 1)),
        Reference("o", ("k",), 2, False, ("c",)),
    )


@pytest.mark.parametrize(
    ("template", "offset", "path", "words"),
    [
        ("a ${", 2, (), "never closed"),
        ("a ${n", 2, (), "never closed"),
        ("${}", 2, (), "missing"),
        ("ok ${n} ${n =}", 12, (), "single ="),
        ({"a": [0, "b ${1 +}"]}, 7, ("a", 1), "too early"),
        ({"a": {"${n}": 1}}, 0, ("a", "${n}"), "in a key"),
        ("${'${n}'}", 3, (), "inside a quoted text"),
        ("${it's}", 4, (), "never closed"),
        ("${a b}", 4, (), "unexpected b"),
        ("${len(}", 6, (), "too early"),
    ],
)
def test_a_mistake_in_a_template_has_its_place(template: Any, offset: int, path: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_template(template)
    assert words in caught.value.message
    assert caught.value.path == path
    assert caught.value.offset == offset


def test_an_evaluation_error_has_its_place_in_the_value() -> None:
    with pytest.raises(EvaluationError, match="division by zero") as caught:
        compile_template({"a": ["x", "y ${1} ${n / 0}"]}).evaluate(Scope(NAMES))
    assert caught.value.path == ("a", 1)
    assert caught.value.offset == 11


def test_what_leads_nowhere_is_noted_for_the_whole_template() -> None:
    scope = Scope(NAMES)
    assert compile_template({"a": "${x.y}", "b": "${x.y} ${t.z}"}).evaluate(scope) == {"a": None, "b": " "}
    assert scope.unresolved == ["x.y", "t.z"]


def test_a_template_nested_too_deeply_is_refused() -> None:
    deep: Any = "${n}"
    for _ in range(101):
        deep = [deep]
    with pytest.raises(ExpressionSyntaxError, match="deep"):
        compile_template(deep)
