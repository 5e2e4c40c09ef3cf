"""Promises about joins, edges, `when` and gates."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.unit.engine.driver import Driver, Failure, control, plan_of

from workflow_runtime.engine.graph.joins import WAIT, judge
from workflow_runtime.plan.edges import Join, JoinKind, quorum

ABC = [{"id": "a"}, {"id": "b"}, {"id": "c"}]


def joined(join: Any, edges: list[dict[str, Any]], more: list[dict[str, Any]] | None = None) -> Driver:
    """Nodes a, b, c and v, which joins them by these edges."""
    nodes = [*ABC, {"id": "v", "join": join}, *(more or [])]
    return Driver(
        plan_of(nodes, edges=[{"from": source, "to": "v", **edge} for source, edge in zip("abc", edges, strict=False)])
    )


PLAIN: list[dict[str, Any]] = [{}, {}, {}]
IF_OK: list[dict[str, Any]] = [{"condition": f"${{{source}.ok}}"} for source in "abc"]


def test_the_quorum_of_a_join_is_the_least_at_which_it_may_do_anything_but_wait() -> None:
    for kind, count, deciding in product(JoinKind, range(1, 5), range(5)):
        join = Join(kind, count)
        decides = [
            any(judge(join, deciding, 0, (resolved, alive, 0)) is not WAIT for alive in range(resolved + 1))
            for resolved in range(deciding + 1)
        ]
        assert decides.index(True) == max(quorum(join, deciding), 0), (join, deciding)


def test_a_node_without_edges_starts_at_once() -> None:
    assert list(Driver(plan_of(ABC)).start().ordered) == ["a", "b", "c"]


@pytest.mark.parametrize("join", ["any", "all_success", "all_done"])
def test_a_join_without_edges_starts_at_once(join: str) -> None:
    assert list(Driver(plan_of([{"id": "a", "join": join}])).start().ordered) == ["a"]


@pytest.mark.parametrize(
    ("join", "alive", "status"),
    [
        ("all", "abc", "success"),
        ("all", "b", "success"),
        ("all", "", "skipped"),
        ("all_success", "abc", "success"),
        ("all_success", "ab", "skipped"),
        ("any", "c", "success"),
        ("any", "", "skipped"),
        ({"at_least": 2}, "ac", "success"),
        ({"at_least": 2}, "a", "skipped"),
        ({"at_least": 3}, "abc", "success"),
        ("all_done", "", "success"),
        ("all_done", "b", "success"),
    ],
)
def test_a_join_runs_or_skips_by_how_many_edges_are_alive(join: Any, alive: str, status: str) -> None:
    driver = joined(join, IF_OK).play({source: {"ok": source in alive} for source in "abc"})
    assert driver.nodes["v"] == status
    assert driver.status == "completed"


def test_all_waits_for_the_last_edge() -> None:
    driver = joined("all", PLAIN).start()
    driver.succeed("c")
    driver.succeed("a")
    assert "v" not in driver.ordered
    driver.succeed("b")
    assert list(driver.ordered) == ["v"]


def test_any_runs_at_the_first_alive_edge_and_only_once() -> None:
    driver = joined("any", PLAIN).start()
    driver.succeed("b")
    assert "v" in driver.ordered
    driver.succeed("v")
    driver.succeed("a")
    assert list(driver.ordered) == ["c"]
    driver.succeed("c")
    assert driver.status == "completed"


def test_at_least_runs_at_the_kth_alive_edge() -> None:
    driver = joined({"at_least": 2}, IF_OK).start()
    driver.succeed("a", {"ok": True})
    assert "v" not in driver.ordered
    driver.succeed("c", {"ok": True})
    assert "v" in driver.ordered


def test_at_least_is_skipped_as_soon_as_too_few_can_come_alive() -> None:
    driver = joined({"at_least": 2}, IF_OK).start()
    driver.succeed("a", {"ok": False})
    assert driver.nodes["v"] == "waiting"
    driver.succeed("b", {"ok": False})
    assert driver.nodes["v"] == "skipped"


def test_all_success_is_skipped_at_the_first_dead_edge() -> None:
    driver = joined("all_success", IF_OK).start()
    driver.succeed("b", {"ok": False})
    assert driver.nodes["v"] == "skipped"


def test_a_skipped_node_has_dead_edges() -> None:
    nodes = [{"id": "a", "when": "false"}, {"id": "b", "dependencies": ["a"]}, {"id": "c", "dependencies": ["b"]}]
    assert Driver(plan_of(nodes)).play().nodes == dict.fromkeys("abc", "skipped")


def test_a_node_skipped_with_on_skip_continue_has_alive_edges_and_null_output() -> None:
    nodes = [
        {"id": "a", "when": "false", "on_skip": "continue"},
        {"id": "b", "dependencies": ["a"], "inputs": {"x": "${a.x}", "p": "${previous}"}},
    ]
    driver = Driver(plan_of(nodes)).start()
    assert driver.nodes["a"] == "skipped"
    assert driver.inputs("b") == {"x": None, "p": None}


def test_when_is_evaluated_once_the_node_would_run() -> None:
    nodes = [{"id": "a"}, {"id": "b", "dependencies": ["a"], "when": "${a.n} > 3"}]
    assert Driver(plan_of(nodes)).play({"a": {"n": 4}}).nodes["b"] == "success"
    assert Driver(plan_of(nodes)).play({"a": {"n": 3}}).nodes["b"] == "skipped"


def test_when_reads_input_and_variables() -> None:
    nodes = [{"id": "a", "when": "${limit} > 3 and ${go}"}]
    driver = Driver(plan_of(nodes, variables={"limit": 5}), {"go": True}).play()
    assert driver.nodes["a"] == "success"


def test_an_input_key_replaces_a_variable() -> None:
    nodes = [{"id": "a", "when": "${limit} > 3"}]
    assert Driver(plan_of(nodes, variables={"limit": 5}), {"limit": 1}).play().nodes["a"] == "skipped"


def test_a_failing_when_fails_the_node_and_is_recorded() -> None:
    driver = Driver(plan_of([{"id": "a", "when": "1 / 0 > 1"}])).play()
    assert driver.status == "failed"
    assert driver.error == ("execution_error", "a")
    assert driver.nodes["a"] == "failed"
    assert driver.records["a", 1].status == "failed"


def test_a_failing_edge_condition_fails_the_scope() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    driver = Driver(plan_of(nodes, edges=[{"from": "a", "to": "b", "condition": "${a.n} / 0 > 1"}])).start()
    driver.succeed("a", {"n": 1})
    assert driver.status == "failed"
    assert driver.error == ("execution_error", "a")
    assert driver.nodes == {"a": "success", "b": "skipped", "c": "cancelled"}


def test_previous_in_an_edge_condition_is_what_the_edge_comes_from() -> None:
    nodes = [{"id": "a"}, {"id": "b", "dependencies": ["a"]}, {"id": "c"}]
    plan = plan_of(nodes, edges=[{"from": "b", "to": "c", "condition": "${previous.n} == 2"}])
    assert Driver(plan).play({"a": {"n": 1}, "b": {"n": 2}}).nodes["c"] == "success"


def test_data_of_a_node_that_declares_edges_only_orders() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "c", "dependencies": ["b"], "inputs": {"x": "${a.x}"}}]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("b")
    assert "c" not in driver.ordered
    driver.succeed("a", {"x": 7})
    assert driver.inputs("c") == {"x": 7}


def test_an_order_edge_from_a_skipped_node_does_not_skip() -> None:
    nodes = [
        {"id": "a", "when": "false"},
        {"id": "b"},
        {"id": "c", "dependencies": ["b"], "join": "all_success", "inputs": {"x": "${a.x}"}},
    ]
    assert Driver(plan_of(nodes)).play().nodes["c"] == "success"


def test_an_order_edge_holds_back_a_join_that_is_met() -> None:
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "c", "dependencies": ["b"], "join": "any", "inputs": {"x": "${a.x}"}}]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("b")
    assert driver.nodes["c"] == "waiting"
    driver.succeed("a")
    assert "c" in driver.ordered


def gates() -> list[dict[str, Any]]:
    return [
        {"id": "before"},
        control(
            "s", "switch", condition="${pick}", branches=[{"case": 1, "target": "t1"}, {"case": 2, "target": "t2"}]
        ),
        {"id": "t1"},
        {"id": "t2", "dependencies": ["t1", "before"]},
        {"id": "other", "dependencies": ["s"]},
    ]


def test_a_gated_node_runs_when_selected_though_its_other_edges_are_dead() -> None:
    driver = Driver(plan_of(gates()), {"pick": 2}).play()
    assert driver.nodes == dict.fromkeys(["before", "s", "t2", "other"], "success") | {"t1": "skipped"}


def test_a_gated_node_runs_when_reached_from_below_another_target() -> None:
    assert set(Driver(plan_of(gates()), {"pick": 1}).play().nodes.values()) == {"success"}


def test_other_edges_of_a_gated_node_only_order_it() -> None:
    driver = Driver(plan_of(gates()), {"pick": 3}).play()
    assert driver.nodes["t2"] == "skipped"
    driver = Driver(plan_of(gates()), {"pick": 2}).start()
    assert "t2" not in driver.ordered
    driver.succeed("before")
    assert "t2" in driver.ordered


def test_a_successor_of_a_switch_that_is_no_target_has_an_ordinary_edge() -> None:
    assert Driver(plan_of(gates()), {"pick": 99}).play().nodes["other"] == "success"


def test_a_gate_with_a_condition_needs_both() -> None:
    nodes = [control("c", "condition", condition="true", then="a"), {"id": "a"}]
    plan = plan_of(nodes, edges=[{"from": "c", "to": "a", "condition": "${go}"}])
    assert Driver(plan, {"go": True}).play().nodes["a"] == "success"
    assert Driver(plan, {"go": False}).play().nodes["a"] == "skipped"


def test_a_failed_execution_says_so_in_every_order_of_batches() -> None:
    for batches in ([["a"], ["b"], ["c"]], [["a", "b", "c"]], [["a"], ["b", "c"]]):
        driver = joined("all", IF_OK).start()
        outcomes: dict[str, Any] = {"a": {"ok": True}, "b": Failure("x"), "c": {}}
        for batch in batches:
            events = [driver.answer(path, outcomes[path]) for path in batch if path in driver.ordered]
            driver.take(*events)
        assert driver.error == ("x", "b")
        assert driver.nodes == {"a": "success", "b": "failed", "c": "cancelled", "v": "skipped"}
