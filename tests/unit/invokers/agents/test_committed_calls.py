"""Calls of built-in tools by agents: their effects are committed with their steps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic_ai.models.function import FunctionModel
from tests.unit.invokers.agents.visits import Scripted, Visits

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.invocation import NodeResult
from workflow_runtime.invokers.steps import NOT_RECORDED
from workflow_runtime.invokers.tools.invoker import ToolInvoker
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.registry import ToolRegistry

OPEN = Reach(tables=("*",), queues=("*",), buses=("*",))
COUNT = ("dynamodb_write", {"table": "orders", "key": {"id": "A"}, "add": {"count": 1}})
TAKE = ("dynamodb_write", {"table": "orders", "key": {"id": "A"}, "set": {"by": "a"}, "needs": "present"})
SEND = ("sqs_send", {"queue": "work", "body": "A"})


class Committing(Visits):
    """One visit of an agent with the built-in tools, ``offered`` those."""

    def __init__(self, folder: Path, model: Scripted, offered: list[Any], **fields: Any) -> None:
        super().__init__(folder, model, {}, **fields)
        self.fields["tools"] = offered

    def invoker(self, model: FunctionModel | None = None) -> AgentInvoker:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "a.yaml").write_text(repr({"id": "a", "model": "openai:x", **self.fields}))
        (self.folder / "b.yaml").write_text(repr({"id": "b", "model": "openai:x", "tools": ["dynamodb_write"]}))
        registry = ToolRegistry.load(None, reach=OPEN)
        asked = model or FunctionModel(self.model)
        agents = AgentRegistry.load(self.folder)
        return AgentInvoker(agents, lambda _: asked, registry, ToolInvoker(registry, self.clock))


def visit(folder: Path, *turns: Any, offered: Any = ("dynamodb_write", "sqs_send"), **fields: Any) -> Committing:
    return Committing(folder, Scripted(*turns), list(offered), **fields)


def test_a_step_and_its_write_are_one_transaction(tmp_path: Path) -> None:
    world = visit(tmp_path, [COUNT, SEND], "done")
    assert world.run().output == "done"
    assert world.backend.items_of("orders") == [{"id": "A", "count": 1}]
    assert [message.body for message in world.backend.messages_to("work")] == ["A"]
    assert [name for name in world.names if "tool:" in name] == ["tool:dynamodb_write#1", "tool:sqs_send#1"]


def test_a_replay_writes_and_sends_nothing_again(tmp_path: Path) -> None:
    world = visit(tmp_path, [COUNT, SEND], "done")
    world.run()
    assert world.run().output == "done"
    assert world.backend.items_of("orders") == [{"id": "A", "count": 1}]
    assert len(world.backend.messages_to("work")) == 1


def test_a_visit_that_begins_anew_takes_over_what_was_written(tmp_path: Path) -> None:
    world = visit(tmp_path, [COUNT, SEND], "done")
    world.run()
    world.run(log=1)
    assert world.backend.items_of("orders") == [{"id": "A", "count": 1}]
    assert len(world.backend.messages_to("work")) == 1


def test_who_says_that_a_second_write_does_no_harm_gets_it(tmp_path: Path) -> None:
    world = visit(tmp_path, [COUNT], "done", offered=[{"tool": "dynamodb_write", "effects": "idempotent"}])
    world.run()
    world.run(log=1)
    assert world.backend.items_of("orders") == [{"id": "A", "count": 2}]


def test_equal_calls_of_one_visit_are_made_as_often_as_the_model_asks(tmp_path: Path) -> None:
    world = visit(tmp_path, [COUNT, COUNT], [SEND, SEND], "done")
    world.run()
    assert world.backend.items_of("orders") == [{"id": "A", "count": 2}]
    assert len({message.id for message in world.backend.messages_to("work")}) == 2


def test_a_refused_write_is_told_the_model_and_recorded(tmp_path: Path) -> None:
    world = visit(tmp_path, [TAKE], "done")
    assert world.run().output == "done"
    assert world.model.told == ["condition_failed: table orders: the item is not as `needs` says"]
    world.run()
    assert world.backend.items_of("orders") == []


def test_an_agent_that_another_one_calls_commits_in_the_steps_of_that(tmp_path: Path) -> None:
    def model(messages: Any, info: Any) -> Any:
        inner = "dynamodb_write" in [tool.name for tool in info.function_tools]
        return Scripted([COUNT] if inner else [("b", {"prompt": "count"})], "done")(messages, info)

    world = visit(tmp_path, "", offered=[{"agent": "b"}])
    result = asyncio.run(world.invoker(FunctionModel(model)).invoke(world.call()))
    assert result == NodeResult("done")
    assert world.backend.items_of("orders") == [{"id": "A", "count": 1}]
    assert "agent:b.1/tool:dynamodb_write#1" in world.names


def test_nothing_is_committed_where_nothing_is_recorded(tmp_path: Path) -> None:
    """By an agent that checks for a guardrail, say, or outside of any execution."""
    world = visit(tmp_path, [COUNT], "done")
    with pytest.raises(NodeError, match="nothing is recorded"):
        asyncio.run(world.invoker().invoke(replace(world.call(), steps=NOT_RECORDED)))
    assert world.backend.items_of("orders") == []
