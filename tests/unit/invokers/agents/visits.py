"""Agents that run again and again in one visit, on the embedded backend's step log: their models, tools and crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.tools.invoker import ToolInvoker
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.invokers.tools.tool import describe
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.upkeep.dead_letters import DeadLetters
from workflow_runtime.services.work.outbox import Outbox
from workflow_runtime.services.work.steps import VisitSteps
from workflow_runtime.storage.steps import Step, StepStore, Visit
from workflow_runtime.storage.stores import Stores

LEASE_SECONDS = 90

Turn = Sequence[tuple[str, dict[str, Any]]] | str
"""What a model answers: calls of tools, or its last word."""


def visit_steps(ports: Ports, visit: Visit) -> VisitSteps:
    """Where the steps of a visit are recorded."""
    stores = Stores(ports)
    letters = DeadLetters(ports, stores, Mailer(ports, lambda: "0" * 32))
    return VisitSteps(ports, stores.steps, visit, LEASE_SECONDS, Outbox(ports, stores, letters), "agent")


class Died(BaseException):
    """The worker's process is gone."""


class Scripted:
    """A model that answers turn by turn, by what it is told; ``dies_at``: the request with which its worker dies."""

    def __init__(self, *turns: Turn, dies_at: int | None = None) -> None:
        self.turns = turns
        self.dies_at = dies_at
        self.asked: list[list[ModelMessage]] = []

    def __call__(self, messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        self.asked.append(messages)
        if len(self.asked) == self.dies_at:
            raise Died
        turn = self.turns[sum(isinstance(message, ModelResponse) for message in messages)]
        if isinstance(turn, str):
            return ModelResponse(parts=[TextPart(turn)])
        return ModelResponse(parts=[ToolCallPart(name, arguments) for name, arguments in turn])

    @property
    def told(self) -> list[Any]:
        """What the tools have told it, as it was asked last."""
        return [part.content for part in self._returned]

    @property
    def outcomes(self) -> list[str]:
        """As what each of those was told."""
        return [part.outcome for part in self._returned]

    @property
    def _returned(self) -> list[ToolReturnPart]:
        parts = [part for message in self.asked[-1] if isinstance(message, ModelRequest) for part in message.parts]
        return [part for part in parts if isinstance(part, ToolReturnPart)]


class Visits:
    """One visit of the agent ``a``, which says ``fields`` of itself; ``tools``: functions by the ids of their tools."""

    def __init__(self, folder: Path, model: Scripted, tools: Mapping[str, Callable[..., Any]], **fields: Any) -> None:
        self.clock = VirtualClock()
        self.backend = open_backend(None, self.clock, TOPOLOGY)
        self.model = model
        self.folder = folder
        self.effects: dict[str, str] = {}
        self.tools = dict(tools)
        self.fields = {"tools": list(tools), **fields}
        self.serial = 0

    @property
    def store(self) -> StepStore:
        return Stores(self.backend.ports).steps

    def call(self, **fields: Any) -> NodeCall:
        """The visit's next run."""
        self.serial += 1
        visit = Visit("e", "p", 1, self.serial)
        return NodeCall(
            type=NodeType.AGENT,
            target="a",
            inputs={"q": "你好"},
            execution_id="e",
            workflow_id="w",
            path="p",
            attempt=self.serial,
            idempotency_key="e:p:1",
            deadline=self.clock.now() + 60_000,
            serial=self.serial,
            steps=visit_steps(self.backend.ports, visit),
            **fields,
        )

    def invoker(self, model: FunctionModel | None = None) -> AgentInvoker:
        text = repr({"id": "a", "model": "openai:x", **self.fields})
        self.folder.mkdir(exist_ok=True)
        (self.folder / "a.yaml").write_text(text)
        tools = ToolRegistry(
            describe(function, id, "", effects=self.effects.get(id)) for id, function in self.tools.items()
        )
        asked = model or FunctionModel(self.model)
        return AgentInvoker(AgentRegistry.load(self.folder), lambda _: asked, tools, ToolInvoker(tools, self.clock))

    def run(self, **fields: Any) -> NodeResult:
        """Run the visit again."""
        return asyncio.run(self.invoker().invoke(self.call(**fields)))

    def fails(self, **fields: Any) -> NodeError:
        return self.failing(self.invoker(), self.call(**fields))

    def failing(self, invoker: AgentInvoker, call: NodeCall) -> NodeError:
        try:
            result = asyncio.run(invoker.invoke(call))
        except NodeError as error:
            return error
        raise AssertionError(f"it did not fail, but gave {result}")

    @property
    def steps(self) -> list[Step]:
        return self.store.of_visit(Visit("e", "p", 1, 0))

    @property
    def names(self) -> list[str]:
        """Of the steps, in the order of their keys."""
        return [f"{step.name}#{step.ordinal}" + ("" if step.done else "?") for step in self.steps]

    def forget(self, name: str) -> None:
        """A step was never recorded."""
        found = [step for step in self.steps if f"{step.name}#{step.ordinal}" == name]
        items = self.backend.ports.table.query("EX#e", "STEP#")
        keys = [item.key for item in items if item.attributes["name"] == found[0].name]
        self.backend.ports.table.delete_all(keys[found[0].ordinal - 1 :][:1])


def begun(step: Step) -> Step:
    """The step as it is recorded before it ends."""
    return replace(step, done=False, result=None)
