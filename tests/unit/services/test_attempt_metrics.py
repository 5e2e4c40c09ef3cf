"""What is measured of an attempt: by the type of its node, and by how it ended."""

from __future__ import annotations

import pytest

from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.services.work.attempt_metrics import count_attempt
from workflow_runtime.storage.records import Run, RunStatus


def counted(type: NodeType, status: RunStatus, *, attempt: int = 1, error: str = "") -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    document = ErrorDocument.of(error, "too much") if error else None
    run = Run(
        path="n", serial=1, status=status, owner="o", attempt=attempt, started_at=1000, ended_at=1250, error=document
    )
    count_attempt(lambda name, value: found.append((name, value)), type, run)
    return found


@pytest.mark.parametrize(("type", "word"), [(NodeType.AGENT, "Agent"), (NodeType.TOOL, "Tool")])
def test_agents_and_tools_are_told_apart(type: NodeType, word: str) -> None:
    assert counted(type, RunStatus.SUCCESS) == [(f"{word}Duration", 250)]
    assert counted(type, RunStatus.FAILED, error="timeout") == [(f"{word}Duration", 250), (f"{word}Errors", 1)]


def test_retries_and_throttles_are_counted_besides() -> None:
    found = counted(NodeType.AGENT, RunStatus.FAILED, attempt=3, error="rate_limited")
    assert found == [("AgentDuration", 250), ("NodeRetries", 1), ("AgentErrors", 1), ("NodesThrottled", 1)]


def test_what_did_not_run_is_not_measured() -> None:
    assert counted(NodeType.AGENT, RunStatus.CANCELLED) == []
    assert counted(NodeType.AGGREGATION, RunStatus.SUCCESS) == []
