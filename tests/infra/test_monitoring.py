"""Alarms lead to the runbook, and what is shown is counted."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from infra.names import construct_id
from tests.infra.deployed import ROOT, Deployed

from workflow_runtime.backends.aws.log_search import PLACEHOLDER, SAVED_QUERY
from workflow_runtime.deployment.metrics import DURATIONS, ERRORS, LIFECYCLE, NAMESPACE, Metric, count_attempt
from workflow_runtime.deployment.topology import TOPOLOGY

README = ROOT / "infra" / "README.md"


def chapters() -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def counted() -> set[str]:
    """The metrics that the code counts, by the name of a member or through a table by lifecycle event or type."""
    files = [path for path in (ROOT / "functions").rglob("*.py") if path.name != "metrics.py"]
    named = {name for path in files for name in re.findall(r"\bMetric\.([A-Z_]+)", path.read_text(encoding="utf-8"))}
    named |= set(re.findall(r"\bcount\(Metric\.([A-Z_]+)", inspect.getsource(count_attempt)))
    return {Metric[name].value for name in named} | {*LIFECYCLE.values(), *DURATIONS.values(), *ERRORS.values()}


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


def test_the_guide_counts_the_alarms_there_are(shipped: Deployed) -> None:
    alarms = shipped.of_type("AWS::CloudWatch::Alarm")
    assert f" {len(alarms)} alarms $" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("function", [function.name for function in TOPOLOGY.functions])
def test_each_function_is_watched(shipped: Deployed, function: str) -> None:
    id = {"Ref": shipped.paths[f"Functions/{construct_id(function)}"]}
    dimension = {"Name": "FunctionName", "Value": id}
    assert "Throttles" in {metric["MetricName"] for metric in alarmed(shipped) if dimension in metric["Dimensions"]}


def alarmed(deployed: Deployed) -> Iterator[Any]:
    """The metrics that alarms watch."""
    for alarm in deployed.of_type("AWS::CloudWatch::Alarm").values():
        yield from (each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each)


def test_the_dashboard_shows_what_the_code_counts_all_of_it_and_nothing_else(shipped: Deployed) -> None:
    (dashboard,) = shipped.of_type("AWS::CloudWatch::Dashboard").values()
    assert shown(dashboard) == counted() == {metric.value for metric in Metric}


def test_metrics_are_counted_by_their_names_in_the_table() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "functions").rglob("*.py")]
    assert not [name for source in sources for name in re.findall(r"\bcount\(\s*\"\w+\"", source)]


def test_our_own_metrics_are_told_apart_by_stack(shipped: Deployed) -> None:
    own, *others = (metric for metric in alarmed(shipped) if metric["Namespace"] == NAMESPACE)
    assert all(other["Dimensions"] == own["Dimensions"] for other in others)
    assert own["Dimensions"] == [{"Name": "service", "Value": "Test"}]
    for function in TOPOLOGY.functions:
        assert shipped.function(function.name)["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == "Test"


def test_saved_queries_read_the_logs_of_all_functions(shipped: Deployed) -> None:
    queries = shipped.of_type("AWS::Logs::QueryDefinition").values()
    assert {query["Name"] for query in queries} >= {"Test/one-execution", "Test/errors", "Test/dead-letters"}
    for query in queries:
        assert len(query["LogGroupNames"]) == len(TOPOLOGY.functions)


def test_the_command_logs_finds_its_query(shipped: Deployed) -> None:
    queries = {query["Name"]: query for query in shipped.of_type("AWS::Logs::QueryDefinition").values()}
    assert f"'{PLACEHOLDER}'" in queries[f"Test/{SAVED_QUERY}"]["QueryString"]
