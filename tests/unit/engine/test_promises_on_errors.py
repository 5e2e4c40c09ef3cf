"""Faults that users of other engines have met where failures, retries, ends and compensations come together."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, Failure, chart_of, control, on, plan_of, state

from workflow_runtime.engine.commands import RunNode, SetStatus
from workflow_runtime.engine.events import CancelRequested, Event, RetryRequested, TimerFired
from workflow_runtime.engine.lifecycle import Mark

ONCE_MORE = {"max_retries": 1, "retry_delay": 5, "jitter": "none"}
CANCEL = CancelRequested("control:c", START)
HANDLED = "error_handlers"


def retry(driver: Driver, **fields: Any) -> None:
    driver.take(RetryRequested(f"control:{len(driver.sent)}", START, **fields))


def orders(driver: Driver, path: str) -> list[RunNode]:
    return [order for order in driver.commands(RunNode) if order.path == path]


@pytest.mark.parametrize("batched", [True, False])
def test_two_branches_that_fail_at_the_same_instant_each_get_their_own_retries(batched: bool) -> None:
    nodes = [{"id": id, "retry_policy": ONCE_MORE} for id in ("左", "右")]
    driver = Driver(plan_of([*nodes, {"id": "合", "dependencies": ["左", "右"]}])).start()
    for _ in range(2):
        failures = [driver.failure("左"), driver.failure("右")]
        if batched:
            driver.take(*failures)
        else:
            driver.take(failures[0])
            driver.take(failures[1])
        driver.elapse(6)
    assert [len(orders(driver, path)) for path in ("左", "右")] == [2, 2]
    assert driver.status == "failed"
    retry(driver)
    driver.play()
    assert driver.status == "completed"


def test_a_join_behind_three_branches_that_failed_fires_once_after_a_retry() -> None:
    branches = [{"id": id, "retry_policy": ONCE_MORE} for id in ("甲", "乙", "丙")]
    driver = Driver(plan_of([*branches, {"id": "合", "dependencies": ["甲", "乙", "丙"]}])).start()
    for _ in range(2):
        driver.take(*(driver.failure(path) for path in list(driver.ordered)))
        driver.elapse(6)
    assert driver.status == "failed"
    retry(driver)
    assert list(driver.ordered) == ["甲", "乙", "丙"]
    driver.play()
    assert driver.status == "completed"
    assert len(orders(driver, "合")) == 1
    assert driver.replayed() == driver.state


def test_a_node_that_waits_for_its_retry_keeps_its_scope_open() -> None:
    """Of the graph at the top, of a state's graph and of a machine inside a node."""
    waiting = {"id": "忙", "type": "tool", "tool": "t", "retry_policy": {"retry_delay": "30m", "jitter": "none"}}
    other = {"id": "快", "type": "tool", "tool": "t"}
    states = [state("s", run=[waiting, other], on_done="e")]
    machine = {"id": "m", "type": "state_machine", "initial_state": "s", "states": states, "final_states": ["e"]}
    for plan, prefix in (
        (plan_of([waiting, other]), ""),
        (chart_of(states, final_states=["e"]), "s/"),
        (plan_of([machine]), "m/s/"),
    ):
        driver = Driver(plan).start()
        driver.fail(f"{prefix}忙", "rate_limited")
        driver.succeed(f"{prefix}快")
        assert driver.status == "running"
        driver.elapse(31 * 60)
        driver.succeed(f"{prefix}忙")
        assert driver.status == "completed"


def test_an_execution_that_timed_out_without_a_failed_node_resumes_what_had_not_ended_with_a_new_deadline() -> None:
    nodes = [{"id": "做"}, control("等", "wait", event="go"), {"id": "后", "dependencies": ["做", "等"]}]
    driver = Driver(plan_of(nodes, timeout="1h")).start()
    driver.succeed("做")
    driver.elapse(3601)
    assert (driver.status, driver.error) == ("failed", ("timeout", ""))
    assert "failed" not in driver.nodes.values()
    at = driver.now
    retry(driver)
    assert driver.nodes == {"做": "success", "等": "running", "后": "waiting"}
    assert min(driver.timers.values()) >= at + 3600_000
    driver.send("go")
    driver.play()
    assert driver.status == "completed"
    assert len(orders(driver, "做")) == 1


def test_compensations_handlers_and_cleanups_see_the_last_attempt_and_run_once_per_end() -> None:
    undo = {"tool": "undo", "inputs": {"why": "${error.type}"}}
    nodes = [
        {"id": "订", "compensate": undo},
        {"id": "付", "dependencies": ["订"], "retry_policy": ONCE_MORE},
        {"id": "清", "dependencies": ["付"], "join": "all_done", "inputs": {"was": "${nodes.付.error.type}"}},
    ]
    seen = {"errors": ["第二次"], "action": "fail"}, {"errors": ["第一次"], "action": "continue"}
    driver = Driver(plan_of(nodes, **{HANDLED: list(seen)})).start()
    driver.succeed("订")
    for end in (1, 2):
        driver.fail("付", "第一次")
        driver.elapse(6)
        driver.fail("付", "第二次")
        assert driver.inputs("清") == {"was": "第二次"}
        driver.succeed("清")
        assert driver.inputs("订~compensate") == {"why": "第二次"}
        driver.succeed("订~compensate")
        assert driver.status == "failed"
        assert [len(orders(driver, path)) for path in ("清", "订~compensate")] == [end, end]
        retry(driver)
        driver.succeed("订")
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


