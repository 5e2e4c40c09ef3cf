"""An agent under faults: whatever call of a port its worker dies at, a model request whose answer was recorded is never
paid again, and a call that must not happen twice does not.

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

STEP = 20
TURNS = (
    [("look", {"id": "a"}), ("look", {"id": "b"})],
    [("pay", {"amount": 5}), ("refund", {"amount": 7})],
    [("look", {"id": "c"})],
    "done",
)
AGENT = {
    "id": "a",
    "model": "openai:x",
    "tools": ["look", {"tool": "pay", "effects": "once"}, {"tool": "refund", "approve": True, "effects": "idempotent"}],
}


class Watched(Scripted):
    """A model that must not be asked what is answered already."""

    def __init__(self, story: Story) -> None:
        super().__init__(*TURNS)
        self._story = story

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        request = 1 + sum(isinstance(message, ModelResponse) for message in messages)
        assert f"model#{request}" not in self._story.recorded(), f"request {request} is paid for again"
        return super().__call__(messages, info)


class Story:
    """The agent in a world, and the people it asks."""

    def __init__(self, disturbed: World) -> None:
        self.world = disturbed
        self.paid: list[int] = []
        self.refunded: set[str] = set()
        self.folder = tempfile.TemporaryDirectory()
        (Path(self.folder.name) / "a.yaml").write_text(repr(AGENT))
        tools = {"look": self.look, "pay": self.pay, "refund": self.refund}
        effects = {"look": "none"}
        registry = ToolRegistry(
            replace(describe(function, id, "", effects=effects.get(id)), built_in=True)
            for id, function in tools.items()
        )
        self.agents = AgentInvoker(
            AgentRegistry.load(Path(self.folder.name)),
            lambda _: FunctionModel(self.model),
            registry,
            ToolInvoker(registry),
        )
        disturbed.behaviours["a"] = self.agents.invoke

    async def model(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        """In the event loop: time stands still meanwhile."""
        return Watched(self)(messages, info)

    async def look(self, id: str) -> str:
        return f"order {id}"

    async def pay(self, amount: int) -> str:
        self.paid.append(amount)
        assert len(self.paid) == 1, "it was paid twice"
        return "paid 5"

    async def refund(self, amount: int, idempotency_key: str = "") -> str:
        self.refunded.add(f"{amount}{idempotency_key}")
        return "refunded"

    def recorded(self) -> set[str]:
        items = self.world.raw.table.query(f"EX#{self.world.execution_id}", "STEP#")
        return {
            f"{item.attributes['name']}#{item.attributes['n']}" for item in items if item.attributes["st"] == "done"
        }

    def answer(self) -> None:
        """Say yes to what is asked, and the truth of what may have happened."""
        for asked in self.world.calm.approval_views.of_execution(self.world.execution_id):
            yes = asked["kind"] == "tool" or bool(self.paid)
            data = {"data": {"result": "paid 5"}} if asked["kind"] == "effect" and yes else {}
            try:
                self.world.runtime.approvals.answer(str(asked["id"]), yes, by="li", key="k", **data)
            except (Crash, RetryableError, RequestError):
                continue


def tale(seed: int, faults: Plan) -> object:
    with world("agent", seed, faults) as disturbed:
        story = Story(disturbed)
        disturbed.start()
        disturbed.live_until(lambda: False, story.answer)
        disturbed.drain()
        disturbed.check_end()
        document: Any = disturbed.document()
        story.folder.cleanup()
        return document["status"], document["output"], story.paid, len(story.refunded)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_at_any_call_of_an_agents_run_costs_nothing_twice(fault: Fault) -> None:
    at_every_call(tale, fault, step=STEP)


def test_an_agent_ends_and_its_journal_replays_to_its_state() -> None:
    assert tale(0, NoFaults()) == ("completed", "done", [5], 1)
