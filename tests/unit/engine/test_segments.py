"""Segments: which nodes a worker may run in place after another one, and what the engine makes of their results."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.engine.driver import START, Driver, chart_of, control, loop, on, plan_of, state

from workflow_runtime.engine.advance import Decision, abort, advance
from workflow_runtime.engine.awaited import Wait
from workflow_runtime.engine.commands import CancelRun, Continue, RunNode, StopRun
from workflow_runtime.engine.compensation import STOP_SECONDS
from workflow_runtime.engine.events import (
    CancelRequested,
    Event,
    ExecutionStarted,
    NodeFailed,
    NodeSucceeded,
    NodeYielded,
    ResumeRequested,
    RetryRequested,
    RunStopped,
    SkipRequested,
    SuspendRequested,
    run_event_id,
)
from workflow_runtime.engine.graph.concurrency import places_taken
from workflow_runtime.engine.turn import Known, Needs
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.errors import ErrorDocument
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
    return begun(plan_of(list(nodes), **fields))


def begun(plan: Plan, *, takes_early: bool = True) -> Driver:
    driver = Driver(plan, {"x": 1})
    undoes = bool(plan.undo_blocks)
    driver.take(ExecutionStarted("start", START, segments=True, awaits_cancelled=undoes, takes_early=takes_early))
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


def test_while_it_is_suspended_results_of_a_segment_count_and_nothing_more_is_ordered() -> None:
    driver = driven(*CHAIN)
    driver.take(SuspendRequested("control:s", driver.now))
    driver.take(driver.success("a"), in_place(driver, "b"))
    assert (driver.nodes["a"], driver.nodes["b"], driver.nodes["c"]) == ("success", "success", "waiting")
    assert not driver.ordered
    driver.take(ResumeRequested("control:r", driver.now))
    assert list(driver.ordered) == ["c"]
    driver.play()
    assert driver.replayed() == driver.state


def test_a_failure_in_a_segment_is_held_while_the_execution_is_suspended() -> None:
    driver = driven(*CHAIN)
    driver.take(SuspendRequested("control:s", driver.now))
    failure = NodeFailed(
        run_event_id("b", 1), driver.now, "b", 1, ErrorDocument.of("broken", "no"), driver.orders["a", 1]
    )
    driver.take(driver.success("a"), failure)
    assert driver.nodes["b"] == "ready"
    assert driver.state.held_next - driver.state.held_first == 1


def test_in_an_execution_from_before_what_ran_in_place_is_found_when_it_is_ordered() -> None:
    driver = begun(plan_of(list(CHAIN)), takes_early=False)
    driver.take(SuspendRequested("control:s", driver.now))
    driver.take(driver.success("a"), in_place(driver, "b"))
    assert driver.nodes["b"] == "waiting"
    del driver.records["b", 1]
    driver.take(ResumeRequested("control:r", driver.now))
    assert list(driver.ordered) == ["b"]


ONE_AT_A_TIME = {"limits": {"max_concurrency": 1}}


def test_what_ran_in_place_counts_though_others_have_its_place() -> None:
    driver = driven(*CHAIN, tool("other"), tool("another"), **ONE_AT_A_TIME)
    driver.take(driver.success("a"), in_place(driver, "b"))
    assert (driver.nodes["a"], driver.nodes["b"], driver.nodes["c"]) == ("success", "success", "ready")
    assert list(driver.ordered) == ["other"], "the next place is for those who came first"
    driver.play()
    assert driver.status == "completed"


@pytest.mark.parametrize("suspended", [False, True])
def test_what_is_under_way_in_place_is_cancelled_though_its_turn_has_not_come(suspended: bool) -> None:
    driver = driven(*CHAIN, tool("other"), **ONE_AT_A_TIME)
    if suspended:
        driver.take(SuspendRequested("control:s", driver.now))
    b = replace(in_place(driver, "b"), goes_on=True)
    decision = driver.take(driver.success("a"), b, CancelRequested("control:c", driver.now))
    assert (driver.nodes["b"], driver.nodes["c"], driver.nodes["d"]) == ("success", "cancelled", "skipped")
    assert ("c", 1) in [(each.path, each.serial) for each in decision.commands if isinstance(each, CancelRun)]
    assert not [each for each in decision.commands if isinstance(each, RunNode)], "nobody is to begin it"
    assert driver.state.in_flight == 0
    driver.take(RetryRequested("control:r", driver.now))
    driver.play()
    assert driver.orders["c", 2].visit == 2
    assert driver.replayed() == driver.state


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


def test_before_a_segment_is_cancelled_what_its_worker_has_recorded_is_asked_for_once() -> None:
    driver = driven(*CHAIN, tool("alone"))
    a, request = driver.success("a"), CancelRequested("control:c", driver.now)
    needs = advance(driver.plan, driver.state, [request], driver.now)
    assert isinstance(needs, Needs)
    assert needs.segments == (("a", 1),)
    looked_at = Known(segments=frozenset(needs.segments))
    decision = advance(driver.plan, driver.state, [request], driver.now, looked_at)
    assert isinstance(decision, Decision)
    driver.take(a, request)
    assert (driver.nodes["a"], driver.nodes["b"], driver.nodes["c"]) == ("success", "cancelled", "skipped")


def test_an_execution_that_is_aborted_asks_for_nothing() -> None:
    driver = driven(*CHAIN)
    decision = abort(driver.plan, driver.state, ErrorDocument.of("state_too_large", "too large"))
    assert decision.state.status == "failed"
    assert not [command for command in decision.commands if isinstance(command, Continue)]


def test_a_node_that_may_run_in_place_cannot_be_skipped_meanwhile_and_gets_another_record_later() -> None:
    driver = driven(*CHAIN)
    driver.take(SkipRequested("control:1", driver.now, node="c", output=1))
    assert "was ordered from a worker" in driver.ignored[-1][1]
    driver.take(SuspendRequested("control:s", driver.now))
    driver.take(driver.success("a"))
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


def test_of_a_first_node_that_cannot_be_undone_those_after_it_that_can_are_awaited() -> None:
    driver = driven(tool("a"), tool("b", "a", **UNDONE), **ON_CANCEL)
    a, b = driver.success("a"), in_place(driver, "b")
    decision = driver.take(CancelRequested("control:c", driver.now))
    assert [command for command in decision.commands if isinstance(command, StopRun)] == [StopRun("a", 1)]
    assert driver.state.stopping == {"b": 1}
    driver.take(a, b)
    assert undone(driver) == ["b"]


def test_an_execution_from_before_awaits_a_first_node_with_those_after_it_as_its_journal_says() -> None:
    plan = plan_of([tool("a"), tool("b", "a", **UNDONE)], **ON_CANCEL)
    driver = begun(plan, takes_early=False)
    driver.take(CancelRequested("control:c", driver.now))
    assert driver.state.stopping == {"a": 1, "b": 1}
    driver.take(RunStopped("stop:a#1", driver.now, "a", 1), RunStopped("stop:b#1", driver.now, "b", 1))
    assert driver.status == "cancelled"


GO_ON = [{"errors": ["*"], "do": "continue"}]


def passes(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A loop of two passes, of which one is cancelled when the other fails; the execution goes on."""
    return loop("each", *nodes, items=[1, 2], max_concurrency=0, on_error=GO_ON, **fields)


