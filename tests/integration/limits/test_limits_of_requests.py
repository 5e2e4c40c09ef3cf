"""Limiters and budgets of single requests of models: of those that an agent falls back to, and of agents that it calls,
through the real handlers and real agents."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.agents.model_choices import ModelChoice
from workflow_runtime.invokers.invocation import Invoker
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.storage.limiters import LimiterName

AGENTS = """
agents:
  - {id: two, models: ["openai:busy", "anthropic:free"], settings: {max_tokens: 100}}
  - {id: last, models: ["openai:down", "anthropic:busy"], settings: {max_tokens: 100}}
  - {id: boss, model: "openai:boss", tools: [{agent: helper}], settings: {max_tokens: 100}}
  - {id: helper, model: "anthropic:free", limiter: help, budget: {tokens: 4k}, settings: {max_tokens: 100}}
  - {id: mean, model: "openai:boss", tools: [{agent: poor}], settings: {max_tokens: 100}}
  - {id: poor, model: "anthropic:free", budget: {tokens: 90}, settings: {max_tokens: 100}}
"""


class Models:
    """A runtime in which ``busy`` is always too busy, ``down`` does not answer, ``boss`` has a helper do it twice, and
    ``free`` answers."""

    def __init__(self, folder: Path) -> None:
        self.asked: Counter[str] = Counter()
        self.open = 0
        self.most = 0
        self.tokens = 10
        (folder / "agents").mkdir()
        (folder / "agents" / "a.yaml").write_text(AGENTS)
        registry = AgentRegistry.load(folder / "agents")

        def agents_of_ours(invoker: Invoker) -> Invoker:
            return AgentInvoker(registry, self._model) if isinstance(invoker, AgentInvoker) else invoker

        self.runtime = LocalRuntime(open_backend(None), folder, wrap=agents_of_ours)

    def _model(self, choice: ModelChoice) -> FunctionModel:
        async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            self.asked[choice.name] += 1
            if choice.name == "busy":
                raise ModelHTTPError(429, "busy", headers={"retry-after": "30"})
            if choice.name == "down":
                raise ModelHTTPError(503, "down")
            usage = RequestUsage(input_tokens=10, output_tokens=self.tokens)
            if choice.name == "boss" and len(messages) < 4:
                tool = info.function_tools[0].name
                return ModelResponse([ToolCallPart(tool, {"prompt": "help"})], usage=usage)
            self.open += 1
            self.most = max(self.most, self.open)
            await asyncio.sleep(0.02)
            self.open -= 1
            return ModelResponse([TextPart("ja")], usage=usage)

        return FunctionModel(answer, model_name=choice.name)

    def run(self, agent: str, nodes: int = 1, **limits: dict[str, Any]) -> dict[str, Any]:
        services = self.runtime.services
        lines = "".join(f"    - {{id: n{number}, type: agent, agent: {agent}}}\n" for number in range(nodes))
        services.catalog.publish(f"workflow:\n  id: w\n  nodes:\n{lines}".encode())
        for name, fields in limits.items():
            services.limits.put(name, fields)
        execution = services.starter.start("w", {})
        asyncio.run(self.runtime.run_until_ended(execution))
        return services.documents.document(execution)

    def gauge(self, name: str) -> dict[str, Any]:
        return dict(self.runtime.services.stores.limiters.gauge(LimiterName(name)))


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Models]:
    found = Models(tmp_path)
    with found.runtime:
        yield found


def test_a_request_takes_of_the_limiter_of_the_provider_that_an_agent_falls_back_to(models: Models) -> None:
    document = models.run("two", 2, anthropic={"concurrency": 1}, openai={"concurrency": 5})
    assert document["status"] == "completed"
    assert models.asked == {"busy": 2, "free": 2}
    assert models.most == 1
    assert [models.gauge(name)["fence"] for name in ("anthropic", "openai")] == [2, 2]
    assert [models.gauge(name)["n"] for name in ("anthropic", "openai")] == [0, 0]


@pytest.mark.parametrize(
    ("agent", "status", "closed"),
    [
        ("two", "completed", {"openai": True, "anthropic": False}),
        ("last", "failed", {"openai": False, "anthropic": True}),
    ],
)
def test_the_gate_that_closes_is_of_the_provider_that_has_had_enough(
    models: Models, agent: str, status: str, closed: dict[str, bool]
) -> None:
    rates = {name: {"requests": "600/min"} for name in closed}
    before = int(time.time() * 1000)
    assert models.run(agent, **rates)["status"] == status
    gates = {name: models.gauge(name).get("gate", 0) for name in closed}
    assert {name: gate > before for name, gate in gates.items()} == closed
    assert all(before + 30_000 <= gate <= before + 90_000 for gate in gates.values() if gate)


def test_rates_and_tokens_of_a_further_model_count_as_well(models: Models) -> None:
    limits = {"requests": "600/min", "tokens": "600k/min"}
    assert models.run("two", anthropic=limits)["status"] == "completed"
    gauge = models.gauge("anthropic")
    began = gauge["rt"] - 101_667
    assert gauge["fence"] == 1
    assert abs(gauge["tt"] - began - 2_000) < 100_000, "twenty tokens were used, whatever was expected"


def test_an_agent_that_another_one_calls_takes_of_its_own_limiters_and_its_model_s(models: Models) -> None:
    document = models.run("boss", help={"requests": "600/min"}, anthropic={"concurrency": 2}, openai={"concurrency": 2})
    assert document["status"] == "completed"
    assert models.asked == {"boss": 3, "free": 2}
    assert [models.gauge(name)["fence"] for name in ("help", "anthropic", "openai")] == [2, 2, 1]
    assert [models.gauge(name)["n"] for name in ("anthropic", "openai")] == [0, 0]


def test_an_agent_that_another_one_calls_draws_of_its_limiter_s_budget(models: Models) -> None:
    document = models.run("boss", help={"budget": {"tokens": "50/day"}})
    assert (document["status"], document["error"]["type"]) == ("failed", "budget_exceeded")
    assert "the budget of the limiter `help` has not enough" in document["error"]["message"]
    assert models.asked == {"boss": 1}


def test_an_agent_that_another_one_calls_has_a_budget_of_its_own_for_each_call(models: Models) -> None:
    assert models.run("boss", 2)["status"] == "completed"
    document = models.run("mean")
    assert (document["status"], document["error"]["type"]) == ("failed", "budget_exceeded")
    assert "the budget of this call of the agent `poor` has not enough" in document["error"]["message"]
    assert models.asked["free"] == 4
