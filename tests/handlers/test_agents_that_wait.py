"""Agents that wait for people, task tokens and their next run, whatever becomes of their workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.handlers.agents_at_work import NODE, AgentBench
from tests.unit.invokers.agents.visits import Scripted

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.recording import first_deviation
from workflow_runtime.errors import RequestError
from workflow_runtime.sdk import NodeContext, pending
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.steps import Step, Visit

REFUNDS = [("refund", {"amount": 50}), ("refund", {"amount": 500})]
APPROVED = {"tool": "refund", "approve": "${args.amount > 100}"}


class Till:
    """What was done."""

    def __init__(self) -> None:
        self.refunds: list[int] = []
        self.tokens: list[str] = []
        self.on_token: Callable[[str], object] = lambda _: None

    def refund(self, amount: int) -> str:
        self.refunds.append(amount)
        return f"refunded {amount}"

    def look(self, id: str) -> str:
        return f"order {id}"

    def courier(self, context: NodeContext) -> Any:
        self.tokens.append(context.task_token)
        self.on_token(context.task_token)
        return pending(timeout="10m")


@pytest.fixture
def till() -> Till:
    return Till()


Open = Callable[..., AgentBench]


@pytest.fixture(params=["embedded", "moto"])
def open_bench(request: pytest.FixtureRequest, tmp_path: Path, till: Till) -> Iterator[Open]:
    opened: list[AgentBench] = []

    def open_one(*turns: Any, names: tuple[str, ...] = ("refund",), **fields: Any) -> AgentBench:
        functions = {name: getattr(till, name) for name in names}
        bench = AgentBench(request.param, tmp_path, Scripted(*turns), functions, **fields)
        opened.append(bench)
        return bench

    yield open_one
    for bench in opened:
        assert first_deviation(bench.runtime.recordings.whole(bench.id)) is None
        bench.close()


def test_only_the_calls_that_somebody_has_to_approve_wait(open_bench: Open, till: Till) -> None:
    bench = open_bench(REFUNDS, "done", tools=[APPROVED])
    bench.begin()
    assert till.refunds == [50]
    [asked] = bench.asked
    assert (asked["kind"], asked["tool"], asked["path"]) == ("tool", "refund", "a")
    assert asked["prompt"] == "The agent a asks to call refund."
    assert bench.runtime.approval_views.get(asked["id"])["data"] == {"amount": 500}
    bench.answer(asked, by="li")
    assert till.refunds == [50, 500]
    assert bench.model.told == ["refunded 50", "refunded 500"]
    assert bench.output == "done"
    assert len(bench.model.asked) == 2


def test_what_is_rejected_is_not_done_and_the_model_is_told(open_bench: Open, till: Till) -> None:
    bench = open_bench(REFUNDS, "sorry", tools=[APPROVED])
    bench.begin()
    bench.answer(bench.asked[0], approved=False, by="li", comment="too much")
    assert till.refunds == [50]
    assert bench.model.told == ["refunded 50", "rejected: li rejected the call: too much"]
    assert bench.output == "sorry"


def test_whoever_approves_may_change_the_arguments(open_bench: Open, till: Till) -> None:
    bench = open_bench(REFUNDS, "done", tools=[APPROVED])
    bench.begin()
    bench.answer(bench.asked[0], data={"amount": 120})
    assert till.refunds == [50, 120]
    assert bench.output == "done"


def test_sequential_and_parallel_approvals_answered_in_reverse_order(open_bench: Open, till: Till) -> None:
    """Each process forgets everything: what is known is in the table."""
    pair = [("refund", {"amount": 300}), ("refund", {"amount": 400})]
    bench = open_bench([("refund", {"amount": 200})], [("refund", {"amount": 250})], pair, "done", tools=[APPROVED])
    bench.begin()
    bench.answer(bench.asked[0])
    bench.answer(bench.asked[0])
    assert till.refunds == [200, 250]
    first, second = bench.asked
    bench.answer(second)
    assert till.refunds == [200, 250]  # the agent goes on when both are in
    bench.answer(first)
    assert sorted(till.refunds) == [200, 250, 300, 400]
    assert bench.model.told[-2:] == ["refunded 300", "refunded 400"]
    assert bench.output == "done"
    assert len(bench.model.asked) == 4


def test_the_same_call_asked_for_twice_is_approved_twice(open_bench: Open, till: Till) -> None:
    turn = [("refund", {"amount": 500})]
    bench = open_bench(turn, turn, "done", tools=[APPROVED])
    bench.begin()
    bench.answer(bench.asked[0])
    [again] = bench.asked
    assert till.refunds == [500]
    bench.answer(again, approved=False)
    assert till.refunds == [500]


def test_an_approval_counts_once_and_nobody_forges_one(open_bench: Open, till: Till) -> None:
    bench = open_bench(REFUNDS, "done", tools=[APPROVED])
    bench.begin()
    [asked] = bench.asked
    for forged in (f"{bench.id}.{999}", f"{bench.id}.-1", "other.1", asked["id"] + "0"):
        with pytest.raises(RequestError):
            bench.runtime.approvals.answer(forged, True)
    bench.answer(asked, approved=False)
    with pytest.raises(RequestError, match="too late"):
        bench.runtime.approvals.answer(asked["id"], True)
    bench.settle()
    assert till.refunds == [50]


def test_an_expression_sees_what_was_called_before(open_bench: Open, till: Till) -> None:
    rule = {"tool": "refund", "approve": "any_of(steps, item.tool == 'look')"}
    refund = [("refund", {"amount": 1})]
    bench = open_bench(refund, [("look", {"id": "7"})], refund, "done", names=("refund", "look"), tools=[rule, "look"])
    bench.begin()
    assert till.refunds == [1]
    assert len(bench.asked) == 1


def test_a_call_may_be_ended_by_somebody_else(open_bench: Open, till: Till) -> None:
    bench = open_bench([("courier", {}), ("look", {"id": "7"})], "done", names=("courier", "look"))
    bench.begin()
    [token] = till.tokens
    [waiting] = bench.runtime.explanations.why(bench.id, 10).waits
    assert waiting.waiting_on == "callback"
    bench.complete(token, {"delivered": "是"})
    assert bench.model.told == [{"delivered": "是"}, "order 7"]
    assert bench.output == "done"
    assert len(till.tokens) == 1
    with pytest.raises(RequestError):
        bench.runtime.tasks.complete(token, "again, and otherwise")


def test_a_call_that_nobody_ends_fails_in_time(open_bench: Open, till: Till) -> None:
    bench = open_bench([("courier", {})], "gave up", names=("courier",))
    bench.begin()
    bench.pass_time(601)
    bench.settle()
    assert bench.model.told == ["timeout: its task token was not completed in time"]
    assert bench.output == "gave up"
    with pytest.raises(RequestError):
        bench.runtime.tasks.complete(till.tokens[0], "late")


def test_a_call_that_is_ended_while_its_turn_still_runs_has_ended(open_bench: Open, till: Till) -> None:
    bench = open_bench([("courier", {})], [("look", {"id": "7"})], "done", names=("courier", "look"))
    till.on_token = lambda token: bench.runtime.tasks.complete(token, "fast")
    bench.begin()
    assert bench.output == "done"
    assert bench.model.told == ["fast", "order 7"]


def test_an_agent_that_waits_can_be_suspended_and_cancelled(open_bench: Open, till: Till) -> None:
    bench = open_bench(REFUNDS, "done", tools=[APPROVED])
    bench.begin()
    [asked] = bench.asked
    bench.runtime.control.ask("suspend", bench.id)
    bench.settle()
    bench.answer(asked)
    assert till.refunds == [50]
    bench.runtime.control.ask("resume", bench.id)
    bench.settle()
    assert till.refunds == [50, 500]
    assert bench.output == "done"


def test_what_a_cancelled_agent_asked_is_not_asked_any_more(open_bench: Open, till: Till) -> None:
    bench = open_bench(REFUNDS, "done", tools=[APPROVED])
    bench.begin()
    [asked] = bench.asked
    bench.runtime.control.ask("cancel", bench.id)
    bench.settle()
    assert bench.asked == []
    assert bench.document(bench.id)["status"] == "cancelled"
    with pytest.raises(RequestError):
        bench.runtime.approvals.answer(asked["id"], True)
    assert till.refunds == [50]


def test_an_agent_of_two_hours_crosses_nine_deadlines(tmp_path: Path) -> None:
    """Each turn takes 100 seconds; a function has 900."""
    turns = [[("look", {"id": str(number)})] for number in range(81)]
    clocks: list[Any] = []
    looks: list[str] = []

    def look(id: str) -> str:
        looks.append(id)
        clocks[0].advance_to(clocks[0].now() + 100_000)
        return id

    bench = AgentBench("embedded", tmp_path, Scripted(*turns, "done"), {"look": look}, limits={"requests": 100})
    clocks.append(bench.clock)
    began = bench.clock.now()
    bench.begin(NODE.replace("agent: a", "agent: a, timeout: 3h"))
    bench.drain()
    assert bench.output == "done"
    assert looks == [str(number) for number in range(81)]
    assert len(bench.model.asked) == 82
    assert bench.clock.now() - began >= 8_100_000
    run = bench.document(bench.id)["node_executions"]["a"]
    assert (run["attempts"], len(bench.runtime.stores.runs.list(bench.id))) == (1, 10)
    bench.close()


def test_the_runs_of_an_attempt_have_its_timeout_together(tmp_path: Path) -> None:
    clocks: list[Any] = []

    def look(id: str) -> str:
        clocks[0].advance_to(clocks[0].now() + 100_000)
        return id

    turns = [[("look", {"id": str(number)})] for number in range(40)]
    bench = AgentBench("embedded", tmp_path, Scripted(*turns, "done"), {"look": look})
    clocks.append(bench.clock)
    bench.begin(NODE.replace("agent: a", "agent: a, timeout: 30m"))
    bench.drain()
    document = bench.document(bench.id)
    assert (document["status"], document["error"]["type"]) == ("failed", "timeout")
    assert 18 <= len(bench.model.asked) <= 19
    bench.close()


def test_a_call_of_a_workflow_is_an_execution_of_its_own(open_bench: Open) -> None:
    bench = open_bench([("deep", {"x": 3})], "done", names=(), tools=[{"workflow_id": "deep"}])
    source = "workflow:\n  id: deep\n  input_schema: {type: object, properties: {x: {type: integer}}}\n  nodes:\n"
    node = '    - {id: p, type: control, subtype: pass, inputs: {twice: "${x * 2}"}}\n'
    bench.runtime.catalog.publish((source + node).encode())
    bench.begin()
    assert bench.model.told == [{"twice": 6}]
    assert bench.output == "done"


def test_a_workflow_that_there_is_not_fails_its_call(open_bench: Open) -> None:
    bench = open_bench([("deep", {})], "sorry", names=(), tools=[{"workflow_id": "deep"}])
    bench.begin()
    [told] = bench.model.told
    assert told.startswith("not_found: ")
    assert bench.output == "sorry"


LAWYER = ([("refund", {"amount": 1})], [("refund", {"amount": 2})], "it is legal")
ASK_LAWYER = [("lawyer", {"prompt": "is it legal?"})]


def test_approvals_in_a_row_of_an_agent_that_an_agent_calls_are_its_own(open_bench: Open, till: Till) -> None:
    lawyer = Scripted(*LAWYER)
    others = {"lawyer": (lawyer, {"tools": [{"tool": "refund", "approve": True}]})}
    bench = open_bench(ASK_LAWYER, "done", tools=[{"agent": "lawyer"}], others=others)
    bench.begin()
    bench.answer(bench.asked[0])
    assert till.refunds == [1]
    bench.answer(bench.asked[0])
    assert till.refunds == [1, 2]
    assert bench.model.told == ["it is legal"]
    assert bench.output == "done"
    assert (len(bench.model.asked), len(lawyer.asked)) == (2, 3)


def test_two_agents_that_are_called_at_once_do_not_take_each_others_answers(open_bench: Open, till: Till) -> None:
    turns = ([("refund", {"amount": 5})], "done")
    said = {"tools": [{"tool": "refund", "approve": True}]}
    others = {"left": (Scripted(*turns), said), "right": (Scripted(*turns), said)}
    both = [("left", {"prompt": "l"}), ("right", {"prompt": "r"})]
    bench = open_bench(both, "done", tools=[{"agent": "left"}, {"agent": "right"}], others=others)
    bench.begin()
    left, right = bench.asked
    bench.answer(right, approved=False)
    bench.answer(left)
    assert till.refunds == [5]
    assert [len(model.asked) for model, _ in others.values()] == [2, 2]
    assert bench.output == "done"


def test_what_a_called_agent_uses_counts_once_for_the_one_that_calls(open_bench: Open) -> None:
    others = {"lawyer": (Scripted("it is legal"), {})}
    bench = open_bench(ASK_LAWYER, "done", names=(), tools=[{"agent": "lawyer"}], others=others)
    bench.begin()
    usage = bench.document(bench.id)["node_executions"]["a"]["usage"]
    assert usage["requests"] == 3


def test_a_rule_may_demand_an_approval(open_bench: Open, till: Till) -> None:
    rules = [{"require": "approve", "before": "refund", "when": "args.amount > 100"}]
    bench = open_bench(REFUNDS, "done", rules=rules)
    bench.begin()
    assert (till.refunds, len(bench.asked)) == ([50], 1)


def test_it_is_told_all_that_an_agent_waits_for(open_bench: Open) -> None:
    turn = [("refund", {"amount": 500}), ("courier", {}), ("deep", {})]
    tools = [APPROVED, "courier", {"workflow_id": "deep"}]
    bench = open_bench(turn, "done", names=("refund", "courier"), tools=tools)
    node = "    - {id: p, type: control, subtype: approval}\n"
    bench.runtime.catalog.publish(f"workflow:\n  id: deep\n  nodes:\n{node}".encode())
    bench.begin()
    [waiting] = bench.runtime.explanations.why(bench.id, 10).waits
    assert waiting.waiting_on == "approval"
    people, token, execution = waiting.moves.split("; and ")
    assert people.startswith("an answer of whoever may call the API")
    assert token.startswith("whoever has its task token")
    assert execution.endswith("an execution of `deep`")


def test_what_is_large_is_shown_whole_and_arrives_whole(open_bench: Open, till: Till) -> None:
    text = "信" * 50_000
    tools = [{"tool": "look", "approve": True}, "courier"]
    turns = ([("look", {"id": text}), ("courier", {})], "done")
    bench = open_bench(*turns, names=("look", "courier"), tools=tools)
    bench.begin()
    [asked] = bench.asked
    assert bench.runtime.approval_views.get(asked["id"])["data"] == {"id": text}
    bench.complete(till.tokens[0], {"text": text})
    bench.answer(asked, data={"id": text + "!"})
    assert bench.model.told == [f"order {text}!", {"text": text}]
    assert bench.output == "done"


def test_agents_in_passes_of_a_loop_wait_each_for_its_own(open_bench: Open, till: Till) -> None:
    body = '{id: a, type: agent, agent: a, inputs: {q: "${item}"}}'
    node = f"    - {{id: each, type: control, subtype: loop, items: [1, 2], max_concurrency: 2, body: [{body}]}}\n"
    bench = open_bench([("refund", {"amount": 500})], "done", tools=[APPROVED])
    bench.begin(node)
    first, second = bench.asked
    assert {first["path"], second["path"]} == {"each[0]/a", "each[1]/a"}
    bench.answer(second, approved=False)
    assert till.refunds == []
    bench.answer(first)
    assert till.refunds == [500]
    assert bench.output == ["done", "done"]


def test_what_a_lost_worker_has_paid_for_is_told(open_bench: Open) -> None:
    bench = open_bench([("look", {"id": "a"})], "done", names=("look",))
    bench.id = bench.start(NODE, {"q": "x"})
    lost = Visit(bench.id, "a", 1, 1)
    usage = {"model": "m", "input_tokens": 7, "output_tokens": 3, "usd": 0.5}
    stores, now = bench.runtime.stores, bench.clock.now()
    dead = Run(path="a", serial=1, status=RunStatus.RUNNING, owner="dead", started_at=now, lease_until=now + 90_000)
    bench.deliver(DISPATCH)
    assert stores.runs.claim(bench.id, dead)
    stores.steps.record(lost, Step(name="agent:b.1/model", ordinal=1, usage=usage, serial=1))
    bench.pass_time(400)
    bench.settle()
    assert bench.output == "done"
    used = bench.document(bench.id)["node_executions"]["a"]["usage"]
    assert (used["requests"], used["usd"]) == (3, 0.5)
    assert used["input_tokens"] > 7


PEOPLE = {"assignees": ["${inputs.q}", "li"], "timeout": "10m"}
NAMED = {"tool": "refund", "approve": {"when": "args.amount > 100", **PEOPLE}}


def test_only_those_who_are_named_approve_a_call(open_bench: Open, till: Till) -> None:
    bench = open_bench(REFUNDS, "done", tools=[NAMED])
    bench.begin()
    [asked] = bench.asked
    assert asked["assignees"] == ["你好", "li"]
    with pytest.raises(RequestError, match="not among those who are asked"):
        bench.runtime.approvals.answer(asked["id"], True, by="wang")
    bench.answer(asked, by="li")
    assert till.refunds == [50, 500]
    assert bench.output == "done"
    bench.pass_time(700)
    bench.drain()
    assert till.refunds == [50, 500]


def test_a_call_that_nobody_approves_in_time_is_not_made(open_bench: Open, till: Till) -> None:
    bench = open_bench(REFUNDS, "sorry", tools=[NAMED])
    bench.begin()
    [asked] = bench.asked
    bench.pass_time(601)
    bench.drain()
    assert till.refunds == [50]
    assert bench.model.told == ["refunded 50", "timeout: nobody decided in time"]
    assert bench.output == "sorry"
    assert bench.runtime.approval_views.get(asked["id"])["status"] == "timeout"
    with pytest.raises(RequestError, match="run out of time"):
        bench.runtime.approvals.answer(asked["id"], True, by="li")


def test_names_that_come_to_nobody_let_nobody_in(open_bench: Open, till: Till) -> None:
    tool = {"tool": "refund", "approve": {"assignees": "${args.nobody}"}}
    bench = open_bench(REFUNDS, "done", tools=[tool])
    bench.begin()
    assert bench.document(bench.id)["error"]["type"] == "validation_error"
    assert till.refunds == []
