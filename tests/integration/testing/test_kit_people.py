"""The test kit, and scenario files, play people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.testing import WorkflowTester, replay

pytest_plugins = ["pytester"]

REVIEW: dict[str, Any] = {
    "id": "review",
    "nodes": [
        {
            "id": "check",
            "type": "control",
            "subtype": "approval",
            "prompt": "发布 ${title}?",
            "assignees": ["ann", "李雷"],
            "quorum": 2,
            "data": {"title": "${title}"},
            "escalate_after": "1h",
            "escalate_to": ["boss"],
            "timeout": "2h",
        },
        {"id": "publish", "type": "tool", "tool": "publish", "inputs": {"title": "${check.data.title}"}},
    ],
}


@pytest.fixture
def tester() -> Iterator[WorkflowTester]:
    with WorkflowTester.embedded() as opened:
        opened.mock_tool("publish", {"ok": True})
        yield opened


def test_everybody_who_is_asked_approves_in_turn(tester: WorkflowTester) -> None:
    execution_id = tester.start(REVIEW, {"title": "春"})
    (asked,) = tester.approvals(execution_id)
    assert (asked["path"], asked["prompt"], asked["assignees"]) == ("check", "发布 春?", ["ann", "李雷"])
    tester.approve(execution_id, data={"title": "夏"})
    assert tester.result(execution_id).status == "running"
    tester.approve(execution_id, "check", comment="好")
    result = tester.result(execution_id)
    assert result.status == "completed"
    assert [answer["by"] for answer in result.nodes["check"]["output"]["answers"]] == ["ann", "李雷"]
    assert tester.calls("publish")[0].inputs == {"title": "夏"}
    assert tester.approvals(execution_id) == []
    assert replay(tester.recording(execution_id)) is None


def test_others_reject_delegate_and_are_asked_later(tester: WorkflowTester) -> None:
    execution_id = tester.start(REVIEW, {"title": "春"})
    tester.delegate(execution_id, "bob", by="ann")
    tester.advance(hours=1)
    assert tester.approvals(execution_id)[0]["assignees"] == ["bob", "李雷", "boss"]
    reasons = [event["detail"]["reason"] for event in tester.events if event["detail-type"] == "approval.requested"]
    assert reasons == ["asked", "delegated", "escalated"]
    tester.reject(execution_id, by="boss", comment="too early")
    result = tester.result(execution_id)
    assert (result.status, result.error["type"]) == ("failed", "rejected")
    assert replay(tester.recording(execution_id)) is None


def test_nobody_answers_in_time(tester: WorkflowTester) -> None:
    execution_id = tester.start(REVIEW, {"title": "春"})
    tester.advance(hours=2)
    assert tester.result(execution_id).error["type"] == "timeout"


def test_what_cannot_be_answered_is_told(tester: WorkflowTester) -> None:
    execution_id = tester.start(REVIEW, {"title": "春"})
    with pytest.raises(RequestError, match="node 'publish' asks nobody now; open approvals: check"):
        tester.approve(execution_id, "publish")
    with pytest.raises(RequestError, match="eve is not among those who are asked"):
        tester.approve(execution_id, by="eve")


WORKFLOW = """
workflow:
  id: review
  nodes:
    - {id: check, type: control, subtype: approval, assignees: [ann, bob], on_reject: continue, timeout: 2h}
    - {id: done, type: tool, tool: echo, inputs: {ok: "${check.approved}", by: "${check.by}", why: "${check.comment}"}}
"""
GOOD = """
workflow: ../review.yaml
scenarios:
  - {name: approved, events: [{approve: check}], expect: {status: completed, output: {ok: true, by: ann}}}
  - name: rejected by another
    events: [{delegate: check, by: bob, to: 李雷}, {at: 1h, reject: check, by: 李雷, comment: 不}]
    expect: {output: {ok: false, by: 李雷, why: 不}}
  - {name: late, events: [{at: 2h}], expect: {status: failed, error: {type: timeout}}}
"""


def scenario(pytester: pytest.Pytester, text: str) -> pytest.RunResult:
    (pytester.path / "review.yaml").write_text(WORKFLOW)
    folder = pytester.path / "scenarios"
    folder.mkdir()
    (folder / "one.yaml").write_text(text)
    return pytester.runpytest_inprocess("-p", "workflow_runtime.testing.plugin", "-p", "no:schemathesis", "-v")


def test_scenarios_say_what_people_say(pytester: pytest.Pytester) -> None:
    scenario(pytester, GOOD).assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{approve: check, reject: check}", "*a step says one of*"),
        ("{approve: check, to: bob}", "*`to` goes with `delegate`*"),
        ("{delegate: check, to: bob}", "*`delegate` needs `by`*"),
        ("{send: x, comment: y}", "*`comment` goes with `approve` and `reject`*"),
        ("{approve: chek}", "*node 'chek' asks nobody now; open approvals: check*"),
    ],
)
def test_a_step_that_is_wrong_is_refused(pytester: pytest.Pytester, step: str, message: str) -> None:
    text = f"{{workflow: ../review.yaml, events: [{step}], expect: {{status: completed}}}}"
    scenario(pytester, text).stdout.fnmatch_lines([message])
