"""Loops from the file to the output, as the guide teaches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

GUIDE = Path("definitions/README.md").read_text("utf-8")
EXAMPLE = GUIDE.partition("## Loops\n")[2].partition("```yaml\n")[2].partition("```")[0]


def test_the_example_of_the_guide_runs(runtime: WorkflowTester) -> None:
    mocks = {
        "agents": {
            "writer": {
                "cases": [{"match": "exists(parts)", "return": {"parts": "${len(parts)}", "heard": "${remarks}"}}],
                "default": {"return": "short"},
            },
            "translator": {"return": "${language} ${text}"},
            "critic": {
                "cases": [{"match": "index == 0", "return": {"good": False, "remarks": "longer"}}],
                "default": {"return": {"good": True}},
            },
        }
    }
    result = runtime.run(EXAMPLE, {"texts": ["a", "b"], "languages": ["de", "fr"]}, mocks=mocks)
    assert result.status == "completed", result.error
    each = result.nodes["each"]["output"]
    assert each == [{"number": n, "summary": "short", "translations": ["de short", "fr short"]} for n in range(2)]
    assert result.nodes["polish[1]/draft"]["output"] == {"parts": 2, "heard": "longer"}
    assert result.nodes["polish"]["output"][-1] == {"good": True}


def loop(*body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    node = {"id": "each", "type": "control", "subtype": "loop", "body": list(body), **fields}
    return {"id": "w", "nodes": [node]}


def test_passes_start_workflows_of_their_own(runtime: WorkflowTester) -> None:
    runtime.mock_workflow("付款", {"number": "p${amount}"})
    child = {"id": "扣款", "type": "sub_workflow", "workflow_id": "付款", "inputs": {"amount": "${item}"}}
    result = runtime.run({"workflow": loop(child, items="${amounts}", max_concurrency=0)}, {"amounts": [1, 2, 3]})
    assert result.output == [{"number": "p1"}, {"number": "p2"}, {"number": "p3"}]
    children = [result.nodes[f"each[{n}]/扣款"]["child"] for n in range(3)]
    assert len(set(children)) == 3


def test_a_failed_child_is_one_failed_pass(runtime: WorkflowTester) -> None:
    runtime.mock_workflow("付款", {"number": "p${amount}"})
    child = {
        "id": "扣款",
        "type": "sub_workflow",
        "workflow_id": "付款",
        "inputs": {"amount": "${item}"},
        "on_error": "continue",
    }
    runtime.fail("each[1]/扣款", type="declined")
    result = runtime.run({"workflow": loop(child, items="${amounts}")}, {"amounts": [1, 2]})
    assert result.output == [{"number": "p1"}, None]


def test_every_pass_asks_people_for_itself(runtime: WorkflowTester) -> None:
    ask = {"id": "ask", "type": "control", "subtype": "approval", "prompt": "Item ${item}?"}
    id = runtime.start(
        {"workflow": loop(ask, items="${xs}", max_concurrency=0, collect="${ask.comment}")}, {"xs": ["a", "b"]}
    )
    runtime.approve(id, "each[1]/ask", comment="second")
    runtime.approve(id, "each[0]/ask", comment="first")
    assert runtime.finish(id).output == ["first", "second"]
