"""Panels as Grafana's dashboards (schema 39, Grafana 11 and later), alerts as Prometheus' rule groups."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.grafana.panels import ALERTS, PROMETHEUS, CloudWatchPanel, Panel, cloudwatch_panels
from workflow_runtime.deployment.metrics import NAMESPACE

FOLDER = Path(__file__).parent
SCHEMA = 39
COLUMNS, WIDTH, HEIGHT = 24, 12, 8
SOURCE = "${source}"

Document = dict[str, Any]


def prometheus() -> str:
    """The dashboard of `awr serve`."""
    panels = [
        _panel(number, panel.title, panel.unit, _prometheus_targets(panel)) for number, panel in enumerate(PROMETHEUS)
    ]
    return _dashboard("awr-prometheus", "Agent Workflow Runtime", panels, [_source("prometheus")])


def cloudwatch() -> str:
    """The dashboard of a deployment on AWS."""
    shown = list(cloudwatch_panels())
    panels = [_panel(number, panel.title, panel.unit, _cloudwatch_targets(panel)) for number, panel in enumerate(shown)]
    service = f"dimension_values($region, {NAMESPACE}, ExecutionsStarted, service)"
    variables = [
        _source("cloudwatch"),
        {"name": "region", "label": "Region", "type": "query", "datasource": {"uid": SOURCE}, "query": "regions()"},
        {"name": "service", "label": "Deployment", "type": "query", "datasource": {"uid": SOURCE}, "query": service},
    ]
    return _dashboard("awr-cloudwatch", "Agent Workflow Runtime on AWS", panels, variables)


def alerts() -> str:
    """Rules for Prometheus."""
    rules = [
        {
            "alert": f"Awr{alert.name}",
            "expr": alert.text,
            "for": f"{alert.minutes}m",
            "labels": {"severity": alert.severity},
            "annotations": {"summary": alert.summary, "description": alert.action},
        }
        for alert in ALERTS
    ]
    return yaml.safe_dump({"groups": [{"name": "awr", "rules": rules}]}, sort_keys=False, width=120)


FILES: Mapping[str, Callable[[], str]] = {
    "prometheus.json": prometheus,
    "cloudwatch.json": cloudwatch,
    "alerts.yaml": alerts,
}


def _dashboard(uid: str, title: str, panels: list[Document], variables: list[Document]) -> str:
    document = {
        "uid": uid,
        "title": title,
        "tags": ["agent-workflow-runtime"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "panels": panels,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _source(kind: str) -> Document:
    """The variable with which a user chooses the data source."""
    return {"name": "source", "label": "Data source", "type": "datasource", "query": kind}


def _panel(number: int, title: str, unit: str, targets: list[Document]) -> Document:
    across = COLUMNS // WIDTH
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": {"uid": SOURCE},
        "gridPos": {"x": number % across * WIDTH, "y": number // across * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }


def _prometheus_targets(panel: Panel) -> list[Document]:
    return [
        {"refId": _letter(number), "expr": query.text, "legendFormat": query.legend}
        for number, query in enumerate(panel.queries)
    ]


def _cloudwatch_targets(panel: CloudWatchPanel) -> list[Document]:
    return [
        {
            "refId": _letter(number),
            "queryMode": "Metrics",
            "metricQueryType": 0,
            "metricEditorMode": 0,
            "region": "$region",
            "namespace": NAMESPACE,
            "metricName": statistic.metric.value,
            "dimensions": {"service": "$service"},
            "statistic": statistic.statistic,
            "period": "",
            "label": statistic.statistic,
        }
        for number, statistic in enumerate(panel.statistics)
    ]


def _letter(number: int) -> str:
    return chr(ord("A") + number)
