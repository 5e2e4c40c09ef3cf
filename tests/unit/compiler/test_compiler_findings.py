"""Findings point at the place that is wrong."""

from __future__ import annotations

import pytest

from workflow_runtime.compiler import compile_workflow

HEAD = "workflow:\n  id: w\n  nodes:\n    - id: a\n      type: tool\n      tool: t\n      inputs:\n"


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("${secrets.x} ${event.y}", 27),
        ('"${secrets.x} ${event.y}"', 28),
        ("'${secrets.x} ${event.y}'", 28),
        ('"\\x41${secrets.x} ${event.y}"', 12),  # escapes: the start of the value
        (">\n          ${secrets.x} ${event.y}", 12),  # folded: the same
    ],
)
def test_a_finding_inside_a_text_has_the_column_of_the_name(value: str, column: int) -> None:
    findings = compile_workflow(f"{HEAD}        x: {value}\n").findings
    assert [(finding.id, finding.line, finding.column) for finding in findings] == [("WF406", 8, column)]


def test_the_path_names_the_place_in_the_document() -> None:
    findings = compile_workflow(f"{HEAD}        x: [1, {{y: '${{event}}'}}]\n", file="w.yaml").findings
    assert [(finding.path, finding.file) for finding in findings] == [("nodes[0].inputs.x[1].y", "w.yaml")]


def test_a_reference_inside_braces_of_an_expression_is_not_bare() -> None:
    text = 'workflow:\n  id: w\n  nodes:\n    - {id: a, type: tool, tool: t, when: "%s"}\n'
    bare = {
        "${x} == 'y'": [],
        "x == 'y'": ["WF403"],
        "${ {'k': x}['k'] } == '}'": [],
        "'${' == x": None,
        "{'k': x} == 1": ["WF403"],
    }
    for expression, expected in bare.items():
        found = [finding.id for finding in compile_workflow(text % expression).findings]
        assert expected is None or found == expected, expression


def test_a_hyphen_hint_names_the_longest_name_that_exists() -> None:
    node = "{id: n, type: tool, tool: t, inputs: {x: '${a-b-1}'}}"
    text = f"workflow:\n  id: w\n  variables: {{a: 1, a-b: 2}}\n  nodes:\n    - {node}\n"
    findings = compile_workflow(text).findings
    assert [(finding.id, finding.hint) for finding in findings] == [
        ("WF404", "Names may contain hyphens: write `a-b - 1` for a minus.")
    ]


def test_everything_wrong_is_said_at_once() -> None:
    text = """
workflow:
  id: w
  nodes:
    - {id: a, type: tool, tool: t, dependencies: [b, nobody], inputs: {x: "${1 +}", y: "${secrets.k} ${index}"}}
    - {id: b, type: tool, tool: t, dependencies: [a]}
"""
    assert {finding.id for finding in compile_workflow(text).findings} == {"WF301", "WF303", "WF401", "WF406"}


@pytest.mark.parametrize(
    "text",
    ["", "workflow:", "workflow: {id: w}", "workflow: 3", b"\xff\xfe", "a: [", "workflow:\n  id: w\n  nodes: [1]"],
)
def test_no_text_makes_the_compiler_raise(text: str | bytes) -> None:
    compilation = compile_workflow(text)
    assert compilation.plan is None
    assert compilation.findings


def test_an_error_is_never_hidden_by_many_warnings() -> None:
    nodes = "\n".join(f"    - {{id: n{number}, type: tool, tool: t, when: 'x{number}'}}" for number in range(1_500))
    last = "    - {id: last, type: tool, tool: t, when: '1 +'}"
    compilation = compile_workflow(f"workflow:\n  id: w\n  nodes:\n{nodes}\n{last}\n")
    assert compilation.plan is None
    assert [finding.id for finding in compilation.findings].count("WF401") == 1


@pytest.mark.parametrize("fallback", ["{value: 1}", "{value: {of: '${inputs.x}'}}", "{agent: b}", "{tool: u}"])
def test_the_timeout_of_a_node_is_none_of_its_fallback(fallback: str) -> None:
    node = f"{{id: a, type: tool, tool: t, inputs: {{x: 1}}, timeout: 1s, priority: 3, fallback: {fallback}}}"
    compilation = compile_workflow(f"workflow:\n  id: w\n  nodes:\n    - {node}\n")
    assert compilation.plan is not None
    assert [finding.message for finding in compilation.findings] == []
