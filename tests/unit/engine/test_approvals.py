"""What the engine makes of what people say to approvals."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec import UNSET
from tests.unit.engine.driver import START, Driver, chart_of, control, on, plan_of, state

from workflow_runtime.engine.commands import AskApproval, HoldEvent, UpdateApproval
from workflow_runtime.engine.events import (
    ApprovalAnswered,
    ApprovalDelegated,
    CancelRequested,
    EventReturned,
    ResumeRequested,
    RetryRequested,
    SkipRequested,
    SuspendRequested,
)
from workflow_runtime.engine.waiting import Cause, open_nodes

Json = Any
TWO = {"assignees": ["李雷", "ann"]}


def asking(*others: dict[str, Any], input: Json = None, **fields: Any) -> Driver:
    """An execution whose node `ask` has asked."""
    return Driver(plan_of([control("ask", "approval", **fields), *others]), input).start()


def said(by: str, approved: bool = True, *, number: int = 1, id: str = "", **fields: Any) -> ApprovalAnswered:
    identity = id or f"{by}:{approved}:{fields.get('comment', '')}"
    return ApprovalAnswered(f"approval:{number}:{identity}", START, number, by, approved, **fields)


def named(by: str, to: str, number: int = 1) -> ApprovalDelegated:
    return ApprovalDelegated(f"approval:{number}:{by}>{to}", START, number, by, to)


def numbers(driver: Driver) -> list[int]:
    return [command.approval for command in driver.commands(AskApproval)]


def outcomes(driver: Driver) -> list[str]:
    return [command.outcome for command in driver.commands(UpdateApproval)]


# ---- asking


def test_people_are_asked_and_told() -> None:
    driver = asking(prompt="Publish ${title}?", data={"title": "${title}"}, input={"title": "春"}, **TWO)
    (asked,) = driver.commands(AskApproval)
    assert (asked.prompt, asked.assignees, asked.data) == ("Publish 春?", ("李雷", "ann"), {"title": "春"})
    (event,) = [event for event in driver.published if event.detail_type == "approval.requested"]
    assert event.detail["approval_id"] == "e1.1"
    assert event.detail["prompt"] == "Publish 春?"
    assert "data" not in event.detail
    assert driver.nodes == {"ask": "running"}
    assert [node.cause for node in open_nodes(driver.plan, driver.state)] == [Cause.APPROVAL]


def test_one_approval_is_enough_by_default_and_says_who_when_and_what() -> None:
    driver = asking({"id": "next", "inputs": {"who": "${ask.by}"}, "dependencies": ["ask"]}, **TWO)
    driver.take(said("ann", comment="fine"), at=START + 5_000)
    assert driver.result("ask") == {
        "approved": True,
        "by": "ann",
        "at": "2023-11-14T22:13:25.000Z",
        "data": None,
        "comment": "fine",
        "answers": [{"by": "ann", "approved": True, "at": "2023-11-14T22:13:25.000Z", "comment": "fine"}],
    }
    assert driver.inputs("next") == {"who": "ann"}
    assert outcomes(driver) == ["approved"]
    assert driver.replayed() == driver.state


def test_a_computed_list_of_people_that_is_empty_or_none_fails_the_node() -> None:
    for people in ([], None, [1], "", ["ann", " "]):
        driver = asking(assignees="${people}", input={"people": people})
        assert driver.error == ("validation_error", "ask"), people
        assert not driver.commands(AskApproval)


def test_a_quorum_that_nobody_can_reach_fails_the_node() -> None:
    driver = asking(assignees="${people}", quorum=2, input={"people": ["ann", "ann"]})
    assert driver.error == ("validation_error", "ask")
    assert driver.state.error is not None
    assert driver.state.error.message == "`quorum` is 2, but only 1 can answer"


def test_a_prompt_that_is_no_prompt_fails_the_node() -> None:
    driver = asking(prompt="${text}", input={"text": "x" * 10_001})
    assert driver.error == ("too_large", "ask")


# ---- deciding


def test_without_assignees_whoever_may_call_the_api_may_answer() -> None:
    driver = asking()
    driver.take(said(""))
    assert driver.status == "completed"
    assert driver.output["by"] is None


def test_an_answer_of_somebody_who_is_not_asked_has_no_effect() -> None:
    driver = asking(**TWO)
    driver.take(said("eve"))
    driver.take(said(""))
    assert [reason for _, reason in driver.ignored] == [
        "eve is not among those who are asked",
        "you are not among those who are asked: nobody can tell who you are",
    ]
    assert driver.status == "running"


def test_a_quorum_needs_as_many_different_people() -> None:
    driver = asking(assignees=["a", "b", "c"], quorum=2)
    driver.take(said("a"))
    driver.take(said("a", id="again"))
    assert driver.status == "running"
    driver.take(said("c"))
    assert driver.output["by"] == "c"
    assert [answer["by"] for answer in driver.output["answers"]] == ["a", "c"]
    assert outcomes(driver) == ["", "approved"]


def test_with_a_veto_one_rejection_rejects() -> None:
    driver = asking(assignees=["a", "b", "c"], quorum=2)
    driver.take(said("a"))
    driver.take(said("b", False, comment="太贵"))
    assert driver.error == ("rejected", "ask")
    assert driver.state.error is not None
    assert driver.state.error.message == "b rejected it: 太贵"
    assert outcomes(driver) == ["", "rejected"]


@pytest.mark.parametrize("order", list(itertools.permutations([("a", True), ("b", False), ("c", False)])))
def test_without_a_veto_it_is_rejected_once_the_quorum_is_out_of_reach(order: list[tuple[str, bool]]) -> None:
    driver = asking(assignees=["a", "b", "c"], quorum=2, veto=False)
    rejections = 0
    for by, approved in order:
        assert driver.status == "running"
        driver.take(said(by, approved))
        rejections += not approved
        if rejections == 2:
            break
    assert driver.error == ("rejected", "ask")


def test_without_a_veto_those_who_are_asked_later_count_as_within_reach() -> None:
    driver = asking(assignees=["a"], veto=False, escalate_after="1h", escalate_to=["boss"])
    driver.take(said("a", False))
    assert driver.status == "running"
    driver.elapse(3600)
    driver.take(said("boss"))
    assert driver.status == "completed"


def test_a_second_answer_is_refused_or_replaces_the_first_as_the_node_says() -> None:
    refusing = asking(assignees=["a", "b"], quorum=2)
    refusing.take(said("a"))
    refusing.take(said("a", False))
    assert refusing.status == "running"
    assert refusing.ignored[-1][1] == "a has approved it already, and a second answer is refused"
    replacing = asking(assignees=["a", "b"], quorum=2, second_answer="replace", veto=False)
    replacing.take(said("a", comment="1"))
    replacing.take(said("a", comment="2"))
    replacing.take(said("b"))
    assert [answer["comment"] for answer in replacing.output["answers"]] == ["2", ""]


def test_a_late_repeat_of_an_answer_does_not_replace_a_newer_one() -> None:
    driver = asking(assignees=["a", "b"], quorum=2, second_answer="replace", veto=False)
    first = said("a", comment="first")
    driver.take(first)
    driver.take(said("a", comment="second"))
    driver.take(first)
    driver.take(said("b"))
    assert driver.output["answers"][0]["comment"] == "second"


def test_an_answer_to_what_is_decided_has_no_effect() -> None:
    driver = asking({"id": "work"}, **TWO)
    driver.take(said("ann"))
    driver.take(said("李雷", False))
    assert driver.ignored[-1][1] == "the approval was decided, or is not needed any more"
    assert driver.nodes["ask"] == "success"


# ---- data


FORM = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "maximum": 100}}}


def test_approvers_may_change_what_they_are_shown_within_the_form() -> None:
    driver = asking(form=FORM, data={"amount": 200, "text": "t"}, assignees=["a", "b"], quorum=2)
    driver.take(said("a"))
    assert driver.ignored[-1][1].startswith("the data does not match the form: amount: 200 is greater than")
    driver.take(said("a", data={"amount": 50}))
    driver.take(said("b", data={"text": "u"}))
    assert driver.output["data"] == {"amount": 50, "text": "u"}
    assert driver.output["answers"][0]["data"] == {"amount": 50}


def test_a_rejection_need_not_match_the_form() -> None:
    driver = asking(form=FORM, on_reject="continue")
    driver.take(said("a", False))
    assert driver.output["data"] is None
    assert driver.output["approved"] is False


def test_changes_of_those_who_reject_count_only_if_they_decide() -> None:
    driver = asking(data={"n": 1}, assignees=["a", "b", "c"], quorum=2, veto=False)
    driver.take(said("a", False, data={"n": 2}))
    driver.take(said("b"))
    driver.take(said("c", data={"m": 3}))
    assert driver.output["data"] == {"n": 1, "m": 3}


def test_large_data_lies_beside_the_state() -> None:
    text = "长" * 2_000
    driver = asking(data={"text": text}, assignees=["a", "b"], quorum=2)
    (command,) = driver.commands(AskApproval)
    assert command.keep.startswith("executions/e1/approvals/1.")
    assert text not in str(driver.state.pending)
    driver.blobs["said"] = {"more": text}
    driver.take(said("a", blob="said"))
    driver.take(said("b"))
    assert driver.output["data"] == {"text": text, "more": text}
    assert driver.replayed() == driver.state


def test_data_that_is_no_object_is_replaced() -> None:
    driver = asking(data="draft")
    driver.take(said("a", data="final"))
    assert driver.output["data"] == "final"
    assert asking(data="draft").state.pending["a1"].approval.answers == ()  # type: ignore[union-attr]


def test_null_is_data() -> None:
    driver = asking(data={"n": 1})
    driver.take(said("a", data=None))
    assert driver.output["data"] is None
    assert said("a").data is UNSET


# ---- delegation and escalation


def test_who_is_asked_may_name_another_instead() -> None:
    driver = asking(**TWO)
    driver.take(named("ann", "bob"))
    driver.take(said("ann"))
    assert driver.ignored[-1][1] == "ann is not among those who are asked"
    event = driver.published[-1]
    assert (event.detail_type, event.detail["reason"], event.detail["assignees"]) == (
        "approval.requested",
        "delegated",
        ["bob"],
    )
    driver.take(said("bob"))
    assert driver.output["by"] == "bob"


@pytest.mark.parametrize(
    ("fields", "event", "reason"),
    [
        ({**TWO, "delegate": False}, named("ann", "bob"), "this approval cannot be delegated (`delegate: false`)"),
        (TWO, named("eve", "bob"), "eve is not among those who are asked"),
        (TWO, named("ann", "李雷"), "李雷 is asked already, or will be"),
        ({}, named("ann", "bob"), "nobody is named in it, so whoever may call the API may answer"),
    ],
)
def test_what_cannot_be_delegated_is_said(fields: dict[str, Any], event: ApprovalDelegated, reason: str) -> None:
    driver = asking(**fields)
    driver.take(event)
    assert driver.ignored == [(event.event_id, reason)]


def test_others_are_asked_when_it_takes_long() -> None:
    driver = asking(escalate_after="2h", escalate_to=["boss"], timeout="3h", **TWO)
    driver.take(said("boss"))
    assert driver.status == "running"
    driver.elapse(2 * 3600)
    assert driver.published[-1].detail["assignees"] == ["boss"]
    assert driver.published[-1].detail["reason"] == "escalated"
    driver.take(said("boss", id="now"))
    assert driver.status == "completed"
    assert not driver.timers


# ---- time, rejection and what follows


def test_running_out_of_time_fails_continues_or_calls() -> None:
    failing = asking(timeout="1h").elapse(3600)
    assert failing.error == ("timeout", "ask")
    assert outcomes(failing) == ["timeout"]
    going_on = asking(timeout="1h", on_timeout="continue", data={"n": 1}).elapse(3600)
    assert going_on.output["approved"] is False
    assert (going_on.output["by"], going_on.output["data"], going_on.output["answers"]) == (None, {"n": 1}, [])
    calling = asking({"id": "late"}, timeout="1h", on_timeout="late").elapse(3600)
    assert list(calling.ordered) == ["late"]


def test_a_rejection_fails_continues_or_calls() -> None:
    going_on = asking(on_reject="continue")
    going_on.take(said("a", False, comment="no"))
    assert (going_on.output["approved"], going_on.output["comment"]) == (False, "no")
    calling = asking({"id": "sorry", "inputs": {"why": "${error.message}"}}, on_reject="sorry")
    calling.take(said("a", False, comment="no"))
    assert calling.inputs("sorry") == {"why": "a rejected it: no"}
    assert calling.nodes["ask"] == "failed"


def test_a_rejection_is_retried_only_where_a_policy_names_it() -> None:
    plain = asking(retry_policy={"max_retries": 1, "jitter": "none"})
    plain.take(said("a", False))
    assert plain.status == "failed"
    named_ = asking(retry_policy={"max_retries": 1, "jitter": "none", "errors": ["rejected"]})
    named_.take(said("a", False))
    named_.elapse(1)
    assert numbers(named_) == [1, 3]  # timers are counted, too
    named_.take(said("a", number=1, id="late"))
    assert named_.ignored[-1][1] == "the approval was decided, or is not needed any more"
    named_.take(said("a", number=3))
    assert named_.status == "completed"
    assert named_.replayed() == named_.state


def test_a_fallback_comes_before_the_rules_for_rejections() -> None:
    driver = asking(on_reject="continue", fallback={"tool": "t"})
    driver.take(said("a", False, comment="no"))
    driver.fail("ask~fallback")
    assert driver.output["comment"] == "no"
    saved = asking(on_reject="continue", fallback={"value": {"approved": True}})
    saved.take(said("a", False))
    assert saved.output == {"approved": True}


def test_an_answer_and_the_timeout_in_one_batch_decide_in_the_order_of_their_times() -> None:
    driver = asking(timeout="1h")
    (timer,) = driver.timers
    late = driver.timers[timer]
    driver.take(said("a"), at=late + 1)
    driver.fire(timer, late + 1)
    assert driver.status == "completed"


# ---- control


def test_cancelling_withdraws_what_people_were_asked() -> None:
    driver = asking(timeout="1h", **TWO)
    driver.take(CancelRequested("control:c", START))
    assert outcomes(driver) == ["cancelled"]
    driver.take(said("ann"))
    assert driver.status == "cancelled"
    assert not driver.timers


def test_a_branch_that_wins_withdraws_the_approval_of_the_other() -> None:
    nodes = [
        control("both", "parallel", branches=["ask", "quick"], wait_all=False, cancel_rest=True),
        control("ask", "approval"),
        {"id": "quick"},
        {"id": "after", "dependencies": ["both"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("quick")
    assert outcomes(driver) == ["cancelled"]
    assert driver.nodes["ask"] == "cancelled"


def test_answers_are_held_in_order_while_the_execution_is_suspended() -> None:
    driver = asking(assignees=["a", "b", "c"], quorum=2)
    driver.take(SuspendRequested("control:s", START))
    answers = [said("c"), named("b", "d"), said("d", False)]
    driver.take(*answers)
    assert [command.number for command in driver.commits[-1] if isinstance(command, HoldEvent)] == [0, 1, 2]
    driver.take(ResumeRequested("control:r", START))
    driver.take(*(EventReturned(f"held:{number}", START, number, event) for number, event in enumerate(answers)))
    assert driver.error == ("rejected", "ask")
    assert driver.state.error is not None
    assert driver.state.error.message == "d rejected it"


def test_an_approval_may_be_skipped_with_an_output() -> None:
    driver = asking({"id": "next", "dependencies": ["ask"]}, **TWO)
    driver.take(SkipRequested("control:k", START, node="ask", output={"approved": True}))
    assert list(driver.ordered) == ["next"]
    assert outcomes(driver) == ["cancelled"]


def test_a_retry_of_the_execution_asks_anew() -> None:
    driver = asking(**TWO)
    driver.take(said("ann", False))
    driver.take(RetryRequested("control:r", START))
    assert len(numbers(driver)) == 2
    driver.take(said("ann", number=numbers(driver)[1]))
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_the_graph_of_a_state_may_ask_and_leaving_the_state_withdraws_it() -> None:
    ask = control("ask", "approval")
    chart = [state("review", on("stop", "out"), run=[ask], on_done="out"), state("out", type="final")]
    driver = Driver(chart_of(chart)).start()
    driver.take(said("a"))
    assert driver.status == "completed"
    left = Driver(chart_of(chart)).start()
    left.send("stop")
    assert outcomes(left) == ["cancelled"]
