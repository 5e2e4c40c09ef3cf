"""Each kind of thing has a bound per file; what is beyond is told at once, and not worked on first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.compiler.bounds import EXPRESSIONS_MAX, PATTERNS_MAX, REFERENCES_MAX, TRANSITIONS_MAX

LONG = " + ".join(["x"] * 900)
TOOL = {"id": "a", "type": "tool", "tool": "t"}


def findings(workflow: dict[str, Any]) -> list[tuple[str, str]]:
    text = json.dumps({"workflow": {"id": "w", **workflow}})
    return [(finding.id, finding.message) for finding in compile_workflow(text).findings]


def many_transitions(count: int) -> dict[str, Any]:
    states = [
        {"name": f"s{first}", "transitions": [{"event": "e", "target": "s0"}] * min(1_000, count - first)}
        for first in range(0, count, 1_000)
    ]
    return {"type": "state_machine", "initial_state": "s0", "states": states}


@pytest.mark.parametrize(
    ("workflow", "told"),
    [
        (
            {"nodes": [{**TOOL, "inputs": {"x": "${x}" * (EXPRESSIONS_MAX + 1)}}]},
            ("WF334", "with these there are more than 100,000 expressions in the file"),
        ),
        (
            {"nodes": [{**TOOL, "id": f"n{i}", "when": LONG} for i in range(REFERENCES_MAX // 900 + 1)]},
            ("WF335", "with these there are more than 250,000 references in the file"),
        ),
        (
            {"nodes": [{**TOOL, "id": f"n{i}", "when": f"matches(x, 'a{i}')"} for i in range(PATTERNS_MAX + 1)]},
            ("WF336", "with these there are more than 1,000 patterns in the file"),
        ),
        (
            {
                "nodes": [{**TOOL, "id": f"node_{i}" * 12} for i in range(1_000)],
                "error_handlers": [
                    {"node_pattern": f"(n|o|d|e|_){{90}}(n.*|o.*){{9}}{i}", "action": "continue"} for i in range(100)
                ],
            },
            ("WF336", "the patterns of the error handlers take too long to be tried on all nodes"),
        ),
        (many_transitions(TRANSITIONS_MAX + 1), ("WF333", "25,001 transitions are more than 25,000")),
    ],
    ids=["expressions", "references", "patterns", "patterns on nodes", "transitions"],
)  # fmt: skip
def test_beyond_its_bound_a_kind_is_told_and_nothing_else(workflow: dict[str, Any], told: tuple[str, str]) -> None:
    found = findings(workflow)
    assert [entry for entry in found if entry[0].startswith("WF3")] == [told]


def test_a_pattern_of_a_handler_that_takes_long_to_compile_is_refused() -> None:
    handlers = [{"node_pattern": r"(?i)\pL{50}", "action": "continue"}]
    (found,) = findings({"nodes": [TOOL], "error_handlers": handlers})
    assert found == ("WF217", "not a regular expression: pattern too large - compile failed")


def test_a_thousand_nodes_may_have_a_hundred_handlers() -> None:
    nodes = [{**TOOL, "id": f"fetch_{number}"} for number in range(1_000)]
    handlers = [{"node_pattern": f"fetch_{number}.*", "action": "continue"} for number in range(100)]
    assert {id for id, _ in findings({"nodes": nodes, "error_handlers": handlers})} <= {"WF505"}
