"""A node that is cancelled while it runs is cancelled then, whatever its worker does later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

SLOW = {"id": "slow", "type": "tool", "tool": "sleeper"}
PAUSE = {"id": "pause", "type": "control", "subtype": "wait", "duration": 2}
BROKEN = {"id": "no", "type": "tool", "tool": "broken", "depends_on": ["pause"]}
ENOUGH = {"id": "enough", "type": "control", "subtype": "succeed", "depends_on": ["pause"]}


def chart(**working: Any) -> dict[str, Any]:
    """Leaves the state ``working`` after 2 s for one in which it stays."""
    idle = {"name": "idle", "after": [{"delay": 100, "target": "end"}]}
    states = [{"name": "working", **working}, idle]
    return {"id": "w", "type": "state_machine", "initial_state": "working", "final_states": ["end"], "states": states}


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        (chart(run=SLOW, after=[{"delay": 2, "target": "idle"}]), "working/slow"),
        (chart(run=[SLOW, PAUSE, BROKEN], on_error="idle"), "working/slow"),
        (chart(run=[SLOW, PAUSE, ENOUGH], on_done="idle"), "working/slow"),
        ({"id": "w", "nodes": [SLOW, PAUSE, ENOUGH]}, "slow"),
        ({"id": "w", "nodes": [SLOW, PAUSE, BROKEN]}, "slow"),
    ],
    ids=["state left", "graph of a state failed", "graph of a state ended", "execution ended", "execution failed"],
)
def test_a_node_that_is_cancelled_while_it_runs_is_cancelled_then(
    runtime: WorkflowTester, definition: dict[str, Any], path: str
) -> None:
    runtime.mock_tool("sleeper", {"v": 1}, delay=6)
    if "broken" in str(definition):
        runtime.mock_tool("broken", script=[{"raise": {"type": "broken", "message": "no"}}])
    execution_id = runtime.start(definition)
    seen = []
    for seconds in (3, 5, 60):
        runtime.advance(seconds=seconds)
        entry = runtime.result(execution_id).document["node_executions"][path]
        seen.append((entry["status"], entry["output"], took(entry)))
    assert seen == [("cancelled", None, timedelta(seconds=2))] * 3


def took(entry: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(entry["ended_at"]) - datetime.fromisoformat(entry["started_at"])


HOLD = {"id": "hold", "type": "control", "subtype": "wait", "event": "go"}


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        (chart(run=HOLD, after=[{"delay": 2, "target": "idle"}]), "working/hold"),
        ({"id": "w", "nodes": [HOLD, PAUSE, ENOUGH]}, "hold"),
    ],
    ids=["state left", "execution ended"],
)
def test_a_wait_that_is_cancelled_has_its_start_and_its_end(
    runtime: WorkflowTester, definition: dict[str, Any], path: str
) -> None:
    execution_id = runtime.start(definition)
    runtime.advance(seconds=1)
    entry = runtime.result(execution_id).document["node_executions"][path]
    assert (entry["status"], entry["attempts"], entry["ended_at"]) == ("running", 1, None)
    begun = entry["started_at"]
    assert begun is not None
    runtime.advance(seconds=3)
    entry = runtime.result(execution_id).document["node_executions"][path]
    assert (entry["status"], entry["started_at"], took(entry)) == ("cancelled", begun, timedelta(seconds=2))


@pytest.mark.parametrize("state", [False, True])
def test_a_wait_shows_when_it_began_and_how_long_it_took(runtime: WorkflowTester, state: bool) -> None:
    wait = {"id": "a", "type": "control", "subtype": "wait", "duration": "1500ms"}
    definition = chart(run=wait, on_done="idle") if state else {"id": "w", "nodes": [wait]}
    path = "working/a" if state else "a"
    execution_id = runtime.start(definition)
    runtime.advance(seconds=1)
    waiting = runtime.result(execution_id).document["node_executions"][path]
    assert (waiting["status"], waiting["attempts"], waiting["waiting_on"]) == ("running", 1, "timer")
    runtime.advance(seconds=1)
    ended = runtime.result(execution_id).document["node_executions"][path]
    assert (ended["status"], ended["started_at"]) == ("success", waiting["started_at"])
    assert took(ended) == timedelta(seconds=1.5)
