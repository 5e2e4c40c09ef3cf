"""Loops from the file to the output, as the guide teaches them."""

from __future__ import annotations

from pathlib import Path

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
