"""`GET /metrics` of a deployment: counted by the real functions on simulated AWS, told by the real API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.benchmarks.aws_calls import Meter
from tests.handlers.bench import Bench

from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.backends.simulated_aws.simulated import REGION
from workflow_runtime.deployment.metrics import AttemptEnded, Metric
from workflow_runtime.deployment.topology import DISPATCH, TOPOLOGY, node_queue
from workflow_runtime.frontends.metrics.deployed import DeployedMetrics
from workflow_runtime.frontends.serve.metrics import Measurements
from workflow_runtime.handlers import api, dispatch, entry, run_node
from workflow_runtime.services.tally import CountingQueues, Tally
from workflow_runtime.storage.keys import HEADER

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
WORKFLOW = """    - {id: a, type: agent, agent: helper, prompt: hello}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a}"}}
    - {id: c, type: tool, tool: nobody, when: 1 == 1, inputs: {x: "${b.x}"}}
"""


class Functions:
    """The entry points of a deployment, configured by environment variables alone."""

    def __init__(self, bench: Bench, definitions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bench = bench
        self._monkeypatch = monkeypatch
        for name, value in bench.backend.settings.to_environment().items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "simulated")
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        monkeypatch.setenv("DEFINITIONS_DIR", str(definitions))
        self._handlers = {
            "dispatch": entry.on_lambda(dispatch.create),
            "run_node_agent": entry.on_lambda(run_node.create),
            "run_node_tool": entry.on_lambda(run_node.create),
            "api": entry.on_lambda(api.create),
        }

    def deliver(self, name: str, queue: str) -> None:
        records = self._bench.receive(queue)
        if records:
            self._call(name, {"Records": [record.event_record for record in records]})
            self._bench.backend.poller.delete(queue, [record.receipt_handle for record in records])

    def run(self) -> None:
        """Deliver everything there is, three nodes long."""
        for _ in range(6):
            self.deliver("dispatch", DISPATCH)
            self.deliver("run_node_agent", node_queue("agent"))
            self.deliver("run_node_tool", node_queue("tool"))

    def get(self, path: str, accept: str) -> Any:
        http = {"method": "GET", "path": path}
        headers = {"accept": accept}
        request = {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers}
        return self._call("api", {**request, "requestContext": {"stage": "$default", "http": http}, "body": ""})

    def _call(self, name: str, event: dict[str, Any]) -> Any:
        self._monkeypatch.setenv("FUNCTION", name)
        return self._handlers[name](event, LocalContext(TOPOLOGY.function(name)))


class CountingBench(Bench):
    """Counts for the table from `begin_to_count` on."""

    def __init__(self) -> None:
        super().__init__("moto", one_call_at_a_time=True)

    def begin_to_count(self) -> Tally:
        tally = Tally(self.clock.now)
        ports = self.runtime.ports
        counting = replace(ports, queues=CountingQueues(ports.queues, tally))
        told = {"tally": tally, "count": tally.count, "attempt_ended": tally.attempt_ended}
        self.runtime = self.runtime_on(counting, **told)
        return tally


@pytest.fixture
def bench() -> Iterator[CountingBench]:
    opened = CountingBench()
    yield opened
    opened.close()


Sample = tuple[str, frozenset[tuple[str, str]]]


def sample(name: str, **labels: str) -> Sample:
    return name, frozenset(labels.items())


def samples(text: str) -> dict[Sample, float]:
    families = text_string_to_metric_families(text)
    return {sample(found.name, **found.labels): found.value for family in families for found in family.samples}


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "helper.yaml").write_text("{id: helper, model: test}")
    return tmp_path


def test_a_deployment_tells_what_its_functions_have_counted(
    bench: CountingBench, definitions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = Functions(bench, definitions, monkeypatch)
    bench.start(WORKFLOW)
    functions.run()
    answer = functions.get("/metrics", OPENMETRICS)
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"].startswith("application/openmetrics-text")
    found = samples(answer["body"])
    told = {
        sample("awr_executions_total", workflow="w", status="started"): 1,
        sample("awr_executions_total", workflow="w", status="failed"): 1,
        sample("awr_execution_duration_seconds_count", workflow="w", status="failed"): 1,
        sample("awr_node_runs_total", workflow="w", type="agent", status="success"): 1,
        sample("awr_node_runs_total", workflow="w", type="tool", status="success"): 1,
        sample("awr_node_runs_total", workflow="w", type="tool", status="failed"): 1,
        sample("awr_node_run_duration_seconds_count", type="tool", status="success"): 1,
        sample("awr_node_errors_total", type="tool", error="not_found"): 1,
        sample("awr_model_requests_total", agent="helper", model="test"): 1,
        sample("awr_events_total", event="executions_failed"): 1,
        sample("awr_open_executions", workflow="w"): 0,
        sample("awr_waiting", reason="person"): 0,
    }
    assert {name: found.get(name) for name in told} == told
    assert found[sample("awr_model_tokens_total", agent="helper", model="test", direction="input")] > 0
    assert functions.get("/metrics", "text/plain")["headers"]["content-type"].startswith("text/plain")
    bench.start("    - {id: b, type: tool, tool: echo}\n", workflow_id="later")
    functions.run()
    again = samples(functions.get("/metrics", OPENMETRICS)["body"])
    assert sample("awr_executions_total", workflow="later", status="started") not in again, "it is read once in a while"


def test_counting_costs_an_execution_an_update_at_its_start_and_one_at_its_end_and_a_node_nothing(
    bench: CountingBench,
) -> None:
    def asked(nodes: int) -> Counter[str]:
        lines = ["    - {id: n0, type: tool, tool: echo}\n"]
        lines += [f"    - {{id: n{n}, type: tool, tool: echo, dependencies: [n{n - 1}]}}\n" for n in range(1, nodes)]
        bench.start("".join(lines), workflow_id=f"w{nodes}")
        meter.reset()
        bench.drain()
        return Counter(meter.requests)

    meter = Meter(bench.backend)
    plain = {nodes: asked(nodes) for nodes in (1, 3)}
    bench.begin_to_count()
    counting = {nodes: asked(nodes) for nodes in (1, 3)}
    for nodes in (1, 3):
        more = counting[nodes] - plain[nodes]
        assert more == {"dynamodb.UpdateItem": 2}, nodes


def test_the_names_and_labels_are_those_of_a_server(bench: CountingBench) -> None:
    tally = bench.begin_to_count()
    server = Measurements()
    usage = {"model": "m", "requests": 1, "input_tokens": 5, "output_tokens": 7, "usd": 0.25}
    for ended in (
        AttemptEnded("w", "agent", "a", 1, 900, usage=usage),
        AttemptEnded("w", "tool", "t", 2, 40, error="timeout"),
    ):
        tally.attempt_ended(ended)
        server.attempt_ended(ended)
    for name, value in ((Metric.DEAD_LETTERS, 2), (Metric.TIMER_LATENESS, 1500)):
        tally.count(name, value)
        server.counted(name, value)
    tally.lifecycle("w", "execution.started", 0)
    tally.lifecycle("w", "execution.completed", 2_000)
    server.wrote("1", HEADER, {"workflow": "w", "started_at": 1_000, "status": "running"})
    server.wrote("1", HEADER, {"status": "completed", "ended_at": 3_000})
    bench.runtime.write_counts()
    of_server = samples(server.text(OPENMETRICS)[0].decode())
    of_deployment = samples(DeployedMetrics(bench.runtime).text(OPENMETRICS)[0].decode())
    read = ("awr_limiter", "awr_waiting", "awr_open", "awr_build")
    counted = {which: value for which, value in of_deployment.items() if not which[0].startswith(read)}
    assert counted
    assert counted == {which: of_server.get(which) for which in counted}
