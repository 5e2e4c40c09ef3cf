"""Calls of agents that are nodes of their own: in their pool, with their attempts, while the agent's run has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.handlers.agents_at_work import NODE, AgentBench
from tests.handlers.bench import SOURCES
from tests.unit.invokers.agents.visits import Scripted

from workflow_runtime.deployment.topology import node_queue
from workflow_runtime.engine.awaited import PendingKind
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.errors import RequestError
from workflow_runtime.sdk import NodeContext, ToolError
from workflow_runtime.storage.records import Run, RunStatus

REFUND = {"tool": "refund", "effects": "once", "as": "node"}
LOST_SECONDS = 400  # longer than a lease, and than an order of a dead worker stays hidden


class Till:
    """What was done, and where."""

    def __init__(self) -> None:
        self.refunds: list[int] = []
        self.contexts: list[NodeContext] = []
        self.during: Callable[[], object] = lambda: None

    def refund(self, amount: int, context: NodeContext) -> str:
        self.contexts.append(context)
        self.refunds.append(amount)
        self.during()
        return f"refunded {amount}"

    def fail(self, error: ToolError) -> None:
        raise error

    def refuse(self, amount: int) -> str:
        raise ToolError("refused", f"not {amount}")

    def look(self, id: str) -> str:
        return f"order {id}"


@pytest.fixture
def till() -> Till:
    return Till()


Open = Callable[..., AgentBench]


@pytest.fixture(params=["embedded", "moto"])
def open_bench(request: pytest.FixtureRequest, tmp_path: Path, till: Till) -> Iterator[Open]:
    opened: list[AgentBench] = []

    def open_one(*turns: Any, names: tuple[str, ...] = ("refund", "refuse", "look"), **fields: Any) -> AgentBench:
        functions = {name: getattr(till, name) for name in names}
        bench = AgentBench(request.param, tmp_path, Scripted(*turns), functions, **fields)
        opened.append(bench)
        return bench

    yield open_one
    for bench in opened:
        bench.close()


def test_a_call_is_an_execution_below_the_agents_while_no_run_of_it_is_open(open_bench: Open, till: Till) -> None:
    bench = open_bench([("refund", {"amount": 5}), ("look", {"id": "a"})], "done", tools=[REFUND, "look"])
    till.during = lambda: statuses.append(bench.document(bench.id)["node_executions"]["a"]["status"])
    statuses: list[str] = []
    bench.begin()
    assert bench.output == "done"
    assert bench.model.told == ["refunded 5", "order a"]
    [context] = till.contexts
    child = bench.document(context.execution_id)
    assert (child["execution_id"], child["status"], child["output"]) != (bench.id, "completed", "refunded 5")
    assert (child["parent"]["execution_id"], child["parent"]["node"]) == (bench.id, "a/tools/1")
    assert context.path == "call"
    assert [context.idempotency_key.startswith(context.execution_id), len(statuses)] == [True, 1]


def test_what_fails_there_is_told_to_the_model(open_bench: Open) -> None:
    bench = open_bench([("refuse", {"amount": 5})], "sorry", tools=[{"tool": "refuse", "as": "node"}])
    bench.begin()
    assert bench.model.told == ["refused: not 5"]
    assert bench.output == "sorry"


def test_wrong_arguments_start_nothing_and_go_back_to_the_model(open_bench: Open, till: Till) -> None:
    wrong = [("refund", {"amount": "five"})]
    bench = open_bench(wrong, [("refund", {"amount": 5})], "done", tools=[{**REFUND, "limit": 1, "approve": True}])
    bench.begin()
    [asked] = bench.asked
    assert bench.runtime.approval_views.get(asked["id"])["data"] == {"amount": 5}
    bench.answer(asked)
    assert till.refunds == [5]
    assert bench.output == "done"


def test_arguments_that_an_approver_spoils_are_refused_at_once(open_bench: Open, till: Till) -> None:
    bench = open_bench([("refund", {"amount": 5})], "done", tools=[{**REFUND, "approve": True}])
    bench.begin()
    with pytest.raises(RequestError, match="does not match the form"):
        bench.answer(bench.asked[0], data={"amount": "five"})
    assert till.refunds == []
    bench.answer(bench.asked[0], data={"amount": 4})
    assert till.refunds == [4]
    assert bench.output == "done"


def test_a_call_has_the_pool_the_time_and_the_attempts_that_its_entry_says(open_bench: Open, till: Till) -> None:
    said = {"pool": "gpu", "timeout": "90s", "retry_policy": {"max_retries": 2, "retry_delay": 60, "jitter": "none"}}
    tool = {"tool": "refund", "effects": "idempotent", "as": "node", **said}
    bench = open_bench([("refund", {"amount": 5})], "done", tools=[tool])
    failures = [ToolError("busy", "later"), ToolError("busy", "later")]
    till.during = lambda: till.fail(failures.pop()) if failures else None
    bench.begin()
    child = till.contexts[0].execution_id
    plan = bench.runtime.stores.workflows.plan(bench.runtime.stores.executions.header(child).plan_hash)
    [node] = plan.blocks[0].nodes
    assert (node.pool, node.timeout_seconds, len(node.retry)) == ("gpu", 90, 1)
    assert bench.document(bench.id)["status"] == "running"
    bench.drain()
    assert bench.output == "done"
    assert bench.model.told == ["refunded 5"]
    assert [context.attempt for context in till.contexts] == [1, 2, 3]
    assert len({context.idempotency_key for context in till.contexts}) == 1


def test_an_agent_as_a_node_has_attempts_of_its_own(open_bench: Open) -> None:
    lawyer = Scripted("legal")
    said = {"as": "node", "timeout": "1m", "retry_policy": [{"max_retries": 1, "retry_delay": 1}]}
    others = {"lawyer": (lawyer, {"session": "${customer}"})}
    asks = [("lawyer", {"prompt": "legal?"})]
    bench = open_bench(asks, "done", others=others, names=(), tools=[{"agent": "lawyer", **said}])
    bench.begin()
    assert bench.output == "done"
    assert bench.model.told == ["legal"]
    assert bench.runtime.sessions.list().items == []  # a call has no session, whatever its agent says


def test_a_tool_that_is_called_once_has_no_second_attempt(open_bench: Open) -> None:
    tool = {"tool": "refuse", "as": "node", "retry_policy": {"max_retries": 1}}
    bench = open_bench([("refuse", {"amount": 5})], "sorry", tools=[tool])
    bench.begin()
    error = bench.document(bench.id)["error"]
    assert (error["type"], "not made again" in error["message"]) == ("validation_error", True)


def test_an_agent_as_a_node_has_steps_of_its_own(open_bench: Open) -> None:
    lawyer = {"lawyer": (Scripted([("look", {"id": "b"})], "legal"), {"description": "knows", "tools": ["look"]})}
    asks = [("lawyer", {"prompt": "legal?"})]
    bench = open_bench(asks, "done", others=lawyer, tools=[{"agent": "lawyer", "as": "node"}])
    bench.begin()
    assert bench.output == "done"
    assert bench.model.told == ["legal"]
    steps = [step.name for _, step in bench.runtime.stores.steps.told(bench.id, "a")]
    assert "agent:lawyer" in steps
    assert not [name for name in steps if name.startswith("agent:lawyer.")]
    why = bench.document(bench.id)["usage"]
    assert why["requests"] == 2  # of the agent itself; the lawyer's are its execution's


def test_an_agent_as_a_node_asks_people_itself(open_bench: Open, till: Till) -> None:
    buyer = {"buyer": (Scripted([("refund", {"amount": 7})], "paid"), {"tools": [{"tool": "refund", "approve": True}]})}
    bench = open_bench([("buyer", {"prompt": "pay"})], "done", others=buyer, tools=[{"agent": "buyer", "as": "node"}])
    bench.begin()
    child = child_of(bench)
    [asked] = bench.runtime.approval_views.of_execution(child)
    bench.answer(asked)
    assert till.refunds == [7]
    assert bench.output == "done"


def child_of(bench: AgentBench) -> str:
    """The execution of the only call that is under way."""
    stored = bench.runtime.stores.executions.load(bench.id)
    assert stored is not None
    [token] = [id for id, entry in stored.state.pending.items() if entry.kind is PendingKind.CHILD]
    return child_execution_id(bench.id, token, "w")


def test_cancelling_the_execution_cancels_what_it_calls(open_bench: Open) -> None:
    buyer = {"buyer": (Scripted([("refund", {"amount": 7})], "paid"), {"tools": [{"tool": "refund", "approve": True}]})}
    bench = open_bench([("buyer", {"prompt": "pay"})], "done", others=buyer, tools=[{"agent": "buyer", "as": "node"}])
    bench.begin()
    child = child_of(bench)
    bench.runtime.control.ask("cancel", bench.id)
    bench.settle()
    assert bench.document(child)["status"] == "cancelled"


def begin_and_lose(bench: AgentBench) -> None:
    """Start it; the worker that begins the call dies, and is given up."""
    bench.id = bench.start(NODE, {"q": "x"})
    queues = [queue for queue in SOURCES if queue != node_queue("tool")]
    while sum(bench.deliver(queue) for queue in queues):
        pass
    now = bench.clock.now()
    dead = Run(path="call", serial=1, status=RunStatus.RUNNING, owner="dead", started_at=now, lease_until=now + 90_000)
    assert bench.runtime.stores.runs.claim(child_of(bench), dead)
    bench.pass_time(LOST_SECONDS)
    bench.settle()


@pytest.mark.parametrize(("happened", "refunds"), [(True, []), (False, [5])])
def test_of_a_call_that_must_not_happen_twice_people_say_whether_it_did(
    open_bench: Open, till: Till, happened: bool, refunds: list[int]
) -> None:
    bench = open_bench([("refund", {"amount": 5})], "done", tools=[REFUND])
    begin_and_lose(bench)
    assert till.refunds == []
    [asked] = bench.asked
    assert (asked["kind"], asked["tool"]) == ("effect", "refund")
    bench.answer(asked, happened, data={"result": "R-1"} if happened else None)
    assert till.refunds == refunds
    assert bench.model.told == (["R-1"] if happened else ["refunded 5"])
    assert bench.output == "done"


def test_on_unknown_fail_ends_the_agent(open_bench: Open, till: Till) -> None:
    bench = open_bench([("refund", {"amount": 5})], "done", tools=[{**REFUND, "on_unknown": "fail"}])
    begin_and_lose(bench)
    assert till.refunds == []
    assert bench.document(bench.id)["error"]["type"] == "effect_unknown"


def test_on_unknown_retry_makes_it_again(open_bench: Open, till: Till) -> None:
    bench = open_bench([("refund", {"amount": 5})], "done", tools=[{**REFUND, "on_unknown": "retry"}])
    begin_and_lose(bench)
    assert till.refunds == [5]
    assert bench.output == "done"


def test_a_call_that_may_be_repeated_is_repeated_by_its_node(open_bench: Open, till: Till) -> None:
    bench = open_bench([("refund", {"amount": 5})], "done", tools=[{**REFUND, "effects": "idempotent"}])
    begin_and_lose(bench)
    assert till.refunds == [5]
    assert bench.model.told == ["refunded 5"]
    assert till.contexts[0].attempt == 2
