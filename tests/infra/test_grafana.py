"""Grafana's files are what the catalogue of metrics gives, and ask only for what is measured."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from infra.grafana.panels import ALERTS, PROMETHEUS, cloudwatch_panels
from infra.grafana.rendering import FILES, FOLDER

from workflow_runtime.deployment.metrics import AttemptEnded, Metric
from workflow_runtime.frontends.serve.metrics import Measurements

GAUGES = ("open_executions", "queue_ready_messages", "queue_age_seconds", "limiter_waiting", "limiter_held",
          "limiter_slots")  # fmt: skip
QUERIES = [query.text for panel in PROMETHEUS for query in panel.queries] + [alert.text for alert in ALERTS]


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_current(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == FILES[name](), "python -m infra.grafana writes them"


def test_every_query_asks_for_a_metric_that_the_server_has() -> None:
    measurements = Measurements()
    measurements.wrote("ex-1", "HEADER", {"workflow": "w", "started_at": 1, "status": "running"})
    measurements.wrote("ex-1", "HEADER", {"status": "completed", "ended_at": 5})
    usage = {"model": "m", "requests": 1, "input_tokens": 2, "output_tokens": 3, "usd": 0.5}
    measurements.attempt_ended(AttemptEnded("w", "agent", "a", 1, 20, "timeout", usage))
    there = set(re.findall(r"^(awr_\w+)\{", measurements.text()[0].decode(), re.MULTILINE)) | {
        f"awr_{name}" for name in GAUGES
    }
    for query in QUERIES:
        asked = set(re.findall(r"\bawr_\w+", query))
        assert asked <= there, query
        assert asked or "up{" in query


def test_the_dashboard_of_aws_shows_every_metric_of_the_catalogue() -> None:
    assert {statistic.metric for panel in cloudwatch_panels() for statistic in panel.statistics} == set(Metric)


@pytest.mark.parametrize("name", ["prometheus.json", "cloudwatch.json"])
def test_panels_do_not_overlap_and_every_target_has_a_letter_of_its_own(name: str) -> None:
    panels = json.loads((FOLDER / name).read_text("utf-8"))["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels) == len({panel["id"] for panel in panels})
    for panel in panels:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0


def test_alerts_say_what_is_wrong_and_what_to_do() -> None:
    [group] = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]:
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
