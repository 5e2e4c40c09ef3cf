"""Promises about failure, tolerance, lost workers, bounds and sizes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import Driver, aggregation, control, plan_of

from workflow_runtime.engine.commands import CancelRun, Continue, RunNode
from workflow_runtime.engine.turn import COMMANDS_MAX

BIG = "x" * 700_000


def test_the_first_error_wins_and_the_rest_ends() -> None:
    nodes = [
        {"id": "a"},
        {"id": "b"},
        {"id": "c", "dependencies": ["a"]},
        {"id": "f", "dependencies": ["a", "b"], "join": "all_done"},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a", "one")
    assert driver.nodes == {"a": "failed", "b": "cancelled", "c": "skipped", "f": "ready"}
    assert driver.status == "running"
    driver.fail("f", "two")
    assert (driver.status, driver.error) == ("failed", ("one", "a"))
    assert driver.commands(CancelRun) == [CancelRun("b", 1)]


def test_chains_of_all_done_nodes_run_while_the_scope_fails() -> None:
    nodes = [
        {"id": "a"},
        {"id": "f", "dependencies": ["a"], "join": "all_done"},
        {"id": "g", "dependencies": ["f"], "join": "all_done"},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a", "one")
    driver.succeed("f")
    assert list(driver.ordered) == ["g"]
    driver.succeed("g")
    assert driver.error == ("one", "a")


def test_all_done_never_handles_a_failure() -> None:
    nodes = [{"id": "a"}, {"id": "f", "dependencies": ["a"], "join": "all_done"}]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a", "one")
    driver.succeed("f")
    assert driver.error == ("one", "a")


def of_three(join: Any) -> Driver:
    return Driver(
        plan_of([{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "v", "dependencies": ["a", "b", "c"], "join": join}])
    ).start()


def test_a_failure_is_a_dead_edge_while_the_join_can_be_met() -> None:
    driver = of_three("any")
    driver.fail("a")
    driver.fail("b")
    driver.succeed("c")
    assert driver.play().status == "completed"


@pytest.mark.parametrize(("join", "failures"), [("any", "bca"), ({"at_least": 2}, "ca"), ({"at_least": 3}, "b")])
def test_when_a_join_can_no_longer_be_met_the_earliest_error_fails_the_scope(join: Any, failures: str) -> None:
    driver = of_three(join)
    for path in failures[:-1]:
        driver.fail(path, f"error_{path}")
        assert driver.status == "running"
    driver.fail(failures[-1], "last")
    first = failures[0]
    assert driver.error == ("last" if len(failures) == 1 else f"error_{first}", first)


def test_a_failure_after_the_join_was_met_is_tolerated() -> None:
    driver = of_three({"at_least": 2})
    driver.succeed("a")
    driver.succeed("b")
    driver.fail("c")
    driver.succeed("v")
    assert driver.status == "completed"


def test_a_failure_with_one_successor_that_needs_it_fails_the_scope() -> None:
    nodes = [
        {"id": "a"},
        {"id": "b"},
        {"id": "v", "dependencies": ["a", "b"], "join": "any"},
        {"id": "w", "dependencies": ["a"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.fail("a", "x")
    assert driver.error == ("x", "a")


def test_a_tolerated_failure_comes_back_when_the_rest_is_skipped() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "v", "dependencies": ["a"], "join": "any"}]
    plan = plan_of(nodes, edges=[{"from": "b", "to": "v", "condition": "${b.ok}"}])
    driver = Driver(plan).start()
    driver.fail("a", "x")
    driver.succeed("b", {"ok": False})
    assert driver.error == ("x", "a")


def test_a_lost_worker_is_granted_two_more_attempts_with_the_same_reads() -> None:
    nodes = [{"id": "a"}, {"id": "b", "dependencies": ["a"], "inputs": {"x": "${a.x}"}}]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a", {"x": 1})
    for _ in range(3):
        driver.fail("b", "worker_lost")
    orders = [command for command in driver.commands(RunNode) if command.path == "b"]
    assert [(order.serial, order.attempt, order.visit) for order in orders] == [(1, 1, 1), (2, 2, 1), (3, 3, 1)]
    assert len({order.reads for order in orders}) == 1
    assert len({order.at for order in orders}) == 1
    assert driver.error == ("worker_lost", "b")


def test_limits_bound_what_runs_and_priority_goes_first() -> None:
    nodes = [{"id": f"n{number}", "priority": number % 3} for number in range(6)]
    driver = Driver(plan_of(nodes, limits={"max_concurrency": 2})).start()
    begun = list(driver.ordered)
    while driver.ordered:
        assert len(driver.ordered) <= 2
        driver.succeed(next(iter(driver.ordered)))
        begun += [path for path in driver.ordered if path not in begun]
    assert begun == ["n2", "n5", "n1", "n4", "n0", "n3"]


def test_a_commit_orders_at_most_500_and_goes_on_by_itself() -> None:
    driver = Driver(plan_of([{"id": f"n{number}"} for number in range(1_200)]), checked=False).start()
    assert [sum(isinstance(command, RunNode) for command in commit) for commit in driver.commits] == [498, 500, 202]
    assert len(driver.commands(Continue)) == 2


def test_a_failing_scope_cancels_in_bounded_commits() -> None:
    finally_ = {"id": "f", "join": "all_done", "dependencies": ["n0"]}
    driver = Driver(plan_of([*({"id": f"n{number}"} for number in range(1_200)), finally_]), checked=False).start()
    driver.fail("n0")
    assert max(len(commit) for commit in driver.commits) <= COMMANDS_MAX + 1
    assert len(driver.cancelled) == 1_199
    driver.succeed("f")
    assert driver.status == "failed"


def test_events_of_nodes_are_published_in_bounded_commits_before_the_end() -> None:
    nodes = [{"id": "a", "when": "false"}, *({"id": f"n{number}", "dependencies": ["a"]} for number in range(1_200))]
    driver = Driver(plan_of(nodes, events=["execution", "node"]), checked=False).start()
    assert driver.status == "completed"
    types = [event.detail_type for event in driver.published]
    assert types.count("node.skipped") == 1_201
    assert types[0] == "execution.started"
    assert types[-1] == "execution.completed"
    assert max(len(commit) for commit in driver.commits) <= COMMANDS_MAX + 3


def test_chains_of_three_thousand_nodes_need_no_recursion() -> None:
    def chain(first: dict[str, Any]) -> Driver:
        rest = [control(f"n{n}", "pass", dependencies=[f"n{n - 1}"]) for n in range(1, 3_000)]
        return Driver(plan_of([first, *rest]), checked=False).play()

    assert set(chain(control("n0", "pass")).nodes.values()) == {"success"}
    assert set(chain(control("n0", "pass", when="false")).nodes.values()) == {"skipped"}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (aggregation("g", "collect", dependencies=["a", "b"]), [BIG, BIG]),
        (control("g", "pass", inputs={"a": "${a}", "b": "${b}"}), {"a": BIG, "b": BIG}),
        (control("g", "succeed", output=["${a}", "${b}"]), [BIG, BIG]),
        ({"id": "g", "type": "tool", "tool": "t", "dependencies": ["a", "b"]}, {"a": BIG, "b": BIG}),
    ],
)
def test_values_beyond_a_mebibyte_are_put_together_by_a_worker(node: dict[str, Any], expected: Any) -> None:
    outputs: Any = {"a": "${a}", "b": "${b}"} if node["type"] == "tool" else "${g}"
    plan = plan_of(
        [{"id": "a"}, {"id": "b"}, node], **({} if node.get("subtype") == "succeed" else {"outputs": outputs})
    )
    driver = Driver(plan).play({"a": BIG, "b": BIG})
    assert driver.status == "completed"
    assert driver.output == expected
    assert [command.pool for command in driver.commands(RunNode)] == ["tool"] * (len(driver.commands(RunNode)))
    assert driver.commands(RunNode)[-1].path in ("g", "~outputs")
    assert driver.replayed() == driver.state


def test_what_was_put_together_here_counts_for_what_is_put_together_next() -> None:
    nodes = [
        {"id": "a"},
        control("p", "pass", inputs={"x": "${a}"}, dependencies=["a"]),
        aggregation("g", "collect", dependencies=["a", "p"]),
    ]
    driver = Driver(plan_of(nodes, outputs="done")).start()
    driver.succeed("a", BIG)
    assert list(driver.ordered) == ["g"]


def test_lost_outputs_are_ordered_again_and_strangers_refused() -> None:
    driver = Driver(plan_of([{"id": "a"}, {"id": "b"}])).start()
    driver.succeed("a", BIG)
    driver.succeed("b", BIG)
    lost = driver.failure("~outputs", "worker_lost")
    driver.take(lost)
    assert driver.ordered["~outputs"].serial == 2
    assert not driver.take(lost).changed
    driver.play()
    assert driver.output == {"a": BIG, "b": BIG}
