"""Golden plans and golden findings: what the compiler makes of each construct. REWRITE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.plan.plan import decode_plan, encode_plan

GOLDEN = Path(__file__).parents[2] / "golden"
PLANS = sorted(GOLDEN.glob("*.yaml"))
FINDINGS = sorted((GOLDEN / "findings").glob("*.yaml"))


def check_golden(path: Path, text: str) -> None:
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_definition_compiles_to_its_golden_plan(path: Path) -> None:
    compilation = compile_workflow(path.read_bytes(), file=path.name)
    assert compilation.plan is not None, "\n".join(map(str, compilation.findings))
    encoded = encode_plan(compilation.plan)
    check_golden(path.with_suffix(".plan.json"), msgspec.json.format(encoded, indent=2).decode() + "\n")
    assert decode_plan(encoded) == compilation.plan


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.stem)
def test_a_definition_with_mistakes_gets_its_golden_findings(path: Path) -> None:
    compilation = compile_workflow(path.read_bytes(), file=path.name)
    assert compilation.findings
    check_golden(path.with_suffix(".txt"), "".join(f"{finding}\n" for finding in compilation.findings))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_paths_are_attached_exactly_where_a_decision_reads(path: Path) -> None:
    plan = compile_workflow(path.read_bytes()).plan
    assert plan is not None
    for node, readers in zip(plan.root.nodes, plan.root.readers, strict=True):
        assert not node.decision_paths or readers, node.id
        shortest = all(
            one == other or other[: len(one)] != one for one in node.decision_paths for other in node.decision_paths
        )
        assert shortest
        assert list(node.decision_paths) == sorted(node.decision_paths)
