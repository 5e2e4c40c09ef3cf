"""What is done when a node has failed for good: fallbacks, then the workflow's error handlers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import Driver, aggregation, chart_of, control, on, plan_of, state

from workflow_runtime.engine.commands import RecordNode, RunNode

RETRIED = {"retry_policy": {"max_retries": 1, "retry_delay": 0, "jitter": False}}
READER = {"id": "b", "dependencies": ["a"], "inputs": {"x": "${a.v}"}}


def with_fallback(fallback: Any, *nodes: dict[str, Any], **fields: Any) -> Driver:
    return Driver(plan_of([{"id": "a", "fallback": fallback, **fields}, READER, *nodes])).start()


def last_record(driver: Driver, path: str) -> RecordNode:
    return [command for command in driver.commands(RecordNode) if command.path == path][-1]


# ---- fallbacks


def test_a_fallback_runs_in_the_place_of_a_node_that_has_failed() -> None:
    driver = with_fallback({"tool": "u"})
    driver.fail("a")
    assert driver.nodes == {"a": "running", "b": "waiting"}
    driver.succeed("a~fallback", {"v": 7})
    assert driver.nodes == {"a": "success", "b": "ready"}
    assert last_record(driver, "a").fallback_used
    assert driver.inputs("b") == {"x": 7}
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_it_is_not_asked_before_the_attempts_are_used_up_nor_if_one_succeeds() -> None:
    driver = with_fallback({"tool": "u"}, **RETRIED)
    driver.fail("a")
    assert list(driver.ordered) == ["a"]
    driver.play({"a": {"v": 1}})
    assert driver.status == "completed"
    assert [order.path for order in driver.commands(RunNode)] == ["a", "a", "b"]
    assert not driver.state.graph().fallbacks


def test_it_inherits_inputs_prompt_and_outputs_unless_it_says_otherwise() -> None:
    agent = {"type": "agent", "agent": "gpt", "prompt": "${n}", "outputs": {"v": "${output.text}"}}
    nodes = [
        {"id": "p", "type": "tool", "tool": "t"},
        {"id": "a", **agent, "inputs": {"n": "${p.n}", "q": 1}, "fallback": {"agent": "haiku"}, "dependencies": ["p"]},
        {"id": "c", **agent, "inputs": {"n": 2}, "fallback": {"agent": "haiku", "inputs": {"m": 3}, "prompt": "kurz"}},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("p", {"n": 5})
    driver.fail("a")
    driver.fail("c")
    assert driver.inputs("a~fallback") == {"n": 5, "q": 1}
    assert driver.inputs("c~fallback") == {"m": 3}
    for path, prompt in (("a", "${n}"), ("c", "kurz")):
        spec = driver.node(f"{path}~fallback").spec
        assert spec.agent == "haiku"  # type: ignore[union-attr]
        assert spec.prompt.source == prompt  # type: ignore[union-attr]
        assert driver.node(f"{path}~fallback").shape == driver.node(path).shape


def test_previous_means_for_a_fallback_what_it_means_for_the_node() -> None:
    nodes = [
        {"id": "p"},
        {"id": "a", "dependencies": ["p"], "inputs": {"x": "${previous.n}"}, "fallback": {"tool": "u"}},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("p", {"n": 3})
    driver.fail("a")
    assert driver.inputs("a~fallback") == {"x": 3}


@pytest.mark.parametrize("value", [{"v": 1, "w": ["${error.type}"]}, "${input.x}", None, 0, [], "text"])
def test_a_value_may_be_a_fallback(value: Any) -> None:
    plan = plan_of([{"id": "a", "fallback": {"value": value}}], outputs={"a": "${a}"})
    driver = Driver(plan, {"x": {"甲": 1}}).start()
    driver.fail("a")
    expected = (
        {"v": 1, "w": ["execution_error"]} if isinstance(value, dict) else {"甲": 1} if value == "${input.x}" else value
    )
    assert driver.status == "completed"
    assert driver.output == {"a": expected}


def test_a_value_sees_what_the_node_was_given() -> None:
    nodes = [
        {"id": "p"},
        {"id": "a", "dependencies": ["p"], "inputs": {"id": "${p.id}"}, "fallback": {"value": {"v": "${inputs.id}"}}},
    ]
    driver = Driver(plan_of(nodes), attach=False).start()
    driver.succeed("p", {"id": 9})
    driver.fail("a")
    assert driver.output == {"v": 9}


def test_a_node_of_the_graph_may_be_a_fallback_with_its_own_policies_and_fallback() -> None:
    spare = {"id": "spare", "inputs": {"why": "${error.message}", "was": "${inputs.q}"}, **RETRIED, "fallback": "last"}
    driver = with_fallback("spare", spare, {"id": "last"}, inputs={"q": 4})
    driver.fail("a", message="no")
    order = driver.ordered["spare"]
    assert order.names == {"error": {"type": "execution_error", "message": "no", "node": "a"}, "inputs": {}}
    assert driver.plan.node(order.caller).id == "a"
    driver.fail("spare")
    assert list(driver.ordered) == ["spare"]
    driver.fail("spare")
    driver.succeed("last", {"v": 6})
    assert driver.nodes == {"a": "success", "b": "ready", "spare": "success", "last": "success"}
    assert driver.inputs("b") == {"x": 6}
    assert driver.replayed() == driver.state


def test_the_errors_of_both_stand_when_the_fallback_fails_too() -> None:
    driver = with_fallback({"tool": "u"})
    driver.fail("a", "own", "mine")
    driver.fail("a~fallback", "other", "its")
    assert driver.error == ("own", "a")
    record = last_record(driver, "a")
    assert record.error is not None
    assert record.fallback_error is not None
    assert (record.error.type, record.fallback_error.type) == ("own", "other")
    assert driver.replayed() == driver.state


def test_then_come_the_rules_for_the_nodes_own_error() -> None:
    driver = with_fallback({"tool": "u"}, {"id": "cure"}, on_error={"errors": ["own"], "target": "cure"})
    driver.fail("a", "own")
    driver.fail("a~fallback", "other")
    assert list(driver.ordered) == ["cure"]
    driver.play()
    assert driver.status == "completed"


def test_large_outputs_of_a_fallback_are_read_where_they_are() -> None:
    nodes = [
        {"id": "c", "dependencies": ["a"], "when": "${a.v} == 1"},
        aggregation("all", "collect", dependencies=["a"]),
    ]
    driver = with_fallback({"tool": "u"}, *nodes)
    driver.attach = False
    driver.fail("a")
    driver.succeed("a~fallback", {"v": 1, "big": "x" * 9_000})
    assert driver.nodes["c"] == "ready"
    assert driver.result("all") == [{"v": 1, "big": "x" * 9_000}]
    assert driver.replayed() == driver.state


def test_a_wait_that_ran_out_of_time_may_have_a_fallback() -> None:
    wait = control("w", "wait", event="go", timeout=5, fallback={"value": {"late": True}})
    driver = Driver(plan_of([wait], outputs="${w}")).start()
    driver.elapse(6)
    assert driver.output == {"late": True}


def test_when_its_scope_ends_the_fallback_is_cancelled_with_the_node() -> None:
    driver = Driver(plan_of([{"id": "a", "fallback": {"tool": "u"}}, {"id": "b"}])).start()
    driver.fail("a")
    driver.fail("b")
    assert driver.nodes == {"a": "cancelled", "b": "failed"}
    assert set(driver.cancelled) == {"a", "a~fallback"}
    assert not driver.state.in_flight


def test_a_cleanup_that_goes_on_after_a_failure_keeps_its_fallback() -> None:
    nodes = [
        {"id": "a"},
        {"id": "clean", "dependencies": ["a"], "join": "all_done", "fallback": {"tool": "u"}},
        {"id": "x"},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a")
    driver.fail("clean")
    driver.fail("x")
    assert driver.status == "running"
    driver.succeed("clean~fallback")
    assert driver.nodes == {"a": "success", "clean": "success", "x": "failed"}
    assert driver.error == ("execution_error", "x")


def test_in_a_state_it_works_as_anywhere() -> None:
    run = [{"id": "x", "type": "tool", "tool": "t", "fallback": {"value": 1}}]
    driver = Driver(chart_of([state("s", on("done.run.s", "e"), run=run), state("e")], final_states=["e"])).start()
    driver.fail("s/x")
    assert driver.status == "completed"


# ---- error handlers


def handled(*handlers: dict[str, Any], nodes: list[dict[str, Any]] | None = None, **fields: Any) -> Driver:
    return Driver(plan_of(nodes or [{"id": "a"}, READER], error_handlers=list(handlers), **fields)).start()


def test_the_first_handler_that_matches_node_and_error_acts() -> None:
    driver = handled(
        {"node_pattern": "b.*", "action": "fail"},
        {"errors": ["other"], "action": "fail"},
        {"node_pattern": "a", "errors": ["own"], "action": "continue"},
        {"action": "fail"},
    )
    driver.fail("a", "own")
    assert driver.nodes == {"a": "failed", "b": "ready"}


@pytest.mark.parametrize(("action", "after"), [("skip", "skipped"), ("continue", "ready")])
def test_skip_and_continue_are_for_the_edges(action: str, after: str) -> None:
    driver = handled({"node_pattern": "a", "action": action})
    driver.fail("a")
    assert driver.nodes == {"a": "failed", "b": after}


def test_retry_adds_attempts_and_then_the_next_handler_is_asked() -> None:
    driver = handled(
        {"action": {"type": "retry", "max_retries": 2, "retry_delay": 0, "jitter": False}},
        {"action": "continue"},
        nodes=[{"id": "a", **RETRIED}, READER],
    )
    for _ in range(3):
        driver.fail("a")
        assert list(driver.ordered) == ["a"]
    driver.fail("a")
    assert driver.nodes == {"a": "failed", "b": "ready"}
    assert [order.attempt for order in driver.commands(RunNode) if order.path == "a"] == [1, 2, 3, 4]
    assert driver.replayed() == driver.state


@pytest.mark.parametrize(
    ("handler", "policy", "type", "again"),
    [
        ({}, {"errors": ["busy"]}, "busy", True),
        ({}, {"errors": ["busy"]}, "broken", False),
        ({}, {"exclude_errors": ["broken"]}, "broken", False),
        ({}, {}, "rejected", False),
        ({"errors": ["rejected"]}, {}, "rejected", True),
        ({}, {"errors": ["rejected"]}, "rejected", True),
    ],
)
def test_a_handlers_retry_is_for_the_errors_that_its_policy_names(
    handler: dict[str, Any], policy: dict[str, Any], type: str, again: bool
) -> None:
    action = {"type": "retry", "max_retries": 1, "retry_delay": 0, "jitter": False, **policy}
    driver = handled({**handler, "action": action}, {"action": "continue"})
    driver.fail("a", type)
    assert driver.nodes == ({"a": "ready", "b": "waiting"} if again else {"a": "failed", "b": "ready"})


def test_a_handlers_fallback_comes_after_the_nodes_own_and_retries_after_it_work() -> None:
    driver = handled(
        {"action": {"type": "fallback", "target": "spare"}},
        {"node_pattern": "a", "action": {"type": "retry", "max_retries": 1, "retry_delay": 0, "jitter": False}},
        nodes=[{"id": "a", "fallback": {"tool": "u"}}, READER, {"id": "spare"}],
    )
    driver.fail("a")
    driver.fail("a~fallback")
    driver.fail("spare", "other")
    assert list(driver.ordered) == ["a"]
    driver.succeed("a", {"v": 2})
    assert driver.inputs("b") == {"x": 2}
    assert driver.nodes["spare"] == "failed"
    assert driver.replayed() == driver.state


def test_handlers_act_in_every_scope_and_paths_name_them() -> None:
    run = [{"id": "x", "type": "tool", "tool": "t"}, {"id": "y", "type": "tool", "tool": "t"}]
    plan = chart_of(
        [state("s", on("done.run.s", "e"), run=run), state("e")],
        final_states=["e"],
        error_handlers=[{"node_pattern": "s/x", "action": "continue"}, {"node_pattern": "y", "action": "skip"}],
    )
    driver = Driver(plan).start()
    driver.fail("s/x")
    driver.fail("s/y")
    assert driver.status == "completed"


def test_a_node_without_an_attempt_is_not_retried() -> None:
    driver = handled(
        {"action": {"type": "retry"}}, {"action": "continue"}, nodes=[{"id": "a", "when": "${1 / 0}"}, READER]
    )
    assert driver.nodes == {"a": "failed", "b": "ready"}


def test_what_somebody_retries_may_fall_back_once_more() -> None:
    from tests.unit.engine.test_reopening import retry

    driver = with_fallback({"tool": "u"})
    driver.fail("a")
    driver.fail("a~fallback")
    retry(driver)
    driver.fail("a")
    driver.succeed("a~fallback", {"v": 1})
    driver.play()
    assert driver.status == "completed"
    assert driver.replayed() == driver.state
