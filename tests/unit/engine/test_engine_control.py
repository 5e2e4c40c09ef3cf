"""Promises about nodes that the dispatcher decides itself, parallels, `previous`, and outputs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import Driver, aggregation, control, plan_of


def switched(value: Any, branches: list[dict[str, Any]]) -> str | None:
    """The target that a switch over ``value`` selects."""
    targets = sorted({branch.get("target") or branch["default"] for branch in branches})
    nodes = [control("s", "switch", condition="${value}", branches=branches), *({"id": target} for target in targets)]
    driver = Driver(plan_of(nodes), {"value": value}).play()
    assert driver.status == "completed"
    return next((target for target in targets if driver.nodes[target] == "success"), None)


@pytest.mark.parametrize(
    ("value", "case", "matches"),
    [
        (1, 1, True), (1.0, 1, True), ("1", 1, True), (1, "1", True), (True, "true", True), ("false", False, True),
        (True, 1, False), (None, None, True), ("null", None, False), (0, None, False), ("", None, False),
        (None, "", False), (2, [1, 2], True), ("2", [1, 2], True), (3, [1, 2], False), ({"a": 1}, "x", False),
        ("A", "a", False),
    ],
)  # fmt: skip
def test_a_case_matches_by_json_value_and_texts_match_numbers(value: Any, case: Any, matches: bool) -> None:
    assert switched(value, [{"case": case, "target": "yes"}, {"default": "no"}]) == ("yes" if matches else "no")


def test_the_first_matching_branch_wins_and_default_comes_last() -> None:
    branches = [{"default": "d"}, {"when": "${value} > 5", "target": "big"}, {"case": 7, "target": "seven"}]
    assert [switched(value, branches) for value in (7, 1)] == ["big", "d"]


def test_when_nothing_is_selected_all_targets_are_dead() -> None:
    assert switched(3, [{"case": 1, "target": "a"}, {"case": 2, "target": "b"}]) is None


def test_a_control_node_says_what_it_selected() -> None:
    nodes = [
        control("c", "condition", condition="${n} > 1", then=["a", "b"], **{"else": "d"}),
        {"id": "a"},
        {"id": "b"},
        {"id": "d"},
    ]
    driver = Driver(plan_of(nodes), {"n": 2}).play()
    assert driver.result("c") == {"selected": ["a", "b"]}
    assert driver.nodes["d"] == "skipped"


def test_pass_gives_its_rendered_inputs_shaped() -> None:
    nodes = [{"id": "a"}, control("p", "pass", inputs={"x": "${a.n}", "y": "n=${a.n}"}, dependencies=["a"])]
    assert Driver(plan_of(nodes)).play({"a": {"n": 3}}).output == {"x": 3, "y": "n=3"}
    nodes[1]["outputs"] = ["y", "z"]
    assert Driver(plan_of(nodes)).play({"a": {"n": 3}}).output == {"y": "n=3", "z": None}
    nodes[1]["outputs"] = {"w": "${output.x}"}
    assert Driver(plan_of(nodes)).play({"a": {"n": 3}}).output == {"w": 3}


def test_fail_fails_its_scope_with_rendered_texts() -> None:
    nodes = [control("f", "fail", error="broken", message="code ${code}"), {"id": "a"}]
    driver = Driver(plan_of(nodes), {"code": 7}).play()
    assert driver.error == ("broken", "f")
    assert driver.state.error is not None
    assert driver.state.error.message == "code 7"


def test_fail_is_not_tolerated_by_joins() -> None:
    nodes = [control("f", "fail", error="x"), {"id": "a"}, {"id": "v", "dependencies": ["f", "a"], "join": "any"}]
    assert Driver(plan_of(nodes)).play().error == ("x", "f")


def test_succeed_cancels_the_rest_and_gives_the_output() -> None:
    nodes = [
        {"id": "a"},
        {"id": "b"},
        {"id": "c", "dependencies": ["b"]},
        control("s", "succeed", output="${a.n}", dependencies=["a"]),
    ]
    driver = Driver(plan_of(nodes)).start()
    late = driver.ordered["b"]
    driver.succeed("a", {"n": 5})
    assert (driver.status, driver.output) == ("completed", 5)
    assert driver.nodes == {"a": "success", "b": "cancelled", "c": "skipped", "s": "success"}
    assert driver.cancelled == [late.path]


def test_an_edge_condition_behind_succeed_cannot_fail_it() -> None:
    nodes = [control("s", "succeed", output=1), {"id": "z"}]
    plan = plan_of(
        [{"id": "a"}, {**nodes[0], "dependencies": ["a"]}, nodes[1]],
        edges=[{"from": "a", "to": "z", "condition": "true"}],
    )
    driver = Driver(plan).start()
    driver.succeed("a")
    assert driver.status == "completed"


PARALLEL = [
    {"id": "a"},
    {"id": "b"},
    {"id": "b2", "dependencies": ["b"]},
    {"id": "after", "dependencies": ["p"], "join": "all_success"},
]


def parallel(**fields: Any) -> Driver:
    return Driver(plan_of([control("p", "parallel", branches=["a", "b"], **fields), *PARALLEL])).start()


def test_whoever_depends_on_a_parallel_waits_for_all_branches_ends() -> None:
    driver = parallel()
    driver.succeed("a")
    driver.succeed("b")
    assert "after" not in driver.ordered
    driver.succeed("b2")
    assert list(driver.ordered) == ["after"]


def test_wait_all_false_waits_for_the_first_branch_and_the_others_run_on() -> None:
    driver = parallel(wait_all=False)
    driver.succeed("a")
    assert list(driver.ordered) == ["b", "after"]


def test_cancel_rest_cancels_the_other_branches() -> None:
    driver = parallel(wait_all=False, cancel_rest=True)
    driver.succeed("a")
    assert driver.cancelled == ["b"]
    assert driver.nodes["b2"] == "skipped"
    driver.succeed("after")
    assert driver.status == "completed"


def test_a_failed_branch_is_tolerated_while_another_may_succeed() -> None:
    driver = parallel(wait_all=False)
    driver.fail("a", "first")
    assert driver.status == "running"
    driver.succeed("b")
    driver.fail("b2", "second")
    assert driver.error == ("first", "a")


def test_a_branch_with_several_ends_succeeds_when_all_do() -> None:
    nodes = [
        control("p", "parallel", branches=["a", "b"], wait_all=False),
        {"id": "a"}, {"id": "a1", "dependencies": ["a"]}, {"id": "a2", "dependencies": ["a"]},
        {"id": "b"}, {"id": "after", "dependencies": ["p"]},
    ]  # fmt: skip
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a")
    driver.succeed("a1")
    assert "after" not in driver.ordered
    driver.succeed("a2")
    assert "after" in driver.ordered
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a")
    driver.fail("a1", "lost")
    driver.fail("b", "too")
    assert driver.error == ("lost", "a1")


def test_max_concurrency_of_a_parallel_bounds_its_branches() -> None:
    heads = [f"h{number}" for number in range(4)]
    nodes = [
        control("p", "parallel", branches=heads, max_concurrency=2),
        *({"id": head} for head in heads),
        {"id": "t", "dependencies": ["h0"]},
    ]
    driver = Driver(plan_of(nodes)).start()
    assert list(driver.ordered) == ["h0", "h1"]
    driver.succeed("h0")
    assert set(driver.ordered) == {"h1", "t"}
    driver.succeed("t")
    assert set(driver.ordered) == {"h1", "h2"}
    assert driver.play().status == "completed"


def test_previous_is_the_last_alive_predecessor_looking_through_control_nodes() -> None:
    nodes = [
        {"id": "a"}, {"id": "b", "when": "false"},
        control("c", "condition", condition="true", then="v", dependencies=["a"]),
        control("lone", "condition", condition="true", then="v"),
        {"id": "v", "inputs": {"p": "${previous.n}", "c": "${current.n}"}},
    ]  # fmt: skip
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("a", {"n": 4})
    assert driver.inputs("v") == {"p": 4, "c": 4}


def test_status_and_error_of_a_node_decided_in_the_same_commit_can_be_read() -> None:
    nodes = [
        {"id": "a"},
        control("p", "pass", inputs={"x": "${1 / 0}"}, dependencies=["a"]),
        control(
            "v",
            "pass",
            inputs={"s": "${nodes.p.status}", "e": "${nodes.p.error.type}"},
            dependencies=["a", "p"],
            join="any",
        ),
        {"id": "w", "dependencies": ["p", "a"], "join": "any", "when": "${nodes.p.status} == 'failed' or true"},
    ]
    driver = Driver(plan_of(nodes)).play()
    assert driver.status == "completed"
    assert driver.nodes["p"] == "failed"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"strategy": "merge"}, {"n": 2, "x": 1, "y": 2}),
        ({"strategy": "collect"}, [{"n": 1, "x": 1}, {"n": 2, "y": 2}]),
        ({"strategy": "collect_by_id"}, {"a": {"n": 1, "x": 1}, "b": {"n": 2, "y": 2}}),
        ({"strategy": "first"}, {"n": 1, "x": 1}),
        ({"strategy": "last"}, {"n": 2, "y": 2}),
        ({"strategy": "sum", "field": "n"}, 3),
        ({"strategy": "average", "field": "n"}, 1.5),
        ({"strategy": "min", "field": "n"}, 1),
        ({"strategy": "max", "field": "n"}, 2),
        ({"strategy": "vote", "field": "n"}, 1),
        ({"strategy": "vote", "field": "n", "detail": True}, {"value": 1, "votes": 1, "total": 2}),
        ({"strategy": "vote", "field": "n", "min_votes": 2, "default": "none"}, "none"),
        ({"strategy": "vote", "field": "n", "min_votes": "50%"}, 1),
        ({"strategy": "best", "score": "${item.n}"}, {"n": 2, "y": 2}),
        ({"strategy": "expression", "value": {"t": "${a.n + b.n}"}}, {"t": 3}),
        ({"strategy": "concat", "items": "${lists}"}, [1, 2, 3]),
        ({"strategy": "concat", "items": "${texts}"}, "xy"),
        ({"strategy": "collect", "items": "${holes}"}, [1, 2]),
        ({"strategy": "sum", "items": "${none}", "default": 0}, 0),
    ],
)
def test_an_aggregation_combines_what_succeeded(fields: dict[str, Any], expected: Any) -> None:
    nodes = [
        {"id": "a"},
        {"id": "b"},
        {"id": "c", "when": "false"},
        aggregation("g", **fields, dependencies=["a", "b", "c"]),
    ]
    input = {"lists": [[1], [2, 3]], "texts": ["x", "y"], "holes": [1, None, {"error": "x"}, 2], "none": []}
    driver = Driver(plan_of(nodes, outputs="${g}"), input).play({"a": {"n": 1, "x": 1}, "b": {"n": 2, "y": 2}})
    assert driver.error is None
    assert driver.output == expected


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"strategy": "merge", "items": "${numbers}"}, "execution_error"),
        ({"strategy": "concat", "items": "${mixed}"}, "execution_error"),
        ({"strategy": "sum", "items": "${mixed}"}, "execution_error"),
        ({"strategy": "sum", "items": "${none}"}, "execution_error"),
        ({"strategy": "sum", "items": "${huge}"}, "execution_error"),
        ({"strategy": "collect", "items": "${text}"}, "execution_error"),
        ({"strategy": "vote", "items": "${numbers}", "min_votes": 2}, "no_majority"),
        ({"strategy": "vote", "items": "${numbers}", "ties": "fail", "default": 1}, "no_majority"),
        ({"strategy": "best", "items": "${mixed}", "score": "${item}"}, "execution_error"),
    ],
)
def test_an_aggregation_that_cannot_combine_fails(fields: dict[str, Any], error: str) -> None:
    input = {"numbers": [1, 2], "mixed": [1, "x"], "none": [], "text": "x", "huge": [1e308, 1e308]}
    assert Driver(plan_of([aggregation("g", **fields)]), input).play().error == (error, "g")


def test_outputs_are_the_template_or_the_sinks() -> None:
    two = [{"id": "a"}, {"id": "b"}]
    outcomes = {"a": {"x": 1}, "b": {"y": 2}}
    assert Driver(plan_of(two, outputs={"z": "${a.x}"})).play(outcomes).output == {"z": 1}
    assert Driver(plan_of(two)).play(outcomes).output == {"a": {"x": 1}, "b": {"y": 2}}
    assert Driver(plan_of([two[0], {**two[1], "when": "false"}])).play(outcomes).output == {"a": {"x": 1}}
    assert Driver(plan_of([two[0], {**two[1], "dependencies": ["a"]}])).play(outcomes).output == {"y": 2}
    none = [
        control("c", "condition", condition="true", then="a"),
        control("a", "condition", condition="true", then="f"),
        control("f", "fail"),
    ]
    assert Driver(plan_of(none)).play().output is None


def test_outputs_that_violate_their_schema_fail_the_execution() -> None:
    plan = plan_of([{"id": "a"}], output_schema={"type": "object", "required": ["x"]})
    assert Driver(plan).play({"a": {"x": 1}}).status == "completed"
    assert Driver(plan).play({"a": {}}).error == ("validation_error", "")
