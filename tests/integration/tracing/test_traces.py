"""Executions as OpenTelemetry traces: rendered from what is recorded, sent as things end, the same either way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.tracing.collector import Collector, attributes, collecting

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.otlp import collector_of
from workflow_runtime.engine.identity import span_id, trace_id
from workflow_runtime.errors import RequestError
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.tracing.exporting import OTEL_SDK
from workflow_runtime.services.tracing.otlp import otlp_request
from workflow_runtime.services.views.traces import RUNS_PER_PAGE

SECRET = "canary-4711"
AGENTS = "agents: [{id: helper, model: test, instructions: secret canary-4711, tools: [look]}]"
TOOLS = """
from workflow_runtime.sdk import tool


@tool(effects="none")
async def look(question: str) -> str:
    \"\"\"Look something up.\"\"\"
    return "canary-4711"


@tool
async def broken() -> None:
    raise ValueError("canary-4711")
"""
CHILD = "workflow: {id: child, nodes: [{id: pass, type: tool, tool: echo, inputs: {text: hi}}]}"
WORKFLOW = """
workflow:
  id: 追踪
  name: Traced
  tenant: "${customer}"
  nodes:
    - {id: ask, type: agent, agent: helper, inputs: {question: "${question}"}}
    - {id: sub, type: sub_workflow, workflow_id: child, dependencies: [ask]}
    - {id: bad, type: tool, tool: broken, dependencies: [sub], retry_policy: {max_retries: 1, retry_delay: 0}}
"""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Without OpenTelemetry's SDK, which other tests of the same process may have loaded: with it, pydantic-ai tells of
    requests and calls itself."""
    monkeypatch.delitem(sys.modules, OTEL_SDK, raising=False)
    with collecting() as found:
        yield found


def definitions(folder: Path) -> Path:
    for name, text in (("agents/a.yaml", AGENTS), ("tools/t.py", TOOLS)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def runtime(folder: Path, environ: dict[str, str] | None = None) -> LocalRuntime:
    local = LocalRuntime(open_backend(), definitions(folder), environ=environ or {})
    for source in (CHILD, WORKFLOW):
        local.services.catalog.publish(source.encode())
    return local


def run(local: LocalRuntime) -> str:
    execution_id = local.services.starter.start("追踪", {"question": SECRET, "customer": "acme"})
    assert asyncio.run(local.run_until_ended(execution_id)) == "failed"
    return execution_id


def rendered(local: LocalRuntime, execution_id: str) -> list[dict[str, Any]]:
    page = local.services.traces.page(execution_id)
    assert page.next is None
    (resource,) = otlp_request(page.spans)["resourceSpans"]
    spans: list[dict[str, Any]] = resource["scopeSpans"][0]["spans"]
    return spans


def test_spans_are_made_of_what_is_recorded_and_have_the_same_ids_each_time(tmp_path: Path) -> None:
    with runtime(tmp_path) as local:
        execution_id = run(local)
        spans = rendered(local, execution_id)
        assert rendered(local, execution_id) == spans
        child = local.services.documents.document(execution_id)["node_executions"]["sub"]["child"]
    root, *others = spans
    assert root["name"] == "workflow Traced"
    assert (root["traceId"], root["spanId"]) == (trace_id(execution_id), span_id(execution_id))
    assert "parentSpanId" not in root
    assert root["status"] == {"code": 2}
    said = attributes(root)
    assert said["gen_ai.operation.name"] == "invoke_workflow"
    assert (said["workflow.id"], said["workflow.tenant"], said["workflow.status"]) == ("追踪", "acme", "failed")
    assert said["error.type"] == "execution_error"
    assert {span["traceId"] for span in spans} == {root["traceId"]}
    by_name = {span["name"]: span for span in others}
    agent = attributes(by_name["ask"])
    assert (agent["gen_ai.operation.name"], agent["gen_ai.agent.name"]) == ("invoke_agent", "helper")
    assert agent["gen_ai.usage.input_tokens"] > 0
    chats = [span for span in others if span["name"] == "chat test"]
    assert len(chats) == 2
    assert {span["parentSpanId"] for span in (*chats, by_name["execute_tool look"])} == {by_name["ask"]["spanId"]}
    assert by_name["sub"]["links"] == [{"traceId": trace_id(child), "spanId": span_id(child)}]
    bad = [attributes(span) for span in others if span["name"] == "bad"]
    assert sorted(said["workflow.node.attempt"] for said in bad) == [1, 2]
    assert {said["error.type"] for said in bad} == {"execution_error"}


def test_what_is_sent_as_it_ends_is_what_is_rendered_afterwards(collector: Collector, tmp_path: Path) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20x, broken",
        "OTEL_SERVICE_NAME": "shop",
    }
    with runtime(tmp_path, environ) as local:
        execution_id = run(local)
        wanted = rendered(local, execution_id)
        child = local.services.documents.document(execution_id)["node_executions"]["sub"]["child"]
        wanted_of_child = rendered(local, child)
    sent = {span["spanId"]: span for span in collector.spans}
    assert len(sent) == len(collector.spans)
    assert sent == {span["spanId"]: span for span in (*wanted, *wanted_of_child)}
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.headers["authorization"] == "Bearer x"
    resource = collector.requests[0]["resourceSpans"][0]["resource"]
    assert attributes(resource) == {"service.name": "shop"}
    root_of_child = next(span for span in wanted_of_child if span["spanId"] == span_id(child))
    assert root_of_child["links"] == [{"traceId": trace_id(execution_id), "spanId": span_id(execution_id)}]


