"""An event that no bus takes fails the action that publishes it, where everybody sees it."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.plan.events import PAYLOAD_BYTES_MAX, TOPIC_CHARACTERS_MAX
from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

PUBLISHING: dict[str, Any] = {
    "id": "publishing",
    "type": "state_machine",
    "initial_state": "open",
    "final_states": ["closed", "failed"],
    "states": [
        {
            "name": "open",
            "transitions": [
                {
                    "event": "close",
                    "target": "closing",
                    "actions": [{"publish_event": {"topic": "${topic}", "payload": {"v": "${value}"}}}],
                }
            ],
        },
        {
            "name": "closing",
            "after": [{"delay": 1, "target": "closed"}],
            "transitions": [
                {
                    "event": "error.execution",
                    "target": "failed",
                    "actions": [{"set_variable": {"name": "why", "value": "${event.data.message}"}}],
                }
            ],
        },
    ],
    "outputs": {"why": "${why}"},
}


@pytest.mark.parametrize(
    ("topic", "value", "message"),
    [
        ("题" * (TOPIC_CHARACTERS_MAX + 1), "", "publish_event: a topic has 1 to 128 characters, this one 129"),
        ("", "", "publish_event: a topic has 1 to 128 characters, this one 0"),
        ("big", "x" * PAYLOAD_BYTES_MAX, f"an event takes {PAYLOAD_BYTES_MAX:,}"),
    ],
)
def test_an_event_that_no_bus_takes_fails_its_action(
    runtime: WorkflowTester, topic: str, value: str, message: str
) -> None:
    execution_id = runtime.start(PUBLISHING, {"topic": topic, "value": value})
    runtime.send_event(execution_id, "close")
    document = runtime.finish(execution_id).document
    assert document["current_states"] == ["failed"]
    assert message in document["output"]["why"]
    assert [event for event in runtime.published if event["detail-type"] == topic] == []


def test_an_execution_that_does_not_listen_to_the_error_fails_with_it(runtime: WorkflowTester) -> None:
    closing = {"name": "closing", "transitions": [{"event": "end", "target": "closed"}]}
    execution_id = runtime.start({**PUBLISHING, "states": [PUBLISHING["states"][0], closing]}, {"topic": "t" * 129})
    runtime.send_event(execution_id, "close")
    document = runtime.finish(execution_id).document
    assert document["status"] == "failed"
    assert "a topic has 1 to 128 characters, this one 129" in document["error"]["message"]


def test_the_largest_event_is_published(runtime: WorkflowTester) -> None:
    topic = "题" * TOPIC_CHARACTERS_MAX
    execution_id = runtime.start(PUBLISHING, {"topic": topic, "value": "x" * (PAYLOAD_BYTES_MAX - len('{"v":""}'))})
    runtime.send_event(execution_id, "close")
    assert runtime.finish(execution_id).document["current_states"] == ["closed"]
    assert [event["detail-type"] for event in runtime.published if event["detail-type"] == topic] == [topic]
