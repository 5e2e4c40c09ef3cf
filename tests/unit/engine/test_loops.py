"""Loops: their passes, what those read, and how they end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import Driver, Failure, chart_of, control, loop, on, plan_of, state

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import (
    CancelRequested,
    ResumeRequested,
    RetryRequested,
    SkipRequested,
    SuspendRequested,
)
from workflow_runtime.language.json_values import Json


def played(*nodes: dict[str, Any], input: Json = None, outcomes: dict[str, Any] | None = None, **fields: Any) -> Driver:
    """An execution of these nodes, played to its end and replayed from its journal."""
    driver = Driver(plan_of(nodes, **fields), input)
    driver.play(outcomes)
    assert driver.replayed() == driver.state
    return driver


def begun(*nodes: dict[str, Any], input: Json = None, **fields: Any) -> Driver:
    return Driver(plan_of(nodes, **fields), input).start()


def test_a_pass_runs_for_every_item_in_order() -> None:
    driver = begun(loop("each", {"id": "double", "inputs": {"x": "${item}", "i": "${index}"}}, items="${xs}"),
                   input={"xs": [5, 6, 7]})  # fmt: skip
    seen = []
    while driver.ordered:
        (path,) = driver.ordered
        seen.append((path, driver.inputs(path)))
        driver.succeed(path, driver.inputs(path)["x"] * 2)
    assert seen == [(f"each[{i}]/double", {"x": x, "i": i}) for i, x in enumerate([5, 6, 7])]
    assert (driver.status, driver.output) == ("completed", [10, 12, 14])
    assert list(driver.state.scopes) == [""]


def test_a_nested_loop_with_a_sibling_after_it_completes() -> None:
    leaf = {"id": "leaf", "inputs": {"outer": "${row}", "inner": "${item}", "i": "${index}"}}
    sibling = control(
        "sibling", "pass", inputs={"all": "${each}", "row": "${row}", "at": "${index}"}, dependencies=["each"]
    )
    outer = loop("each", loop("each", leaf, items="${row}"), sibling, items="${rows}", **{"as": "row"})
    driver = begun(outer, input={"rows": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]})
    paths = []
    while driver.ordered:
        (path,) = driver.ordered
        paths.append(path)
        driver.succeed(path, driver.inputs(path))
    assert paths == [f"each[{i}]/each[{j}]/leaf" for i in range(3) for j in range(3)]
    assert driver.status == "completed"
    assert driver.output[2] == {
        "all": [{"outer": [7, 8, 9], "inner": x, "i": i} for i, x in enumerate([7, 8, 9])],
        "row": [7, 8, 9],
        "at": 2,
    }
    assert driver.replayed() == driver.state


def test_nodes_declared_beside_a_loop_belong_to_its_body() -> None:
    driver = played(
        loop("each", "first", "second", times=2),
        {"id": "first"},
        control("second", "pass", inputs={"got": "${first}"}),
        control("after", "pass", inputs={"all": "${each}"}),
        outcomes={"each[0]/first": "a", "each[1]/first": "b"},
    )
    assert driver.output == {"all": [{"got": "a"}, {"got": "b"}]}
    assert driver.nodes == {"each": "success", "after": "success"}


def test_until_looks_at_the_pass_that_has_just_ended() -> None:
    outcomes = {"again[0]/try": {"ok": False}, "again[1]/try": {"ok": True, "n": 2}}
    driver = played(loop("again", {"id": "try"}, until="${try.ok}"), outcomes=outcomes)
    assert driver.output == [{"ok": False}, {"ok": True, "n": 2}]


def test_while_is_looked_at_before_the_first_pass() -> None:
    driver = played(loop("again", {"id": "try"}, **{"while": "${len(iterations)} < limit"}), input={"limit": 0})
    assert (driver.status, driver.output) == ("completed", [])
    driver = played(loop("again", {"id": "try"}, **{"while": "${len(iterations)} < limit"}), input={"limit": 3})
    assert driver.output == [{}, {}, {}]


def test_passes_read_what_the_ones_before_came_to() -> None:
    body = {"id": "add", "inputs": {"sum": "${previous_iteration ?? 0}", "all": "${iterations}"}}
    driver = begun(loop("sum", body, times=4, collect="${add.sum}", until="${previous_iteration} >= 6"))
    seen = []
    while driver.ordered:
        (path,) = driver.ordered
        given = driver.inputs(path)
        seen.append(given)
        driver.succeed(path, {"sum": given["sum"] + len(seen)})
    assert seen == [{"sum": 0, "all": []}, {"sum": 1, "all": [1]}, {"sum": 3, "all": [1, 3]}]
    assert driver.output == [1, 3, 6]  # `until` ends it early, which is success
    assert driver.replayed() == driver.state


def test_large_values_of_earlier_passes_are_stored_apart() -> None:
    body = {"id": "write", "inputs": {"before": "${previous_iteration}", "all": "${iterations}"}}
    driver = begun(loop("draft", body, times=5))
    texts = [f"{n}" * 3_000 for n in range(5)]
    for n in range(5):
        path = f"draft[{n}]/write"
        assert driver.inputs(path) == {"before": texts[n - 1] if n else None, "all": texts[:n]}
        driver.succeed(path, texts[n])
    assert driver.output == texts
    assert driver.replayed() == driver.state


@pytest.mark.parametrize("limit", [1, 3, 0])
def test_no_more_passes_are_open_than_may_be(limit: int) -> None:
    driver = begun(loop("each", {"id": "a"}, times=8, max_concurrency=limit))
    assert len(driver.ordered) == (limit or 8)
    driver.succeed(next(iter(driver.ordered)))
    assert len(driver.ordered) == (limit or 7)
    driver.play()
    assert driver.status == "completed"


def test_a_batch_is_a_list_of_items() -> None:
    driver = begun(loop("each", control("b", "pass", inputs={"xs": "${item}"}), items="${xs}", batch_size=2),
                   input={"xs": [1, 2, 3, 4, 5]})  # fmt: skip
    assert driver.output == [{"xs": [1, 2]}, {"xs": [3, 4]}, {"xs": [5]}]


def test_an_item_fails_and_the_next_one_never_starts() -> None:
    driver = played(loop("each", {"id": "a"}, times=5), outcomes={"each[2]/a": Failure("boom")})
    assert (driver.status, driver.error) == ("failed", ("boom", "each[2]/a"))
    assert [order.path for order in driver.commands(RunNode)] == [f"each[{n}]/a" for n in range(3)]


def test_failed_passes_are_left_out_or_stand_as_errors() -> None:
    outcomes = {"each[0]/a": 1, "each[1]/a": Failure("boom"), "each[2]/a": 3}
    skipped = played(loop("each", {"id": "a"}, times=3, on_item_error="skip"), outcomes=outcomes)
    assert skipped.output == [1, 3]
    collected = played(loop("each", {"id": "a"}, times=3, on_item_error="collect"), outcomes=outcomes)
    error = {"type": "boom", "message": "it failed", "node": "each[1]/a"}
    assert collected.output == [1, {"error": error}, 3]


@pytest.mark.parametrize(
    ("tolerated", "status"), [(1, "failed"), (2, "completed"), ("19%", "failed"), ("20%", "completed")]
)
def test_so_many_failures_are_tolerated(tolerated: int | str, status: str) -> None:
    outcomes = {f"each[{n}]/a": Failure("boom") for n in (3, 7)}
    driver = played(loop("each", {"id": "a"}, times=10, tolerated_failures=tolerated), outcomes=outcomes)
    assert driver.status == status


def test_too_many_items_are_an_error_before_the_first_pass() -> None:
    driver = played(loop("each", {"id": "a"}, items="${xs}", max_iterations=2), input={"xs": [1, 2, 3]})
    assert driver.error == ("max_iterations", "each")
    assert not driver.commands(RunNode)
    driver = played(loop("each", {"id": "a"}, items="${xs}", max_iterations=2, on_max_iterations="continue"),
                    input={"xs": [1, 2, 3]})  # fmt: skip
    assert driver.output == [{}, {}]


def test_a_loop_that_does_not_end_by_itself_ends_at_its_bound() -> None:
    driver = played(loop("again", {"id": "try"}, until="${try.ok}", max_iterations=3))
    assert driver.error == ("max_iterations", "again")
    driver = played(loop("again", {"id": "try"}, until="${try.ok}", max_iterations=3, on_max_iterations="continue"))
    assert driver.output == [{}, {}, {}]


@pytest.mark.parametrize(("xs", "what"), [(None, "null"), ({"a": 1}, "object"), ("ab", "string"), (3, "number")])
def test_items_that_are_no_list_fail_the_loop(xs: Json, what: str) -> None:
    driver = played(loop("each", {"id": "a"}, items="${xs}"), input={"xs": xs})
    assert driver.error == ("execution_error", "each")
    assert driver.state.error is not None
    assert f"must be a list, not {what}" in driver.state.error.message


def test_a_pass_is_tried_again_whole() -> None:
    policy = {"max_retries": 1, "retry_delay": 5, "jitter": "none"}
    driver = begun(loop("each", {"id": "a"}, {"id": "b", "dependencies": ["a"]}, times=2, item_retry=policy))
    driver.succeed("each[0]/a", 1)
    driver.fail("each[0]/b")
    assert not driver.ordered
    driver.elapse(5)
    assert driver.ordered["each[0]/a"].serial == driver.ordered["each[0]/a"].visit == 2
    driver.succeed("each[0]/a", 2)
    driver.succeed("each[0]/b", 20)
    driver.play({"each[1]/b": 30})
    assert driver.output == [20, 30]
    assert driver.replayed() == driver.state


def test_a_node_is_tried_again_inside_its_pass() -> None:
    policy = {"max_retries": 2, "retry_delay": 0, "jitter": "none"}
    driver = begun(loop("each", {"id": "a", "retry_policy": policy}, times=3))
    for n in range(3):
        for _ in range(n):
            driver.fail(f"each[{n}]/a")
        driver.succeed(f"each[{n}]/a", n)
    assert driver.output == [0, 1, 2]


def test_a_retried_loop_starts_anew() -> None:
    policy = {"max_retries": 1, "retry_delay": 0, "jitter": "none"}
    driver = begun(loop("each", {"id": "a"}, times=2, retry_policy=policy))
    driver.succeed("each[0]/a", "old")
    driver.fail("each[1]/a")
    assert driver.ordered["each[0]/a"].serial == 2
    driver.play({"each[0]/a": "new", "each[1]/a": "new"})
    assert driver.output == ["new", "new"]
    assert driver.replayed() == driver.state


def test_a_loop_has_a_time_limit() -> None:
    driver = begun(loop("each", {"id": "a"}, times=3, timeout=60, max_concurrency=2))
    driver.succeed("each[0]/a")
    driver.elapse(60)
    assert driver.error == ("timeout", "each")
    assert sorted(driver.cancelled) == ["each[1]/a", "each[2]/a"]


def test_an_error_is_told_from_the_inside_out() -> None:
    rule = {"errors": ["boom"], "do": "continue"}
    inner = loop("inner", {"id": "a"}, times=2, on_error=rule)
    driver = played(loop("outer", inner, times=1), control("after", "pass", dependencies=["outer"]),
                    outcomes={"outer[0]/inner[0]/a": Failure("boom")})  # fmt: skip
    assert (driver.status, driver.nodes["after"]) == ("completed", "success")
    driver = played(loop("outer", inner, times=1), outcomes={"outer[0]/inner[0]/a": Failure("bang")})
    assert driver.error == ("bang", "outer[0]/inner[0]/a")


def test_items_that_are_many_are_stored_apart() -> None:
    xs = [{"n": n, "text": "x" * 50} for n in range(250)]
    inputs = {"n": "${item.n}", "at": "${index}"}
    driver = begun(loop("each", {"id": "a", "inputs": inputs}, items="${xs}", max_concurrency=10), input={"xs": xs})
    while "each" not in driver.ordered:
        path = next(iter(driver.ordered))
        assert driver.inputs(path)["n"] == driver.inputs(path)["at"]
        driver.succeed(path, driver.inputs(path)["n"])
    driver.play()
    assert driver.output == list(range(250))
    assert driver.replayed() == driver.state


def test_branches_and_skipped_nodes_of_a_pass_are_told_apart_when_it_is_collected() -> None:
    body = [
        control("pick", "condition", condition="${index} == 1", then="b", **{"else": "c"}),
        {"id": "b"},
        {"id": "c"},
    ]
    driver = played(loop("each", *body, times=3, max_concurrency=0),
                    outcomes={"each[0]/c": "c0", "each[1]/b": "b1", "each[2]/c": "c2"})  # fmt: skip
    assert driver.output == [{"c": "c0"}, {"b": "b1"}, {"c": "c2"}]


def test_a_pass_may_succeed_early() -> None:
    body = [{"id": "a"}, control("done", "succeed", dependencies=["a"], output="${a}!"), {"id": "slow"}]
    driver = begun(loop("each", *body, times=2))
    for n in range(2):
        driver.succeed(f"each[{n}]/a", n)
    assert driver.output == ["0!", "1!"]


def test_more_passes_than_a_commit_can_order_follow() -> None:
    driver = begun(loop("each", {"id": "a"}, times=1_200, max_concurrency=0))
    assert len(driver.ordered) == 1_000
    driver.checked = False
    driver.play()
    assert (driver.status, len(driver.output)) == ("completed", 1_200)


def test_loops_in_loops_never_wait_for_each_other() -> None:
    inner = loop("inner", {"id": "a"}, times=2, max_concurrency=0)
    driver = begun(loop("outer", inner, times=1_100, max_concurrency=0))
    driver.checked = False
    driver.play()
    assert (driver.status, len(driver.output)) == ("completed", 1_100)


def test_previous_at_the_start_of_a_pass_is_that_of_the_loop() -> None:
    body = [
        control("a", "pass", inputs={"p": "${previous}"}),
        control("b", "pass", inputs={"p": "${previous.p}"}, dependencies=["a"]),
    ]
    driver = played({"id": "before"}, loop("each", *body, times=1, dependencies=["before"]), outcomes={"before": "x"})
    assert driver.output == [{"p": "x"}]


def test_an_operators_retry_runs_only_the_passes_that_did_not_succeed() -> None:
    driver = begun(loop("each", {"id": "a"}, times=6, max_concurrency=3))
    driver.succeed("each[0]/a", 0)
    driver.succeed("each[2]/a", 2)
    driver.fail("each[1]/a", "boom")
    assert (driver.status, driver.error) == ("failed", ("boom", "each[1]/a"))
    driver.take(RetryRequested("control:r1", driver.now))
    assert set(driver.ordered) == {"each[1]/a", "each[3]/a", "each[4]/a"}
    assert all(order.serial == 2 for path, order in driver.ordered.items() if path != "each[5]/a")
    driver.play({f"each[{n}]/a": n for n in range(6)})
    assert (driver.status, driver.output) == ("completed", [0, 1, 2, 3, 4, 5])
    assert driver.replayed() == driver.state


# ---- compensation, control, events: what others got wrong


def undoable(id: str = "book") -> dict[str, Any]:
    return {"id": id, "inputs": {"n": "${item}"}, "compensate": {"tool": "undo", "inputs": {"n": "${inputs.n}"}}}


def test_passes_are_undone_one_by_one_each_with_its_own_input() -> None:
    body = [undoable(), {"id": "check", "dependencies": ["book"]}]
    driver = begun(loop("each", *body, items="${xs}", max_concurrency=0), input={"xs": [10, 20, 30]})
    for n in (2, 0, 1):
        driver.succeed(f"each[{n}]/book", {"ref": n})
    driver.fail("each[1]/check", "boom")
    undone = []
    while driver.ordered:
        (path,) = driver.ordered
        undone.append((path, driver.inputs(path)))
        driver.succeed(path)
    assert undone == [(f"each[{n}]/book~compensate", {"n": (n + 1) * 10}) for n in (1, 0, 2)]
    assert driver.status == "failed"
    assert driver.replayed() == driver.state


def test_passes_are_undone_at_once_whichever_ends_first() -> None:
    nodes = loop("each", undoable(), items="${xs}", max_concurrency=0)
    plan = plan_of([nodes, {"id": "z", "dependencies": ["each"]}], compensation={"order": "parallel"})
    driver = Driver(plan, {"xs": [10, 20, 30]}).start()
    for n in (2, 0, 1):
        driver.succeed(f"each[{n}]/book", {"ref": n})
    driver.fail("z", "boom")
    assert {path: driver.inputs(path) for path in driver.ordered} == {
        f"each[{n}]/book~compensate": {"n": (n + 1) * 10} for n in range(3)
    }
    for n in (1, 2, 0):
        driver.succeed(f"each[{n}]/book~compensate")
    assert driver.status == "failed"
    assert driver.replayed() == driver.state


def test_a_pass_that_fails_is_not_undone_if_the_execution_goes_on() -> None:
    body = [undoable(), {"id": "check", "dependencies": ["book"]}]
    driver = begun(loop("each", *body, items="${xs}", on_item_error="skip"), input={"xs": [1, 2]})
    driver.succeed("each[0]/book")
    driver.fail("each[0]/check")
    driver.play()
    assert driver.status == "completed"
    assert not [order for order in driver.commands(RunNode) if "compensate" in order.path]


def test_what_was_undone_in_passes_runs_again_when_the_execution_is_retried() -> None:
    body = [undoable(), {"id": "check", "dependencies": ["book"]}]
    driver = begun(loop("each", *body, items="${xs}"), input={"xs": [1, 2]})
    driver.succeed("each[0]/book", "first")
    driver.succeed("each[0]/check")
    driver.succeed("each[1]/book")
    driver.fail("each[1]/check")
    driver.play()
    assert driver.status == "failed"
    driver.take(RetryRequested("control:r", driver.now))
    assert list(driver.ordered) == ["each[0]/book"]
    driver.play({"each[0]/book": "again", "each[1]/book": "again"})
    assert (driver.status, len(driver.output)) == ("completed", 2)
    assert driver.replayed() == driver.state


def test_a_wait_in_a_loop_has_a_key_of_its_own_in_every_pass() -> None:
    wait = control("paid", "wait", event="pay", correlate="${detail.order}", **{"with": "${item.id}"})
    driver = begun(loop("each", wait, items="${orders}", max_concurrency=0),
                   input={"orders": [{"id": "a"}, {"id": "b"}]})  # fmt: skip
    assert {key for _, key in driver.listens} == {"a", "b"}
    route = next(route for _, key, route in driver.subscribed if key == "b")
    driver.send("pay", {"n": 2}, key="b", route=route)
    assert {key for _, key in driver.listens} == {"a"}
    driver.send("pay", {"n": 1}, key="a", route=route)
    assert driver.output == [{"n": 1}, {"n": 2}] or driver.output == [None, None]
    assert driver.status == "completed"


def test_many_waits_in_passes_take_each_event_once_however_often_it_comes() -> None:
    wait = control("go", "wait", event="go", match="${event.data.n} == index")
    driver = begun(loop("each", wait, times=200, max_concurrency=0, collect="${go.n}"))
    driver.checked = False
    for n in range(200):
        event = driver.signal("go", {"n": n}, id=f"s{n}")
        driver.take(event, event)
        driver.take(event)
    driver.play()
    assert (driver.status, driver.output) == ("completed", list(range(200)))


def test_a_suspended_loop_begins_no_pass_until_it_is_resumed() -> None:
    driver = begun(loop("each", {"id": "a"}, times=4, max_concurrency=2))
    driver.take(SuspendRequested("control:s", driver.now))
    driver.succeed("each[0]/a", 0)
    driver.succeed("each[1]/a", 1)
    assert not driver.ordered
    driver.take(ResumeRequested("control:r", driver.now))
    assert set(driver.ordered) == {"each[2]/a", "each[3]/a"}
    driver.play({"each[2]/a": 2, "each[3]/a": 3})
    assert driver.output == [0, 1, 2, 3]
    assert driver.replayed() == driver.state


def test_after_a_cancellation_nothing_starts_and_a_retry_goes_on() -> None:
    driver = begun(loop("each", {"id": "a"}, times=4, max_concurrency=2))
    driver.succeed("each[0]/a", 0)
    late = driver.success("each[1]/a", 1)
    driver.take(CancelRequested("control:c", driver.now))
    driver.take(late)
    assert (driver.status, driver.ordered) == ("cancelled", {})
    driver.take(RetryRequested("control:r", driver.now))
    assert set(driver.ordered) == {"each[1]/a", "each[2]/a"}
    driver.play({f"each[{n}]/a": n for n in range(4)})
    assert driver.output == [0, 1, 2, 3]


def test_a_retry_from_a_node_before_a_loop_runs_it_anew() -> None:
    driver = begun({"id": "list"}, loop("each", {"id": "a"}, items="${list}"))
    driver.succeed("list", [1, 2, 3])
    driver.succeed("each[0]/a", "old")
    driver.fail("each[1]/a")
    driver.take(RetryRequested("control:r", driver.now, node="list"))
    driver.succeed("list", [7])
    driver.play({"each[0]/a": "new"})
    assert (driver.status, driver.output) == ("completed", ["new"])


def test_a_loop_that_runs_can_be_skipped_with_an_output() -> None:
    driver = begun(loop("each", {"id": "a"}, times=4, max_concurrency=2))
    driver.take(SkipRequested("control:s", driver.now, node="each", output=["given"]))
    assert (driver.status, driver.output, driver.state.open_passes) == ("completed", ["given"], 0)
    assert sorted(driver.cancelled) == ["each[0]/a", "each[1]/a"]


def test_two_failures_at_once_are_one_end_and_the_lower_pass_is_its_error() -> None:
    body = control("no", "fail", error="e${index}", message="no")
    driver = begun(loop("each", body, times=5, max_concurrency=0))
    assert (driver.status, driver.error) == ("failed", ("e0", "each[0]/no"))


def test_the_pass_that_is_one_too_many_decides_and_later_ones_are_cancelled() -> None:
    driver = begun(loop("each", {"id": "a"}, times=5, max_concurrency=0, tolerated_failures=1))
    driver.fail("each[4]/a", "first")
    late = driver.success("each[0]/a", 0)
    driver.take(driver.failure("each[2]/a", "second"), late)
    assert (driver.status, driver.error) == ("failed", ("second", "each[2]/a"))
    assert sorted(driver.cancelled) == ["each[0]/a", "each[1]/a", "each[3]/a"]
    assert driver.replayed() == driver.state


def test_handlers_are_for_nodes_in_passes_too() -> None:
    handlers = [{"node_pattern": "each/a", "error_type": "boom", "action": "continue"}]
    driver = played(loop("each", {"id": "a"}, control("b", "pass", inputs={"a": "${a}"}, dependencies=["a"]), times=2),
                    error_handlers=handlers, outcomes={"each[0]/a": Failure("boom"), "each[1]/a": 1})  # fmt: skip
    assert driver.output == [{"a": None}, {"a": 1}]


def test_a_loop_falls_back_once_it_has_failed() -> None:
    driver = played(loop("each", {"id": "a"}, times=2, fallback={"value": ["instead"]}),
                    outcomes={"each[1]/a": Failure("boom")})  # fmt: skip
    assert (driver.status, driver.output) == ("completed", ["instead"])


def test_a_loop_in_a_state_is_left_with_it() -> None:
    run = loop("each", {"id": "a", "type": "tool", "tool": "t"}, times=3)
    driver = Driver(chart_of([state("work", on("stop", "done"), run=[run])])).start()
    assert list(driver.ordered) == ["work/each[0]/a"]
    driver.succeed("work/each[0]/a")
    driver.send("stop")
    assert (driver.status, driver.cancelled) == ("completed", ["work/each[1]/a", "work/each"])


def test_a_machine_in_a_pass_reads_its_item() -> None:
    machine = {
        "id": "m", "type": "state_machine", "inputs": {"x": "${doc}"},
        "states": [{"name": "s", "always": [{"condition": "x == doc", "target": "done"}]}],
        "outputs": {"got": "${doc}", "at": "${index}"},
    }  # fmt: skip
    driver = begun(loop("each", machine, items="${xs}", **{"as": "doc"}), input={"xs": ["p", "q"]})
    assert driver.output == [{"got": "p", "at": 0}, {"got": "q", "at": 1}]


def test_a_loop_that_has_failed_stays_still_whatever_happens_beside_it() -> None:
    finally_ = {"id": "clean", "dependencies": ["each"], "join": "all_done"}
    driver = begun(loop("each", {"id": "a"}, times=5), finally_)
    driver.fail("each[0]/a", "boom")
    assert list(driver.ordered) == ["clean"]
    driver.take(SuspendRequested("control:s", driver.now))
    driver.take(ResumeRequested("control:r", driver.now))
    assert list(driver.ordered) == ["clean"]
    driver.play()
    assert (driver.status, driver.error) == ("failed", ("boom", "each[0]/a"))
    assert len(driver.commands(RunNode)) == 2
