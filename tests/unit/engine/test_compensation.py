"""Promises about compensation: what is undone, when, in what order, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, Failure, chart_of, on, plan_of, state

from workflow_runtime.engine.advance import abort, advance
from workflow_runtime.engine.awaited import Purpose
from workflow_runtime.engine.commands import CancelRun, NotifyParent, RunNode, SetStatus, StopRun
from workflow_runtime.engine.compensation import AT_ONCE_MAX, STOP_SECONDS, UNDO_MAX
from workflow_runtime.engine.ending import undo_again
from workflow_runtime.engine.events import (
    CancelRequested,
    CompensateRequested,
    NodeSucceeded,
    Poked,
    RetryRequested,
    RunStopped,
    run_event_id,
)
from workflow_runtime.engine.lifecycle import Mark
from workflow_runtime.engine.settling import scopes_of, settle
from workflow_runtime.engine.state import Parent, encode_state
from workflow_runtime.engine.turn import Known, Turn
from workflow_runtime.engine.visits import Undoables
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.services.views.compensation import compensations

CANCEL = CancelRequested("control:1", START, "ann", "no longer wanted")


def booking(id: str, *after: str, **fields: Any) -> dict[str, Any]:
    undo = {"tool": f"cancel_{id}", "inputs": {"id": "${output.id}", "for": "${inputs.who}", "why": "${error.type}"}}
    return {"id": id, "dependencies": list(after), "inputs": {"who": "${who}"}, "compensate": undo, **fields}


def trip(**fields: Any) -> Driver:
    """Flight, then hotel, then a payment that nothing undoes."""
    nodes = [booking("flight"), booking("hotel", "flight"), {"id": "pay", "dependencies": ["hotel"]}]
    return Driver(plan_of(nodes, **fields), {"who": "ann"})


def booked(driver: Driver) -> Driver:
    driver.start().succeed("flight", {"id": 1})
    driver.succeed("hotel", {"id": 2})
    return driver


def fates(driver: Driver) -> list[str]:
    return [Mark(driver.state.fates[place].mark).name for place in sorted(driver.state.fates)]


def ended(driver: Driver) -> SetStatus:
    commands: list[SetStatus] = driver.commands(SetStatus)
    return commands[-1]


# ---- what is undone, and in what order


def test_a_failure_undoes_what_succeeded_in_reverse_order_with_what_it_was_given_and_gave() -> None:
    driver = booked(trip())
    driver.fail("pay", "declined")
    assert driver.status == "compensating"
    assert list(driver.ordered) == ["hotel~compensate"]
    assert driver.inputs("hotel~compensate") == {"id": 2, "for": "ann", "why": "declined"}
    driver.succeed("hotel~compensate")
    assert list(driver.ordered) == ["flight~compensate"]
    assert driver.inputs("flight~compensate") == {"id": 1, "for": "ann", "why": "declined"}
    driver.succeed("flight~compensate")
    assert driver.status == "failed"
    assert driver.error == ("declined", "pay")
    assert ended(driver) == SetStatus("failed", driver.now, error=driver.state.error, compensation="completed")
    assert fates(driver) == ["SUCCESS", "SUCCESS"]
    assert driver.replayed() == driver.state


def test_in_parallel_all_is_undone_at_once() -> None:
    driver = booked(trip(compensation={"order": "parallel"}))
    driver.fail("pay")
    assert sorted(driver.ordered) == ["flight~compensate", "hotel~compensate"]
    driver.succeed("flight~compensate")
    assert driver.status == "compensating"
    driver.succeed("hotel~compensate")
    assert driver.status == "failed"


def test_a_cancel_undoes_and_tells_why() -> None:
    driver = booked(trip())
    driver.take(CANCEL)
    assert driver.status == "compensating"
    assert driver.inputs("hotel~compensate") == {"id": 2, "for": "ann", "why": "cancelled"}
    assert driver.ordered["hotel~compensate"].names["error"]["message"] == "no longer wanted"
    driver.play()
    assert driver.status == "cancelled"
    assert driver.error is None
    assert ended(driver).compensation == "completed"


def test_a_timeout_undoes_and_is_no_deadline_for_that() -> None:
    driver = booked(trip(timeout="60s"))
    driver.elapse(100)
    assert driver.status == "compensating"
    assert driver.inputs("hotel~compensate")["why"] == "timeout"  # type: ignore[index,call-overload]
    driver.elapse(3600)
    assert driver.status == "compensating"
    driver.play()
    assert driver.status == "failed"
    assert driver.error == ("timeout", "")


@pytest.mark.parametrize(("occasion", "others"), [
    ("failure", ["cancel", "timeout"]), ("cancel", ["failure", "timeout"]), ("timeout", ["failure", "cancel"]),
])  # fmt: skip
def test_only_occasions_that_are_named_undo(occasion: str, others: list[str]) -> None:
    def end(on: list[str]) -> Driver:
        driver = booked(trip(compensation={"on": on}, timeout="60s"))
        if occasion == "failure":
            driver.fail("pay")
        elif occasion == "cancel":
            driver.take(CANCEL)
        else:
            driver.elapse(100)
        return driver

    assert end([occasion]).status == "compensating"
    assert end(others).status == ("cancelled" if occasion == "cancel" else "failed")


def test_nothing_to_undo_is_no_compensation() -> None:
    driver = trip().start()
    driver.fail("flight")
    assert driver.status == "failed"
    assert [command.status for command in driver.commands(SetStatus)] == ["running", "failed"]
    assert ended(driver).compensation == ""


def test_success_undoes_nothing() -> None:
    driver = trip().play()
    assert driver.status == "completed"
    assert not driver.commands(StopRun)


def test_a_failure_that_the_graph_can_do_without_undoes_nothing() -> None:
    driver = Driver(plan_of([booking("a"), {"id": "b", "dependencies": ["a"], "on_error": "skip"}]), {"who": "x"})
    driver.play({"b": Failure()})
    assert driver.status == "completed"


def test_one_that_fails_is_recorded_and_the_others_go_on() -> None:
    driver = booked(trip())
    driver.fail("pay")
    driver.fail("hotel~compensate", "gone")
    assert list(driver.ordered) == ["flight~compensate"]
    driver.succeed("flight~compensate")
    assert driver.status == "failed"
    assert driver.error == ("execution_error", "pay")
    assert ended(driver).compensation == "failed"
    assert fates(driver) == ["SUCCESS", "FAILED"]


def test_a_compensation_has_retries_of_its_own() -> None:
    undo = {"tool": "cancel", "retry_policy": {"max_retries": 2, "retry_delay": "10s", "jitter": "none"}}
    driver = Driver(plan_of([{"id": "a", "compensate": undo}, {"id": "b", "dependencies": ["a"]}]))
    driver.start().succeed("a")
    driver.fail("b")
    driver.fail("a~compensate")
    assert not driver.ordered
    driver.elapse(10)
    assert driver.ordered["a~compensate"].attempt == 2
    driver.succeed("a~compensate")
    assert (driver.status, ended(driver).compensation) == ("failed", "completed")
    assert driver.replayed() == driver.state


def test_a_lost_worker_of_a_compensation_is_replaced_for_the_same_visit() -> None:
    driver = booked(trip())
    driver.fail("pay")
    first = driver.ordered["hotel~compensate"]
    driver.fail("hotel~compensate", "worker_lost")
    assert driver.ordered["hotel~compensate"].visit == first.visit
    assert driver.ordered["hotel~compensate"].undoes == first.undoes
    driver.play()
    assert ended(driver).compensation == "completed"


def test_a_node_of_the_graph_undoes_and_runs_for_nothing_else() -> None:
    nodes = [
        {"id": "flight", "compensate": "drop"},
        {"id": "hotel", "dependencies": ["flight"], "compensate": "drop"},
        {"id": "pay", "dependencies": ["hotel"]},
        {"id": "drop", "inputs": {"id": "${output.id}", "flight": "${flight.id}", "hotel": "${hotel.id}"}},
    ]
    driver = Driver(plan_of(nodes)).start()
    assert driver.nodes["drop"] == "skipped"
    driver.succeed("flight", {"id": 1})
    driver.succeed("hotel", {"id": 2})
    driver.fail("pay")
    first = driver.ordered["drop"]
    assert driver.inputs("drop") == {"id": 2, "flight": 1, "hotel": 2}
    driver.succeed("drop")
    assert driver.inputs("drop") == {"id": 1, "flight": 1, "hotel": 2}
    assert driver.ordered["drop"].visit != first.visit
    driver.succeed("drop")
    assert driver.status == "failed"


def test_in_parallel_one_node_undoes_one_visit_after_the_other() -> None:
    nodes = [
        *({"id": f"n{number}", "compensate": "drop"} for number in range(3)),
        {"id": "pay", "dependencies": ["n0", "n1", "n2"]},
        {"id": "drop", "inputs": {"id": "${output}"}},
    ]
    driver = Driver(plan_of(nodes, compensation={"order": "parallel"})).start()
    for number in range(3):
        driver.succeed(f"n{number}", number)
    driver.fail("pay")
    undone = []
    while driver.ordered:
        undone.append(driver.inputs("drop")["id"])  # type: ignore[index,call-overload]
        driver.succeed("drop")
    assert sorted(undone) == [0, 1, 2]
    assert (driver.status, ended(driver).compensation) == ("failed", "completed")


def test_a_failing_compensation_concerns_no_rule_of_the_graph() -> None:
    nodes = [
        {"id": "a", "compensate": {"tool": "undo"}},
        {"id": "b", "dependencies": ["a"]},
        {"id": "finally", "dependencies": ["b"], "join": "all_done"},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a")
    driver.fail("b")
    assert list(driver.ordered) == ["finally"]
    driver.succeed("finally")
    driver.fail("a~compensate")
    assert driver.status == "failed"
    assert len([run for run in driver.commands(RunNode) if run.path == "finally"]) == 1


# ---- runs that are under way when the end comes


def parallel(**fields: Any) -> Driver:
    driver = Driver(plan_of([booking("flight"), booking("hotel"), {"id": "pay"}], **fields), {"who": "ann"})
    driver.start().succeed("flight", {"id": 1})
    return driver


def test_runs_that_can_be_undone_are_told_and_awaited_before_anything_is_undone() -> None:
    driver = parallel()
    driver.fail("pay")
    assert driver.told == ["hotel"]
    assert driver.status == "compensating"
    assert list(driver.ordered) == ["hotel"]
    driver.succeed("hotel", {"id": 2})
    assert driver.inputs("hotel~compensate") == {"id": 2, "for": "ann", "why": "execution_error"}
    driver.play()
    assert fates(driver) == ["SUCCESS", "SUCCESS"]
    assert not driver.timers


def test_a_run_that_fails_while_it_is_awaited_is_not_undone() -> None:
    driver = parallel()
    driver.fail("pay")
    driver.fail("hotel", "worker_lost")
    assert list(driver.ordered) == ["flight~compensate"]
    driver.play()
    assert ended(driver).compensation == "completed"


def test_a_run_that_never_began_is_not_awaited_longer() -> None:
    driver = parallel()
    driver.fail("pay")
    driver.take(RunStopped("stop:hotel#1", driver.now, "hotel", 1))
    assert "flight~compensate" in driver.ordered
    again = driver.take(RunStopped("stop:hotel#1", driver.now, "hotel", 1))
    assert again.ignored


def test_runs_are_awaited_for_two_minutes_at_most_and_come_too_late_then() -> None:
    driver = parallel()
    driver.fail("pay")
    late = NodeSucceeded(run_event_id("hotel", 1), START, "hotel", 1)
    driver.elapse(STOP_SECONDS - 2)
    assert list(driver.ordered) == ["hotel"]
    driver.elapse(3)
    assert driver.cancelled == ["hotel"]
    assert list(driver.ordered) == ["flight~compensate"]
    assert driver.take(late).ignored
    driver.play()
    assert fates(driver) == ["SUCCESS"]


def test_nothing_succeeded_but_something_may_still() -> None:
    driver = Driver(plan_of([booking("hotel"), {"id": "pay"}]), {"who": "x"}).start()
    driver.fail("pay")
    assert driver.status == "compensating"
    driver.fail("hotel")
    assert driver.status == "failed"
    assert ended(driver).compensation == "completed"


def test_nodes_that_nothing_undoes_are_cancelled_at_once() -> None:
    driver = Driver(plan_of([booking("flight"), {"id": "slow"}, {"id": "pay"}]), {"who": "x"}).start()
    driver.succeed("flight")
    driver.fail("pay")
    assert driver.cancelled == ["slow"]
    assert driver.told == []


def test_runs_are_told_as_soon_as_the_end_is_certain() -> None:
    nodes = [booking("hotel"), {"id": "pay"}, {"id": "finally", "dependencies": ["pay"], "join": "all_done"}]
    driver = Driver(plan_of(nodes), {"who": "x"}).start()
    driver.fail("pay")
    assert (driver.status, driver.told) == ("running", ["hotel"])
    driver.succeed("hotel", {"id": 7})
    assert driver.status == "running"
    driver.succeed("finally")
    assert driver.inputs("hotel~compensate")["id"] == 7  # type: ignore[index,call-overload]
    driver.play()
    assert (driver.status, ended(driver).compensation) == ("failed", "completed")


def test_runs_that_were_told_are_cancelled_when_nothing_is_undone_after_all() -> None:
    nodes = [booking("hotel"), {"id": "pay"}, {"id": "finally", "dependencies": ["pay"], "join": "all_done"}]
    driver = Driver(plan_of(nodes, compensation={"on": ["failure"]}), {"who": "x"}).start()
    driver.fail("pay")
    driver.take(CANCEL)
    assert driver.status == "cancelled"
    assert "hotel" in driver.cancelled


@pytest.mark.parametrize("order", ["reverse", "parallel"])
def test_every_order_of_events_in_one_batch_undoes_each_visit_once(order: str) -> None:
    def events(driver: Driver) -> list[Any]:
        return [driver.success("hotel", {"id": 2}), driver.failure("pay"), CANCEL]

    for turn in range(3):
        driver = parallel(compensation={"order": order})
        batch = events(driver)
        driver.take(*batch[turn:], *batch[:turn])
        driver.play()
        undone = [command.undoes.path(driver.plan) for command in driver.commands(RunNode) if command.undoes]
        assert sorted(undone) == ["flight", "hotel"]
        assert driver.status in ("failed", "cancelled")
        assert driver.state.in_flight == 0


# ---- charts, branches, re-entered states


def visits(**fields: Any) -> Driver:
    """A state that books something each time it is entered, and one that can fail."""
    undo = {"tool": "undo", "inputs": {"n": "${inputs.n}", "out": "${output}", "now": "${n}"}}
    book = {"id": "book", "type": "tool", "tool": "t", "inputs": {"n": "${n}"}, "compensate": undo}
    more = {"set_variable": {"name": "n", "value": "${n + 1}"}}
    states = [
        state("at", on("more", "at", more), on("leave", "away"), run=[book]),
        state("away", on("more", "at", more), on("break", "broken")),
        state("broken", run=[{"id": "stop", "type": "control", "subtype": "fail", "error": "x", "message": "m"}]),
    ]
    return Driver(chart_of(states, variables={"n": 1}, **fields), {})


def test_each_visit_of_a_state_that_has_ended_is_undone_with_what_that_visit_was_given() -> None:
    driver = visits().start()
    driver.succeed("at/book", "first")
    driver.send("more")
    driver.succeed("at/book", "second")
    driver.send("leave")
    assert driver.status == "running"
    driver.send("break")
    assert driver.status == "compensating"
    assert driver.inputs("at/book~compensate") == {"n": 2, "out": "second", "now": 2}
    driver.succeed("at/book~compensate")
    assert driver.inputs("at/book~compensate") == {"n": 1, "out": "first", "now": 2}
    driver.succeed("at/book~compensate")
    assert (driver.status, ended(driver).compensation) == ("failed", "completed")
    assert driver.replayed() == driver.state


def test_a_state_that_is_left_undoes_nothing_and_its_cancelled_run_is_no_success() -> None:
    driver = visits().start()
    late = NodeSucceeded(run_event_id("at/book", 1), START, "at/book", 1)
    driver.send("leave")
    assert driver.cancelled == ["at/book"]
    assert driver.take(late).ignored
    driver.send("break")
    assert driver.status == "failed"
    assert ended(driver).compensation == ""


def test_a_run_that_the_failing_commit_itself_cancels_is_awaited() -> None:
    nodes = [{"id": "book", "type": "tool", "tool": "t", "compensate": {"tool": "undo"}},
             {"id": "check", "type": "tool", "tool": "t"}]  # fmt: skip
    driver = Driver(chart_of([state("at", run=nodes)]), {}).start()
    driver.fail("at/check")
    assert driver.told == ["at/book"]
    driver.succeed("at/book")
    driver.succeed("at/book~compensate")
    assert (driver.status, ended(driver).compensation) == ("failed", "completed")


def test_a_chart_takes_no_event_while_it_is_compensated_and_stays_where_it_was() -> None:
    driver = visits().start()
    driver.succeed("at/book")
    driver.take(CANCEL)
    assert driver.status == "compensating"
    assert driver.send("more").ignored
    driver.play()
    assert driver.status == "cancelled"
    assert driver.configuration == ["at"]


def test_a_nested_machine_that_has_ended_is_undone_too() -> None:
    inner = {"id": "book", "type": "tool", "tool": "t", "compensate": {"tool": "undo", "inputs": {"o": "${output}"}}}
    machine = {
        "id": "m",
        "type": "state_machine",
        "initial_state": "s",
        "final_states": ["done"],
        "states": [{"name": "s", "run": [inner], "on_done": "done"}],
    }
    driver = Driver(plan_of([machine, {"id": "pay", "dependencies": ["m"]}])).start()
    driver.succeed("m/s/book", "room")
    driver.fail("pay")
    assert driver.inputs("m/s/book~compensate") == {"o": "room"}
    driver.play()
    assert (driver.status, ended(driver).compensation) == ("failed", "completed")


def test_a_machine_itself_can_be_undone_with_what_it_began_with() -> None:
    machine = {
        "id": "m", "type": "state_machine", "inputs": {"who": "${who}"}, "initial_state": "s", "final_states": ["done"],
        "states": [{"name": "s", "run": [{"id": "a", "type": "tool", "tool": "t"}], "on_done": "done"}],
        "compensate": {"tool": "undo", "inputs": {"who": "${inputs.who}", "out": "${output.who}"}},
    }  # fmt: skip
    driver = Driver(plan_of([machine, {"id": "pay", "dependencies": ["m"]}]), {"who": "ann"}).start()
    driver.succeed("m/s/a")
    driver.fail("pay")
    assert driver.inputs("m~compensate") == {"who": "ann", "out": "ann"}


# ---- while it goes on


def test_a_second_cancel_is_ignored_and_the_history_says_why() -> None:
    driver = booked(trip())
    driver.take(CANCEL)
    decision = driver.take(CancelRequested("control:2", START))
    assert decision.changed
    assert decision.ignored == (("control:2", "the execution is being compensated, and ends then"),)


def test_repeats_and_pokes_change_nothing() -> None:
    driver = booked(trip())
    failure = driver.failure("pay")
    driver.take(failure)
    assert driver.take(failure).ignored
    assert not driver.take(Poked("p", START)).changed
    done = driver.success("hotel~compensate")
    driver.take(done)
    assert driver.take(done).ignored
    assert list(driver.ordered) == ["flight~compensate"]


def test_a_parent_hears_of_the_end_once_all_is_undone() -> None:
    driver = trip()
    plan = driver.plan
    driver = booked(Driver(plan, {"who": "x"}, parent=Parent("p", "t", notify=True)))
    driver.fail("pay")
    assert not driver.commands(NotifyParent)
    driver.play()
    assert driver.commands(NotifyParent) == [NotifyParent("p", "t")]


def test_lifecycle_events_tell_of_it() -> None:
    driver = booked(trip())
    driver.fail("pay")
    driver.play()
    told = [(event.detail_type, event.detail.get("compensation")) for event in driver.published]
    assert told == [("execution.started", None), ("execution.compensating", None), ("execution.failed", "completed")]


def test_the_limit_on_concurrency_holds() -> None:
    nodes = [*(booking(f"n{number}") for number in range(6)), {"id": "pay", "dependencies": ["n0"]}]
    plan = plan_of(nodes, compensation={"order": "parallel"}, limits={"max_concurrency": 2})
    driver = Driver(plan, {"who": "x"}).start()
    for number in range(6):
        driver.succeed(f"n{number}")
    driver.fail("pay")
    assert len(driver.ordered) == 2
    driver.play()
    assert ended(driver).compensation == "completed"


# ---- ends outside the plan, and after the end


def test_an_abort_forgets_compensations_that_wait_for_a_place() -> None:
    nodes = [{"id": id, "compensate": {"tool": "u"}} for id in ("a", "b")]
    fields = {"compensation": {"order": "parallel"}, "limits": {"max_concurrency": 1}}
    driver = Driver(plan_of([*nodes, {"id": "c", "dependencies": ["a", "b"]}], **fields)).start()
    driver.succeed("a")
    driver.succeed("b")
    driver.take(CancelRequested("control:c", START))
    driver.take(RunStopped("stop:c#1", START, "c", 1))
    assert driver.status == "compensating"
    assert driver.state.queued
    ends = abort(driver.plan, driver.state, ErrorDocument.of("state_too_large", "too large"))
    assert ends.state.status.value == "cancelled"
    assert not ends.state.queued


def test_an_abort_undoes_too_and_a_second_one_ends_it() -> None:
    driver = booked(trip())
    error = ErrorDocument.of("state_too_large", "too large")
    decision = abort(driver.plan, driver.state, error)
    assert decision.state.status.value == "compensating"
    assert [command.path for command in decision.commands if isinstance(command, RunNode)] == ["hotel~compensate"]
    ends = abort(driver.plan, decision.state, ErrorDocument.of("state_too_large", "again"))
    assert ends.state.status.value == "failed"
    assert isinstance(ends.commands[0], SetStatus)
    assert ends.commands[0].compensation == "failed"
    assert ends.commands[0].error == error


def undo_again_of(driver: Driver) -> list[str]:
    """Ask for it as a request does; the paths that are ordered."""
    turn = Turn.on(driver.plan, driver.state, Known(globals=driver.globals))
    scopes = scopes_of(turn)
    assert undo_again(scopes)
    settle(scopes)
    driver.state = turn.state
    return [command.path for command in turn.commands if isinstance(command, RunNode)]


def test_what_could_not_be_undone_can_be_tried_again_after_the_end() -> None:
    driver = booked(trip())
    driver.fail("pay")
    first = driver.ordered["hotel~compensate"]
    driver.fail("hotel~compensate")
    driver.succeed("flight~compensate")
    assert undo_again_of(driver) == ["hotel~compensate"]
    assert driver.status == "compensating"
    decision = advance(driver.plan, driver.state, [], driver.now)
    again = driver.state.graph("hotel~compensate").first_serial
    assert again > first.serial
    decision = advance(
        driver.plan, driver.state,
        [NodeSucceeded(run_event_id("hotel~compensate", again), START, "hotel~compensate", again)], driver.now,
    )  # fmt: skip
    assert not isinstance(decision, tuple)
    assert decision.state.status.value == "failed"  # type: ignore[union-attr]
    assert decision.commands[0].compensation == "completed"  # type: ignore[union-attr]


def test_a_completed_execution_can_be_undone_and_stays_completed() -> None:
    driver = trip().play()
    assert undo_again_of(driver) == ["hotel~compensate"]
    assert driver.state.graph("hotel~compensate").undoes == 1


def test_nothing_left_to_undo_is_said() -> None:
    driver = booked(trip())
    driver.fail("pay")
    driver.play()
    assert not undo_again(scopes_of(Turn.on(driver.plan, driver.state, Known())))


# ---- many


def test_a_thousand_visits_are_undone_within_the_bounds_of_a_commit() -> None:
    count = 1_000
    nodes = [{"id": f"n{number}", "compensate": {"tool": "undo"}} for number in range(count)]
    nodes.append({"id": "pay", "dependencies": ["n0"]})
    driver = Driver(plan_of(nodes, compensation={"order": "parallel"}), checked=False).start()
    for number in range(count):
        driver.succeed(f"n{number}")
    driver.fail("pay")
    undone = 0
    while driver.ordered:
        assert len(driver.ordered) <= AT_ONCE_MAX
        driver.succeed(next(iter(driver.ordered)))
        undone += 1
    assert undone == count
    assert (driver.status, ended(driver).compensation) == ("failed", "completed")
    assert max(len(commit) for commit in driver.commits) <= 504
    assert len(encode_state(driver.state)) < 40 * 1024


def test_an_execution_with_more_visits_than_a_state_may_hold_fails_and_all_are_undone() -> None:
    driver = Driver(plan_of([booking(f"n{number}") for number in range(4)]), {"who": "x"}).start()
    driver.succeed("n0")
    driver.state.undo = Undoables.of([*driver.state.undo] * (UNDO_MAX - 1))
    driver.succeed("n1")
    assert driver.status == "running"
    driver.succeed("n2")
    assert (driver.status, driver.error) == ("compensating", ("state_too_large", ""))
    assert driver.told == ["n3"]
    driver.fail("n3")
    assert list(driver.ordered) == ["n2~compensate"]


def test_a_plan_without_compensations_keeps_nothing() -> None:
    driver = Driver(plan_of([{"id": "a"}, {"id": "b"}])).start()
    driver.succeed("a")
    driver.fail("b")
    stored = encode_state(driver.state)
    assert not any(field in stored for field in (b"undo", b"fates", b"stopping"))
    assert not driver.commands(StopRun)
    assert len(driver.commands(CancelRun)) == 0


def test_what_is_awaited_is_seen_in_the_table_of_pending_things() -> None:
    driver = parallel()
    driver.fail("pay")
    assert [entry.purpose for entry in driver.state.pending.values()] == [Purpose.STOP]


def test_outputs_of_any_size_are_not_kept_for_it() -> None:
    large: Json = {"id": "x" * 100_000}
    driver = trip().start()
    driver.succeed("flight", large)
    assert len(encode_state(driver.state)) < 1_000


# ---- after a retry


def test_a_retry_runs_again_what_was_undone_and_what_that_does_is_undone_in_its_turn() -> None:
    driver = booked(trip())
    driver.fail("pay")
    driver.play()
    assert driver.status == "failed"
    driver.take(RetryRequested("control:r", START))
    assert driver.status == "running"
    assert list(driver.ordered) == ["flight"]
    driver.succeed("flight", {"id": 11})
    driver.succeed("hotel", {"id": 12})
    driver.fail("pay", "declined again")
    assert driver.inputs("hotel~compensate") == {"id": 12, "for": "ann", "why": "declined again"}
    driver.play()
    assert (driver.status, ended(driver).compensation) == ("failed", "completed")
    undone = [command.undoes.serial for command in driver.commands(RunNode) if command.undoes]
    assert undone == [1, 1, 2, 2]
    assert driver.replayed() == driver.state


def test_what_is_undone_on_request_after_a_retry_is_told_how_the_execution_has_ended_since() -> None:
    driver = booked(trip(compensation={"on": ["cancel"]}))
    driver.take(CANCEL)
    driver.play()
    driver.take(RetryRequested("control:r", START))
    driver.succeed("flight", {"id": 11})
    driver.succeed("hotel", {"id": 12})
    driver.fail("pay", "declined")
    assert (driver.status, driver.told) == ("failed", [])
    seen = [entry["node"] for entry in compensations(driver.plan, driver.state, [])]
    assert seen == [], "nothing is going to be undone"
    driver.take(CompensateRequested("control:u", START))
    assert driver.inputs("hotel~compensate") == {"id": 12, "for": "ann", "why": "declined"}
    driver.play()
    assert (driver.status, driver.error) == ("failed", ("declined", "pay"))
    assert [entry["node"] for entry in compensations(driver.plan, driver.state, [])] == ["hotel", "flight"]
    assert driver.replayed() == driver.state


def test_a_deadline_after_a_retry_is_kept_when_what_was_told_to_stop_ends() -> None:
    nodes = [booking("hotel"), {"id": "pay"}, {"id": "finally", "dependencies": ["pay"], "join": "all_done"}]
    driver = Driver(plan_of(nodes, timeout="1h"), {"who": "x"}).start()
    driver.succeed("hotel")
    driver.fail("pay")
    driver.succeed("finally")
    driver.play()
    driver.take(RetryRequested("control:r", START))
    driver.fail("pay")
    assert driver.told == ["hotel"]
    driver.succeed("hotel")
    assert [entry.purpose for entry in driver.state.pending.values()] == [Purpose.DEADLINE]
