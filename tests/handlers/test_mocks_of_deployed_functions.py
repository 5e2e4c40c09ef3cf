"""Mocks in deployed functions: only where a test put them, and never quietly."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.deployment.settings import Settings
from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.runtime.aws import aws_runtime
from workflow_runtime.runtime.services import Runtime


def deployed(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Runtime:
    """The runtime of a worker in this environment."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", simulated.REGION)
    with simulated.open_backend() as backend:
        environment = {**backend.settings.to_environment(), **variables}
        return aws_runtime(environment, lambda *_: None)


def test_there_are_none_unless_a_variable_names_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    invokers = deployed(monkeypatch).invokers
    assert {type(invoker).__name__ for invoker in invokers.values()} == {"AgentInvoker", "ToolInvoker"}


def test_they_answer_in_place_of_tools_and_a_warning_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "mocks.yaml"
    file.write_text("tools: {pay: {return: {paid: true}}}\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING, "workflow_runtime"):
        invokers = deployed(monkeypatch, MOCKS_FILE_FOR_TESTS=str(file)).invokers
    assert "agents and tools are mocked" in caplog.text
    call = NodeCall(
        type=NodeType.TOOL,
        target="pay",
        inputs={},
        execution_id="ex-1",
        workflow_id="w",
        path="pay",
        attempt=1,
        idempotency_key="k",
        deadline=0,
    )
    assert asyncio.run(invokers[NodeType.TOOL].invoke(call)).output == {"paid": True}


def test_a_variable_whose_file_is_not_there_stops_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = deployed(monkeypatch, MOCKS_FILE_FOR_TESTS="no-such-file.yaml")
    with pytest.raises(DefinitionError, match=r"no-such-file\.yaml cannot be read"):
        _ = runtime.invokers


def test_the_variable_survives_the_way_through_the_settings() -> None:
    environment = {"TABLE_NAME": "t", "BUCKET_NAME": "b", "BUS_NAME": "e", "MOCKS_FILE_FOR_TESTS": "m.yaml"}
    queues = {"QUEUE_URL_TIMERS": "u", "QUEUE_URL_DISPATCH_FIFO": "u"}
    settings = Settings.from_environment({**environment, **queues}, function="deliver_timer")
    assert settings.mocks_file_for_tests == "m.yaml"
    assert settings.to_environment()["MOCKS_FILE_FOR_TESTS"] == "m.yaml"
