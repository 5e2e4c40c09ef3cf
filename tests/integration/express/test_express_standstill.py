"""An express execution that nothing can move in time fails at once, says why, and runs nothing a second time.

What a workflow says is mostly refused when it is compiled; here it is what only the run can tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workflow_runtime.testing import WorkflowTester

HEAD = "workflow:\n  id: w\n  durability: express\n"
BOOK = "    - {id: book, type: tool, tool: book, compensate: {tool: unbook}}\n"
CHART = """
  nodes:
    - {id: book, type: tool, tool: book, compensate: {tool: unbook}}
    - id: m
      type: state_machine
      dependencies: [book]
      initial_state: a
      final_states: [b]
      states: {a: STATE}
"""


@pytest.fixture
def tester() -> Iterator[WorkflowTester]:
    with WorkflowTester.embedded() as made:
        yield made


def mock(tester: WorkflowTester, *tools: str) -> None:
    for tool in tools:
        tester.mock_tool(tool, {"did": tool})


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("{transitions: [{event: paid, target: b}], always: [{condition: 'x > 1', target: b}]}",
         "`m` waits for the event `paid` in the state `a`, which an express execution cannot await"),
        ("{transitions: [{event: paid, target: b}], after: [{delay: '${x * 3600}', target: b}]}",
         "`m` waits for the event `paid` or another 3600 s in the state `a`"),
        ("{always: [{condition: 'x > 1', target: b}]}", "`m` waits for what never comes in the state `a`"),
    ],
)  # fmt: skip
def test_a_chart_that_nothing_could_move_fails_at_once(tester: WorkflowTester, state: str, said: str) -> None:
    mock(tester, "book", "unbook")
    tester.publish(HEAD + CHART.replace("STATE", state))
    before = tester.now
    result = tester.run("w", {"x": 1})
    assert (result.status, result.error["type"], result.error["node"]) == ("failed", "execution_error", "m")
    assert said in result.error["message"]
    assert (tester.now - before).total_seconds() < 1
    assert (len(tester.calls("book")), len(tester.calls("unbook"))) == (1, 1)


@pytest.mark.parametrize("where", ["node", "handler"])
def test_an_attempt_that_would_come_too_late_is_not_waited_for(tester: WorkflowTester, where: str) -> None:
    mock(tester, "pay")
    policy = "max_retries: 20, retry_delay: 20, backoff: linear, max_delay: 1h, jitter: none"
    own = f", retry_policy: {{{policy}}}" if where == "node" else ""
    handlers = f"  error_handlers: [{{action: {{type: retry, {policy}}}}}]\n" if where == "handler" else ""
    refused = f"{HEAD}{handlers}  nodes: [{{id: pay, type: tool, tool: pay{own}}}]\n"
    tester.publish(refused.replace("max_retries: 20", "max_retries: 2").replace("retry_delay: 20", "retry_delay: 15"))
    tester.fail("pay", type="busy", message="come again")
    before = tester.now
    result = tester.run("w")
    assert (result.status, result.error["type"], result.error["node"]) == ("failed", "busy", "pay")
    assert result.error["message"] == "come again"
    assert (tester.now - before).total_seconds() == pytest.approx(45, abs=1)
    tester.publish(refused.replace("jitter: none", "jitter: full"))
    before = tester.now
    result = tester.run("w")
    assert (result.status, result.error["type"], result.error["node"]) == ("failed", "busy", "pay")
    assert "come again (its next attempt would begin in" in result.error["message"]
    assert (tester.now - before).total_seconds() < 60


def test_what_else_is_under_way_ends_first(tester: WorkflowTester) -> None:
    mock(tester, "unbook")
    tester.mock_tool("book", {"did": "book"}, delay=20)
    state = "{transitions: [{event: paid, target: b}], always: [{condition: 'x > 1', target: b}]}"
    tester.publish(HEAD + CHART.replace("STATE", state).replace("      dependencies: [book]\n", ""))
    before = tester.now
    result = tester.run("w", {"x": 1})
    assert "the event `paid`" in result.error["message"]
    assert (tester.now - before).total_seconds() == pytest.approx(20, abs=1)
    assert len(tester.calls("unbook")) == 1


def test_compensation_that_takes_longer_than_the_invocation_ends_with_it(tester: WorkflowTester) -> None:
    mock(tester, "book", "pay")
    tester.mock_tool("unbook", {"did": "unbook"}, delay=3600)
    tester.publish(HEAD + "  nodes:\n" + BOOK + "    - {id: pay, type: tool, tool: pay, dependencies: [book]}\n")
    tester.fail("pay", type="broke")
    before = tester.now
    result = tester.run("w")
    assert (result.status, result.error["type"], result.document["compensation"]) == ("failed", "broke", "failed")
    assert (tester.now - before).total_seconds() < 80
    assert len(tester.calls("book")) == 1


def test_a_timer_that_is_due_in_time_is_waited_for(tester: WorkflowTester) -> None:
    mock(tester, "book", "unbook")
    state = "{transitions: [{event: paid, target: b}], after: [{delay: '${x * 40}', target: b}]}"
    tester.publish(HEAD + CHART.replace("STATE", state))
    assert tester.run("w", {"x": 1}).status == "completed"
