"""What the engine decides while an execution is suspended, which is nothing, and when it is resumed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, chart_of, control, on, plan_of, state

from workflow_runtime.engine.commands import HoldEvent, OrderAgain, RunNode, SetStatus, StartTimer
from workflow_runtime.engine.events import (
    CancelRequested,
    ChildEnded,
    Event,
    EventReturned,
    HeldEvent,
    ResumeRequested,
    SkipRequested,
    SuspendRequested,
    TimerFired,
)
from workflow_runtime.errors import InvalidEvent

CANCEL = CancelRequested("control:c", START, "李雷")
SUSPEND = SuspendRequested("control:s", START, "李雷", "maintenance")
RESUME = ResumeRequested("control:r", START, "韩梅梅")
THREE = [{"id": "a"}, {"id": "b", "dependencies": ["a"]}, {"id": "c", "dependencies": ["b"]}]


def returned(number: int, event: HeldEvent) -> EventReturned:
    return EventReturned(f"held:{number}", START, number, event)


def fired(timer: str, at: int = START) -> TimerFired:
    return TimerFired(f"timer:{timer}", at, timer)


def commands(driver: Driver, kind: type[Any]) -> list[Any]:
    return [command for command in driver.commits[-1] if isinstance(command, kind)]


def test_a_result_is_taken_and_nothing_follows_from_it_until_it_is_resumed() -> None:
    driver = Driver(plan_of(THREE)).start()
    result = driver.success("a")
    driver.take(SUSPEND)
    driver.take(result)
    assert driver.nodes == {"a": "success", "b": "waiting", "c": "waiting"}
    assert not commands(driver, RunNode)
    driver.take(RESUME)
    assert [order.path for order in commands(driver, RunNode)] == ["b"]
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_results_may_come_before_at_and_after_the_requests_in_one_batch() -> None:
    for order in itertools.permutations(("suspend", "resume", "result")):
        driver = Driver(plan_of(THREE)).start()
        events: dict[str, Event] = {"suspend": SUSPEND, "resume": RESUME, "result": driver.success("a")}
        driver.take(*(events[name] for name in order))
        if driver.status == "suspended":
            driver.take(ResumeRequested("control:again", START))
        driver.play()
        assert driver.status == "completed", order
        assert driver.replayed() == driver.state


def test_places_of_max_concurrency_are_right_after_it_is_resumed() -> None:
    driver = Driver(plan_of([{"id": id} for id in "abcd"], limits={"max_concurrency": 2})).start()
    assert list(driver.ordered) == ["a", "b"]
    results = driver.success("a"), driver.success("b")
    driver.take(SUSPEND)
    driver.take(results[0])
    assert driver.state.in_flight == 1
    driver.take(RESUME)
    assert (list(driver.ordered), driver.state.in_flight) == (["c"], 2)
    driver.take(results[1])
    assert (list(driver.ordered), driver.state.in_flight) == (["c", "d"], 2)
    driver.play()
    assert driver.status == "completed"


def test_branches_of_a_limited_parallel_go_on_one_by_one() -> None:
    nodes = [
        control("p", "parallel", branches=["a", "b", "c"], max_concurrency=1),
        *({"id": id} for id in "abc"),
    ]
    driver = Driver(plan_of(nodes)).start()
    result = driver.success("a")
    driver.take(SUSPEND)
    driver.take(result)
    assert not driver.ordered.keys() - {"a"}
    driver.take(RESUME)
    assert list(driver.ordered) == ["b"]
    driver.play()
    assert driver.status == "completed"


def test_orders_that_no_worker_has_begun_are_sent_again_if_there_are_any() -> None:
    driver = Driver(plan_of(THREE)).start()
    driver.take(SUSPEND)
    driver.take(RESUME)
    assert commands(driver, OrderAgain)
    waits = Driver(plan_of([control("w", "wait", duration="1h")])).start()
    waits.take(SUSPEND)
    waits.take(RESUME)
    assert not commands(waits, OrderAgain)


def test_a_timer_that_fires_twice_is_held_once_and_not_due_for_the_sweep_any_more() -> None:
    driver = Driver(plan_of([control("w", "wait", duration="1h")])).start()
    (timer,) = driver.state.timers
    driver.take(SUSPEND)
    driver.take(fired(timer))
    assert commands(driver, HoldEvent) == [HoldEvent(0, f"timer:{timer}")]
    assert not driver.take(fired(timer)).changed
    assert driver.state.timers == {}
    assert driver.state.held == 1


def test_timers_that_were_due_before_a_held_one_come_before_it() -> None:
    waits = [control("late", "wait", duration="2h"), control("early", "wait", duration="1h")]
    driver = Driver(plan_of([*waits, {"id": "x", "join": "any", "dependencies": ["late", "early"]}])).start()
    late, early = driver.state.timers
    driver.take(SUSPEND)
    driver.take(fired(late))
    driver.take(fired(early))
    driver.take(RESUME)
    driver.take(returned(0, fired(late)))
    assert driver.nodes["early"] == driver.nodes["late"] == "success"
    driver.take(returned(1, fired(early)))
    assert driver.state.held == 0
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


@pytest.mark.parametrize("number", [0, 2])
def test_what_comes_back_out_of_turn_or_again_has_no_effect(number: int) -> None:
    driver = Driver(chart_of([state("s", on("go", "s"))])).start()
    driver.take(SUSPEND)
    events = [driver.signal("go", id=f"g{place}") for place in range(3)]
    driver.take(*events)
    driver.take(RESUME)
    driver.take(returned(0, events[0]))
    before = len(driver.macrosteps)
    assert not driver.take(returned(number, events[number])).changed
    assert len(driver.macrosteps) == before
    driver.take(returned(1, events[1]), returned(2, events[2]))
    assert driver.state.held == 0
    assert driver.replayed() == driver.state


def test_what_is_held_stays_held_when_it_is_suspended_again() -> None:
    driver = Driver(chart_of([state("s", on("go", "s"))])).start()
    driver.take(SUSPEND)
    event = driver.signal("go", id="g")
    driver.take(event)
    driver.take(RESUME, SuspendRequested("control:t", START))
    assert not driver.take(returned(0, event)).changed
    assert driver.state.held == 1


def test_charts_make_no_transition_while_suspended() -> None:
    run = [{"id": "n", "type": "tool", "tool": "t"}]
    driver = Driver(chart_of([state("s", run=run, on_done="done"), state("done")], final_states=["done"])).start()
    result = driver.success("s/n")
    driver.take(SUSPEND)
    before = len(driver.macrosteps)
    driver.take(result)
    assert len(driver.macrosteps) == before
    driver.take(RESUME)
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_only_the_timeout_of_the_execution_stands_still() -> None:
    driver = Driver(plan_of([{"id": "a"}, control("w", "wait", duration="3h")], timeout="2h")).start()
    driver.take(SUSPEND, at=START + 3600_000)
    assert [entry.purpose for entry in driver.state.pending.values()] == ["wait"]
    assert driver.state.suspension is not None
    assert driver.state.suspension.timeout_left == 3600_000
    driver.take(RESUME, at=START + 50 * 3600_000)
    assert [timer.due for timer in commands(driver, StartTimer)] == [START + 51 * 3600_000]


def test_a_node_that_waits_can_be_skipped_and_its_timer_is_not_held() -> None:
    driver = Driver(plan_of([control("w", "wait", duration="1h"), {"id": "x", "dependencies": ["w"]}])).start()
    (timer,) = driver.state.timers
    driver.take(SUSPEND)
    driver.take(SkipRequested("control:k", START, node="w", output={}))
    decision = driver.take(fired(timer))
    assert decision.ignored[0][1] == "nobody waits for it any more"
    assert driver.nodes == {"w": "success", "x": "waiting"}
    driver.take(RESUME)
    driver.play()
    assert driver.status == "completed"


def test_an_end_of_a_child_that_nobody_awaits_is_not_held() -> None:
    driver = Driver(plan_of(THREE)).start()
    driver.take(SUSPEND)
    assert not driver.take(ChildEnded("child:x", START, "c1", "x", "completed")).changed


def test_events_beyond_ten_thousand_are_refused_and_the_executions_own_are_not() -> None:
    driver = Driver(plan_of([control("w", "wait", duration="1h"), control("e", "wait", event="go")])).start()
    (timer,) = driver.state.timers
    driver.take(SUSPEND)
    driver.state.held_next = 10_000
    with pytest.raises(InvalidEvent, match="10,000 events"):
        driver.send("go")
    driver.take(fired(timer))
    assert driver.state.held == 10_001


def test_nothing_starts_after_a_suspended_execution_was_cancelled() -> None:
    driver = Driver(plan_of([*THREE, control("e", "wait", event="go")])).start()
    event, result = driver.signal("go", id="g"), driver.success("a")
    driver.take(SUSPEND)
    driver.take(event, result)
    driver.take(CANCEL)
    assert driver.status == "cancelled"
    assert (driver.state.held, driver.state.suspension) == (0, None)
    decision = driver.take(RESUME, returned(0, event))
    assert not decision.changed
    assert len(decision.ignored) == 2
    assert driver.replayed() == driver.state


RACE = ("cancel", "suspend", "resume", "deadline", "failure")


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("first", RACE)
def test_cancel_timeout_error_and_suspension_at_once_in_any_order_lead_to_one_end(first: str, batched: bool) -> None:
    plan = plan_of([{"id": "a"}, {"id": "b"}], timeout="1h")
    for order in itertools.permutations(RACE):
        if order[0] == first:
            check_race(Driver(plan).start(), order, batched)


def check_race(driver: Driver, order: tuple[str, ...], batched: bool) -> None:
    (deadline,) = driver.state.timers
    events: dict[str, Event] = {
        "cancel": CANCEL,
        "suspend": SUSPEND,
        "resume": RESUME,
        "deadline": fired(deadline, START + 3600_000),
        "failure": driver.failure("a"),
    }
    for batch in [order] if batched else [(name,) for name in order]:
        driver.take(*(events[name] for name in batch))
    held = [command for commit in driver.commits for command in commit if isinstance(command, HoldEvent)]
    assert driver.status in ("cancelled", "failed"), (order, held)
    ends = [
        command
        for commit in driver.commits
        for command in commit
        if isinstance(command, SetStatus) and command.status in ("cancelled", "failed")
    ]
    assert len(ends) == 1, order
    assert set(driver.nodes.values()) <= {"failed", "cancelled"}, order
    assert driver.replayed() == driver.state, order


@pytest.mark.parametrize("suspended", [True, False])
def test_a_timer_of_a_node_that_has_ended_is_ignored_with_a_reason(suspended: bool) -> None:
    driver = Driver(plan_of([control("w", "wait", event="go", timeout="1h"), {"id": "x"}])).start()
    (timer,) = driver.state.timers
    driver.send("go")
    if suspended:
        driver.take(SUSPEND)
    decision = driver.take(fired(timer))
    assert not decision.changed
    assert decision.ignored[0][1]


def test_a_repeat_that_comes_before_and_after_an_end_in_one_commit_is_replayed_as_one() -> None:
    """The second copy is ignored because the execution has ended, whatever the first one was ignored for."""
    driver = Driver(plan_of([{"id": "a"}])).start()
    driver.take(SUSPEND)
    driver.take(RESUME)
    driver.take(SUSPEND, CANCEL, SUSPEND)
    assert driver.status == "cancelled"
    assert driver.replayed() == driver.state
