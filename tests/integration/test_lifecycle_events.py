"""Lifecycle events reach the bus in the shape that ``events/schemas`` promises."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from workflow_runtime.aws import simulated
from workflow_runtime.local.backend import open_backend
from workflow_runtime.local_runtime import LocalRuntime

SCHEMAS = Path(__file__).parents[2] / "events" / "schemas"

EVERY_END = """
workflow:
  id: every-end
  events: [execution, node]
  nodes:
    - {id: 成功, type: tool, tool: echo, inputs: {x: 1}}
    - {id: skipped, type: tool, tool: echo, when: "${成功.x} == 2"}
    - {id: broken, type: tool, tool: no-such-tool, dependencies: [成功]}
    - {id: after, type: tool, tool: echo, dependencies: [broken]}
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
        ("node.failed", "broken"),
        ("node.skipped", "after"),
        ("execution.failed", None),
    }
    failed = next(event["detail"] for event in events if event["detail-type"] == "execution.failed")
    assert failed["error"]["type"] == "not_found"
    assert failed["error"]["node"] == "broken"


def test_a_workflow_publishes_only_the_kinds_it_names() -> None:
    with LocalRuntime(open_backend()) as runtime:
        events = events_of(runtime, EVERY_END.replace("events: [execution, node]", "events: []"))
    assert events == []
