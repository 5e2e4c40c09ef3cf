"""Layers: nodes next to each other that wait for all of the same have one count, and behave as if each had its own."""

from __future__ import annotations

from typing import Any

import pytest
from tests.calls import calls_of
from tests.unit.engine.driver import START, Driver, plan_of

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import CancelRequested, RetryRequested, SkipRequested

Nodes = list[dict[str, Any]]

SIZE = 10
GROWTH = 4
RATIO_MAX = 1.1  # of the growth of the edges; looking through a layer for each edge into it comes near 3

FREE: Nodes = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
ALL = ["a", "b", "c"]
LAYER: Nodes = [{"id": id, "dependencies": ALL} for id in ("x", "y", "z")]


def ordered(driver: Driver) -> list[str]:
    """What the last commit ordered."""
    return [command.path for command in driver.commits[-1] if isinstance(command, RunNode)]


def counts(driver: Driver) -> tuple[dict[int, int], set[int]]:
    """Those of layers, and the nodes that have one of their own."""
    graph = driver.state.graph()
    return dict(graph.layers), {*graph.joins}


def test_a_layer_has_one_count_until_all_it_waits_for_has_ended() -> None:
    driver = Driver(plan_of([*FREE, *LAYER])).start()
    driver.succeed("b")
    assert counts(driver) == ({3: 1}, set())
    driver.succeed("a")
    assert counts(driver) == ({3: 2}, set())
    driver.succeed("c")
    assert counts(driver) == ({}, set())
    assert ordered(driver) == ["x", "y", "z"]


def test_dependencies_in_another_order_are_the_same() -> None:
    nodes = [*FREE, {"id": "x", "dependencies": ["a", "b", "c"]}, {"id": "y", "dependencies": ["c", "b", "a"]}]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a")
    assert counts(driver) == ({3: 1}, set())


@pytest.mark.parametrize(
    "other",
    [
        {"dependencies": ["a", "b"]},
        {"dependencies": ALL, "join": "any"},
        {"dependencies": ALL, "join": "all_success"},
        {"dependencies": ALL, "join": "all_done"},
        {"dependencies": ALL, "join": {"at_least": 3}},
    ],
)
def test_a_node_with_another_join_is_counted_by_itself(other: dict[str, Any]) -> None:
    driver = Driver(plan_of([*FREE, *LAYER, {"id": "other", **other}])).start()
    driver.succeed("a")
    assert counts(driver)[0] == {3: 1}
    assert counts(driver)[1] <= {6}
    driver.succeed("b")
    driver.succeed("c")
    assert driver.play().nodes == dict.fromkeys([*ALL, "x", "y", "z", "other"], "success")


def test_edges_with_conditions_are_decided_one_by_one() -> None:
    edges = [{"from": "a", "to": to, "condition": "${a.wants} == '" + to + "'"} for to in ("x", "y")]
    layer = [{"id": id, "dependencies": ["b"]} for id in ("x", "y")]
    driver = Driver(plan_of([*FREE[:2], *layer], edges=edges)).start()
    driver.succeed("b")
    assert counts(driver) == ({}, {2, 3})
    driver.succeed("a", {"wants": "y"})
    assert ordered(driver) == ["x", "y"]  # one edge that is alive is enough


def test_if_only_some_are_alive_all_of_the_layer_runs() -> None:
    free = [{"id": "a", "when": "${false}"}, {"id": "b", "when": "${false}"}, {"id": "c"}]
    driver = Driver(plan_of([*free, *LAYER])).start()
    assert counts(driver) == ({3: -2}, set())
    driver.succeed("c")
    assert ordered(driver) == ["x", "y", "z"]


def test_what_was_alive_before_counts_when_the_last_is_not() -> None:
    free = [{"id": "a"}, {"id": "b"}, {"id": "c", "dependencies": ["b"], "when": "${false}"}]
    driver = Driver(plan_of([*free, *LAYER])).start()
    driver.succeed("a")
    assert counts(driver) == ({3: 1}, set())
    driver.succeed("b")
    assert driver.nodes["c"] == "skipped"
    assert ordered(driver) == ["x", "y", "z"]


def test_if_none_is_alive_all_of_the_layer_is_skipped() -> None:
    free = [{"id": id, "when": "${false}"} for id in ALL]
    driver = Driver(plan_of([*free, *LAYER, {"id": "last", "dependencies": ["x", "y"]}])).start()
    assert driver.nodes == dict.fromkeys([*ALL, "x", "y", "z", "last"], "skipped")
    assert driver.status == "completed"


