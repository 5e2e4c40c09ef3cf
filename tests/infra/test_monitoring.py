"""Alarms lead to the runbook, and what is shown is counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from infra.metrics import NAMESPACE
from infra.names import construct_id
from tests.infra.deployed import ROOT, Deployed

from workflow_runtime.services.publisher import METRICS
from workflow_runtime.topology import TOPOLOGY

README = ROOT / "infra" / "README.md"


def chapters() -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def counted() -> set[str]:
    """Names of the metrics that the code counts."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "functions").rglob("*.py")]
    return {*METRICS.values(), *(name for source in sources for name in re.findall(r"count\(\s*\"(\w+)\"", source))}


def shown(value: Any) -> set[str]:
    """Names of our own metrics in a template's dashboard or alarm."""
    return set(re.findall(rf'{NAMESPACE}\\?",\s*\\?"(\w+)', json.dumps(value)))


def test_each_alarm_has_its_chapter_in_the_runbook(shipped: Deployed) -> None:
    alarms = shipped.of_type("AWS::CloudWatch::Alarm").values()
    assert alarms
    for alarm in alarms:
        file, _, anchor = alarm["AlarmDescription"].rpartition("Runbook: ")[2].partition("#")
        assert ROOT / file == README
        assert anchor in chapters()


@pytest.mark.parametrize("function", [function.name for function in TOPOLOGY.functions])
def test_each_function_is_watched(shipped: Deployed, function: str) -> None:
    id = {"Ref": shipped.paths[f"Functions/{construct_id(function)}"]}
    dimension = {"Name": "FunctionName", "Value": id}
    assert "Throttles" in {metric["MetricName"] for metric in alarmed(shipped) if dimension in metric["Dimensions"]}


def alarmed(deployed: Deployed) -> Iterator[Any]:
    """The metrics that alarms watch."""
    for alarm in deployed.of_type("AWS::CloudWatch::Alarm").values():
        yield from (each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each)


def test_our_own_metrics_on_the_dashboard_are_counted_by_the_code(shipped: Deployed) -> None:
    (dashboard,) = shipped.of_type("AWS::CloudWatch::Dashboard").values()
    names = shown(dashboard)
    assert {"DeadLetters", "EventsDispatched", "OrdersTaken"} <= names
    assert names - counted() == set()


def test_our_own_metrics_are_told_apart_by_stack(shipped: Deployed) -> None:
    (own,) = (metric for metric in alarmed(shipped) if metric["Namespace"] == NAMESPACE)
    assert own["Dimensions"] == [{"Name": "service", "Value": "Test"}]
    for function in TOPOLOGY.functions:
        assert shipped.function(function.name)["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == "Test"


def test_saved_queries_read_the_logs_of_all_functions(shipped: Deployed) -> None:
    queries = shipped.of_type("AWS::Logs::QueryDefinition").values()
    assert {query["Name"] for query in queries} >= {"Test/one-execution", "Test/errors", "Test/dead-letters"}
    for query in queries:
        assert len(query["LogGroupNames"]) == len(TOPOLOGY.functions)
