"""Segments: which nodes a worker may run in place after another one, and what the engine makes of their results."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, chart_of, control, loop, plan_of, state

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.engine.commands import RunNode, StopRun
from workflow_runtime.engine.events import (
    CancelRequested,
    Event,
    ExecutionStarted,
    NodeSucceeded,
    NodeYielded,
    ResumeRequested,
    RetryRequested,
    RunStopped,
    SkipRequested,
    SuspendRequested,
    run_event_id,
)
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.segments import SEGMENT_NODES_MAX, after


def tool(id: str, *dependencies: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "dependencies": list(dependencies), **fields}


CHAIN = (tool("a"), tool("b", "a"), tool("c", "b"), tool("d", "c"))


def following(plan: Plan, id: str, block: int = 0) -> str:
    """The ids of what may follow a node, in order."""
    graph = plan.blocks[block]
    return "".join(graph.nodes[node].id for node in after(graph, graph.index[id]))


def driven(*nodes: dict[str, Any], **fields: Any) -> Driver:
    driver = Driver(plan_of(list(nodes), **fields), {"x": 1})
    driver.take(ExecutionStarted("start", START, segments=True))
    return driver


def in_place(driver: Driver, path: str, output: Any = None) -> NodeSucceeded:
    """A run that its worker made without an order of its own."""
    driver.records[path, 1] = NodeValue("success", output)
    return NodeSucceeded(run_event_id(path, 1), driver.now, path, 1)


def followers(driver: Driver, path: str) -> list[str]:
    return [driver.plan.path(number) for number in driver.orders[path, 1].followers]


# ---- which nodes


def test_a_chain_of_tools_is_a_segment_from_each_of_its_nodes_on() -> None:
    plan = plan_of(list(CHAIN))
    assert [following(plan, id) for id in "abcd"] == ["bcd", "cd", "d", ""]


def test_a_segment_is_bounded() -> None:
    plan = plan_of([tool("n0"), *(tool(f"n{i}", f"n{i - 1}") for i in range(1, 40))])
    assert len(after(plan.root, 0)) + 1 == SEGMENT_NODES_MAX


@pytest.mark.parametrize(
    "middle",
    [
        {"when": "${now > '2026-01-01'}"},
        {"when": "${uuid() != 'x'}"},
        {"limiter": "places"},
        {"max_wait": "1m"},
        {"callback": {}},
        {"pool": "other"},
        {"type": "agent", "agent": "a"},
        {"join": "any"},
        control("b", "pass", dependencies=["a"]),
    ],
    ids=lambda middle: next(iter(middle)),
)
def test_what_others_have_a_say_in_is_in_no_segment(middle: dict[str, Any]) -> None:
    between = {**tool("b", "a", inputs={"x": "${task_token}"} if "callback" in middle else {}), **middle}
    limits = {"places": {"concurrency": 1}}
    plan = plan_of([tool("a"), between, tool("c", "b"), tool("d", "c")], limits=limits)
    assert following(plan, "a") == ""
    assert following(plan, "c") == "d"


@pytest.mark.parametrize(
    "middle",
    [
        {"when": "${a.x > 1 and start}"},
        {"compensate": {"tool": "t"}},
        {"retry_policy": {"max_retries": 3}},
        {"on_error": [{"errors": ["*"], "do": "continue"}]},
        {"timeout": "10s"},
    ],
    ids=lambda middle: next(iter(middle)),
)
def test_what_a_worker_can_decide_as_the_dispatcher_would_is_in_a_segment(middle: dict[str, Any]) -> None:
    plan = plan_of([tool("a"), {**tool("b", "a"), **middle}, tool("c", "b")])
    assert following(plan, "a") == "bc"


def test_agents_of_one_pool_are_a_segment() -> None:
    nodes = [
        tool("a"),
        *({"id": id, "type": "agent", "agent": "w", "dependencies": [before]} for before, id in ("ab", "bc")),
    ]
    plan = plan_of([*nodes, tool("d", "c")])
    assert [following(plan, id) for id in "abcd"] == ["", "c", "", ""]


def test_what_takes_of_a_limiter_begins_a_segment() -> None:
    limits = {"places": {"concurrency": 1}}
    plan = plan_of([tool("a", limiter="places"), tool("b", "a"), tool("c", "b")], limits=limits)
    assert following(plan, "a") == "bc"


def test_an_edge_with_a_condition_is_in_no_segment() -> None:
    edges = [{"from": "a", "to": "b", "condition": "${a.x}"}]
    plan = plan_of([tool("a"), {"id": "b"}, tool("c", "b")], edges=edges)
    assert [following(plan, id) for id in "ab"] == ["", "c"]


def test_nobody_outside_waits_for_a_segment_longer_than_for_its_node() -> None:
    beside = plan_of([*CHAIN, tool("e", "b")])
    assert [following(beside, id) for id in "abc"] == ["b", "", "d"]
    behind = plan_of([*CHAIN, control("p", "pass", dependencies=["d"]), tool("e", "b", "p")])
    assert following(behind, "a") == "bcd", "`e` waits for `d` anyway"


def test_nodes_may_need_what_ran_before_the_segment_or_earlier_in_it() -> None:
    before = [tool("w"), control("p", "pass", dependencies=["w"])]
    plan = plan_of([*before, tool("a", "p"), tool("b", "a", "w"), tool("c", "a", "b")])
    assert following(plan, "a") == "bc"
    assert following(plan_of([tool("w"), tool("a"), tool("b", "a", "w")]), "a") == "", "they run side by side"


def test_what_variables_of_charts_are_is_not_known_ahead() -> None:
    nodes = [tool("a"), tool("b", "a", inputs={"x": "${n}"}), tool("c", "b", inputs={"x": 1})]
    plan = chart_of([state("s", run=[{"type": "tool", "tool": "t", **node} for node in nodes])], variables={"n": 1})
    number = next(number for number, block in enumerate(plan.blocks) if "a" in block.index)
    assert [following(plan, id, number) for id in "ab"] == ["", "c"]


# ---- orders


def test_an_order_names_its_followers_and_reads_what_they_need_of_others() -> None:
    driver = driven(
        tool("w"),
        control("p", "pass", dependencies=["w"]),
        tool("a", "p"),
        tool("b", "a", inputs={"x": "${w.x}", "y": "${a.y}"}),
    )
    driver.succeed("w", {"x": 5})
    order = driver.ordered["a"]
    assert followers(driver, "a") == ["b"]
    assert [read.path(driver.plan) for read in order.reads] == ["w"]


def test_an_order_reads_what_a_condition_of_a_follower_needs() -> None:
    driver = driven(tool("w"), control("p", "pass", dependencies=["w"]), tool("a", "p"), tool("b", "a", when="${w.x}"))
    driver.succeed("w", {"x": 5})
    assert followers(driver, "a") == ["b"]
    assert [read.path(driver.plan) for read in driver.ordered["a"].reads] == ["w"]


def test_in_a_loop_followers_see_what_their_pass_gives_them() -> None:
    driver = driven(loop("each", tool("a"), tool("b", "a", inputs={"x": "${item}"}), items=[7, 8], max_concurrency=0))
    assert driver.ordered["each[1]/a"].names == {"item": 8}
    assert followers(driver, "each[0]/a") == ["each/b"]


@pytest.mark.parametrize("segments", [False, True])
def test_executions_of_older_deployments_and_those_whose_nodes_are_told_of_have_no_segments(segments: bool) -> None:
    driver = Driver(plan_of(list(CHAIN), events=["execution", "node"] if segments else ["execution"]))
    driver.take(ExecutionStarted("start", START, segments=segments))
    assert followers(driver, "a") == []


def test_attempts_after_the_first_run_alone() -> None:
    driver = driven(tool("a", retry_policy={"max_retries": 1, "retry_delay": "0s"}), tool("b", "a"))
    assert followers(driver, "a") == ["b"]
    driver.fail("a")
    assert driver.ordered["a"].followers == ()


# ---- results


def test_results_of_a_segment_are_taken_in_one_turn_and_order_only_what_is_left() -> None:
    driver = driven(*CHAIN)
    events: list[Event] = [driver.success("a"), in_place(driver, "b"), in_place(driver, "c")]
    decision = driver.take(*events)
    assert [command.path for command in decision.commands if isinstance(command, RunNode)] == ["d"]
    assert driver.state.in_flight == 1
    driver.succeed("d")
    assert driver.status == "completed"
    assert driver.replayed() == driver.state


def test_a_condition_is_decided_by_the_dispatcher_in_the_turn_that_takes_the_results() -> None:
    nodes = [tool("a"), tool("b", "a", when="${a.x > 1}"), tool("c", "b", when="${b.x > 1}"), tool("d", "c")]
    driver = driven(*nodes)
    a = driver.success("a", {"x": 2})
    driver.records["b", 1] = NodeValue("success", {"x": 1})
    b = NodeSucceeded(run_event_id("b", 1), driver.now, "b", 1, {"x": 1}, True)
    driver.take(a, b)
    assert driver.nodes["c"] == "skipped"
    assert not driver.ordered
    assert driver.status == "completed"


def test_an_agent_that_yields_in_a_segment_is_not_ordered_from_anybody_else() -> None:
    nodes = [
        {"id": id, "type": "agent", "agent": "w", "dependencies": list(before)}
        for id, before in (("a", ""), ("b", "a"))
    ]
    driver = driven(*nodes)
    asks = NodeYielded(run_event_id("b", 1), driver.now, "b", 1, waits=(Wait("w1", "tool", "may I?"),), steps=1)
    decision = driver.take(driver.success("a"), asks)
    assert not [command for command in decision.commands if isinstance(command, RunNode)]
    assert driver.nodes["b"] == "running"


def test_it_makes_no_difference_to_the_state_whether_results_come_together() -> None:
    together, apart = driven(*CHAIN), driven(*CHAIN)
    together.take(together.success("a"), in_place(together, "b"))
    apart.succeed("a")
    apart.succeed("b")
    assert together.nodes == apart.nodes
    assert list(together.ordered) == list(apart.ordered) == ["c"]


def test_a_result_that_comes_before_its_order_is_left_to_who_is_ordered() -> None:
    driver = driven(*CHAIN)
    early = in_place(driver, "b")
    driver.take(early)
    assert driver.ignored[-1][0] == early.event_id
    del driver.records["b", 1]
    driver.succeed("a")
    assert list(driver.ordered) == ["b"]


def test_while_it_is_suspended_a_segment_orders_nothing_and_its_results_are_found_later() -> None:
    driver = driven(*CHAIN)
    driver.take(SuspendRequested("control:s", driver.now))
    driver.take(driver.success("a"), in_place(driver, "b"))
    assert not driver.ordered
    del driver.records["b", 1]
    driver.take(ResumeRequested("control:r", driver.now))
    assert list(driver.ordered) == ["b"]


def test_what_a_cancelled_segment_may_have_run_has_another_record_when_it_runs_again() -> None:
    driver = driven(*CHAIN)
    driver.take(CancelRequested("control:c", driver.now))
    late = in_place(driver, "b")
    driver.take(late)
    driver.take(RetryRequested("control:r", driver.now))
    driver.succeed("a")
    again = driver.ordered["b"]
    assert (again.serial, again.visit) == (2, 2)
    assert again.followers == ()
    driver.play()
    assert driver.status == "completed"


def test_a_node_that_may_run_in_place_cannot_be_skipped_meanwhile_and_gets_another_record_later() -> None:
    driver = driven(*CHAIN)
    driver.take(SkipRequested("control:1", driver.now, node="c", output=1))
    assert "was ordered from a worker" in driver.ignored[-1][1]
    driver.take(SuspendRequested("control:s", driver.now))
    driver.take(driver.success("a"), in_place(driver, "b"))
    driver.take(SkipRequested("control:2", driver.now, node="b", output=1))
    assert driver.records["b", 2] == NodeValue("success", 1)
    driver.take(ResumeRequested("control:r", driver.now))
    assert driver.ordered["c"].serial == 2


# ---- compensation

UNDONE = {"compensate": {"tool": "t", "inputs": {"x": "${output}"}}}
SAGA = (tool("a", **UNDONE), tool("b", "a"), tool("c", "b", **UNDONE), tool("d", "c", **UNDONE))
ON_CANCEL = {"compensation": {"on": ["failure", "cancel"]}}


def undone(driver: Driver) -> list[str]:
    return [driver.plan.path(visit.number) for visit in driver.state.undo]


def test_an_execution_that_undoes_waits_for_all_that_may_run_in_place_and_undoes_what_has_succeeded() -> None:
    driver = driven(*SAGA, **ON_CANCEL)
    a, b, c = driver.success("a"), in_place(driver, "b"), in_place(driver, "c")
    decision = driver.take(CancelRequested("control:c", driver.now))
    assert [command for command in decision.commands if isinstance(command, StopRun)] == [StopRun("a", 1)]
    assert driver.state.stopping == {"a": 1, "c": 1, "d": 1}
    driver.take(a, b, c)
    driver.take(RunStopped("stop:d#1", driver.now, "d", 1))
    assert undone(driver) == ["a", "c"]
    driver.play()
    assert driver.status == "cancelled"
    assert driver.replayed() == driver.state


def test_a_first_node_that_cannot_be_undone_is_awaited_for_those_that_can() -> None:
    driver = driven(tool("a"), tool("b", "a", **UNDONE), **ON_CANCEL)
    a, b = driver.success("a"), in_place(driver, "b")
    driver.take(CancelRequested("control:c", driver.now))
    assert driver.state.stopping == {"a": 1, "b": 1}
    driver.take(a, b)
    assert undone(driver) == ["b"]


def test_what_had_succeeded_in_place_when_its_branch_was_cancelled_is_undone_if_the_execution_fails() -> None:
    go_on = [{"errors": ["*"], "do": "continue"}]
    each = loop("each", tool("a", **UNDONE), tool("b", "a"), items=[1, 2], max_concurrency=0, on_error=go_on)
    driver = driven(each, tool("bad", "each"))
    a = driver.success("each[1]/a")
    driver.fail("each[0]/a")
    assert driver.nodes["each"] == "failed"
    assert "bad" in driver.ordered, "the other pass was cancelled, and the execution goes on"
    driver.take(a)
    driver.take(a)
    assert undone(driver) == ["each/a"]
    driver.fail("bad")
    driver.play()
    assert len(driver.state.fates) == 1
    assert driver.replayed() == driver.state
