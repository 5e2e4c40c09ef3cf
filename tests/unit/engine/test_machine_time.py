"""Charts and waits in time: delays, repeats, delayed sends, waits; timers that are over never act."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, chart_of, control, on, plan_of, started, state

MINUTE = 60


def after(delay: Any, target: str | None = None, *actions: Any, **fields: Any) -> dict[str, Any]:
    found = {"delay": delay, "actions": list(actions), **fields}
    return found if target is None else {**found, "target": target}


# ---- delays of states


def test_a_delay_takes_its_transition_after_so_long_in_the_state() -> None:
    driver = started(state("a", after=after("30m", "b")), state("b"))
    driver.elapse(30 * MINUTE - 1)
    assert driver.configuration == ["a"]
    driver.elapse(1)
    assert driver.configuration == ["b"]
    assert driver.macrosteps[-1].event == "timeout"


def test_a_delay_can_be_computed_when_the_state_is_entered() -> None:
    driver = started(
        state("a", on("go", "b", {"set_variable": {"name": "n", "value": "2m"}})),
        state("b", after=after("${n}", "c")),
        state("c"),
        variables={"n": 500},
    )
    driver.send("go")
    driver.elapse(121)
    assert driver.configuration == ["c"]


def test_a_delay_that_is_none_raises_an_error() -> None:
    driver = started(
        state("a", on("error.execution", "b", {"log": "${event.data.message}"}), after=after("${n}", "c")),
        state("b"),
        state("c"),
        variables={"n": "soon"},
    )
    assert driver.configuration == ["b"]
    assert driver.logs[0].startswith("delay of `a`: not a duration")


def test_a_delay_whose_condition_is_false_passes_without_a_trace() -> None:
    driver = started(state("a", after=after(10, "b", condition="ready")), state("b"))
    driver.elapse(20)
    assert driver.configuration == ["a"]
    assert len(driver.macrosteps) == 1


def test_two_delays_of_one_state_each_take_their_own_transition() -> None:
    driver = started(state("a", after=[after(10, None, {"log": "ten"}), after(20, None, {"log": "twenty"})]))
    driver.elapse(30)
    assert driver.logs == ["ten", "twenty"]


def test_a_transition_that_listens_to_timeout_hears_every_delay() -> None:
    driver = started(state("a", on("timeout", None, {"log": "${event.data.state}"}), after=after(10, "b")), state("b"))
    driver.elapse(20)
    assert driver.logs == ["a"]
    assert driver.configuration == ["a"]


def test_every_repeats_until_the_state_is_left() -> None:
    driver = started(state("a", on("go", "b"), after=after(10, None, {"log": "tick"}, every=5)), state("b"))
    driver.elapse(21)
    assert driver.logs == ["tick"] * 3
    driver.send("go")
    assert driver.timers == {}
    driver.elapse(60)
    assert driver.logs == ["tick"] * 3


def test_a_repeat_with_a_target_ends_with_the_state() -> None:
    driver = started(state("a", after=after(1, "b", every=1)), state("b"))
    driver.elapse(10)
    assert driver.timers == {}
    assert driver.configuration == ["b"]


def test_a_computed_repeat_of_zero_seconds_is_one_second() -> None:
    driver = started(state("a", after=after(1, None, {"log": "tick"}, every="${n}")), variables={"n": 0})
    driver.elapse(4)
    assert len(driver.logs) <= 4


def test_a_timer_of_a_state_that_was_left_never_acts() -> None:
    driver = started(state("a", on("go", "b"), after=after(10, "c")), state("b"), state("c"))
    (timer,) = driver.timers
    driver.send("go")
    driver.fire(timer, START + 60_000)
    assert driver.configuration == ["b"]
    assert driver.ignored[-1][1] == "the timer was cancelled, or has fired already"


def test_a_state_that_is_entered_again_waits_anew() -> None:
    driver = started(state("a", on("again", "a"), after=after(10, "b")), state("b"))
    driver.elapse(8)
    driver.send("again")
    driver.elapse(8)
    assert driver.configuration == ["a"]
    driver.elapse(3)
    assert driver.configuration == ["b"]


def test_an_internal_transition_lets_the_delay_run_on() -> None:
    driver = started(state("a", on("note", None, {"log": "noted"}), after=after(10, "b")), state("b"))
    driver.elapse(8)
    driver.send("note")
    driver.elapse(2)
    assert driver.configuration == ["b"]


def test_a_timer_that_fires_twice_acts_once() -> None:
    driver = started(state("a", after=after(10, None, {"log": "once"})))
    (timer,) = driver.timers
    driver.fire(timer, START + 11_000)
    driver.fire(timer, START + 12_000)
    assert driver.logs == ["once"]


def test_the_time_of_the_engine_is_not_before_the_timers() -> None:
    driver = started(state("a", after=after(60, None, {"log": "${now}"})))
    (timer,) = driver.timers
    due = driver.timers[timer]
    driver.fire(timer, driver.now)  # a dispatcher whose clock is behind
    assert driver.state.now == due


def test_a_state_that_is_left_in_the_same_step_starts_no_timer() -> None:
    driver = started(
        state("a", on("go", "b")),
        state("b", always=[{"target": "c"}], after=after(10, "a")),
        state("c"),
        final_states=["x"],
    )
    driver.send("go")
    assert driver.timers == {}


def test_the_end_cancels_all_timers() -> None:
    driver = started(state("a", on("go", "done"), after=after(10, "a")))
    driver.send("go")
    assert driver.timers == {}
    assert driver.state.timers == {}


def test_timers_of_the_same_time_fire_in_the_order_of_the_file_however_they_are_delivered() -> None:
    for order in (0, 1), (1, 0):
        driver = started(
            state("a", after=[after(10, "b", condition="n > 0"), after(10, "c")]),
            state("b"),
            state("c"),
            variables={"n": 1},
        )
        timers = list(driver.timers)
        for place in order:
            driver.fire(timers[place], START + 11_000)
        assert driver.configuration == ["b"]
        assert driver.replayed() == driver.state


def test_a_timer_that_is_delivered_late_still_comes_before_later_ones() -> None:
    driver = started(state("a", after=[after(10, None, {"log": "ten"}), after(20, None, {"log": "twenty"})]))
    first, second = driver.timers
    driver.fire(second, START + 30_000)
    assert driver.logs == ["ten", "twenty"]
    driver.fire(first, START + 31_000)
    assert driver.logs == ["ten", "twenty"]


# ---- delayed sends


def test_a_delayed_send_comes_also_after_the_state_was_left() -> None:
    driver = started(
        state("a", on("go", "b", {"send": {"event": "later", "delay": "1h", "data": {"n": "${n}"}}})),
        state("b", on("later", None, {"log": "${n}"})),
        variables={"n": 1},
    )
    driver.send("go")
    driver.elapse(3600)
    assert driver.logs == ["1"]


def test_cancel_send_takes_back_what_has_this_id() -> None:
    send = [{"send": {"id": "x${n}", "event": "later", "delay": 60, "data": {"n": "${n}"}}}]
    driver = started(
        state(
            "a",
            on("go", None, {"for_each": "${list}", "as": "n", "do": send}),
            on("stop", None, {"cancel_send": "x2"}),
            on("later", None, {"log": "${event.data.n}"}),
        )
    )
    driver.send("go", {"list": [1, 2, 3]})
    driver.send("stop")
    driver.elapse(120)
    assert driver.logs == ["1", "3"]


def test_cancel_send_after_it_was_sent_does_nothing() -> None:
    driver = started(
        state(
            "a",
            on("go", None, {"send": {"id": "x", "event": "later", "delay": 5}}),
            on("stop", None, {"cancel_send": "x"}),
            on("later", None, {"log": "came"}),
        )
    )
    driver.send("go")
    driver.elapse(6)
    driver.send("stop")
    assert driver.logs == ["came"]
    assert driver.status == "running"


# ---- waits


def wait(**fields: Any) -> dict[str, Any]:
    return control("pause", "wait", **fields)


AFTERWARDS = {"id": "next_", "inputs": {"got": "${pause}"}, "dependencies": ["pause"]}


@pytest.mark.parametrize(
    "fields", [{"duration": "90s"}, {"seconds": 90}, {"at": "2023-11-14T22:14:51Z"}, {"at": "${due}"}], ids=str
)
def test_a_wait_for_a_time_goes_on_then(fields: dict[str, Any]) -> None:
    driver = Driver(plan_of([wait(**fields), AFTERWARDS]), {"due": "2023-11-14T22:14:51Z"}).start()
    assert driver.nodes["pause"] == "running"
    driver.elapse(88)
    assert driver.ordered == {}
    driver.elapse(2)
    assert driver.inputs("next_") == {"got": {}}


def test_a_wait_for_a_time_that_is_past_goes_on_at_once() -> None:
    driver = Driver(plan_of([wait(at="2020-01-01T00:00:00Z"), AFTERWARDS])).start()
    assert driver.timers == {}
    assert list(driver.ordered) == ["next_"]


@pytest.mark.parametrize("due", [1_800_000_000, 0, 99_999_999_999])
def test_a_wait_for_epoch_seconds_fails_and_one_for_milliseconds_waits(due: int) -> None:
    plan = plan_of([wait(at="${due}"), AFTERWARDS])
    seconds = Driver(plan, {"due": due}).start()
    milliseconds = Driver(plan, {"due": 1_800_000_000_000}).start()
    assert (seconds.status, seconds.error) == ("failed", ("execution_error", "pause"))
    assert milliseconds.nodes["pause"] == "running"


def test_a_wait_for_an_event_yields_its_data() -> None:
    driver = Driver(plan_of([wait(event="answered"), AFTERWARDS])).start()
    driver.send("other", {"n": 1})
    assert driver.nodes["pause"] == "running"
    driver.send("answered", {"n": 2})
    assert driver.inputs("next_") == {"got": {"n": 2}}


def test_a_wait_takes_only_events_that_match() -> None:
    driver = Driver(plan_of([wait(event="answered", match="${event.data.n} == want"), AFTERWARDS]), {"want": 2}).start()
    driver.send("answered", {"n": 1})
    assert driver.nodes["pause"] == "running"
    driver.send("answered", {"n": 2})
    assert driver.inputs("next_") == {"got": {"n": 2}}


def test_a_match_that_fails_is_no_match() -> None:
    driver = Driver(plan_of([wait(event="answered", match="1 / event.data.n > 0"), AFTERWARDS])).start()
    driver.send("answered", {"n": 0})
    driver.send("answered", {"n": 1})
    assert driver.inputs("next_") == {"got": {"n": 1}}


def test_events_that_come_before_their_wait_are_kept_in_order() -> None:
    nodes = [
        {"id": "first"},
        {**wait(event="answered"), "dependencies": ["first"]},
        control("again", "wait", event="answered", dependencies=["pause"]),
    ]
    driver = Driver(plan_of(nodes)).start()
    for number in (1, 2, 3):
        driver.send("answered", {"n": number})
    driver.succeed("first")
    assert (driver.result("pause"), driver.result("again")) == ({"n": 1}, {"n": 2})
    assert driver.status == "completed"


def test_one_event_ends_one_wait() -> None:
    nodes = [control("one", "wait", event="answered"), control("two", "wait", event="answered")]
    driver = Driver(plan_of(nodes)).start()
    driver.send("answered", {"n": 1})
    assert driver.nodes == {"one": "success", "two": "running"}
    driver.send("answered", {"n": 2})
    assert driver.status == "completed"


def test_a_wait_that_times_out_fails() -> None:
    driver = Driver(plan_of([wait(event="answered", timeout="1h"), AFTERWARDS])).start()
    driver.elapse(3601)
    assert (driver.status, driver.error) == ("failed", ("timeout", "pause"))


def test_a_wait_that_times_out_can_go_on_without() -> None:
    driver = Driver(plan_of([wait(event="answered", timeout="1h", on_timeout="continue"), AFTERWARDS])).start()
    driver.elapse(3601)
    assert driver.inputs("next_") == {"got": {}}


def test_a_wait_that_times_out_can_call_a_node() -> None:
    nodes = [wait(event="answered", timeout="1h", on_timeout="remind"), {"id": "remind"}]
    driver = Driver(plan_of(nodes)).start()
    driver.elapse(3601)
    assert list(driver.ordered) == ["remind"]
    driver.succeed("remind", "reminded")
    assert (driver.status, driver.nodes) == ("completed", {"pause": "failed", "remind": "success"})


def test_what_a_wait_would_have_called_is_skipped() -> None:
    nodes = [wait(event="answered", timeout="1h", on_timeout="remind"), {"id": "remind"}]
    driver = Driver(plan_of(nodes)).start()
    (timer,) = driver.timers
    driver.send("answered")
    assert driver.timers == {}
    assert driver.nodes == {"pause": "success", "remind": "skipped"}
    driver.fire(timer, START + 4_000_000)
    assert driver.status == "completed"


def test_a_correlated_wait_subscribes_while_it_waits() -> None:
    nodes = [
        {"id": "first"},
        {**wait(event="paid", correlate="${detail.id}", **{"with": "${first.id}"}), "dependencies": ["first"]},
        {"id": "last", "dependencies": ["pause"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    assert driver.listens == set()
    driver.succeed("first", {"id": 7})
    assert driver.listens == {("paid", "7")}
    driver.send("paid", {"n": 1}, key="8")
    assert driver.nodes["pause"] == "running"
    driver.send("paid", {"n": 2}, key="7")
    assert driver.nodes["pause"] == "success"
    assert driver.listens == set()


def test_a_correlated_event_that_comes_between_two_attempts_of_its_wait_is_kept_for_the_next() -> None:
    retried = {"timeout": 10, "retry_policy": {"max_retries": 1, "retry_delay": 30, "jitter": False}}
    plan = plan_of([wait(event="paid", correlate="${detail.id}", **{"with": "${id}"}, **retried)])
    [route] = plan.routes
    driver = Driver(plan, {"id": "o-7"}).start().elapse(20)
    assert driver.nodes == {"pause": "retrying"}
    assert driver.subscribed == {("paid", "o-7", route)}
    driver.send("paid", {"by": "card"}, key="o-7", route=route)
    driver.elapse(60)
    assert (driver.status, driver.result("pause")) == ("completed", {"by": "card"})
    assert not driver.subscribed


def test_a_correlated_event_that_comes_before_its_wait_is_kept_for_it() -> None:
    """Also when the key is known only once an earlier node has ended."""
    nodes = [
        {"id": "create"},
        {"id": "pack", "dependencies": ["create"]},
        {**wait(event="paid", correlate="${detail.id}", **{"with": "${create.id}"}), "dependencies": ["pack"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    assert driver.listens == set()
    driver.succeed("create", {"id": 7})
    assert driver.listens == {("paid", "7")}, "though the wait has not begun"
    driver.send("paid", {"n": 1}, key="7")
    driver.succeed("pack", {})
    assert (driver.status, driver.records["pause", 1].output) == ("completed", {"n": 1})


def test_a_wait_takes_what_its_own_trigger_brings_and_a_chart_does_not() -> None:
    plan = plan_of(
        [
            {**wait(event="paid", correlate="${detail.order}", **{"with": "${order}"}), "id": "by_order"},
            {**wait(event="paid", correlate="${detail.customer}", **{"with": "${customer}"}), "id": "by_customer"},
        ]
    )
    by_order, by_customer = plan.routes
    driver = Driver(plan, {"order": 42, "customer": 7}).start()
    assert driver.subscribed == {("paid", "42", by_order), ("paid", "7", by_customer)}
    driver.send("paid", {"order": 7}, key="7", route=by_order)
    assert driver.nodes == {"by_order": "running", "by_customer": "running"}
    driver.send("paid", {"order": 42}, key="42", route=by_order)
    assert driver.nodes == {"by_order": "success", "by_customer": "running"}
    driver.send("paid", {"customer": 7}, key="7", route=by_customer)
    assert driver.status == "completed"


def test_events_that_are_kept_grow_old() -> None:
    nodes = [wait(duration="60d"), {**wait(event="paid"), "id": "late", "dependencies": ["pause"], "timeout": "1d"}]
    driver = Driver(plan_of(nodes)).start()
    driver.send("paid", {"n": 1})
    driver.elapse(40 * 24 * 3600)
    driver.send("paid", {"n": 2})
    assert [early.data for early in driver.state.kept] == [{"n": 2}]


def test_a_failing_graph_ends_its_waits() -> None:
    driver = Driver(plan_of([wait(duration="1h"), {"id": "other"}])).start()
    driver.fail("other")
    assert driver.status == "failed"
    assert driver.timers == {}
    assert driver.nodes["pause"] == "cancelled"


def test_a_wait_inside_a_state_ends_with_the_state() -> None:
    run = [
        control("pause", "wait", duration="1h"),
        {"id": "last", "type": "tool", "tool": "t", "dependencies": ["pause"]},
    ]
    driver = Driver(chart_of([state("a", on("go", "b"), run=run), state("b")])).start()
    driver.send("go")
    assert driver.timers == {}
    driver.elapse(7200)
    assert driver.ordered == {}
