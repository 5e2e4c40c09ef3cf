"""Agents at work behind the real handlers: a scripted model, tools of their own, and people who answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic_ai.models.function import FunctionModel
from tests.handlers.bench import Bench
from tests.unit.invokers.agents.visits import Scripted

from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.invocation import Invoker
from workflow_runtime.invokers.tools.invoker import ToolInvoker
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.invokers.tools.tool import describe
from workflow_runtime.plan.specs import NodeType

NO_OTHERS: Mapping[str, tuple[Scripted, dict[str, Any]]] = {}
NODE = '    - {id: a, type: agent, agent: a, inputs: {q: "${q}"}}\n'


def invokers_of(
    folder: Path,
    model: Scripted,
    functions: Mapping[str, Callable[..., Any]],
    clock: Any,
    others: Mapping[str, tuple[Scripted, dict[str, Any]]],
    **fields: Any,
) -> dict[NodeType, Invoker]:
    """What runs the agent ``a``, which says ``fields`` of itself, its tools, and the agents that it calls."""
    models = {"x": model}
    for id, (other, said) in others.items():
        models[id] = other
        (folder / f"{id}.yaml").write_text(repr({"id": id, "model": f"openai:{id}", **said}))
    (folder / "a.yaml").write_text(repr({"id": "a", "model": "openai:x", "tools": list(functions), **fields}))
    registry = ToolRegistry(describe(function, id, "") for id, function in functions.items())
    tool_invoker = ToolInvoker(registry, clock)
    agents = AgentInvoker(
        AgentRegistry.load(folder),
        lambda chosen: FunctionModel(models[chosen.model.partition(":")[2]]),
        registry,
        tool_invoker,
    )
    return {NodeType.AGENT: agents, NodeType.TOOL: tool_invoker}


class AgentBench(Bench):
    """A bench with one agent, in the node ``a`` of the workflow ``w``."""

    def __init__(
        self,
        name: str,
        folder: Path,
        model: Scripted,
        functions: Mapping[str, Callable[..., Any]],
        others: Mapping[str, tuple[Scripted, dict[str, Any]]] = NO_OTHERS,
        **fields: Any,
    ) -> None:
        super().__init__(name)
        self.model = model
        self.invokers = invokers_of(folder, model, functions, self.clock, others, **fields)
        self.runtime = self.runtime_on(self.backend.ports)

    def begin(self, nodes: str = NODE) -> str:
        """Start it, and deliver what there is to deliver."""
        self.id = self.start(nodes, {"q": "你好"})
        self.settle()
        return self.id

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The open approvals, in the order in which they were asked."""
        return list(self.runtime.approval_views.of_execution(self.id))

    def answer(self, approval: Mapping[str, Any], approved: bool = True, **said: Any) -> None:
        self.runtime.approvals.answer(approval["id"], approved, **said)
        self.settle()

    @property
    def output(self) -> Any:
        """What the execution yields, which has completed."""
        document = self.document(self.id)
        assert document["status"] == "completed", document
        return document["output"]

    def complete(self, token: str, output: Any) -> None:
        """Somebody completes a task token."""
        self.runtime.tasks.complete(token, output)
        self.settle()
