"""Loops together with what suspends, skips, tolerates, undoes and reopens."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, Failure, chart_of, control, loop, plan_of, state

from workflow_runtime.engine.codec import encode_state
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import (
    CancelRequested,
    Poked,
    ResumeRequested,
    RetryRequested,
    SkipRequested,
    SuspendRequested,
)

RESUME = ResumeRequested("control:r", START, "ann")
RETRY = RetryRequested("control:y", START, "ann")
SUSPEND = SuspendRequested("control:s", START, "ann")


def tolerated_loop(**fields: Any) -> Driver:
    """A loop that has failed, which a join behind it can do without, while another branch still runs."""
    driver = Driver(plan_of([
        loop("each", {"id": "a"}, times=3, **fields),
        {"id": "other"},
        {"id": "after", "dependencies": ["each", "other"], "join": "any"},
    ])).start()  # fmt: skip
    driver.fail("each[0]/a")
    assert driver.nodes["each"] == "failed"
    assert list(driver.ordered) == ["other"]
    return driver


def test_a_failed_loop_stays_ended_when_the_execution_is_suspended_and_resumed() -> None:
    driver = tolerated_loop()
    driver.take(SUSPEND)
    driver.take(RESUME)
    assert list(driver.ordered) == ["other"]
    assert driver.state.open_passes == 0
    driver.play()
    assert driver.status == "completed"


def test_a_failed_loop_begins_no_pass_when_others_make_room() -> None:
    many = {"times": 1_000, "max_concurrency": 0}
    plan = plan_of([
        loop("wide", control("nap", "wait", event="go"), **many),
        loop("each", {"id": "a"}, times=3, max_concurrency=3),
        {"id": "other"},
        {"id": "after", "dependencies": ["each", "other"], "join": "any"},
    ])  # fmt: skip
    driver = Driver(plan, checked=False).start()
    assert len(driver.state.crowded) == 1
    driver.fail("each[0]/a")
    assert driver.nodes["each"] == "failed"
    assert not driver.state.crowded
    driver.send("go")
    assert [path for path in driver.ordered if path.startswith("each")] == []


@pytest.mark.parametrize("at_once", [1, 7])
def test_a_loop_whose_passes_end_at_once_outlasts_its_commits(at_once: int) -> None:
    body = control("p", "pass", inputs={"i": "${index}"})
    driver = Driver(plan_of([loop("each", body, times=1_300, max_concurrency=at_once)]), checked=False).play()
    while driver.ordered:
        driver.play()
    assert driver.status == "completed"
    assert driver.output == [{"i": index} for index in range(1_300)]
    assert len(driver.commits) > 2


BODY = [
    control("which", "switch", condition="${item}", branches=[{"case": 0, "target": "bad"}, {"default": "ask"}]),
    control("bad", "fail", error="bad", message="it is bad"),
    control("ask", "wait", seconds="${'no time'}"),
]


def test_the_failure_of_a_pass_counts_though_another_pass_escalates_in_the_same_turn() -> None:
    plan = plan_of(
        [loop("each", *BODY, items="${xs}", max_concurrency=2), {"id": "x"}],
        error_handlers=[{"node_pattern": "ask", "action": "escalate"}],
    )
    driver = Driver(plan, {"xs": [0, 1, 0]}).start()
    assert driver.status == "suspended"
    driver.take(SkipRequested("control:k", START, "ann", node="each[1]/ask", output=1))
    assert driver.nodes["each"] == "failed"
    driver.play()
    assert (driver.status, driver.error) == ("failed", ("bad", "each[0]/bad"))


def test_skipping_a_loop_settles_a_failure_that_escalated_in_it() -> None:
    plan = plan_of(
        [loop("each", {"id": "a"}, times=2), {"id": "after", "dependencies": ["each"]}],
        error_handlers=[{"node_pattern": "a", "action": "escalate"}],
    )
    driver = Driver(plan).play({"each[0]/a": Failure("unsure")})
    assert driver.status == "suspended"
    driver.take(SkipRequested("control:k", START, "ann", node="each", output=[1]))
    assert driver.status == "suspended"
    assert driver.state.escalated is None
    driver.take(RESUME)
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_a_loop_after_what_was_undone_in_a_state_runs_anew() -> None:
    nodes = [
        {"id": "first", "type": "tool", "tool": "t", "compensate": {"tool": "undo"}},
        loop("each", {"id": "a", "type": "tool", "tool": "t"}, times=2, dependencies=["first"]),
    ]
    plan = chart_of([state("work", run=nodes, on_done="end"), state("end", type="final")])
    driver = Driver(plan).start()
    driver.succeed("work/first", 1)
    driver.succeed("work/each[0]/a", 1)
    driver.fail("work/each[1]/a")
    driver.play()
    assert driver.status == "failed"
    driver.take(RETRY)
    assert list(driver.ordered) == ["work/first"]
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_a_loop_whose_passes_read_each_other_runs_anew_if_passes_were_undone() -> None:
    body = {"id": "a", "compensate": {"tool": "undo"}}
    driver = Driver(plan_of([loop("each", body, times=3, until="${iterations[4]}")])).start()
    driver.succeed("each[0]/a", "first")
    driver.succeed("each[1]/a", "second")
    driver.fail("each[2]/a")
    driver.play()
    assert driver.status == "failed"
    driver.take(RETRY)
    assert list(driver.ordered) == ["each[0]/a"]
    for index in range(3):
        driver.succeed(f"each[{index}]/a", index)
    assert (driver.status, driver.output) == ("completed", [0, 1, 2])
    serials = [(order.path, order.serial) for order in driver.commands(RunNode)]
    assert len(set(serials)) == len(serials)


def test_a_retried_loop_that_was_over_begins_no_other_pass() -> None:
    plan = plan_of(
        [loop("each", {"id": "a"}, until="${a.done}", collect="${1 / share}")],
        variables={"share": 0},
    )
    driver = Driver(plan).start()
    driver.succeed("each[0]/a", {"done": True})
    assert driver.error == ("execution_error", "each")
    driver.take(RetryRequested("control:y", START, variables={"share": 2}))
    assert not driver.ordered
    assert (driver.status, driver.output) == ("completed", [0.5])


def test_a_retried_loop_whose_condition_could_not_be_read_goes_on() -> None:
    driver = Driver(plan_of([loop("each", {"id": "a"}, until="${a.n / share > 1}")], variables={"share": 0})).start()
    driver.succeed("each[0]/a", {"n": 1})
    assert driver.error == ("execution_error", "each")
    driver.take(RetryRequested("control:y", START, variables={"share": 1}))
    driver.play({"each[1]/a": {"n": 2}})
    assert (driver.status, driver.output) == ("completed", [{"n": 1}, {"n": 2}])


def test_a_loop_whose_failure_escalated_goes_on_where_it_was() -> None:
    plan = plan_of(
        [loop("each", {"id": "a"}, times=3)], error_handlers=[{"node_pattern": "each", "action": "escalate"}]
    )
    driver = Driver(plan).play({"each[0]/a": 1, "each[1]/a": Failure("unsure")})
    assert driver.status == "suspended"
    driver.take(RETRY)
    assert list(driver.ordered) == ["each[1]/a"]
    driver.play({"each[1]/a": 2, "each[2]/a": 3})
    assert (driver.status, driver.output) == ("completed", [1, 2, 3])
    assert driver.replayed() == driver.state


def test_passes_that_failed_cost_the_state_their_two_bits() -> None:
    plan = plan_of([loop("each", control("no", "fail", error="e", message="m"), times=4_000, on_item_error="skip"),
                    {"id": "after", "dependencies": ["each"]}])  # fmt: skip
    driver = Driver(plan, checked=False)
    driver.pokes = False
    driver.start()
    largest = len(encode_state(driver.state))
    while not driver.ordered:
        driver.take(Poked("poke", driver.now))
        largest = max(largest, len(encode_state(driver.state)))
    assert largest < 4_000


ONCE_MORE = {"times": 1, "item_retry": {"max_retries": 1, "retry_delay": 0}}


def test_serials_go_on_behind_those_of_a_loop_that_failed_in_a_pass() -> None:
    driver = Driver(plan_of([loop("outer", loop("inner", {"id": "a"}, **ONCE_MORE), **ONCE_MORE)])).start()
    for _ in range(4):
        driver.fail("outer[0]/inner[0]/a")
    assert driver.status == "failed"
    assert [order.serial for order in driver.commands(RunNode)] == [1, 2, 3, 4]


def test_serials_go_on_behind_those_of_a_loop_that_was_cancelled_in_a_pass() -> None:
    driver = Driver(plan_of([loop("outer", loop("inner", {"id": "a"}, **ONCE_MORE), **ONCE_MORE)])).start()
    driver.fail("outer[0]/inner[0]/a")
    driver.take(CancelRequested("control:c", START))
    driver.take(RETRY)
    assert [order.serial for order in driver.commands(RunNode)] == [1, 2, 3]
    driver.play()
    assert driver.status == "completed"


def test_an_execution_with_a_timeout_can_be_suspended_after_it_was_reopened() -> None:
    driver = Driver(plan_of([{"id": "a"}], timeout=60)).start()
    driver.fail("a")
    driver.take(RETRY)
    driver.take(SUSPEND)
    assert driver.state.suspension is not None
    assert driver.state.suspension.timeout_left > 0
    driver.take(RESUME)
    driver.elapse(61)
    assert driver.error == ("timeout", "")