def test_executions_of_older_deployments_count_what_had_succeeded_when_its_branch_was_cancelled() -> None:
    each = passes(tool("a", **UNDONE), tool("b", "a"))
    driver = Driver(plan_of([each, tool("bad", "each")]), {"x": 1})
    driver.take(ExecutionStarted("start", START, segments=True))
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


def compensated(driver: Driver) -> list[str]:
    return [command.undoes.path(driver.plan) for command in driver.commands(RunNode) if command.undoes is not None]


@pytest.mark.parametrize("follower", [(), (tool("b", "a"),)], ids=["alone", "in a segment"])
@pytest.mark.parametrize("first", ["report", "failure"])
def test_what_succeeds_in_a_cancelled_pass_is_undone_whenever_that_is_reported(
    follower: tuple[dict[str, Any], ...], first: str
) -> None:
    driver = driven(passes(tool("a", **UNDONE), *follower), tool("bad", "each"))
    a = driver.success("each[1]/a")
    driver.fail("each[0]/a")
    assert driver.told == ["each[1]/a"]
    assert not driver.cancelled
    if first == "report":
        driver.take(a)
    driver.fail("bad")
    assert driver.status == "compensating"
    if first == "failure":
        assert not driver.ordered, "it waits until it is known what is to be undone"
        driver.take(a)
    driver.take(a)
    assert undone(driver) == ["each/a"]
    driver.play()
    assert (driver.status, compensated(driver)) == ("failed", ["each[1]/a"])
    assert driver.replayed() == driver.state


def test_a_report_that_comes_with_the_failure_that_cancels_its_pass_counts() -> None:
    driver = driven(passes(tool("a", **UNDONE), tool("b", "a")), tool("bad", "each"))
    a = driver.success("each[1]/a")
    driver.take(driver.failure("each[0]/a"), a)
    assert undone(driver) == ["each/a"]


def test_a_cancelled_pass_is_awaited_for_what_its_worker_may_go_on_with() -> None:
    driver = driven(passes(tool("a"), tool("b", "a", **UNDONE)), tool("bad", "each"))
    a, b = driver.success("each[1]/a"), in_place(driver, "each[1]/b")
    driver.fail("each[0]/a")
    driver.fail("bad")
    driver.take(a, b)
    assert undone(driver) == ["each/b"]


def test_what_never_began_in_a_cancelled_pass_keeps_nobody_waiting() -> None:
    driver = driven(passes(tool("a", **UNDONE), tool("b", "a")), tool("bad", "each"))
    driver.fail("each[0]/a")
    driver.take(RunStopped("stop:each[1]/a#1", driver.now, "each[1]/a", 1))
    assert not driver.state.stopping
    driver.fail("bad")
    assert driver.status == "failed"


