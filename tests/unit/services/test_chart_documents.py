"""The execution document of charts: nodes by path in all graphs, what waits for what, and what is new to a watcher."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.views.charts import TRANSITIONS_SHOWN_MAX
from workflow_runtime.services.views.progress import progress

START = 1_700_000_000_000


def tool(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "echo", **fields}


class Local:
    def __init__(self) -> None:
        mocks = Mocks.load({"tools": {"broken": {"raise": {"type": "broken", "message": "no"}}}})
        self.runtime = LocalRuntime(open_backend(clock=VirtualClock(START)), mocks=mocks)
        self.services = self.runtime.services

    def start(self, **fields: Any) -> str:
        self.services.catalog.publish(json.dumps({"workflow": {"id": "w", **fields}}).encode())
        execution_id = self.services.starter.start("w", {})
        self.settle(execution_id)
        return execution_id

    def settle(self, execution_id: str) -> None:
        asyncio.run(self.runtime.settle(execution_id))

    def send(self, execution_id: str, *events: str) -> None:
        for event in events:
            self.services.signalling.send(execution_id, event)
            self.settle(execution_id)

    def document(self, execution_id: str) -> dict[str, Any]:
        return self.services.documents.document(execution_id)


@pytest.fixture
def local() -> Iterator[Local]:
    opened = Local()
    yield opened
    opened.runtime.close()


SWING: dict[str, Any] = {
    "type": "state_machine",
    "initial_state": "up",
    "states": [
        {"name": "up", "run": [tool("a", inputs={"n": 1}), {"id": "w", "type": "control", "subtype": "wait",
                                                            "event": "sign", "dependencies": ["a"]}],
         "transitions": [{"event": "swing", "target": "down"}]},
        {"name": "down", "transitions": [{"event": "swing", "target": "up"}, {"event": "end", "target": "done"}]},
    ],
}  # fmt: skip


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {path: entry["status"] for path, entry in document["node_executions"].items()}


def test_nodes_of_states_stand_under_their_paths(local: Local) -> None:
    execution_id = local.start(**SWING)
    document = local.document(execution_id)
    assert statuses(document) == {"up/a": "success", "up/w": "running"}
    assert document["node_executions"]["up/w"]["waiting_on"] == "event"
    assert document["node_executions"]["up/a"]["output"] == {"n": 1}


def test_a_state_that_was_left_shows_its_last_runs_and_one_entered_again_begins_anew(local: Local) -> None:
    execution_id = local.start(**SWING)
    local.send(execution_id, "swing")
    assert statuses(local.document(execution_id)) == {"up/a": "success", "up/w": "cancelled"}
    local.send(execution_id, "swing")
    entry = local.document(execution_id)["node_executions"]["up/w"]
    assert (entry["status"], entry["ended_at"]) == ("running", None)
    node = local.services.documents.node(execution_id, "up/a")
    assert [run.serial for run in node.runs] == [1, 2]
    local.send(execution_id, "swing", "end")
    document = local.document(execution_id)
    assert (document["status"], document["current_states"], document["timers"]) == ("completed", ["done"], [])


def test_what_waits_for_a_time_says_so_and_until_when(local: Local) -> None:
    execution_id = local.start(nodes=[{"id": "pause", "type": "control", "subtype": "wait", "duration": "2d"}])
    document = local.document(execution_id)
    assert document["node_executions"]["pause"]["waiting_on"] == "timer"
    assert document["timers"] == [
        {"at": "2023-11-16T22:13:20.000Z", "kind": "wait", "source": "pause", "machine": None}
    ]


def test_a_failure_that_a_rule_dealt_with_says_so(local: Local) -> None:
    hear = {"id": "hear", "type": "control", "subtype": "wait", "event": "e", "timeout": "1m", "on_timeout": "late"}
    execution_id = local.start(nodes=[hear, tool("late", inputs={"why": "${error.type}"})])
    asyncio.run(local.runtime.run_until_ended(execution_id))
    nodes = local.document(execution_id)["node_executions"]
    assert (nodes["hear"]["status"], nodes["hear"]["handled"]) == ("failed", True)
    assert (nodes["late"]["output"], nodes["late"]["handled"]) == ({"why": "timeout"}, False)
    alone = local.start(nodes=[{"id": "x", "type": "tool", "tool": "broken"}])
    assert local.document(alone)["node_executions"]["x"]["handled"] is False


def test_nested_charts_stand_under_their_path_also_after_their_end(local: Local) -> None:
    review = {
        "id": "review",
        "type": "state_machine",
        "inputs": {"by": "小明"},
        "initial_state": "draft",
        "states": [{"name": "draft", "run": [tool("write")], "transitions": [{"event": "ok", "target": "done"}]}],
    }
    hear = {"id": "hear", "type": "control", "subtype": "wait", "event": "news", "dependencies": ["review"]}
    execution_id = local.start(nodes=[review, hear])
    document = local.document(execution_id)
    assert document["machines"] == {"review": {"current_states": ["draft"], "variables": {"by": "小明"}}}
    assert (document["current_states"], document["variables"]) == ([], {})
    assert document["node_executions"]["review/draft/write"]["status"] == "success"
    assert [event["machine"] for event in document["available_events"]] == ["review"]
    local.send(execution_id, "ok")
    document = local.document(execution_id)
    assert document["machines"] == {"review": {"current_states": ["done"], "variables": None}}
    assert [(event["event"], event["source"]) for event in document["available_events"]] == [("news", "hear")]


def test_the_document_has_the_last_transitions_and_the_history_all(local: Local) -> None:
    machine = {
        "type": "state_machine",
        "initial_state": "a",
        "states": [{"name": "a", "transitions": [{"event": "x", "actions": []}]}],
    }
    execution_id = local.start(**machine)
    for number in range(TRANSITIONS_SHOWN_MAX + 20):
        local.services.signalling.send(execution_id, "x", {"n": number})
    local.settle(execution_id)
    transitions = local.document(execution_id)["transitions"]
    assert len(transitions) == TRANSITIONS_SHOWN_MAX
    assert {step["event"] for step in transitions} == {"x"}
    history = local.services.documents.history(execution_id, 0, 500)
    assert sum(len(entry.macrosteps) for entry in history.entries) == TRANSITIONS_SHOWN_MAX + 21


def test_a_watcher_is_told_each_transition_and_change_once(local: Local) -> None:
    execution_id = local.start(**SWING)
    stores, version = local.services.stores, 0
    known: dict[str, str] = {}
    told: list[str] = []
    for event in ("", "swing", "swing", "swing"):
        if event:
            local.send(execution_id, event)
        news = progress(stores, execution_id, known, version)
        version = news.version
        told += [step["configuration"][0] for step in news.transitions]
        told += [f"{path} {entry['status']}" for path, entry in news.entries.items()]
        known |= {path: entry["status"] for path, entry in news.entries.items()}
    assert progress(stores, execution_id, known, version).transitions == []
    assert told[:3] == ["up", "up/a success", "up/w running"]
    assert [word for word in told if " " not in word] == ["up", "down", "up", "down"]
