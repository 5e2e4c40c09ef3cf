"""A real Prometheus scrapes `awr serve` under load; every panel of the dashboard and every alert finds data there."""

from __future__ import annotations

import re
import subprocess
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from infra.grafana.panels import ALERTS, PROMETHEUS
from infra.grafana.rendering import FOLDER
from tests.e2e.prometheus import Prometheus, Unavailable, programs, watching
from tests.integration.dev.dev_process import SERVE, DevProcess
from tests.ports import reserved_port

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.metrics import AttemptEnded, Metric
from workflow_runtime.frontends.api.route import Scope
from workflow_runtime.frontends.metrics.deployed import DeployedMetrics
from workflow_runtime.frontends.serve.tokens import add_token
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.tally import Sums, Tally

RULES = FOLDER / "alerts.yaml"
WINDOW = "[15s]"  # in place of Grafana's own
FOUND_SECONDS = 150.0
AGENT = "{id: writer, model: test, instructions: Write.}"
WORKFLOW = """
workflow:
  id: load
  limits: {slots: {concurrency: 2}}
  nodes:
    - {id: fetch, type: tool, tool: echo, limiter: slots, inputs: {i: "${i}"}}
    - {id: write, type: agent, agent: writer, inputs: {i: "${fetch.i}"}, dependencies: [fetch]}
    - {id: pause, type: control, subtype: wait, duration: 0.2, dependencies: [write]}
    - {id: break, type: tool, tool: nothing_of_this_name, dependencies: [pause], when: "i % 3 == 0"}
"""


@pytest.fixture(scope="module", autouse=True)
def _available() -> None:
    try:
        programs()
    except Unavailable as error:
        warnings.warn(f"NOT TESTED WITH PROMETHEUS: {error}", stacklevel=1)
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prometheus")


@pytest.fixture(scope="module")
def token(folder: Path) -> str:
    return add_token(folder / "tokens.yaml", "prometheus", [Scope.READ, Scope.RUN])


@pytest.fixture(scope="module")
def server(folder: Path, token: str) -> Iterator[DevProcess]:  # noqa: ARG001  it must be there before
    definitions = folder / "definitions"
    for kind, name, text in (("workflows", "load.yaml", WORKFLOW), ("agents", "writer.yaml", AGENT)):
        (definitions / kind).mkdir(parents=True)
        (definitions / kind / name).write_text(text)
    options = ("--db", folder / "awr.db", "--tokens", folder / "tokens.yaml", "--definitions", definitions)
    with DevProcess(folder / "log", *options, program=SERVE) as process:
        yield process


@pytest.fixture(scope="module")
def prometheus(server: DevProcess, token: str, folder: Path) -> Iterator[Prometheus]:
    with reserved_port() as port, watching(server.url, token, folder, RULES, port) as prometheus:
        yield prometheus


def test_what_the_server_says_is_what_prometheus_wants(server: DevProcess, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    accepted = {**headers, "Accept": "application/openmetrics-text"}
    modern = httpx.get(f"{server.url}/metrics", headers=accepted, timeout=60)
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert modern.text.endswith("# EOF\n")
    plain = httpx.get(f"{server.url}/metrics", headers=headers, timeout=60)
    checked = subprocess.run(
        [programs()["promtool"], "check", "metrics"], input=plain.content, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    rules = subprocess.run(
        [programs()["promtool"], "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert rules.returncode == 0, rules.stderr


def test_what_a_deployment_says_is_what_prometheus_wants() -> None:
    usage = {"model": "m", "requests": 1, "input_tokens": 5, "output_tokens": 7, "usd": 0.25}
    with LocalRuntime(open_backend(), environ={}) as runtime:
        tally = Tally(runtime.ports.clock.now)
        tally.lifecycle("w", "execution.started", 0)
        tally.lifecycle("w", "execution.failed", 1_500)
        tally.attempt_ended(AttemptEnded("w", "agent", "a", 1, 900, "timeout", usage))
        tally.count(Metric.TIMER_LATENESS, 20)
        Sums(runtime.services.counters).add(tally.ride())
        text, _ = DeployedMetrics(runtime.services).text()
    checked = subprocess.run([programs()["promtool"], "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_every_panel_and_every_alert_finds_data_under_load(
    prometheus: Prometheus, server: DevProcess, token: str
) -> None:
    started = 0

    def start(number: int) -> None:
        url, headers = f"{server.url}/workflows/load/execute", {"Authorization": f"Bearer {token}"}
        httpx.post(url, json={"input": {"i": number}}, headers=headers, timeout=60).raise_for_status()

    missing = {*_panel_queries(), *_alert_queries()}
    until = time.monotonic() + FOUND_SECONDS
    with ThreadPoolExecutor(4) as pool:
        while missing and time.monotonic() < until:
            list(pool.map(start, range(started, started + 12)))
            started += 12
            time.sleep(1)
            missing = {query for query in missing if not prometheus.query(query)}
    assert not missing
    counted = prometheus.query('sum(awr_executions_total{status="started"})')
    assert 0 < float(counted[0]["value"][1]) <= started


def _panel_queries() -> Iterator[str]:
    for panel in PROMETHEUS:
        for query in panel.queries:
            if "cost_usd" not in query.text:  # the test model costs nothing
                yield query.text.replace("[$__rate_interval]", WINDOW)


def _alert_queries() -> Iterator[str]:
    """What alerts compare: they give nothing themselves as long as all is well."""
    for alert in ALERTS:
        for part in re.split(r" (?:>=?|==) ", alert.text):
            if "awr_" in part or "up{" in part:
                yield re.sub(r"^[0-9.]+ \* ", "", re.sub(r"\[\d+m\]", WINDOW, part))
