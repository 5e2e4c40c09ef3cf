"""Whatever can be known before anything runs is said before anything runs."""

from __future__ import annotations

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.findings import Finding
from workflow_runtime.plan.catalogue import Catalogue


def findings(text: str, catalogue: Catalogue | None = None) -> list[Finding]:
    return compile_workflow(f"workflow:\n  id: w\n{text}", catalogue=catalogue).findings


def ids(text: str, catalogue: Catalogue | None = None) -> set[str]:
    return {finding.id for finding in findings(text, catalogue)}


def test_a_condition_that_no_branch_reads_is_a_warning() -> None:
    [found] = findings("""
  nodes:
    - {id: a, type: tool, tool: t}
    - {id: s, type: control, subtype: switch, condition: "${a.x}",
       branches: [{when: "${a.y}", target: b}, {default: b}]}
    - {id: b, type: tool, tool: t}
""")
    assert (found.id, found.path, found.severity) == ("WF317", "nodes[1].condition", "warning")
