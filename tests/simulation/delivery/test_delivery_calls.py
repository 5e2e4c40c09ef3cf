"""An agent whose calls are nodes, under faults: whatever call of a port a worker or a dispatcher dies at, a call that
must not happen twice does not, and all of them come to their ends.

``DELIVERY_EVERY_FAULT=1`` tries every kind of fault at every call; otherwise crashes at one in 20.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, NoFaults, Plan, at_every_call
from tests.simulation.delivery.world import World, world
from tests.unit.invokers.agents.visits import Scripted

from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.tools.invoker import ToolInvoker
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.invokers.tools.tool import describe
from workflow_runtime.plan.calls import CALL

STEP = 20
TURNS = ([("pay", {"amount": 5}), ("look", {"id": "a"})], "done")
AGENT = {
    "id": "a",
    "model": "openai:x",
    "tools": [{"tool": "pay", "effects": "once", "as": "node"}, {"tool": "look", "as": "node"}],
}


class Story:
    """The agent in a world, what it calls, and the people that are asked."""

    def __init__(self, disturbed: World, folder: Path) -> None:
        self.world = disturbed
        self.paid: list[int] = []
        (folder / "a.yaml").write_text(repr(AGENT))
        tools, effects = {"look": self.look, "pay": self.pay}, {"look": "none"}
        registry = ToolRegistry(
            replace(describe(function, id, "", effects=effects.get(id)), built_in=True)
            for id, function in tools.items()
        )
        invoker = ToolInvoker(registry)
        agents = AgentInvoker(AgentRegistry.load(folder), lambda _: FunctionModel(self.model), registry, invoker)
        disturbed.behaviours["a"] = agents.invoke
        disturbed.behaviours[CALL] = invoker.invoke

    async def model(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        """In the event loop: time stands still meanwhile."""
        return Scripted(*TURNS)(messages, info)

    async def look(self, id: str) -> str:
        return f"order {id}"

    async def pay(self, amount: int) -> str:
        self.paid.append(amount)
        assert len(self.paid) == 1, "it was paid twice"
        return "paid 5"

    def answer(self) -> None:
        """Tell the truth of what may have happened."""
        for asked in self.world.calm.approval_views.of_execution(self.world.execution_id):
            assert asked["kind"] == "effect"
            happened = bool(self.paid)
            data = {"data": {"result": "paid 5"}} if happened else {}
            try:
                self.world.runtime.approvals.answer(str(asked["id"]), happened, by="li", key="k", **data)
            except (Crash, RetryableError, RequestError):
                continue


def tale(seed: int, faults: Plan) -> object:
    with world("agent", seed, faults) as disturbed, tempfile.TemporaryDirectory() as folder:
        story = Story(disturbed, Path(folder))
        disturbed.start()
        disturbed.live_until(lambda: False, story.answer)
        disturbed.drain()
        disturbed.check_end()
        document: Any = disturbed.document()
        return document["status"], document["output"], story.paid


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_at_any_call_makes_no_call_twice(fault: Fault) -> None:
    at_every_call(tale, fault, step=STEP)


def test_calls_that_are_nodes_come_to_their_ends() -> None:
    assert tale(0, NoFaults()) == ("completed", "done", [5])
