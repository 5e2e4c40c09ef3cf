"""`awr validate`, the API and the SDK say the same of a workflow file, wherever it is checked or published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.frontends.cli.app import app
from workflow_runtime.frontends.client import InvalidDefinition, SyncWorkflowEngine
from workflow_runtime.handlers import api as api_handler
from workflow_runtime.runtime.in_process import LocalRuntime

PROJECT = Path(__file__).parents[2]
FOLDERS = (
    "tests/golden",
    "tests/golden/findings",
    "events/examples",
    "definitions/workflows",
    "definitions/en/workflows",
)
FILES = {
    str(path.relative_to(PROJECT)): path.read_bytes()
    for folder in FOLDERS
    for path in sorted((PROJECT / folder).glob("*.yaml"))
}
NODE = "{id: a, type: tool, tool: echo}"
OPEN_HOOK = "{type: webhook, endpoint: e, auth_required: false}"
TRIGGERS = {
    "a webhook without secret": "{type: webhook, endpoint: e}",
    "two webhooks at one endpoint": f"[{OPEN_HOOK}, {OPEN_HOOK}]",
    "a rate of zero": "{type: schedule, rate: 0 minutes}",
    "the longest rate": "{type: schedule, rate: 10000000 days}",
    "a day that no month has": "{type: schedule, cron: 0 0 30 2 *}",
    "an empty list in filters": "{type: event, topic: t, filters: {x: []}}",
    "a key over the execution": "{type: api, key: '${now}'}",
}
TEXTS = {
    **FILES,
    **{name: f"workflow: {{id: w, triggers: {text}, nodes: [{NODE}]}}".encode() for name, text in TRIGGERS.items()},
    "an unknown tool": b"workflow: {id: w, nodes: [{id: a, type: tool, tool: ehco}]}",
    "an unknown agent": b"workflow: {id: w, nodes: [{id: a, type: agent, agent: nobody}]}",
    "an unknown argument": b"workflow: {id: w, nodes: [{id: a, type: tool, tool: http_request, inputs: {urll: x}}]}",
    "a pool of its own": b"workflow: {id: w, nodes: [{id: a, type: tool, tool: echo, pool: gpu}]}",
    "no nodes": b"workflow: {id: w, nodes: []}",
    "not YAML": b"workflow: {id: w, nodes: [",
}
FIELDS = ("id", "severity", "message", "path", "line", "column", "hint")


def said(findings: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    """What findings say, in their order; the file's name apart. The API leaves out what there is not."""
    return [[finding.get(field) or None for field in FIELDS] for finding in findings]


def validated(file: Path) -> list[dict[str, Any]]:
    """What `awr validate` finds, where only the built-in agents and tools are registered."""
    definitions = file.parent / "definitions"
    definitions.mkdir()
    result = CliRunner().invoke(app, ["validate", str(file), "--definitions", str(definitions), "--json"])
    [document] = json.loads(result.stdout)["files"]
    return list(document["findings"])


def answered(runtime: LocalRuntime, url: str, source: bytes) -> dict[str, Any]:
    """The API's answer about a definition."""
    handler = api_handler.create(runtime.services, TOPOLOGY.function("api"))
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": url,
        "rawQueryString": "",
        "headers": {"Content-Type": "application/yaml"},
        "requestContext": {"stage": "$default", "http": {"method": "POST", "path": url}},
        "body": source.decode(),
        "isBase64Encoded": False,
    }
    answer: dict[str, Any] = json.loads(asyncio.run(handler(event, None))["body"])
    return answer


def created(file: Path) -> list[dict[str, Any]] | None:
    """The findings with which the SDK refuses a file; None: it took it."""
    with SyncWorkflowEngine.local() as engine:
        try:
            engine.create_workflow(file)
        except InvalidDefinition as refused:
            return list(msgspec.to_builtins(refused.findings))
    return None


@pytest.mark.parametrize(("called", "count"), [("deep", 1), ("w", 0)])
def test_every_door_says_the_same_of_workflows_that_agents_call(called: str, count: int, tmp_path: Path) -> None:
    definitions = tmp_path / "definitions"
    for folder in ("agents", "workflows"):
        (definitions / folder).mkdir(parents=True)
    for id, tool in (("inner", f"workflow_id: {called}"), ("a", "agent: inner")):
        (definitions / "agents" / f"{id}.yaml").write_text(f"{{id: {id}, model: test, tools: [{{{tool}}}]}}")
    source = b"workflow: {id: w, nodes: [{id: n, type: agent, agent: a}]}"
    file = definitions / "workflows" / "w.yaml"
    file.write_bytes(source)
    result = CliRunner().invoke(app, ["validate", str(file), "--definitions", str(definitions), "--json"])
    [document] = json.loads(result.stdout)["files"]
    found = document["findings"]
    assert [(each["id"], each["path"]) for each in found] == [("WF425", "nodes[0].agent")] * count
    with LocalRuntime(open_backend(), definitions, files=tuple) as runtime:
        checked = answered(runtime, "/workflows/validate", source)
        published = answered(runtime, "/workflows", source)
    assert said(checked["findings"]) == said(published["warnings"]) == said(found)


@pytest.mark.parametrize("source", TEXTS.values(), ids=TEXTS)
def test_every_door_says_the_same(source: bytes, tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_bytes(source)
    found = validated(file)
    is_valid = not any(finding["severity"] == "error" for finding in found)
    with LocalRuntime(open_backend()) as runtime:
        checked = answered(runtime, "/workflows/validate", source)
        published = answered(runtime, "/workflows", source)
    assert (checked["valid"], said(checked["findings"])) == (is_valid, said(found))
    assert said(published["warnings" if is_valid else "findings"]) == said(found)
    refused = created(file)
    assert (refused is None) is is_valid
    assert refused is None or said(refused) == said(found)