def test_a_failure_that_is_continued_counts_as_alive() -> None:
    free = [{"id": "a", "when": "${false}"}, {"id": "b", "on_error": "continue"}, {"id": "c", "when": "${false}"}]
    driver = Driver(plan_of([*free, *LAYER])).start()
    driver.fail("b")
    assert ordered(driver) == ["x", "y", "z"]


def test_each_of_a_layer_has_its_own_when() -> None:
    layer = [{**node, "when": "${c.n} > " + str(place)} for place, node in enumerate(LAYER)]
    driver = Driver(plan_of([*FREE, *layer])).start()
    for id in ("a", "b"):
        driver.succeed(id)
    driver.succeed("c", {"n": 2})
    assert ordered(driver) == ["x", "y"]
    assert driver.nodes["z"] == "skipped"


def test_nodes_begin_in_the_order_of_the_file_whatever_stands_between_layers() -> None:
    nodes = [
        *FREE,
        {"id": "x", "dependencies": ALL},
        {"id": "y", "dependencies": ALL},
        {"id": "m", "dependencies": ["c"]},
        {"id": "z", "dependencies": ALL},
        {"id": "n", "dependencies": ["b", "c"]},
        {"id": "o", "dependencies": ["b", "c"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    for id in ALL:
        driver.succeed(id)
    assert ordered(driver) == ["x", "y", "m", "z", "n", "o"]


@pytest.mark.parametrize("skipped", ["x", "y", "z"])
def test_who_ends_one_of_a_layer_early_leaves_the_count_to_the_others(skipped: str) -> None:
    driver = Driver(plan_of([*FREE, *LAYER])).start()
    driver.succeed("a")
    driver.take(SkipRequested("control:s", START, node=skipped, output=1))
    driver.succeed("b")
    assert counts(driver) == ({3: 2}, set())
    driver.succeed("c")
    assert ordered(driver) == [id for id in ("x", "y", "z") if id != skipped]
    assert driver.play().status == "completed"


def test_after_a_failure_a_layer_is_told_again() -> None:
    driver = Driver(plan_of([*FREE, *LAYER])).start()
    driver.succeed("a")
    driver.succeed("b")
    driver.fail("c")
    assert driver.status == "failed"
    driver.take(RetryRequested("control:r", START))
    assert counts(driver) == ({3: 2}, set())
    driver.succeed("c")
    assert ordered(driver) == ["x", "y", "z"]
    driver.fail("y")
    driver.take(RetryRequested("control:r2", START))
    assert sorted(driver.ordered) == ["x", "y", "z"]
    assert driver.play().status == "completed"


def test_a_layer_that_was_kept_in_part_is_told_again() -> None:
    driver = Driver(plan_of([*FREE, *LAYER])).start()
    for id in ALL:
        driver.succeed(id)
    driver.succeed("x")
    driver.fail("z")
    assert driver.nodes == {**dict.fromkeys([*ALL, "x"], "success"), "y": "cancelled", "z": "failed"}
    driver.take(RetryRequested("control:r", START))
    assert ordered(driver) == ["y", "z"]


def test_a_cancelled_execution_leaves_no_counts_that_matter() -> None:
    driver = Driver(plan_of([*FREE, *LAYER])).start()
    driver.succeed("a")
    driver.take(CancelRequested("control:c", START))
    driver.take(RetryRequested("control:r", START))
    assert counts(driver) == ({3: 1}, set())
    assert driver.play().status == "completed"


@pytest.mark.parametrize(("sources", "layer"), [(GROWTH, 1), (1, GROWTH), (GROWTH, GROWTH)])
def test_telling_a_layer_again_costs_no_more_than_its_edges(sources: int, layer: int) -> None:
    calls = calls_of_reopening(sources * SIZE, layer * SIZE)
    assert calls / calls_of_reopening(SIZE, SIZE) < RATIO_MAX * sources * layer


def calls_of_reopening(sources: int, layer: int) -> int:
    """How many functions are called when a graph goes on all of whose nodes have succeeded, but for the last."""
    above = [f"s{number}" for number in range(sources)]
    below = [f"t{number}" for number in range(layer)]
    nodes = [{"id": id} for id in above] + [{"id": id, "dependencies": above} for id in below]
    driver = Driver(plan_of([*nodes, {"id": "last", "dependencies": below}]), checked=False).start()
    for ids in (above, below):
        driver.take(*map(driver.success, ids))
    driver.fail("last")
    calls = calls_of(driver.take, RetryRequested("control:r", START))
    assert list(driver.ordered) == ["last"]
    return calls
