"""Attempts after the first, and rules for errors, in the engine."""

from __future__ import annotations

from typing import Any

from tests.unit.engine.driver import Driver, control, plan_of, state

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.awaited import PendingKind, Purpose
from workflow_runtime.engine.commands import RecordNode, RunNode

PLAIN = {"jitter": "none", "retry_delay": 10}


def retried(*others: dict[str, Any], **policy: Any) -> Driver:
    return Driver(plan_of([{"id": "a", "retry_policy": {**PLAIN, **policy}}, *others])).start()


def test_a_node_that_failed_is_ordered_again_when_its_delay_is_over() -> None:
    driver = retried({"id": "b", "inputs": {"a": "${a.x}"}, "dependencies": ["a"]})
    first = driver.ordered["a"]
    driver.fail("a", "timeout")
    assert driver.nodes == {"a": "retrying", "b": "waiting"}
    entry = driver.state.pending["t1"]
    assert (entry.kind, entry.purpose, entry.due) == (PendingKind.TIMER, Purpose.RETRY, driver.now + 10_000)
    assert driver.state.in_flight == 0
    driver.elapse(9)
    assert "a" not in driver.ordered
    driver.elapse(1)
    again = driver.ordered["a"]
    assert (again.serial, again.attempt, again.visit, again.at) == (2, 2, first.visit, first.at)
    driver.play({"a": {"x": 1}})
    assert driver.status == "completed"
    assert driver.state == driver.replayed()


def test_attempts_end_and_the_last_error_stands() -> None:
    driver = retried(max_retries=2)
    for attempt in (1, 2, 3):
        assert driver.ordered["a"].attempt == attempt
        driver.fail("a", "timeout" if attempt < 3 else "out_of_stock")
        driver.elapse(60)
    assert driver.status == "failed"
    assert driver.error == ("out_of_stock", "a")
    assert len(driver.commands(RunNode)) == 3


def test_two_failures_in_one_batch_each_have_their_own_attempts() -> None:
    nodes = [{"id": id, "retry_policy": {**PLAIN, "max_retries": 1}} for id in ("a", "b")]
    driver = Driver(plan_of(nodes)).start()
    driver.take(driver.failure("a"), driver.failure("b"))
    assert driver.nodes == {"a": "retrying", "b": "retrying"}
    driver.elapse(10)
    assert {path: order.attempt for path, order in driver.ordered.items()} == {"a": 2, "b": 2}
    driver.play()
    assert driver.status == "completed"


def test_a_retrying_node_is_cancelled_with_its_scope_and_never_begins_again() -> None:
    driver = retried({"id": "b"})
    driver.fail("a")
    driver.fail("b")
    assert (driver.status, driver.nodes) == ("failed", {"a": "cancelled", "b": "failed"})
    assert driver.cancelled == ["a"]
    assert not driver.timers
    driver.fire("t1", driver.now + 10_000)
    assert not driver.ordered


def test_an_event_tells_of_each_attempt_that_is_followed_by_another() -> None:
    driver = Driver(plan_of([{"id": "a", "retry_policy": {**PLAIN, "max_retries": 1}}], events=["node"])).start()
    driver.fail("a", "timeout")
    driver.elapse(10)
    driver.fail("a", "timeout")
    told = [(event.detail_type, event.detail.get("attempt")) for event in driver.published]
    assert told == [("node.started", None), ("node.retrying", 1), ("node.failed", None)]
    detail = driver.published[1].detail
    assert (detail["status"], detail["delay"]) == ("retrying", 10)
    assert detail["error"] == {"type": "timeout", "message": "it failed", "node": "a"}


def test_an_attempt_has_max_wait_from_its_own_order_to_its_claim() -> None:
    nodes = [{"id": "a", "max_wait": "1m", "retry_policy": {**PLAIN, "max_retries": 2}}, {"id": "b"}]
    driver = Driver(plan_of(nodes)).start()
    assert driver.ordered["a"].claim_by == driver.now + 60_000
    assert driver.ordered["b"].claim_by == 0
    driver.elapse(30)
    driver.fail("a", "timeout")
    driver.elapse(10)
    assert driver.ordered["a"].claim_by == driver.now + 60_000
    driver.elapse(5)
    driver.fail("a", "worker_lost")
    assert driver.ordered["a"].claim_by == driver.now + 60_000


def test_a_repeated_report_of_a_failed_attempt_is_ignored() -> None:
    driver = retried()
    failure = driver.failure("a")
    driver.take(failure)
    driver.take(failure)
    assert driver.ignored == [(failure.event_id, "run 1 was superseded by run 2")]
    driver.elapse(10)
    driver.take(failure)
    assert len(driver.ignored) == 2


def test_a_retrying_node_leaves_its_place_to_others() -> None:
    nodes = [{"id": "a", "retry_policy": PLAIN}, {"id": "b"}]
    driver = Driver(plan_of(nodes, limits={"max_concurrency": 1})).start()
    driver.fail("a")
    assert list(driver.ordered) == ["b"]
    driver.elapse(10)
    assert list(driver.ordered) == ["b"]
    driver.succeed("b")
    assert list(driver.ordered) == ["a"]