def test_what_is_awaited_takes_no_place_and_is_cancelled_when_the_execution_completes() -> None:
    driver = driven(passes(tool("a", **UNDONE), tool("b", "a")), tool("good", "each"), limits={"max_concurrency": 2})
    driver.fail("each[0]/a")
    assert places_taken(driver.state) == 1
    driver.succeed("good")
    assert driver.status == "completed"
    assert driver.cancelled == ["each[1]/a"]
    assert (driver.state.in_flight, driver.state.stopping) == (0, {})


@pytest.mark.parametrize("ends", ["failure", "cancel"])
@pytest.mark.parametrize("how", ["fail_fast", "first", "timeout"])
def test_whatever_cancels_it_a_success_is_undone(how: str, ends: str) -> None:
    nodes = {
        "fail_fast": [passes(tool("a", **UNDONE), tool("b", "a"))],
        "timeout": [loop("each", tool("a", **UNDONE), tool("b", "a"), items=[1, 2], timeout="10s", on_error=GO_ON)],
        "first": [
            control("race", "parallel", branches=["w", "a"], wait_all=False, cancel_rest=True),
            tool("w"),
            tool("a", **UNDONE),
            tool("b", "a"),
        ],
    }[how]
    driver = driven(*nodes, tool("bad", "race" if how == "first" else "each"))
    path = {"fail_fast": "each[1]/a", "timeout": "each[0]/a", "first": "a"}[how]
    a = driver.success(path)
    if how == "fail_fast":
        driver.fail("each[0]/a")
    elif how == "first":
        driver.succeed("w")
    else:
        driver.elapse(10)
    assert driver.told == [path]
    assert "bad" in driver.ordered
    if ends == "cancel":
        driver.take(CancelRequested("control:c", driver.now))
    else:
        driver.fail("bad")
    driver.take(a)
    while driver.state.stopping:  # what ran when the execution ended
        left, serial = next(iter(driver.state.stopping.items()))
        driver.take(RunStopped(f"stop:{left}#{serial}", driver.now, left, serial))
    driver.play()
    assert driver.state.status.terminal
    assert compensated(driver) == [path]
    assert driver.replayed() == driver.state


def test_runs_of_a_state_that_is_left_and_entered_again_are_awaited_apart() -> None:
    nodes = [{"type": "tool", "tool": "t", **node} for node in (tool("a", **UNDONE), tool("b", "a"))]
    plan = chart_of([state("s", on("again", "s"), run=nodes)])
    driver = begun(plan)
    results = []
    for _ in range(2):
        (path,) = driver.ordered
        results.append(driver.success(path))
        driver.send("again")
    (path, last), *_ = driver.ordered.items()
    assert len(driver.state.stopping) == 2
    driver.take(CancelRequested("control:c", driver.now))
    assert driver.status == "compensating"
    assert len(driver.state.stopping) == 3
    driver.take(*reversed(results))
    driver.take(RunStopped("stop", driver.now, path, last.serial))
    assert [visit.serial for visit in driver.state.undo] == [result.serial for result in reversed(results)]
    driver.play()
    assert len(compensated(driver)) == 2
    assert driver.replayed() == driver.state


def test_what_a_fallback_did_in_the_place_of_a_node_of_a_cancelled_pass_is_undone_by_that_node() -> None:
    driver = driven(passes(tool("a", **UNDONE, fallback="f"), tool("f")), tool("bad", "each"))
    driver.fail("each[1]/a")
    f = driver.success("each[1]/f")
    driver.fail("each[0]/a")
    driver.fail("each[0]/f")
    driver.fail("bad")
    driver.take(f)
    assert undone(driver) == ["each/a"]
    driver.play()
    assert compensated(driver) == ["each[1]/a"]
    assert driver.replayed() == driver.state


def test_executions_without_compensations_await_nothing_that_they_cancel() -> None:
    driver = driven(passes(tool("a"), tool("b", "a")), tool("bad", "each"))
    driver.fail("each[0]/a")
    assert driver.cancelled == ["each[1]/a"]
    assert not driver.told
    assert not driver.state.awaits_cancelled


def test_when_the_time_is_up_what_has_succeeded_by_then_is_undone_though_its_worker_never_said_so() -> None:
    driver = driven(passes(tool("a", **UNDONE), tool("b", "a", **UNDONE)), tool("bad", "each"))
    a = driver.success("each[1]/a")
    driver.fail("each[0]/a")
    driver.fail("bad")
    driver.elapse(STOP_SECONDS)
    closing = [command for command in driver.commits[-1] if isinstance(command, StopRun)]
    assert closing == [StopRun("each[1]/a", 1, closes=True), StopRun("each[1]/b", 1, closes=True)]
    assert driver.status == "compensating"
    driver.take(a, RunStopped("stop:each[1]/b#1", driver.now, "each[1]/b", 1))
    assert undone(driver) == ["each/a"]
    driver.play()
    assert driver.status == "failed"
    assert driver.replayed() == driver.state
