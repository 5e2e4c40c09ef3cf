"""Agents that are published while executions run: what new visits take, and what those go on with that have begun."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.models.function import FunctionModel
from tests.handlers.bench import Bench
from tests.unit.invokers.agents.visits import Scripted

from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.tools.invoker import ToolInvoker
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.invokers.tools.tool import describe
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.services.looks import SEEN_MS

BACKENDS = ("embedded", "moto")
NODE = '    - {id: a, type: agent, agent: a, inputs: {q: "${q}"}}\n'


class PublishingBench(Bench):
    """A bench whose workers know the agent ``a`` of a file, and those that are published. Each model answers with its
    own name, once it was approved to call ``pay``, if its agent has that."""

    def __init__(self, name: str, folder: Path, reach: Reach = LOCAL_REACH) -> None:
        super().__init__(name)
        (folder / "a.yaml").write_text("{id: a, model: 'openai:packaged'}")
        self.asked: list[str] = []
        registry = ToolRegistry([describe(lambda amount: amount, "pay", "")])
        tools = ToolInvoker(registry, self.clock)
        agents = AgentInvoker(AgentRegistry.load(folder, self), self._model, registry, tools, reach)
        self.invokers = {NodeType.AGENT: agents, NodeType.TOOL: tools}
        self.runtime = self.runtime_on(self.backend.ports)

    def _model(self, choice: Any) -> FunctionModel:
        self.asked.append(choice.name)
        pays = choice.name.startswith("pays")
        return FunctionModel(Scripted(*([[("pay", {"amount": 1})]] if pays else []), f"said by {choice.name}"))

    @property
    def ids(self) -> Collection[str]:
        return self.runtime.published_agents.ids

    def latest(self, id: str) -> int | None:
        return self.runtime.published_agents.latest(id)

    def source(self, id: str, version: int) -> bytes:
        return self.runtime.published_agents.source(id, version)

    def publish(self, source: str) -> None:
        """By another process, which tells this one nothing."""
        other = self.runtime_on(self.backend.ports)
        checked = other.agents.check(source.encode())
        other.agents.publish(checked.agent_id, source.encode(), lambda _: True)

    def output(self, id: str) -> Any:
        return self.runtime.documents.document(id)["output"]


Opened = Callable[..., PublishingBench]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    benches: list[PublishingBench] = []

    def opens(name: str = "embedded", reach: Reach = LOCAL_REACH) -> PublishingBench:
        benches.append(PublishingBench(name, tmp_path, reach))
        return benches[-1]

    yield opens
    for bench in benches:
        bench.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_worker_runs_what_was_published_within_seconds(name: str, opened: Opened) -> None:
    bench = opened(name)
    first = bench.start(NODE, {"q": 1})
    bench.drain()
    bench.publish("{id: a, model: 'openai:new'}")
    bench.pass_time(SEEN_MS // 1000 + 1)
    second = bench.start(NODE, {"q": 2})
    bench.drain()
    bench.runtime.agents.remove("a", lambda _: True)
    third = bench.start(NODE, {"q": 3})
    bench.drain()
    assert [bench.output(id) for id in (first, second, third)] == [
        "said by packaged",
        "said by new",
        "said by packaged",
    ]


@pytest.mark.parametrize("name", BACKENDS)
def test_a_visit_goes_on_with_the_definition_that_it_began_with(name: str, opened: Opened) -> None:
    bench = opened(name)
    bench.publish("{id: a, model: 'openai:pays-1', tools: [{tool: pay, approve: true}]}")
    waiting = bench.start(NODE, {"q": 1})
    bench.settle()
    bench.publish("{id: a, model: 'openai:other'}")
    bench.pass_time(SEEN_MS // 1000 + 1)
    [asked] = bench.runtime.approval_views.of_execution(waiting)
    bench.runtime.approvals.answer(asked["id"], True)
    bench.settle()
    assert bench.output(waiting) == "said by pays-1"
    after = bench.start(NODE, {"q": 2})
    bench.settle()
    assert bench.output(after) == "said by other"


@pytest.mark.parametrize("then", ["deleted", "elsewhere"])
def test_a_visit_goes_on_although_its_agent_is_deleted_or_is_where_it_may_not_be(then: str, opened: Opened) -> None:
    bench = opened(reach=Reach(http=("models.example.com",)))
    bench.publish("{id: b, model: 'openai:pays-1', tools: [{tool: pay, approve: true}]}")
    waiting = bench.start(NODE.replace("agent: a,", "agent: b,"), {"q": 1})
    bench.settle()
    if then == "deleted":
        bench.runtime_on(bench.backend.ports).agents.remove("b", lambda _: True)
    else:
        bench.publish("{id: b, model: 'openai:other', base_url: 'http://127.0.0.1:9/v1'}")
    bench.pass_time(SEEN_MS // 1000 + 1)
    [asked] = bench.runtime.approval_views.of_execution(waiting)
    bench.runtime.approvals.answer(asked["id"], True)
    bench.settle()
    assert bench.output(waiting) == "said by pays-1"


@pytest.mark.parametrize("then", ["deleted", "described"])
def test_a_visit_goes_on_although_an_agent_that_it_may_call_is_another_one(then: str, opened: Opened) -> None:
    bench = opened()
    bench.publish("{id: helper, model: 'openai:x', description: helps}")
    bench.publish("{id: b, model: 'openai:pays-1', tools: [{tool: pay, approve: true}, {agent: helper}]}")
    waiting = bench.start(NODE.replace("agent: a,", "agent: b,"), {"q": 1})
    bench.settle()
    if then == "deleted":
        bench.runtime_on(bench.backend.ports).agents.remove("helper", lambda _: True, force=True)
    else:
        bench.publish("{id: helper, model: 'openai:x', description: helps otherwise}")
    bench.pass_time(SEEN_MS // 1000 + 1)
    [asked] = bench.runtime.approval_views.of_execution(waiting)
    bench.runtime.approvals.answer(asked["id"], True)
    bench.settle()
    assert bench.output(waiting) == "said by pays-1"


def test_a_published_agent_sends_nothing_to_a_place_that_is_not_allowed(opened: Opened) -> None:
    bench = opened(reach=Reach(http=("models.example.com",)))
    bench.publish("{id: a, model: 'openai:x', base_url: 'http://169.254.169.254/v1', credentials: '${secrets.TOKEN}'}")
    ended = bench.start(NODE, {"q": 1})
    bench.drain()
    error = bench.runtime.documents.document(ended)["error"]
    assert error["type"] == "not_allowed"
    assert "169.254.169.254" in error["message"]
    assert "TOOLS_HTTP_ALLOW" in error["message"]
    assert bench.asked == []


def test_where_the_files_of_a_deployment_say_its_models_are_is_its_own_affair(opened: Opened, tmp_path: Path) -> None:
    bench = opened(reach=Reach())
    (tmp_path / "a.yaml").write_text("{id: a, model: 'openai:own', base_url: 'http://127.0.0.1:9/v1'}")
    ended = bench.start(NODE, {"q": 1})
    bench.drain()
    assert bench.output(ended) == "said by own"


def test_a_definition_that_this_version_cannot_read_is_tried_again_and_no_failure(opened: Opened) -> None:
    """During a deployment, a worker of the version before may meet what a newer API has published."""
    bench = opened()
    newer = b"{id: a, model: 'openai:x', of_the_future: true}"
    entry = bench.runtime.agents.check(b"{id: a, model: 'openai:x'}").entry
    bench.runtime.stores.agents.publish("a", "digest", newer, entry, bench.clock.now(), 0)
    waiting = bench.start(NODE, {"q": 1})
    bench.settle()
    assert bench.runtime.documents.status(waiting).value == "running"
    bench.publish("{id: a, model: 'openai:known'}")
    bench.drain()
    assert bench.output(waiting) == "said by known"