def test_content_is_told_where_it_is_asked_for_without_secrets(collector: Collector, tmp_path: Path) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
        "WORKFLOW_SECRET_KEY": "hidden-0815",
    }
    with runtime(tmp_path, environ) as local:
        local.services.catalog.publish(WORKFLOW.replace('"${question}"', '"${question} ${secrets.KEY}"').encode())
        execution_id = run(local)
        page = local.services.traces.page(execution_id, content=True)
    by_name = {span.name: span.attributes for span in page.spans}
    look = by_name["execute_tool look"]
    assert "canary-4711" in str(look["gen_ai.tool.call.result"])
    assert "question" in str(look["gen_ai.tool.call.arguments"])
    assert "tool_call" in str([span.attributes for span in page.spans if span.name == "chat test"])
    assert "canary-4711" in str(by_name["ask"]["workflow.node.output"])
    sent = {span["spanId"]: attributes(span) for span in collector.spans}
    assert all(sent[span.span_id] == dict(span.attributes) for span in page.spans)
    assert "hidden-0815" not in str(collector.requests)


def test_no_span_holds_content(collector: Collector, tmp_path: Path) -> None:
    with runtime(tmp_path, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/own"}) as local:
        run(local)
    assert collector.paths[0] == "/own"
    assert SECRET not in str(collector.requests)


def test_a_collector_that_is_away_changes_nothing(collector: Collector, tmp_path: Path) -> None:
    collector.status = 503
    with runtime(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as local:
        run(local)
    assert len(collector.requests) == 1  # it is left alone for a while


def test_long_traces_come_in_pages(tmp_path: Path) -> None:
    loop = """
workflow:
  id: 追踪
  nodes:
    - {id: each, type: control, subtype: loop, times: 250, body: [{id: one, type: control, subtype: pass}]}
"""
    with runtime(tmp_path) as local:
        local.services.catalog.publish(loop.encode())
        execution_id = local.services.starter.start("追踪")
        assert asyncio.run(local.run_until_ended(execution_id)) == "completed"
        first = local.services.traces.page(execution_id)
        assert first.next is not None
        assert len(first.spans) == RUNS_PER_PAGE + 1
        second = local.services.traces.page(execution_id, first.next)
        assert second.next is None
        assert len({span.span_id for span in (*first.spans, *second.spans)}) == 252
        with pytest.raises(RequestError, match="no execution"):
            local.services.traces.page("ex-0")


def test_an_endpoint_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="http://"):
        collector_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"})
    assert collector_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}) is None
    assert collector_of({}) is None
