"""Racing and hedging, as the guide teaches them."""

from __future__ import annotations

import re
from pathlib import Path

from workflow_runtime.testing import Result, WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

CHAPTER = Path("definitions/README.md").read_text("utf-8").split("## Workflow patterns\n")[1]
FOUND = {"text": "${q}"}


def example() -> str:
    found = re.search(r"```yaml\n(.*?)```", CHAPTER, re.DOTALL)
    assert found
    return found[1]


def statuses(result: Result) -> list[str]:
    return [result.nodes[id]["status"] for id in ("first", "second")]


def test_a_first_try_that_is_quick_spares_the_second(runtime: WorkflowTester) -> None:
    runtime.mock_tool("search", FOUND, delay=1)
    result = runtime.run(example(), {"q": "字"}).assert_completed()
    assert statuses(result) == ["success", "skipped"]
    assert result.nodes["answer"]["output"] == {"found": {"text": "字"}}
    assert len(runtime.calls("search")) == 1


def test_a_second_try_begins_after_a_delay_and_the_first_success_wins(runtime: WorkflowTester) -> None:
    runtime.mock_tool("search", FOUND, delay=5)
    result = runtime.run(example(), {"q": "字"}).assert_completed()
    assert statuses(result) == ["success", "cancelled"]
    assert len(runtime.calls("search")) == 2


def test_a_second_try_may_overtake_the_first(runtime: WorkflowTester) -> None:
    runtime.mock_tool("slow_search", FOUND, delay=60)
    runtime.mock_tool("search", {"text": "quick"}, delay=1)
    result = runtime.run(example().replace("tool: search", "tool: slow_search", 1), {"q": "字"}).assert_completed()
    assert statuses(result) == ["cancelled", "success"]
    assert result.nodes["answer"]["output"] == {"found": {"text": "quick"}}


def test_a_first_try_that_fails_leaves_it_to_the_second(runtime: WorkflowTester) -> None:
    runtime.mock_tool("search", FOUND)
    runtime.fail("first", "busy")
    assert statuses(runtime.run(example(), {"q": "字"}).assert_completed()) == ["failed", "success"]


def test_the_earliest_error_stands_when_both_fail(runtime: WorkflowTester) -> None:
    runtime.fail("first", "busy")
    runtime.fail("second", "down")
    runtime.run(example(), {"q": "字"}).assert_failed("busy", node="first")
