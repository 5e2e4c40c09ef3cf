"""Levels, the critical path and the drawings of plans."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.drawing import FORMATS, Progress, render
from workflow_runtime.drawing.analysis import CriticalPath, critical_path, parallel_groups

GOLDEN = Path(__file__).parents[2] / "golden"
RACE = (GOLDEN / "parallel_first.yaml").read_text(encoding="utf-8")
LOOPS = """
workflow:
  id: 循环
  nodes:
    - id: 各
      type: control
      subtype: loop
      items: ${input.xs}
      max_concurrency: 0
      body:
        - {id: read, type: tool, tool: t, inputs: {x: "${item}"}}
        - {id: 再, type: control, subtype: loop, times: 3, dependencies: [read],
           body: [{id: 试, type: agent, agent: a}]}
        - {id: write, type: tool, tool: t, dependencies: [再]}
    - {id: end, type: tool, tool: t, dependencies: [各]}
"""
HOSTILE = """
workflow:
  id: w
  name: '<script>"&'
  nodes:
    - {id: a, type: tool, tool: t, name: 'say "hi" <b>#1; `x` \\'}
    - {id: end, type: tool, tool: t}
    - {id: 订单, type: agent, agent: x}
  edges:
    - {from: a, to: end, condition: '${a.x} == "|" and 1 < 2'}
"""


def test_parallel_groups_are_levels_without_hidden_nodes() -> None:
    groups = parallel_groups(compile_or_raise(RACE))
    assert groups == [["race", "unwatched"], ["a", "b", "c"], ["b1", "b2"], ["winner"]]


def test_the_critical_path_weighs_nodes_by_their_timeouts() -> None:
    nodes = "".join(
        f"    - {{id: {id}, type: tool, tool: t, dependencies: [{above}]{extra}}}\n"
        for id, above, extra in [
            ("a", "", ""),
            ("slow", "a", ", timeout: 1m"),
            ("b", "a", ""),
            ("c", "b", ""),
            ("d", "slow, c", ""),
        ]
    )
    plan = compile_or_raise(f"workflow:\n  id: w\n  nodes:\n{nodes}")
    assert critical_path(plan) == CriticalPath(("a", "slow", "d"), 62.0)


def test_the_critical_path_passes_through_hidden_nodes() -> None:
    assert critical_path(compile_or_raise(RACE)) == CriticalPath(("race", "b", "b1", "winner"), 4.0)


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_a_drawing_shows_no_hidden_node(format: str) -> None:
    drawing = render(compile_or_raise(RACE), format, Progress({"a": "success"}))
    assert "~race" not in drawing
    assert "winner" in drawing
    assert "first" in drawing


SUFFIXES = [("text", "txt"), ("mermaid", "mmd"), ("dot", "dot"), ("svg", "svg")]


@pytest.mark.parametrize(("format", "suffix"), SUFFIXES)
def test_the_drawings_of_a_plan_are_golden(format: str, suffix: str) -> None:
    plan = compile_or_raise((GOLDEN / "switch.yaml").read_bytes())
    drawing = render(
        plan, format, Progress({"fetch": "success", "other": "running", "left": "skipped", "fallback": "success"})
    )
    _compare(drawing, f"switch.{suffix}")


@pytest.mark.parametrize(("format", "suffix"), SUFFIXES)
def test_a_loop_holds_its_body_once_and_one_side_by_side_is_a_stack_with_counts(format: str, suffix: str) -> None:
    statuses = {"各": "running", **{f"各[{index}]/read": "success" for index in range(9_000)}}
    drawing = render(
        compile_or_raise(LOOPS), format, Progress(statuses, passes={"各": "8,990 of 10,000 done, 3 failed"})
    )
    assert drawing.count("8,990 of 10,000 done, 3 failed") == 1
    _compare(drawing, f"loops.{suffix}")


def _compare(drawing: str, name: str) -> None:
    path = GOLDEN / "graphs" / name
    if os.environ.get("REWRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawing, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == drawing


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        ("mermaid", 'n0[["child<br/><small>付款 (version 3)</small>"]]'),
        ("dot", "shape=component"),
        ("text", "⧉"),
        ("svg", "付款 (version 3)"),
    ],
)
def test_a_sub_workflow_looks_like_one_and_says_which(format: str, shown: str) -> None:
    node = "{id: child, type: sub_workflow, workflow_id: 付款, version: 3}"
    assert shown in render(compile_or_raise(f"workflow: {{id: w, nodes: [{node}]}}"), format)


def test_mermaid_texts_cannot_break_out_of_their_quotes() -> None:
    for line in render(compile_or_raise(HOSTILE), "mermaid").splitlines()[1:]:
        shape = r'    n\d+[\[({>/]+"[^"`<>\\|]*(<br/><small>[^"<>]*</small>)?"[\])}/\\]+'
        arrow = r'    n\d+ (-->|-\.->|==>)(\|"[^"`<>\\|]*"\|)? n\d+'
        assert re.fullmatch(f"{shape}|{arrow}", line), line


def test_dot_texts_are_escaped() -> None:
    assert r'label="say \"hi\" <b>#1; `x` \\\nt"' in render(compile_or_raise(HOSTILE), "dot")


def test_svg_is_well_formed_and_runs_nothing() -> None:
    root = ElementTree.fromstring(render(compile_or_raise(HOSTILE), "svg"))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert any(element.text == "订单" for element in root.iter())


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_no_drawing_holds_control_or_bidirectional_characters(format: str) -> None:
    hostile = json.dumps("a\x1b[2J\x07\u202e\u2066b")
    source = f"workflow: {{id: w, name: {hostile}, nodes: [{{id: a, type: tool, tool: t, name: {hostile}}}]}}"
    shown = render(compile_or_raise(source), format)
    assert r"a\x1b[2J" in shown.replace("#92;", "\\").replace("\\\\", "\\")
    assert all(character.isprintable() for character in shown.replace("\n", ""))


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="mermaid"):
        render(compile_or_raise(RACE), "png")
