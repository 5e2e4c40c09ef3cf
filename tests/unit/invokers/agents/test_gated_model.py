"""Agents behind a gate: each request of a model is reserved for before, and settled after."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import exceptions
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from workflow_runtime.compiler.check.requests import known_input
from workflow_runtime.definition.nodes.work import AgentNode
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.agents.gated_model import estimated_tokens, price_of
from workflow_runtime.invokers.gate import ModelRequest as Request
from workflow_runtime.invokers.gate import OverBudget, Permit, Spent
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.specs import NodeType

AGENTS = """
agents:
  - {id: plain, model: "openai:x", settings: {max_tokens: 9}}
  - {id: strict, model: "openai:x", output_schema: {type: object, required: [n], properties: {n: {type: integer}}}}
"""


class Ledger:
    """A gate that notes what it is asked; refuses after so many."""

    def __init__(self, allows: int = 9, output_tokens: int = 0) -> None:
        self.allows = allows
        self.output_tokens = output_tokens
        self.reserved: list[Request] = []
        self.settled: list[tuple[str, Spent | None]] = []
        self.heeded: list[tuple[str, float | None]] = []

    async def reserve(self, request: Request) -> Permit:
        if len(self.reserved) >= self.allows:
            raise OverBudget("no money")
        self.reserved.append(request)
        return Permit(str(len(self.reserved)), request, self.output_tokens)

    async def settle(self, permit: Permit, spent: Spent | None) -> None:
        self.settled.append((permit.key, spent))

    async def heed(self, permit: Permit, retry_after_seconds: float | None) -> None:
        self.heeded.append((permit.request.model, retry_after_seconds))


def attempt(tmp_path: Path, model: Any, gate: Ledger | None, target: str = "plain") -> Any:
    (tmp_path / "a.yaml").write_text(AGENTS)
    call = NodeCall(
        type=NodeType.AGENT, target=target, inputs={"文": "你好"}, execution_id="e", workflow_id="w", path="p",
        attempt=1, idempotency_key="k", deadline=0, gate=gate,
    )  # fmt: skip
    return asyncio.run(AgentInvoker(AgentRegistry.load(tmp_path), lambda _: model).invoke(call)).output


def answers(*outputs: Any, seen: list[Any] | None = None) -> FunctionModel:
    left = list(outputs)

    def reply(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if seen is not None:
            seen.append(dict(info.model_settings or {}))
        output = left.pop(0)
        if isinstance(output, Exception):
            raise output
        part = TextPart(output) if isinstance(output, str) else ToolCallPart(info.output_tools[0].name, output)
        return ModelResponse(parts=[part], usage=RequestUsage(input_tokens=5, output_tokens=2))

    return FunctionModel(reply)


def test_a_request_is_reserved_for_and_settled_by_what_it_used(tmp_path: Path) -> None:
    ledger = Ledger()
    assert attempt(tmp_path, answers("好"), ledger) == "好"
    assert [request.output_tokens for request in ledger.reserved] == [9]
    assert ledger.settled == [("1", Spent(5, 2, None))]


def test_asking_again_for_an_output_that_fits_is_a_request_of_its_own(tmp_path: Path) -> None:
    ledger = Ledger()
    assert attempt(tmp_path, answers({"n": "one"}, {"n": 1}), ledger, "strict") == {"n": 1}
    assert [key for key, _ in ledger.settled] == ["1", "2"]
    assert ledger.reserved[1].input_tokens > ledger.reserved[0].input_tokens


def test_a_request_that_there_is_no_money_for_is_not_made(tmp_path: Path) -> None:
    seen: list[Any] = []
    with pytest.raises(NodeError) as caught:
        attempt(tmp_path, answers({"n": "one"}, {"n": 1}, seen=seen), Ledger(allows=1), "strict")
    assert (caught.value.type, len(seen)) == ("budget_exceeded", 1)


def test_a_model_may_write_no_more_than_was_reserved_for(tmp_path: Path) -> None:
    seen: list[Any] = []
    attempt(tmp_path, answers("a", seen=seen), Ledger(output_tokens=4))
    assert [settings["max_tokens"] for settings in seen] == [4]


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (exceptions.ModelHTTPError(429, "x"), Spent()),
        (exceptions.ModelAPIError("x", "the connection was lost"), None),
        (TimeoutError(), None),
    ],
)
def test_a_request_that_failed_costs_all_unless_the_provider_refused_it(
    tmp_path: Path, error: Exception, spent: Spent | None
) -> None:
    ledger = Ledger()
    with pytest.raises(NodeError):
        attempt(tmp_path, answers(error), ledger)
    assert ledger.settled == [("1", spent)]


@pytest.mark.parametrize(
    ("texts", "least", "most"),
    [(("the quick brown fox " * 30,), 150, 300), (("敏捷的棕色狐狸" * 30,), 210, 400), (("a", "b" * 9), 4, 4)],
)
def test_estimates_are_above_what_any_tokenizer_makes_of_a_text(texts: Sequence[str], least: int, most: int) -> None:
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(text) for text in texts])]
    assert least <= estimated_tokens(messages, ModelRequestParameters()) <= most


class Gpt(FunctionModel):
    """A model that says it is OpenAI's."""

    model_name = "gpt-4o"
    system = "openai"


def test_prices_come_from_the_list_of_the_providers_and_nobody_guesses_one() -> None:
    assert price_of(Gpt(lambda _messages, _info: ModelResponse(parts=[])))(1_000_000, 0) == 2_500_000
    assert price_of(answers())(1, 1) is None
    assert price_of(TestModel())(1, 1) == 0


@pytest.mark.parametrize("agent", ["told", "shaped"])
def test_what_is_known_of_a_request_when_a_workflow_is_compiled_is_counted_as_it_is_reserved(
    tmp_path: Path, agent: str
) -> None:
    gate = Ledger()
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    (tmp_path / "b.yaml").write_text(
        json.dumps(
            {
                "agents": [
                    {"id": "told", "model": "test", "instructions": "回答，in prose, " * 40},
                    {"id": "shaped", "model": "test", "output_schema": schema},
                ]
            }
        )
    )
    call = NodeCall(
        type=NodeType.AGENT, target=agent, inputs={}, execution_id="e", workflow_id="w", path="p",
        attempt=1, idempotency_key="k", deadline=0, gate=gate, prompt="什么 is it?",
    )  # fmt: skip
    registry = AgentRegistry.load(tmp_path)
    answer = {"n": 1} if agent == "shaped" else "ja"
    asyncio.run(AgentInvoker(registry, lambda _: answers(answer)).invoke(call))
    node = AgentNode.model_validate({"id": "n", "type": "agent", "agent": agent, "prompt": "什么 is it?"})
    known = known_input(registry.describe()[agent], node, Catalogue(registry.describe()))
    reserved = gate.reserved[0].input_tokens
    assert known > 20, "it is not nothing"
    assert reserved - 30 <= known <= reserved, "but for what the library calls the output"
    assert agent == "shaped" or known == reserved
