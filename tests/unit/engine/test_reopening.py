"""Going on after an end: what runs again, what is kept, and what is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.calls import calls_of
from tests.unit.engine.driver import START, Driver, aggregation, chart_of, control, on, plan_of, state

from workflow_runtime.engine.advance import Decision
from workflow_runtime.engine.commands import PublishEvent, RecordNode, ReplaceVariables, RunNode, SetStatus
from workflow_runtime.engine.events import CancelRequested, RetryRequested, SkipRequested
from workflow_runtime.engine.state import Parent

CHAIN = [{"id": "a"}, {"id": "b", "dependencies": ["a"]}, {"id": "c", "dependencies": ["b"]}]


def retry(driver: Driver, **fields: Any) -> Decision:
    return driver.take(RetryRequested(f"control:{len(driver.sent)}", START, "李雷", "again", **fields))


def skip(driver: Driver, path: str, **fields: Any) -> Decision:
    return driver.take(SkipRequested(f"control:{len(driver.sent)}", START, "李雷", node=path, **fields))


def reason(decision: Decision) -> str:
    """Why it was ignored; it then changed nothing."""
    assert not decision.commands
    return decision.ignored[0][1]


def test_what_failed_runs_again_and_what_succeeded_is_kept() -> None:
    driver = Driver(plan_of(CHAIN))
    driver.start()
    driver.succeed("a", {"x": 1})
    driver.fail("b")
    assert driver.status == "failed"
    retry(driver)
    assert driver.status == "running"
    assert driver.error is None
    assert driver.nodes == {"a": "success", "b": "ready", "c": "waiting"}
    driver.play()
    assert driver.status == "completed"
    assert [order.path for order in driver.commands(RunNode)] == ["a", "b", "b", "c"]
    assert driver.replayed() == driver.state


def test_a_new_visit_has_a_serial_and_an_idempotency_key_of_its_own() -> None:
    driver = Driver(plan_of([{"id": "a", "retry_policy": {"max_retries": 1, "jitter": False}}])).start()
    driver.fail("a")
    driver.elapse(2)
    driver.fail("a")
    retry(driver)
    order = driver.ordered["a"]
    assert (order.serial, order.visit, order.attempt) == (3, 3, 1)
    driver.fail("a")
    driver.elapse(2)
    assert (driver.ordered["a"].serial, driver.ordered["a"].visit, driver.ordered["a"].attempt) == (4, 3, 2)


def test_it_works_any_number_of_times_and_each_counts() -> None:
    driver = Driver(plan_of([{"id": "a", "inputs": {"n": "${execution.attempt}"}}])).start()
    for attempt in range(1, 30):
        assert driver.inputs("a") == {"n": attempt}
        driver.fail("a")
        retry(driver)
        assert driver.state.attempt == attempt + 1
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_an_end_that_came_twice_is_reopened_once() -> None:
    driver = Driver(plan_of([{"id": "a"}])).start()
    driver.fail("a")
    request = RetryRequested("control:k", START)
    driver.take(request)
    assert "not ended" in reason(driver.take(request))
    driver.fail("a")
    assert "already" in reason(driver.take(request))
    assert driver.state.attempt == 2


def test_what_the_failure_cancelled_and_skipped_runs_too() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "after", "dependencies": ["b"]}, control("w", "wait", event="go")]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a")
    assert driver.nodes == {"a": "failed", "b": "cancelled", "after": "skipped", "w": "cancelled"}
    retry(driver)
    assert driver.nodes == {"a": "ready", "b": "ready", "after": "waiting", "w": "running"}
    driver.play()
    driver.send("go")
    assert driver.status == "completed"


def test_a_late_result_of_a_run_that_was_cancelled_is_not_that_of_the_next() -> None:
    driver = Driver(plan_of([{"id": "a"}, {"id": "b"}])).start()
    late = driver.success("b", {"late": True})
    driver.fail("a")
    retry(driver)
    assert "superseded" in reason(driver.take(late))
    driver.play()
    assert driver.status == "completed"


def test_choices_that_were_made_stand() -> None:
    nodes = [
        {"id": "a"},
        control(
            "s", "switch", condition="${a.kind}", branches=[{"case": "x", "target": "x"}, {"case": "y", "target": "y"}]
        ),
        {"id": "x", "dependencies": ["s"]},
        {"id": "y", "dependencies": ["s"]},
        {"id": "end", "dependencies": ["x", "y"]},
    ]
    nodes[1]["dependencies"] = ["a"]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a", {"kind": "x"})
    driver.succeed("x")
    driver.fail("end")
    retry(driver)
    assert driver.nodes == {"a": "success", "s": "success", "x": "success", "y": "skipped", "end": "ready"}
    driver.play()
    assert driver.status == "completed"


def test_conditions_are_looked_at_again_only_where_something_hangs_on_them() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    driver = Driver(plan_of(nodes, edges=[{"from": "a", "to": "b", "condition": "${a.ok}"}])).start()
    driver.succeed("a", {"ok": False})
    driver.fail("c")
    retry(driver)
    assert driver.nodes == {"a": "success", "b": "skipped", "c": "ready"}


def test_failures_that_a_rule_dealt_with_are_kept() -> None:
    nodes = [
        {"id": "a", "on_error": {"target": "cure"}},
        {"id": "cure"},
        {"id": "b", "on_error": "skip"},
        {"id": "c", "on_error": "continue"},
        {"id": "d"},
    ]
    driver = Driver(plan_of(nodes)).start()
    for path in ("a", "b", "c"):
        driver.fail(path)
    driver.succeed("cure")
    driver.fail("d")
    retry(driver)
    assert list(driver.ordered) == ["d"]
    driver.play()
    assert driver.status == "completed"


def test_a_called_node_that_failed_is_called_again_by_whoever_called_it() -> None:
    nodes = [{"id": "a", "on_error": {"target": "cure"}}, {"id": "cure", "inputs": {"why": "${error.message}"}}]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a", message="first")
    driver.fail("cure")
    retry(driver)
    assert list(driver.ordered) == ["a"]
    driver.fail("a", message="second")
    assert driver.inputs("cure") == {"why": "second"}
    driver.play()
    assert driver.status == "completed"


def test_what_a_winner_made_superfluous_stays_so() -> None:
    nodes = [
        control("p", "parallel", branches=["x", "y"], wait_all=False, cancel_rest=True),
        {"id": "x"},
        {"id": "y"},
        {"id": "end", "dependencies": ["p"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("x")
    assert driver.nodes["y"] == "cancelled"
    driver.fail("end")
    retry(driver)
    assert list(driver.ordered) == ["end"]
    driver.play()
    assert driver.status == "completed"


def test_a_failure_that_its_join_could_do_without_is_kept() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "c", "dependencies": ["a", "b"], "join": "any"}]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a")
    driver.succeed("b")
    driver.fail("c")
    retry(driver)
    assert list(driver.ordered) == ["c"]


def test_a_cleanup_runs_again_once_what_it_follows_has() -> None:
    nodes = [
        {"id": "a"},
        {"id": "clean", "dependencies": ["a"], "join": "all_done"},
        {"id": "tell", "dependencies": ["clean"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a")
    driver.succeed("clean")
    assert driver.status == "failed"
    retry(driver)
    assert list(driver.ordered) == ["a"]
    driver.play()
    assert driver.status == "completed"
    assert [order.path for order in driver.commands(RunNode)] == ["a", "clean", "a", "clean", "tell"]


def test_branches_of_a_limited_parallel_are_counted_again() -> None:
    nodes = [
        control("p", "parallel", branches=["x", "y", "z"], max_concurrency=1),
        {"id": "x"},
        {"id": "x2", "dependencies": ["x"]},
        {"id": "y"},
        {"id": "z"},
        {"id": "end", "dependencies": ["p"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("x")
    driver.fail("x2")
    retry(driver)
    seen = []
    while driver.ordered:
        assert len(driver.ordered) == 1
        seen.append(next(iter(driver.ordered)))
        driver.succeed(seen[-1])
    assert seen == ["x2", "y", "z", "end"]
    assert driver.status == "completed"


def test_an_aggregation_sees_the_outputs_that_were_kept() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, aggregation("all", "collect", dependencies=["a", "b"])]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a", {"n": 1})
    driver.fail("b")
    retry(driver)
    driver.succeed("b", {"n": 2})
    assert driver.result("all") == [{"n": 1}, {"n": 2}]


def test_from_a_node_it_and_all_after_it_run_again_also_after_success() -> None:
    driver = Driver(plan_of(CHAIN)).play({"c": {"n": 1}})
    assert driver.status == "completed"
    assert "name the node" in reason(retry(driver))
    retry(driver, node="b")
    assert driver.nodes == {"a": "success", "b": "ready", "c": "waiting"}
    driver.play({"c": {"n": 2}})
    assert driver.status == "completed"
    assert driver.output == {"n": 2}
    assert driver.replayed() == driver.state


@pytest.mark.parametrize(
    ("node", "why"), [("nobody", "no node `nobody`"), ("cure", "only runs when another"), ("bb", "Did you mean `b`?")]
)
def test_from_a_node_that_cannot_begin_is_refused(node: str, why: str) -> None:
    driver = Driver(plan_of([*CHAIN, {"id": "d", "on_error": {"target": "cure"}}, {"id": "cure"}])).play()
    assert why in reason(retry(driver, node=node))
    assert driver.status == "completed"


def test_a_new_visit_has_the_whole_time() -> None:
    driver = Driver(plan_of([{"id": "a"}], timeout=60)).start()
    driver.elapse(61)
    assert driver.error == ("timeout", "")
    retry(driver)
    driver.elapse(50)
    assert driver.status == "running"
    driver.elapse(20)
    assert driver.error == ("timeout", "")


def test_variables_are_replaced_for_what_runs_from_then_on() -> None:
    nodes = [{"id": "a", "inputs": {"v": "${v}"}}, {"id": "b", "when": "${v > 1}", "dependencies": ["a"]}]
    driver = Driver(plan_of(nodes, variables={"v": 1, "other": 5})).start()
    driver.fail("a")
    assert "no variable `w`" in reason(retry(driver, variables={"w": 2}))
    decision = retry(driver, variables={"v": 2})
    assert ReplaceVariables(2, {"v": 2}) in decision.commands
    assert driver.inputs("a") == {"v": 2}
    driver.play()
    assert driver.nodes == {"a": "success", "b": "success"}
    assert driver.replayed() == driver.state
    assert driver.replaced[2] == {"v": 2, "other": 5}


def test_an_execution_that_was_cancelled_before_it_began_begins() -> None:
    driver = Driver(plan_of(CHAIN))
    driver.take(CancelRequested("control:c", START))
    assert driver.status == "cancelled"
    retry(driver)
    driver.play()
    assert driver.status == "completed"


def test_a_child_that_is_awaited_is_reopened_by_its_parent_only() -> None:
    driver = Driver(plan_of(CHAIN), parent=Parent("p", "c1", notify=True)).start()
    driver.fail("a")
    assert "p waits for this one" in reason(retry(driver))


def test_header_and_bus_are_told() -> None:
    driver = Driver(plan_of(CHAIN)).start()
    driver.fail("a")
    decision = retry(driver)
    assert SetStatus("running", driver.now, reopened=2) in decision.commands
    told = [command.detail_type for command in decision.commands if isinstance(command, PublishEvent)]
    assert told == ["execution.reopened"]


# ---- charts

RUN = [{"id": "x", "type": "tool", "tool": "t"}, {"id": "y", "type": "tool", "tool": "t", "dependencies": ["x"]}]


def with_run(**fields: Any) -> Driver:
    first = state("first", on("done.run.first", "second"), run=RUN, **fields)
    return Driver(chart_of([first, state("second", on("go", "end")), state("end")], final_states=["end"])).start()


def test_a_chart_goes_on_in_its_configuration_with_what_failed_there() -> None:
    driver = with_run()
    driver.succeed("first/x")
    driver.fail("first/y")
    assert driver.status == "failed"
    retry(driver)
    assert list(driver.ordered) == ["first/y"]
    driver.play()
    assert driver.configuration == ["second"]
    driver.send("go")
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_a_cancelled_chart_goes_on_and_its_delays_begin_anew() -> None:
    driver = Driver(
        chart_of([state("s", run=RUN, after={"delay": "10s", "target": "late"}), state("late")], final_states=["late"])
    ).start()
    driver.succeed("s/x")
    driver.take(CancelRequested("control:c", START))
    driver.elapse(60)
    retry(driver)
    assert list(driver.ordered) == ["s/y"]
    driver.elapse(9)
    assert driver.status == "running"
    driver.elapse(2)
    assert driver.status == "completed"


def test_a_chart_that_was_cancelled_before_it_began_begins() -> None:
    driver = Driver(chart_of([state("s", on("go", "end")), state("end")], final_states=["end"]))
    driver.take(CancelRequested("control:c", START))
    retry(driver)
    driver.send("go")
    assert driver.status == "completed"


def test_a_machine_inside_a_node_begins_anew() -> None:
    machine = {
        "id": "m",
        "type": "state_machine",
        "initial_state": "s",
        "states": [state("s", on("done.run.s", "e"), run=RUN), state("e")],
        "final_states": ["e"],
    }
    driver = Driver(plan_of([machine])).start()
    driver.succeed("m/s/x")
    driver.fail("m/s/y")
    assert driver.status == "failed"
    retry(driver)
    assert list(driver.ordered) == ["m/s/x"]
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_an_agent_that_an_action_called_is_ordered_as_before() -> None:
    call = {"tool": {"tool": "t", "inputs": {"n": "${v}"}, "result": "out"}}
    plan = chart_of(
        [state("s", on("done.run.s", "e"), on_enter=[call]), state("e")], final_states=["e"], variables={"v": 7}
    )
    driver = Driver(plan).start()
    path = next(iter(driver.ordered))
    driver.fail(path)
    assert driver.status == "failed"
    retry(driver)
    assert driver.inputs(path) == {"n": 7}
    driver.play()
    assert driver.status == "completed"


# ---- skip


def test_a_node_that_waits_is_skipped() -> None:
    driver = Driver(
        plan_of([control("w", "wait", event="go", timeout="1h"), {"id": "b", "dependencies": ["w"]}])
    ).start()
    skip(driver, "w")
    assert driver.nodes == {"w": "skipped", "b": "skipped"}
    assert driver.status == "completed"
    assert not driver.timers
    assert driver.replayed() == driver.state


def test_a_node_that_waits_is_given_an_output() -> None:
    nodes = [control("w", "wait", event="go"), {"id": "b", "dependencies": ["w"], "inputs": {"x": "${w.好}"}}]
    driver = Driver(plan_of(nodes)).start()
    decision = skip(driver, "w", output={"好": 1})
    record = next(command for command in decision.commands if isinstance(command, RecordNode))
    assert (record.given, record.output) == (True, {"好": 1})
    assert driver.inputs("b") == {"x": 1}


def test_a_node_that_waits_for_its_next_attempt_is_skipped() -> None:
    driver = Driver(plan_of([{"id": "a", "retry_policy": {"retry_delay": 9, "jitter": False}}])).start()
    driver.fail("a")
    skip(driver, "a", output=3)
    assert driver.status == "completed"
    assert driver.output == 3
    assert not driver.timers


def test_nodes_before_their_time_are_skipped() -> None:
    driver = Driver(plan_of(CHAIN)).start()
    skip(driver, "b", output={})
    assert driver.nodes == {"a": "ready", "b": "success", "c": "ready"}
    driver.play()
    assert driver.status == "completed"


def failed() -> Driver:
    driver = Driver(plan_of(CHAIN)).start()
    driver.succeed("a")
    driver.fail("b")
    return driver


def test_a_failed_node_is_skipped_and_the_rest_goes_on() -> None:
    driver = failed()
    skip(driver, "b", output={"given": True})
    assert driver.nodes == {"a": "success", "b": "success", "c": "ready"}
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


@pytest.mark.parametrize("given", [{}, {"output": {"v": 1}}])
def test_a_node_whose_failure_others_could_do_without_is_skipped_too(given: dict[str, Any]) -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "c", "dependencies": ["a", "b"], "join": {"at_least": 1}}]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a")
    driver.succeed("b")
    driver.fail("c")
    assert driver.status == "failed"
    assert skip(driver, "a", **given).ignored == ()
    assert driver.nodes == {"a": "success" if given else "skipped", "b": "success", "c": "ready"}
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_a_failed_node_is_skipped_without_an_output() -> None:
    driver = failed()
    skip(driver, "b")
    assert driver.nodes == {"a": "success", "b": "skipped", "c": "skipped"}
    assert driver.status == "completed"


@pytest.mark.parametrize(
    ("driver", "path", "why"),
    [
        (lambda: Driver(plan_of(CHAIN)).start(), "a", "ordered from a worker"),
        (lambda: Driver(plan_of([{"id": "a", "compensate": {"tool": "u"}}])).start(), "a~compensate", "no node"),
        (lambda: Driver(plan_of(CHAIN)).start(), "nobody", "no node `nobody`"),
        (failed, "a", "has not failed"),
        (lambda: Driver(plan_of(CHAIN)).play(), "a", "has ended"),
    ],
)
def test_what_cannot_be_skipped_is_refused_with_the_reason(driver: Callable[[], Driver], path: str, why: str) -> None:
    assert why in reason(skip(driver(), path))


def test_no_value_of_a_visit_that_was_undone_is_read_afterwards() -> None:
    nodes = [
        {"id": "a", "compensate": {"tool": "undo"}},
        control("b", "pass", inputs={"x": "${1 / share}"}, dependencies=["a"]),
    ]
    driver = Driver(plan_of(nodes, variables={"share": 0}, outputs={"a": "${a.x}"})).start()
    driver.succeed("a", {"x": 1})
    assert driver.state.kept_bytes == 0
    driver.play()
    assert driver.status == "failed"
    driver.take(RetryRequested("control:1", START, variables={"share": 1}))
    driver.succeed("a", {"x": "y" * 5_000})
    assert (driver.status, driver.output) == ("completed", {"a": "y" * 5_000})


# ---- what it costs

SIZE = 20
GROWTH = 4
RATIO_MAX = 1.1 * GROWTH  # what is quadratic comes near 16


def lost_before_any(count: int) -> Driver:
    """One of so many nodes was enough for the node after them, which is why the others may stay lost."""
    ids = [f"n{number}" for number in range(count)]
    nodes = [{"id": id} for id in ids] + [{"id": "any", "dependencies": ids, "join": "any"}]
    driver = Driver(plan_of([*nodes, {"id": "last", "dependencies": ["any"]}]), checked=False).start()
    driver.succeed("n0")
    driver.succeed("any")
    driver.fail("last")
    return driver


def undone_chain(count: int) -> Driver:
    """So many nodes after each other, all of which were undone."""
    nodes = [{"id": "n0", "compensate": {"tool": "u"}}]
    for number in range(1, count):
        nodes.append({**nodes[0], "id": f"n{number}", "dependencies": [f"n{number - 1}"]})
    last = {"id": "last", "dependencies": [f"n{count - 1}"]}
    driver = Driver(plan_of([*nodes, last], compensation={"order": "parallel"}), checked=False).start()
    for number in range(count):
        driver.succeed(f"n{number}")
    driver.fail("last")
    return driver.play()


@pytest.mark.parametrize("shape", [lost_before_any, undone_chain])
def test_four_times_the_graph_is_four_times_the_work(shape: Callable[[int], Driver]) -> None:
    small, large = (
        calls_of(driver.take, RetryRequested("control:r", START)) for driver in (shape(SIZE), shape(GROWTH * SIZE))
    )
    assert large / small < RATIO_MAX
