"""What Lambda really calls: the module's entry point, configured by environment variables alone, on simulated AWS."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.handlers.bench import Bench

from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.backends.simulated_aws.simulated import REGION
from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import DISPATCH, TOPOLOGY, Function, node_queue
from workflow_runtime.errors import RequestError
from workflow_runtime.handlers import dispatch, entry, observed, run_node
from workflow_runtime.handlers.lifetime import Handler
from workflow_runtime.runtime.services import Runtime

PAYLOAD = "p4yl04d-载荷"
NODES = """    - {id: first, type: tool, tool: echo, inputs: {x: "${text}"}}
    - {id: broken, type: tool, tool: no_such_tool, when: "uuid() != ''", inputs: {x: "${first.x}"}}
"""


@pytest.fixture(scope="module")
def deployed() -> Iterator[Bench]:
    bench = Bench("moto")
    yield bench
    bench.close()


class Deployed:
    """The entry points in an environment of their own, and what they print."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.bench = bench
        self.monkeypatch = monkeypatch
        self._capsys = capsys
        self._lines = io.StringIO()
        observed.logger.registered_handler.setStream(self._lines)  # type: ignore[attr-defined]
        observed.metrics.clear_metrics()  # of other tests in this process
        monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED", raising=False)
        for name, value in bench.backend.settings.to_environment().items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "simulated")
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        self.handlers = {
            "dispatch": entry.on_lambda(dispatch.create),
            "run_node_tool": entry.on_lambda(run_node.create),
        }

    def invoke(self, function: str, queue: str) -> Any:
        self.monkeypatch.setenv("FUNCTION", function)
        records = self.bench.receive(queue)
        event = {"Records": [record.event_record for record in records]}
        answer = self.handlers[function](event, LocalContext(TOPOLOGY.function(function)))
        self.bench.backend.poller.delete(queue, [record.receipt_handle for record in records])
        return answer

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines.getvalue().splitlines()]

    def printed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._capsys.readouterr().out.splitlines() if line.startswith("{")]


def units(line: dict[str, Any]) -> dict[str, str]:
    """Of the metrics in a line."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    return {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}


def test_on_lambda_all_that_events_need_is_made_before_the_first_one(
    deployed: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Deployed(deployed, monkeypatch, capsys)
    monkeypatch.setenv("FUNCTION", "dispatch")
    monkeypatch.setenv(entry.ON_LAMBDA, "a-name-of-Lambda's")
    made: list[Runtime] = []

    def create(runtime: Runtime, function: Function) -> Handler:
        made.append(runtime)
        return lambda event, _: (event, function.name)

    try:
        handler = entry.on_lambda(create)
        assert len(made) == 1
        context = LocalContext(TOPOLOGY.function("dispatch"))
        assert [handler({"n": n}, context) for n in (1, 2)] == [({"n": 1}, "dispatch"), ({"n": 2}, "dispatch")]
        assert len(made) == 1
    finally:
        gc.unfreeze()


def test_the_entry_points_run_a_workflow_and_say_so_without_its_payloads(
    deployed: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = Deployed(deployed, monkeypatch, capsys)
    execution_id = deployed.start(NODES, {"text": PAYLOAD})
    for _ in range(2):
        assert functions.invoke("dispatch", DISPATCH) == {"batchItemFailures": []}
        assert functions.invoke("run_node_tool", node_queue("tool")) == {"batchItemFailures": []}
    functions.invoke("dispatch", DISPATCH)
    document = deployed.document(execution_id)
    assert document["status"] == "failed"
    assert document["node_executions"]["first"]["output"] == {"x": PAYLOAD}
    assert document["error"]["type"] == "not_found"

    ended = [line for line in functions.logged() if line["message"] == "node ended"]
    assert [(line["execution_id"], line["node"], line["status"]) for line in ended] == [
        (execution_id, "first", "success"),
        (execution_id, "broken", "failed"),
    ]
    assert all(line["level"] == "INFO" and line["function_name"] == "run_node_tool" for line in ended)
    assert PAYLOAD not in json.dumps(functions.logged(), ensure_ascii=False)
    assert {line["correlation_id"] for line in ended} == {execution_id}
    metrics = functions.printed()
    assert len(metrics) == 5  # one line per invocation
    assert {name for line in metrics for name in units(line)} <= {metric.value for metric in Metric}
    assert [units(line)["ToolDuration"] for line in metrics if "ToolDuration" in line] == ["Milliseconds"] * 2
    assert [line["ToolErrors"] for line in metrics if "ToolErrors" in line] == [[1.0]]
    assert [line["Commits"] for line in metrics if "Commits" in line] == [[1.0]] * 3
    assert [line["EventsDispatched"] for line in metrics if "EventsDispatched" in line] == [[1.0]] * 3
    assert [line["OrdersTaken"] for line in metrics if "OrdersTaken" in line] == [[1.0]] * 2
    assert [name for line in metrics for name in line if name.startswith("Executions")] == [
        "ExecutionsStarted",
        "ExecutionsFailed",
    ]
    assert metrics[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "WorkflowRuntime"
    assert PAYLOAD not in json.dumps(metrics, ensure_ascii=False)


def test_a_function_whose_variables_are_missing_says_which(
    deployed: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = Deployed(deployed, monkeypatch, capsys)
    monkeypatch.delenv("TABLE_NAME")
    with pytest.raises(RequestError, match="TABLE_NAME"):
        functions.invoke("dispatch", DISPATCH)