def test_an_attempt_that_asks_for_no_delay_begins_at_once() -> None:
    driver = retried(retry_delay=0)
    driver.fail("a")
    assert driver.ordered["a"].attempt == 2
    assert not driver.timers


def test_attempts_of_a_lost_worker_are_not_those_of_the_policy() -> None:
    driver = retried(max_retries=1)
    for _ in range(2):
        driver.fail("a", "worker_lost")
    driver.fail("a", "timeout")
    driver.elapse(10)
    assert driver.ordered["a"].attempt == 4
    driver.fail("a", "timeout")
    assert driver.status == "failed"


def test_a_run_without_a_kept_order_is_ordered_anew() -> None:
    driver = retried()
    driver.fail("a")
    driver.orders.clear()  # it was recorded by an older deployment
    driver.elapse(10)
    assert (driver.ordered["a"].serial, driver.ordered["a"].attempt) == (2, 2)


def test_a_wait_begins_again_after_its_timeout() -> None:
    driver = Driver(plan_of([control("w", "wait", event="go", timeout=5, retry_policy=PLAIN)])).start()
    driver.elapse(5)
    assert driver.nodes == {"w": "retrying"}
    assert not driver.subscribed
    driver.elapse(10)
    assert driver.nodes == {"w": "running"}
    driver.send("go", {"x": 1})
    assert driver.status == "completed"
    records = driver.commands(RecordNode)
    assert [(record.serial, record.attempt) for record in records] == [(1, 1), (2, 2)]


def test_a_machine_is_retried_as_a_new_scope() -> None:
    machine = {
        "id": "m",
        "type": "state_machine",
        "retry_policy": {**PLAIN, "max_retries": 1},
        "initial_state": "s",
        "states": [state("s", run=[{"id": "x", "type": "tool", "tool": "t"}], on_done="end"), state("end")],
        "final_states": ["end"],
    }
    driver = Driver(plan_of([machine])).start()
    driver.fail("m/s/x")
    assert driver.nodes == {"m": "retrying"}
    driver.elapse(10)
    assert driver.ordered["m/s/x"].serial == 2
    driver.play()
    assert driver.status == "completed"
    assert driver.state == driver.replayed()


def test_an_error_that_is_skipped_kills_the_edges_only() -> None:
    nodes = [{"id": "a", "on_error": "skip"}, {"id": "b", "dependencies": ["a"]}, {"id": "c"}]
    driver = Driver(plan_of(nodes, outputs={"b": "${nodes.b.status}", "a": "${nodes.a.error.type}"})).start()
    driver.fail("a", "out_of_stock")
    driver.play()
    assert (driver.status, driver.nodes) == ("completed", {"a": "failed", "b": "skipped", "c": "success"})
    assert driver.output == {"b": "skipped", "a": "out_of_stock"}


def test_after_an_error_that_is_continued_successors_see_null_and_the_error() -> None:
    inputs = {"a": "${a}", "error": "${nodes.a.error.type}", "status": "${nodes.a.status}"}
    nodes = [{"id": "a", "on_error": "continue"}, {"id": "b", "dependencies": ["a"], "inputs": inputs}]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a", "out_of_stock")
    assert driver.inputs("b") == {"a": None, "error": "out_of_stock", "status": "failed"}
    driver.play()
    assert (driver.status, driver.nodes) == ("completed", {"a": "failed", "b": "success"})


def test_an_error_may_call_a_node_that_is_told_of_it() -> None:
    rules = [{"errors": ["timeout"], "target": "late"}, {"target": "broken"}]
    told = {"inputs": {"type": "${error.type}"}}
    nodes = [
        {"id": "a", "on_error": rules},
        {"id": "b", "dependencies": ["a"]},
        {"id": "late", **told},
        {"id": "broken", **told},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a", "timeout")
    assert driver.inputs("late") == {"type": "timeout"}
    driver.play()
    expected = {"a": "failed", "b": "skipped", "late": "success", "broken": "skipped"}
    assert (driver.status, driver.nodes) == ("completed", expected)


def test_rules_for_errors_come_only_after_all_attempts() -> None:
    nodes = [{"id": "a", "retry_policy": {**PLAIN, "max_retries": 1}, "on_error": {"target": "h"}}, {"id": "h"}]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a")
    assert driver.nodes == {"a": "retrying", "h": "waiting"}
    driver.elapse(10)
    driver.fail("a")
    assert list(driver.ordered) == ["h"]


def test_each_visit_has_its_own_attempts() -> None:
    text = """
workflow:
  id: w
  type: hybrid
  initial_state: s
  states:
    - name: s
      run:
        - {id: x, type: tool, tool: t, retry_policy: {max_retries: 1, retry_delay: 10, jitter: none}}
      on_error: s
"""
    driver = Driver(compile_or_raise(text)).start()
    for _ in range(2):
        driver.fail("s/x")
        assert "s/x" not in driver.ordered
        driver.elapse(10)
        assert driver.ordered["s/x"].attempt == 2
        driver.fail("s/x")
        assert driver.ordered["s/x"].attempt == 1