@pytest.mark.parametrize("rule", [{"on_error": "continue"}, {"fallback": {"value": 1}}, {}])
def test_a_rule_for_errors_neither_fires_per_attempt_nor_disables_retries(rule: dict[str, Any]) -> None:
    handlers = [] if rule else [{"action": "continue"}]
    nodes = [{"id": "a", "retry_policy": ONCE_MORE, **rule}, {"id": "b", "dependencies": ["a"]}]
    driver = Driver(plan_of(nodes, **{HANDLED: handlers})).start()
    driver.fail("a")
    assert driver.nodes == {"a": "retrying", "b": "waiting"}
    driver.elapse(6)
    driver.fail("a")
    assert list(driver.ordered) == ["b"]
    assert len(orders(driver, "a")) == 2


def branch(id: str) -> list[dict[str, Any]]:
    undo = {"tool": "undo", "inputs": {"of": "${output.n}"}}
    return [{"id": id, "compensate": undo}, {"id": f"{id}后", "dependencies": [id]}]


@pytest.mark.parametrize("fails", [True, False])
def test_what_succeeded_in_a_branch_that_was_cancelled_is_undone_once_if_the_execution_fails_and_else_never(
    fails: bool,
) -> None:
    parallel = control("并", "parallel", branches=["左", "右"], wait_all=False, cancel_rest=True)
    driver = Driver(plan_of([parallel, *branch("左"), *branch("右"), {"id": "末", "dependencies": ["并"]}])).start()
    driver.succeed("左", {"n": 1})
    driver.succeed("右", {"n": 2})
    driver.succeed("左后")
    assert driver.nodes["右后"] == "cancelled"
    assert not [order for order in driver.commands(RunNode) if "~" in order.path]
    driver.fail("末") if fails else driver.succeed("末")
    told = []
    while driver.ordered:
        path = next(iter(driver.ordered))
        told.append((path, driver.inputs(path)["of"]))
        driver.succeed(path)
    assert told == ([("右~compensate", 2), ("左~compensate", 1)] if fails else [])
    assert driver.status == ("failed" if fails else "completed")


def test_errors_are_offered_from_the_inside_out_through_loops_parallels_and_machines() -> None:
    """A node in a machine in a branch of a pass: its own rule, a handler of the workflow, then what holds it."""
    tool = {"id": "x", "type": "tool", "tool": "t"}
    machine = {"id": "机", "type": "state_machine", "states": [state("s", run=[tool], on_done="done")]}
    body = [control("并", "parallel", branches=["机", "旁"]), machine, {**tool, "id": "旁"}]
    loop = control("每", "loop", items="${[1, 2]}", body=body)
    path = "每[0]/机/s/x"

    def failed(**fields: Any) -> Driver:
        handlers = fields.pop(HANDLED, [])
        for node, more in fields.items():
            {"x": tool, "机": machine, "每": loop}[node].update(more)
        driver = Driver(plan_of([loop, {"id": "后", "dependencies": ["每"]}], **{HANDLED: handlers})).start()
        for node in ("x", "机", "每"):
            for held in (tool, machine, loop):
                held.pop("on_error", None) if held["id"] == node else None
        driver.fail(path, "坏")
        return driver

    assert failed(x={"on_error": "continue"}, 机={"on_error": "skip"}).status == "running"
    named = [{"node_pattern": path.replace("[0]", ""), "action": "continue"}, {"node_pattern": "机", "action": "skip"}]
    assert failed(**{HANDLED: named}).state.scopes.keys() >= {"每[0]"}
    machine_only = failed(机={"on_error": "continue"})
    assert machine_only.status == "running"
    assert machine_only.state.graph("每[0]").marks[1] == Mark.EXCUSED
    around = failed(每={"on_error": "continue"})
    assert around.nodes == {"每": "failed", "后": "ready"}
    nobody = failed()
    assert nobody.error is not None
    assert nobody.error[0] == "坏"


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("order", tuple(itertools.permutations(("cancel", "deadline", "failure"))), ids="-".join)
def test_cancel_timeout_and_error_at_once_lead_to_one_end_in_any_order(order: tuple[str, ...], batched: bool) -> None:
    driver = Driver(plan_of([{"id": "a", "compensate": {"tool": "u"}}, {"id": "b"}], timeout="1h")).start()
    (deadline,) = driver.state.timers
    events: dict[str, Event] = {
        "cancel": CANCEL,
        "deadline": TimerFired(f"timer:{deadline}", START + 3600_000, deadline),
        "failure": driver.failure("b"),
    }
    for batch in [order] if batched else [(name,) for name in order]:
        driver.take(*(events[name] for name in batch))
    driver.play()
    ends = [c.status for c in driver.commands(SetStatus) if c.status in ("cancelled", "failed", "completed")]
    assert ends == [driver.status]
    assert driver.status == ("cancelled" if order[0] == "cancel" else "failed")
    assert driver.replayed() == driver.state


