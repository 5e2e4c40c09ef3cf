"""What a budget does that has not enough, through real agents and the real handlers, embedded and on simulated AWS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.ahead_clock import AheadClock

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.agents.model_choices import ModelChoice
from workflow_runtime.invokers.invocation import Invoker
from workflow_runtime.runtime.in_process import LocalRuntime

AGENTS = """
agents:
  - {id: two, models: ["openai:gpt-4o", "openai:gpt-4o-mini"], settings: {max_tokens: 10000}}
  - {id: one, model: "openai:gpt-4o", settings: {max_tokens: 10000}}
"""
LESS_THAN_ONE_ANSWER = "usd: 0.05"  # of gpt-4o, whose 10,000 tokens cost $0.10; those of gpt-4o-mini cost $0.006


class OpenAI(FunctionModel):
    """Answers as one of OpenAI's models, and costs as much."""

    @property
    def system(self) -> str:
        return "openai"


class Exceeded:
    """A runtime with real agents, whose models note that they were asked."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.asked: list[str] = []
        (folder / "agents").mkdir()
        (folder / "agents" / "a.yaml").write_text(AGENTS)
        opened = open_backend(None) if backend == "embedded" else simulated.open_backend(AheadClock())
        registry = AgentRegistry.load(folder / "agents")

        def agents_of_ours(invoker: Invoker) -> Invoker:
            return AgentInvoker(registry, self._model) if isinstance(invoker, AgentInvoker) else invoker

        self.runtime = LocalRuntime(opened, folder, wrap=agents_of_ours)

    def _model(self, choice: ModelChoice) -> OpenAI:
        def answer(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
            self.asked.append(choice.name)
            usage = RequestUsage(input_tokens=100, output_tokens=1_000)
            return ModelResponse([TextPart("ja")], usage=usage, model_name=choice.name)

        return OpenAI(answer, model_name=choice.name)

    def start(self, source: str) -> str:
        self.runtime.services.catalog.publish(source.encode())
        return self.runtime.services.starter.start("w", {})

    def end(self, execution: str) -> dict[str, Any]:
        asyncio.run(self.runtime.run_until_ended(execution))
        return self.runtime.services.documents.document(execution)


@pytest.fixture(params=["embedded", "moto"])
def exceeded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Exceeded]:
    found = Exceeded(request.param, tmp_path)
    with found.runtime:
        yield found


def workflow(agent: str, does: str, before: str = "") -> str:
    head = f"workflow:\n  id: w\n  budget: {{{LESS_THAN_ONE_ANSWER}, on_exceeded: {does}}}\n  nodes:\n{before}"
    depends = ", dependencies: before" if before else ""
    return f"{head}    - {{id: a, type: agent, agent: {agent}{depends}}}\n"


def test_the_next_model_is_asked_of_which_the_budget_has_enough(exceeded: Exceeded) -> None:
    document = exceeded.end(exceeded.start(workflow("two", "degrade")))
    assert document["status"] == "completed"
    assert exceeded.asked == ["gpt-4o-mini"]
    assert document["budget"]["usd"]["used"] == pytest.approx(0.000615)
    assert document["budget"]["usd"]["reserved"] == 0
    (warning,) = document["node_executions"]["a"]["warnings"]
    assert warning == "the model gpt-4o gave no answer that is taken; gpt-4o-mini was asked in its place"


def test_who_has_no_other_model_fails_and_no_model_is_asked(exceeded: Exceeded) -> None:
    document = exceeded.end(exceeded.start(workflow("one", "degrade")))
    assert (document["status"], document["error"]["type"]) == ("failed", "budget_exceeded")
    assert exceeded.asked == []


def test_what_succeeded_before_is_undone(exceeded: Exceeded) -> None:
    before = "    - {id: before, type: tool, tool: echo, inputs: {n: 1}, compensate: {type: tool, tool: echo}}\n"
    document = exceeded.end(exceeded.start(workflow("two", "compensate", before)))
    assert (document["status"], document["compensation"]) == ("failed", "completed")
    assert document["error"]["type"] == "budget_exceeded"
    assert document["node_executions"]["before"]["status"] == "compensated"
    assert exceeded.asked == []


def test_people_may_give_more(exceeded: Exceeded) -> None:
    execution = exceeded.start(workflow("one", "ask"))
    asyncio.run(exceeded.runtime.settle(execution))
    services = exceeded.runtime.services
    (asked,) = services.approval_views.of_execution(execution)
    services.approvals.answer(asked["id"], True, by="ann", data={"usd": 0.2})
    document = exceeded.end(execution)
    assert document["status"] == "completed"
    assert exceeded.asked == ["gpt-4o"]
    assert document["budget"]["usd"]["limit"] == 0.2
