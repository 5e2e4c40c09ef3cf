"""Failures that a person decides on: the execution stands still until somebody says what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.engine.driver import START, Driver, Failure, aggregation, chart_of, control, on, plan_of, state

from workflow_runtime.engine.commands import HoldEvent, PublishEvent, RunNode, SetStatus
from workflow_runtime.engine.events import (
    CancelRequested,
    ControlEvent,
    ResumeRequested,
    RetryRequested,
    SkipRequested,
    SuspendRequested,
    TimerFired,
)

RESUME = ResumeRequested("control:r", START, "韩梅梅")
RETRY = RetryRequested("control:y", START, "韩梅梅")
CANCEL = CancelRequested("control:c", START, "韩梅梅")
ESCALATE: dict[str, Any] = {"error_handlers": [{"node_pattern": "付款", "action": "escalate"}]}
NODES: list[dict[str, Any]] = [
    {"id": "订房"},
    {"id": "付款", "dependencies": ["订房"]},
    {"id": "寄出", "dependencies": ["付款"]},
]


def skip(node: str, **fields: Any) -> SkipRequested:
    return SkipRequested("control:k", START, "韩梅梅", node=node, **fields)


def escalated(nodes: list[dict[str, Any]] = NODES, outcomes: dict[str, Any] | None = None, **fields: Any) -> Driver:
    return Driver(plan_of(nodes, **{**ESCALATE, **fields})).play({"付款": Failure("card_declined"), **(outcomes or {})})


def published(driver: Driver, kind: str) -> list[dict[str, Any]]:
    return [event.detail for event in driver.commands(PublishEvent) if event.detail_type == kind]


def test_it_suspends_the_execution_and_publishes_who_failed_and_how() -> None:
    driver = escalated()
    assert driver.status == "suspended"
    assert driver.nodes == {"订房": "success", "付款": "retrying", "寄出": "waiting"}
    (detail,) = published(driver, "execution.escalated")
    assert detail["node"] == "付款"
    assert detail["error"] == {"type": "card_declined", "message": "it failed", "node": "付款"}
    assert len(published(driver, "execution.suspended")) == 1
    assert driver.state.suspension is not None
    assert "card_declined" in driver.state.suspension.reason
    assert driver.replayed() == driver.state


def test_an_express_execution_fails_where_a_person_would_decide() -> None:
    """The compiler refuses such a workflow, unless an earlier one let it pass."""
    plan = replace(plan_of(NODES, **ESCALATE), express=True)
    driver = Driver(plan).play({"付款": Failure("card_declined")})
    assert driver.status == "failed"
    assert driver.nodes == {"订房": "success", "付款": "failed", "寄出": "skipped"}
    error = driver.state.error
    assert error is not None
    assert (error.type, error.node) == ("card_declined", "付款")
    assert error.message == "it failed (an express execution cannot wait until a person decides)"
    assert not published(driver, "execution.escalated")
    assert driver.replayed() == driver.state


def test_it_is_published_also_by_a_workflow_that_publishes_nothing_else() -> None:
    driver = escalated(events=[])
    assert len(published(driver, "execution.escalated")) == 1
    assert not published(driver, "execution.suspended")


def test_resumed_the_failure_takes_its_course() -> None:
    driver = escalated()
    driver.take(RESUME)
    assert driver.status == "failed"
    assert driver.error == ("card_declined", "付款")
    assert driver.nodes == {"订房": "success", "付款": "failed", "寄出": "skipped"}
    assert driver.state.escalated is None
    assert driver.replayed() == driver.state


def test_resumed_it_undoes_what_succeeded() -> None:
    nodes = [{**NODES[0], "compensate": {"tool": "cancel"}}, *NODES[1:]]
    driver = escalated(nodes)
    driver.take(RESUME)
    assert driver.status == "compensating"
    driver.play()
    assert driver.status == "failed"


def test_retried_the_node_gets_a_new_visit_with_all_its_attempts() -> None:
    nodes = [*NODES]
    nodes[1] = {**NODES[1], "retry_policy": {"max_retries": 1, "retry_delay": 0, "jitter": "none"}}
    driver = escalated(nodes)
    visits = [order.visit for order in driver.commands(RunNode) if order.path == "付款"]
    assert visits == [1, 1]
    driver.take(RETRY)
    assert driver.status == "running"
    driver.fail("付款", "card_declined")
    assert driver.status == "running"
    driver.succeed("付款", {"paid": True})
    driver.play()
    assert driver.status == "completed"
    assert [(o.serial, o.visit, o.attempt) for o in driver.commands(RunNode) if o.path == "付款"] == [
        (1, 1, 1),
        (2, 1, 2),
        (3, 3, 1),
        (4, 3, 2),
    ]
    assert driver.state.attempt == 1
    assert driver.replayed() == driver.state


def test_it_may_fail_and_escalate_any_number_of_times() -> None:
    driver = escalated()
    for number in range(3):
        driver.take(RetryRequested(f"control:{number}", START))
        driver.fail("付款", "card_declined")
        assert driver.status == "suspended"
    assert len(published(driver, "execution.escalated")) == 4
    driver.take(RESUME)
    assert driver.status == "failed"
    assert driver.replayed() == driver.state


def test_skipped_its_edges_are_dead_and_with_an_output_alive() -> None:
    driver = escalated()
    driver.take(skip("付款"))
    assert driver.status == "completed"
    assert driver.nodes == {"订房": "success", "付款": "skipped", "寄出": "skipped"}
    given = escalated()
    given.take(skip("付款", output={"paid": "cash"}))
    assert given.status == "running"
    assert list(given.ordered) == ["寄出"]
    assert given.result("付款") == {"paid": "cash"}
    given.play()
    assert given.status == "completed"
    assert given.replayed() == given.state


def test_skipping_another_node_leaves_it_suspended() -> None:
    driver = escalated([*NODES, control("等", "wait", event="go")])
    driver.take(skip("等"))
    assert driver.status == "suspended"
    assert driver.state.escalated is not None
    driver.take(RETRY)
    driver.play()
    assert driver.status == "completed"


def test_cancelled_it_is_cancelled() -> None:
    driver = escalated()
    driver.take(CANCEL)
    assert driver.status == "cancelled"
    assert driver.nodes["付款"] == "cancelled"
    assert driver.state.escalated is None
    assert driver.replayed() == driver.state
    driver.take(RETRY)
    driver.play()
    assert driver.status == "completed"


def test_handlers_before_it_have_their_turn_first() -> None:
    retry = {"node_pattern": "付款", "action": {"type": "retry", "max_retries": 1, "retry_delay": 0}}
    driver = escalated(error_handlers=[retry, *ESCALATE["error_handlers"]])
    assert driver.status == "suspended"
    assert sum(order.path == "付款" for order in driver.commands(RunNode)) == 2


def test_what_failed_in_its_place_may_run_again_in_the_new_visit() -> None:
    nodes = [NODES[0], {**NODES[1], "fallback": {"tool": "invoice"}}]
    driver = escalated(nodes, {"付款~fallback": Failure("no_address")})
    assert driver.status == "suspended"
    assert driver.state.escalated is not None
    assert driver.state.escalated.error.type == "card_declined"
    driver.take(RETRY)
    driver.fail("付款", "card_declined")
    assert list(driver.ordered) == ["付款~fallback"]
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_a_node_whose_when_cannot_be_evaluated_evaluates_it_again() -> None:
    nodes = [{"id": "付款", "when": "1 / divisor == 1"}]
    driver = Driver(plan_of(nodes, variables={"divisor": 0}, **ESCALATE)).start()
    assert driver.status == "suspended"
    driver.take(RetryRequested("control:1", START))
    assert driver.status == "suspended"
    driver.take(RetryRequested("control:2", START, variables={"divisor": 1}))
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_a_node_that_the_dispatcher_runs_escalates_in_the_turn_that_starts_it() -> None:
    nodes = [aggregation("付款", "collect", items="${[1]}", outputs={"x": "${1 / divisor}"}), {"id": "其他"}]
    driver = Driver(plan_of(nodes, variables={"divisor": 0}, **ESCALATE)).start()
    assert driver.status == "suspended"
    driver.take(RetryRequested("control:1", START, variables={"divisor": 2}))
    assert driver.result("付款") == {"x": 0.5}
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_each_replacement_of_variables_has_a_number_of_its_own() -> None:
    driver = escalated(variables={"card": "a"})
    driver.take(RetryRequested("control:1", START, variables={"card": "b"}))
    first = driver.ordered["付款"]
    driver.fail("付款", "card_declined")
    driver.take(RetryRequested("control:2", START, variables={"card": "c"}))
    second = driver.ordered["付款"]
    assert driver.replaced[first.replaced] == {"card": "b"}
    assert driver.replaced[second.replaced] == {"card": "c"}
    driver.fail("付款", "card_declined")
    driver.take(RESUME)
    driver.take(RetryRequested("control:3", START, variables={"card": "d"}))
    assert driver.ordered["付款"].replaced not in (first.replaced, second.replaced)
    assert driver.replaced[driver.ordered["付款"].replaced] == {"card": "d"}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (RetryRequested("control:1", START, node="寄出"), "only that node"),
        (RetryRequested("control:2", START, variables={"x": 1}), "declares no variable"),
        (skip("其他"), "has no node"),
    ],
)
def test_impossible_requests_have_no_effect(request_: ControlEvent, reason: str) -> None:
    driver = escalated()
    driver.take(request_)
    assert driver.status == "suspended"
    assert reason in driver.ignored[-1][1]
    assert driver.replayed() == driver.state


def test_an_execution_that_a_person_suspended_cannot_be_retried() -> None:
    driver = Driver(plan_of(NODES)).start()
    driver.take(SuspendRequested("control:s", START))
    driver.take(RETRY)
    assert driver.status == "suspended"
    assert "not because of a failure" in driver.ignored[-1][1]


def test_of_two_failures_the_second_is_decided_on_after_the_first() -> None:
    nodes = [{"id": "付款1"}, {"id": "付款2"}]
    handlers = [{"node_pattern": "付款.", "action": "escalate"}]
    for batched in (True, False):
        driver = Driver(plan_of(nodes, error_handlers=handlers)).start()
        failures = [driver.failure("付款1"), driver.failure("付款2")]
        if batched:
            driver.take(*failures)
        else:
            driver.take(failures[0])
            driver.take(failures[1])
        assert driver.status == "suspended"
        assert driver.state.escalated is not None
        assert driver.state.escalated.path == "付款1"
        assert driver.commands(HoldEvent) == [HoldEvent(0, failures[1].event_id)]
        assert driver.replayed() == driver.state


def test_timers_that_are_due_in_the_same_batch_are_held() -> None:
    waits = [
        control("付款", "wait", event="paid", timeout="1h"),
        control("w", "wait", duration="1h"),
        control("z", "wait", duration="2h"),
    ]
    driver = Driver(plan_of(waits, **ESCALATE)).start()
    timers = list(driver.state.timers)
    driver.take(TimerFired(f"timer:{timers[2]}", START + 7200_000, timers[2]), at=START + 7200_000)
    assert driver.status == "suspended"
    assert driver.nodes == {"付款": "retrying", "w": "running", "z": "running"}
    assert driver.replayed() == driver.state


def test_the_execution_timeout_stands_still_while_a_person_decides() -> None:
    driver = escalated(timeout="1h")
    assert not driver.timers
    driver.take(RETRY, at=START + 10 * 3600_000)
    assert next(iter(driver.timers.values())) > START + 10 * 3600_000
    driver.play()
    assert driver.status == "completed"


def test_in_a_state_the_machine_hears_of_the_failure_only_when_it_takes_its_course() -> None:
    run = [{"id": "付款", "type": "tool", "tool": "t"}]
    states = [state("付", run=run, on_done="好", on_error="坏"), state("好"), state("坏")]
    driver = Driver(chart_of(states, final_states=["好", "坏"], **ESCALATE)).start()
    driver.fail("付/付款")
    assert driver.status == "suspended"
    assert driver.configuration == ["付"]
    driver.take(RESUME)
    assert driver.status == "completed"
    assert driver.configuration == ["坏"]
    assert driver.replayed() == driver.state


def test_a_called_action_that_escalates_is_called_again_with_its_inputs() -> None:
    action = {"tool": {"tool": "t", "inputs": {"x": "${1 + 1}"}, "result": "found"}}
    states = [state("s", on("go", "t"), on_enter=[action]), state("t")]
    driver = Driver(
        chart_of(states, final_states=["t"], error_handlers=[{"action": "escalate"}]),
    ).start()
    (path,) = driver.ordered
    driver.fail(path)
    assert driver.status == "suspended"
    driver.take(RETRY)
    assert driver.inputs(path) == {"x": 2}
    driver.succeed(path, 7)
    assert driver.variables["found"] == 7
    assert driver.replayed() == driver.state


def test_a_result_that_comes_again_has_no_effect() -> None:
    driver = Driver(plan_of(NODES, **ESCALATE)).start()
    driver.succeed("订房")
    failure = driver.failure("付款")
    driver.take(failure)
    assert not driver.take(failure).changed
    assert driver.status == "suspended"


def test_a_place_of_a_limited_parallel_stays_taken() -> None:
    nodes = [control("p", "parallel", branches=["付款", "b"], max_concurrency=1), {"id": "付款"}, {"id": "b"}]
    driver = Driver(plan_of(nodes, **ESCALATE)).start()
    driver.fail("付款")
    driver.take(RETRY)
    assert list(driver.ordered) == ["付款"]
    driver.succeed("付款")
    assert list(driver.ordered) == ["b"]
    driver.play()
    assert driver.status == "completed"


def test_statuses_follow_each_other_in_one_commit_if_it_fails_again_at_once() -> None:
    nodes = [aggregation("付款", "collect", items="${[1]}", outputs={"x": "${1 / 0}"})]
    driver = Driver(plan_of(nodes, **ESCALATE)).start()
    driver.take(RETRY)
    statuses = [command.status for command in driver.commits[-1] if isinstance(command, SetStatus)]
    assert statuses == ["running", "suspended"]
