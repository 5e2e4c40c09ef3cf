"""Calls of agents that people approve: by the rules that approval nodes have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.handlers.agents_at_work import AgentBench
from tests.unit.invokers.agents.visits import Scripted

from workflow_runtime.engine.recording import first_deviation
from workflow_runtime.errors import RequestError

TWO = ["ann", "李雷"]
CALL = [("refund", {"amount": 500})]
Open = Callable[..., AgentBench]


class Till:
    def __init__(self) -> None:
        self.refunds: list[int] = []

    def refund(self, amount: int) -> str:
        self.refunds.append(amount)
        return f"refunded {amount}"


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture(params=["embedded", "moto"])
def open_bench(request: pytest.FixtureRequest, tmp_path: Path, till: Till) -> Iterator[Open]:
    opened: list[AgentBench] = []

    def open_one(turn: Any = CALL, **approve: Any) -> AgentBench:
        tool = {"tool": "refund", "approve": approve}
        bench = AgentBench(request.param, tmp_path, Scripted(turn, "done"), {"refund": till.refund}, tools=[tool])
        opened.append(bench)
        bench.begin()
        return bench

    yield open_one
    for bench in opened:
        assert first_deviation(bench.runtime.recordings.whole(bench.id)) is None
        bench.close()


def error_of(bench: AgentBench) -> Any:
    return bench.document(bench.id)["error"]


def test_a_quorum_has_to_approve(open_bench: Open, till: Till) -> None:
    bench = open_bench(assignees=TWO, quorum=2, prompt="Refund ${args.amount} for ${inputs.q}?")
    [asked] = bench.asked
    assert (asked["quorum"], asked["prompt"]) == (2, "Refund 500 for 你好?")
    bench.answer(asked, by="ann")
    assert till.refunds == []
    with pytest.raises(RequestError, match="second answer is refused"):
        bench.runtime.approvals.answer(asked["id"], False, by="ann")
    bench.answer(asked, by="李雷")
    assert till.refunds == [500]
    assert bench.output == "done"


def test_without_a_veto_one_rejection_is_not_enough_and_may_be_taken_back(open_bench: Open, till: Till) -> None:
    bench = open_bench(assignees=[*TWO, "bob"], quorum=2, veto=False, second_answer="replace")
    [asked] = bench.asked
    bench.answer(asked, approved=False, by="ann")
    bench.answer(asked, by="bob")
    assert bench.asked
    bench.answer(asked, by="ann")
    assert till.refunds == [500]


def test_others_are_asked_when_it_takes_long(open_bench: Open, till: Till) -> None:
    bench = open_bench(assignees="ann", escalate_after="10m", escalate_to=["${inputs.q}"], timeout="1h")
    [asked] = bench.asked
    assert asked["escalates_at"] is not None
    with pytest.raises(RequestError, match="not among those"):
        bench.runtime.approvals.answer(asked["id"], True, by="你好")
    bench.pass_time(601)
    bench.settle()
    assert bench.asked[0]["assignees"] == ["ann", "你好"]
    bench.answer(asked, by="你好")
    assert till.refunds == [500]
    bench.pass_time(4000)
    bench.settle()
    assert bench.output == "done"


def test_what_is_changed_must_fit_the_tool(open_bench: Open, till: Till) -> None:
    bench = open_bench()
    [asked] = bench.asked
    shown = bench.runtime.approval_views.get(asked["id"])
    assert (shown["data"], shown["form"]["properties"]["amount"]["type"]) == ({"amount": 500}, "integer")
    for wrong in ({"amount": "much"}, 7, {"amount": 1, "to": "me"}):
        with pytest.raises(RequestError, match="does not match the form"):
            bench.runtime.approvals.answer(asked["id"], True, data=wrong)
    bench.answer(asked, data={"amount": 120})
    assert till.refunds == [120]


@pytest.mark.parametrize("padding", [0, 3_000])
def test_a_form_of_its_own_holds_what_is_approved(open_bench: Open, till: Till, padding: int) -> None:
    """However large: what is, is stored apart."""
    amount = {"type": "integer", "maximum": 300, "description": "x" * padding}
    form = {"type": "object", "properties": {"amount": amount}}
    bench = open_bench(form=form)
    [asked] = bench.asked
    assert bench.runtime.approval_views.get(asked["id"])["form"] == form
    with pytest.raises(RequestError, match="does not match the form"):
        bench.runtime.approvals.answer(asked["id"], True)
    bench.answer(asked, data={"amount": 300})
    assert till.refunds == [300]
    assert bench.output == "done"


@pytest.mark.parametrize("may", [True, False])
def test_who_is_asked_may_name_another_unless_it_says_otherwise(open_bench: Open, till: Till, may: bool) -> None:
    bench = open_bench(assignees=["ann"], delegate=may)
    [asked] = bench.asked
    if not may:
        with pytest.raises(RequestError, match="cannot be delegated"):
            bench.runtime.approvals.delegate(asked["id"], "bob", by="ann")
        return
    bench.runtime.approvals.delegate(asked["id"], "bob", by="ann")
    bench.settle()
    bench.answer(asked, by="bob")
    assert till.refunds == [500]


def test_a_rejection_may_fail_the_attempt(open_bench: Open, till: Till) -> None:
    bench = open_bench(on_reject="fail")
    bench.answer(bench.asked[0], approved=False, by="li", comment="no")
    assert (error_of(bench)["type"], till.refunds) == ("rejected", [])
    assert "li rejected the call: no" in error_of(bench)["message"]
    assert len(bench.model.asked) == 1


def test_silence_may_fail_the_attempt(open_bench: Open, till: Till) -> None:
    bench = open_bench(timeout="${args.amount}", on_timeout="fail")
    bench.pass_time(501)
    bench.settle()
    assert (error_of(bench)["type"], till.refunds) == ("timeout", [])


@pytest.mark.parametrize(
    ("approve", "type", "words"),
    [
        ({"assignees": ["${args.nobody}"]}, "validation_error", "`assignees` is not a list of names"),
        ({"quorum": "${args.amount}"}, "validation_error", "`quorum` is not a whole number"),
        ({"assignees": "ann", "quorum": "${args.amount - 498}"}, "validation_error", "only 1 can answer"),
        ({"timeout": "${inputs.q}"}, "execution_error", "not a duration"),
        ({"prompt": "${args.amount.x + 1}"}, "execution_error", "`approve` of the tool 'refund'"),
    ],
)
def test_what_cannot_be_asked_fails_the_attempt(
    open_bench: Open, till: Till, approve: dict[str, Any], type: str, words: str
) -> None:
    bench = open_bench(**approve)
    assert error_of(bench)["type"] == type
    assert words in error_of(bench)["message"]
    assert till.refunds == []


def test_calls_of_one_turn_are_decided_each_by_its_own_rules(open_bench: Open, till: Till) -> None:
    bench = open_bench([*CALL, ("refund", {"amount": 7})], assignees=TWO, quorum="${args.amount > 100 ? 2 : 1}")
    large, small = bench.asked
    bench.answer(small, by="ann")
    bench.answer(large, by="ann")
    assert till.refunds == []
    bench.answer(large, by="李雷")
    assert sorted(till.refunds) == [7, 500]
