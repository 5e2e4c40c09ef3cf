"""What is measured of an attempt: by the type of its node, and by how it ended."""

from __future__ import annotations

import pytest

from workflow_runtime.deployment.metrics import AttemptEnded, count_attempt
from workflow_runtime.plan.specs import NodeType


def counted(node_type: NodeType, *, attempt: int = 1, error: str | None = None) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    count_attempt(
        lambda name, value: found.append((name, value)), AttemptEnded("w", node_type, "t", attempt, 250, error)
    )
    return found


@pytest.mark.parametrize(("node_type", "word"), [(NodeType.AGENT, "Agent"), (NodeType.TOOL, "Tool")])
def test_agents_and_tools_are_told_apart(node_type: NodeType, word: str) -> None:
    assert counted(node_type) == [(f"{word}Duration", 250)]
    assert counted(node_type, error="timeout") == [(f"{word}Duration", 250), (f"{word}Errors", 1)]


def test_retries_and_throttles_are_counted_besides() -> None:
    found = counted(NodeType.AGENT, attempt=3, error="rate_limited")
    assert found == [("AgentDuration", 250), ("NodeRetries", 1), ("AgentErrors", 1), ("NodesThrottled", 1)]


def test_what_is_decided_rather_than_run_is_not_measured() -> None:
    assert counted(NodeType.AGGREGATION) == []


def test_an_agent_that_goes_on_has_not_ended() -> None:
    found: list[tuple[str, int]] = []
    waits = AttemptEnded("w", NodeType.AGENT, "t", 2, 250, goes_on=True)
    count_attempt(lambda name, value: found.append((name, value)), waits)
    assert found == []
