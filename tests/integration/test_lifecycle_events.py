"""Lifecycle events reach the bus in the shape that ``events/schemas`` promises."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.testing import WorkflowTester

SCHEMAS = Path(__file__).parents[2] / "events" / "schemas"

EVERY_END = """
workflow:
  id: every-end
  events: [execution, node]
  nodes:
    - {id: 成功, type: tool, tool: echo, inputs: {x: 1}}
    - {id: skipped, type: tool, tool: echo, when: "${成功.x} == 2"}
    - id: broken
      type: tool
      tool: no-such-tool
      dependencies: [成功]
      retry_policy: {max_retries: 1, retry_delay: 0, errors: [not_found]}
    - {id: after, type: tool, tool: echo, dependencies: [broken]}
"""


CHART = """
workflow:
  id: 状态图
  type: state_machine
  events: [state, node]
  initial_state: 开始
  states:
    - name: 开始
      on_enter: [{publish_event: {topic: 订单.创建, payload: {order: 1}}}, {publish_event: {topic: bare, payload: [1]}}]
      run: [{id: m, type: state_machine, initial_state: inner, states: [{name: inner, always: [{target: end}]}]}]
      on_done: 结束
  final_states: [结束]
"""


def events_of(runtime: LocalRuntime, source: str) -> list[dict[str, Any]]:
    published = runtime.services.catalog.publish(source.encode())
    execution_id = runtime.services.starter.start(published.version.workflow_id)
    asyncio.run(runtime.run_until_ended(execution_id))
    return runtime.backend.bus_events()


@pytest.mark.parametrize("open_", [open_backend, simulated.open_backend], ids=["embedded", "moto"])
def test_every_event_published_matches_its_schema(open_: Any) -> None:
    with LocalRuntime(open_()) as runtime:
        events = events_of(runtime, EVERY_END)
    seen = []
    for event in events:
        detail_type = event["detail-type"]
        seen.append((detail_type, event["detail"].get("path")))
        schema = json.loads((SCHEMAS / f"{detail_type.split('.')[0]}.v1.json").read_text())
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(event["detail"])
        assert event["source"] == "workflow-runtime"
    assert set(seen) == {
        ("execution.started", None),
        ("node.started", "成功"),
        ("node.succeeded", "成功"),
        ("node.skipped", "skipped"),
        ("node.started", "broken"),
        ("node.retrying", "broken"),
        ("node.failed", "broken"),
        ("node.skipped", "after"),
        ("execution.failed", None),
    }
    failed = next(event["detail"] for event in events if event["detail-type"] == "execution.failed")
    assert failed["error"]["type"] == "not_found"
    assert failed["error"]["node"] == "broken"


@pytest.mark.parametrize("open_", [open_backend, simulated.open_backend], ids=["embedded", "moto"])
def test_what_charts_do_and_publish_matches_its_schema(open_: Any) -> None:
    with LocalRuntime(open_()) as runtime:
        events = events_of(runtime, CHART)
    seen = []
    for event in events:
        kind = "author" if event["source"] == "workflow-runtime.author" else event["detail-type"].split(".")[0]
        schema = json.loads((SCHEMAS / f"{kind}.v1.json").read_text())
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(event["detail"])
        seen.append((event["detail-type"], event["detail"].get("machine"), event["detail"].get("state")))
    assert [place for place in seen if place[0].startswith("state.")] == [
        ("state.entered", None, "开始"),
        ("state.entered", "开始/m", "inner"),
        ("state.exited", "开始/m", "inner"),
        ("state.entered", "开始/m", "end"),
        ("state.exited", None, "开始"),
        ("state.entered", None, "结束"),
    ]
    published = {event["detail-type"]: event["detail"] for event in events}
    assert published["订单.创建"]["order"] == 1
    assert published["订单.创建"]["workflow_runtime"]["hops"] == 1
    assert published["bare"]["data"] == [1]


def test_a_workflow_publishes_only_the_kinds_it_names() -> None:
    with LocalRuntime(open_backend()) as runtime:
        events = events_of(runtime, EVERY_END.replace("events: [execution, node]", "events: []"))
    assert events == []


APPROVAL = """
workflow:
  id: 审批
  events: []
  nodes:
    - {id: ask, type: control, subtype: approval, prompt: 发布?, assignees: [ann], timeout: 2h, escalate_after: 1h,
       escalate_to: [boss], data: {password: hunter2}}
    - {id: open, type: control, subtype: approval}
"""


def test_people_are_told_that_they_are_asked_and_nothing_they_should_not_know() -> None:
    with WorkflowTester.embedded() as tester:
        execution_id = tester.start(APPROVAL)
        tester.delegate(execution_id, "李雷", "ask", by="ann")
        tester.advance(hours=1)
        details = [event["detail"] for event in tester.events]
        assert {event["detail-type"] for event in tester.events} == {"approval.requested"}
    schema = json.loads((SCHEMAS / "approval.v1.json").read_text())
    for detail in details:
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(detail)
        assert "hunter2" not in json.dumps(detail)
    assert [(detail["path"], detail["reason"], detail["assignees"]) for detail in details] == [
        ("ask", "asked", ["ann"]),
        ("open", "asked", []),
        ("ask", "delegated", ["李雷"]),
        ("ask", "escalated", ["boss"]),
    ]