@pytest.mark.parametrize("end", ["success", "failure", "cancel"])
def test_a_timer_of_a_node_that_has_ended_is_ignored_with_the_reason(end: str) -> None:
    nodes = [control("等", "wait", event="go", timeout="1h"), {"id": "别"}]
    driver = Driver(plan_of(nodes)).start()
    (timer,) = driver.state.timers
    match end:
        case "success":
            driver.send("go")
        case "failure":
            driver.fail("别")
        case "cancel":
            driver.take(CANCEL)
    decision = driver.take(TimerFired(f"timer:{timer}", START + 3600_000, timer), at=START + 3600_000)
    assert not decision.changed
    assert decision.ignored[0][1]


@pytest.mark.parametrize(("type", "most"), [("timeout", 3), ("worker_lost", 3)])
def test_timeouts_and_lost_workers_are_bounded(type: str, most: int) -> None:
    policy = {"max_retries": 2, "retry_delay": 0, "jitter": "none", "errors": ["timeout"]}
    driver = Driver(plan_of([{"id": "a", "retry_policy": policy}])).start()
    for _ in range(100):
        if not driver.ordered:
            break
        driver.fail("a", type)
    assert len(orders(driver, "a")) == most
    assert driver.error == (type, "a")


def test_after_a_cancellation_nothing_starts_and_the_execution_can_be_retried_any_number_of_times() -> None:
    nodes = [{"id": id, "dependencies": [chr(ord(id) - 1)] if id > "a" else []} for id in "abcd"]
    driver = Driver(plan_of(nodes)).start()
    for attempt in range(1, 6):
        result = driver.success(next(iter(driver.ordered)))
        driver.take(CANCEL if attempt == 1 else CancelRequested(f"control:c{attempt}", START))
        before = len(driver.commands(RunNode))
        driver.take(result)
        assert len(driver.commands(RunNode)) == before
        assert driver.status == "cancelled"
        retry(driver)
        assert driver.state.attempt == attempt + 1
    driver.play()
    assert driver.status == "completed"


@pytest.mark.parametrize("node", list("abcde"))
def test_an_execution_that_has_completed_can_be_retried_from_any_node_at_the_top(node: str) -> None:
    nodes = [
        {"id": "a"},
        {"id": "b", "dependencies": ["a"]},
        {"id": "c", "dependencies": ["a"]},
        {"id": "d", "dependencies": ["b", "c"], "join": "any"},
        {"id": "e", "dependencies": ["d"]},
    ]
    after = {"a": "abcde", "b": "bde", "c": "cde", "d": "de", "e": "e"}
    driver = Driver(plan_of(nodes)).play()
    for _ in range(3):
        counts = {id: len(orders(driver, id)) for id in after}
        retry(driver, node=node)
        driver.play()
        assert driver.status == "completed"
        assert {id: len(orders(driver, id)) - counts[id] for id in after} == {
            id: int(id in after[node]) for id in after
        }
    assert driver.replayed() == driver.state


def test_what_a_failed_attempt_wrote_to_variables_is_not_seen() -> None:
    """A machine that is retried begins with the variables that it was given; so does the chart around it keep its."""
    write = {"set_variable": {"name": "n", "value": "${n + 1}"}}
    inner = [state("s", on_enter=[write], run=[{"id": "x", "type": "tool", "tool": "t", "inputs": {"n": "${n}"}}])]
    machine = {
        "id": "机",
        "type": "state_machine",
        "inputs": {"n": "${5}"},
        "states": [{**inner[0], "on_done": "done"}],
        "retry_policy": {"max_retries": 2, "retry_delay": 0, "jitter": "none"},
    }
    driver = Driver(chart_of([state("外", on("go", "外"), run=[machine], on_done="e")], variables={"n": 100},
                             final_states=["e"])).start()  # fmt: skip
    for _ in range(2):
        assert driver.inputs("外/机/s/x") == {"n": 6}
        driver.fail("外/机/s/x")
    assert driver.inputs("外/机/s/x") == {"n": 6}
    assert driver.variables == {"n": 100}
    driver.play()
    assert driver.status == "completed"


def test_the_result_of_an_action_that_failed_is_not_seen() -> None:
    call = {"tool": {"tool": "t", "result": "found", "retry_policy": ONCE_MORE}}
    driver = Driver(chart_of([state("s", on("go", "e"), on_enter=[call]), state("e")], final_states=["e"])).start()
    (path,) = driver.ordered
    driver.take(driver.answer(path, Failure("坏")))
    assert "found" not in driver.variables
    driver.elapse(6)
    driver.succeed(path, 7)
    assert driver.variables["found"] == 7
