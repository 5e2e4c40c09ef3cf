"""The control-flow patterns of Russell, ter Hofstede, van der Aalst and Mulyar (2006) that the language has directly,
by their numbers; the guide has a table of all 43.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.testing import Result, WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]

DIRECT = {*range(1, 8), *range(9, 12), *range(13, 17), *range(19, 23), *range(24, 27), 29, 30, *range(32, 38)}
DIRECT |= {*range(40, 44)}
Node = dict[str, Any]


def tool(id: str, *after: str, **fields: Any) -> Node:
    return {"id": id, "type": "tool", "tool": id, "dependencies": list(after), **fields}


def control(id: str, subtype: str, *after: str, **fields: Any) -> Node:
    return {"id": id, "type": "control", "subtype": subtype, "dependencies": list(after), **fields}


def flow(*nodes: Node, **fields: Any) -> Node:
    return {"id": "w", "nodes": list(nodes), **fields}


def chart(*states: Node, **fields: Any) -> Node:
    first = {"type": "state_machine", "initial_state": states[0]["name"], "final_states": ["over"]}
    return {"id": "w", **first, "states": list(states), **fields}


def loop(id: str, *after: str, body: list[Node], **fields: Any) -> Node:
    return control(id, "loop", *after, body=body, **fields)


class Shop:
    """A runtime whose tools answer with their inputs; each takes the time that it is told."""

    def __init__(self, runtime: WorkflowTester) -> None:
        self.runtime = runtime
        self.takes: dict[str, float] = {}

    def start(self, workflow: Node, **input: Any) -> str:
        slow = {name: {"delay": seconds, "return": "${inputs}"} for name, seconds in self.takes.items()}
        mocks = {"tools": slow, "default": {"return": "${inputs}"}}
        return self.runtime.start(workflow, input, mocks)

    def run(self, workflow: Node, **input: Any) -> Result:
        return self.finish(self.start(workflow, **input))

    def finish(self, execution: str) -> Result:
        result = self.runtime.finish(execution)
        result.assert_completed()
        return result

    def order(self) -> list[str]:
        """The tools in the order in which they were called."""
        return [call.target for call in self.runtime.calls()]


@pytest.fixture
def shop(runtime: WorkflowTester) -> Shop:
    return Shop(runtime)


def statuses(result: Any, *paths: str) -> list[str]:
    return [result.nodes[path]["status"] for path in paths]


# ---- basic control flow


def test_wcp_01_sequence(shop: Shop) -> None:
    shop.run(flow(tool("b", "a"), tool("a")))
    assert shop.order() == ["a", "b"]


def test_wcp_02_parallel_split(shop: Shop) -> None:
    for name in "bc":
        shop.takes[name] = 60
    started = shop.runtime.now
    shop.run(flow(tool("a"), tool("b", "a"), tool("c", "a")))
    assert (shop.runtime.now - started).total_seconds() < 120, "they run beside each other"


def test_wcp_03_synchronization(shop: Shop) -> None:
    shop.takes["b"] = 60
    shop.run(flow(tool("a"), tool("b"), tool("c", "a", "b", join="all_success")))
    assert shop.order()[-1] == "c"


CHOICE = control(
    "which", "switch", condition="${x}", branches=[{"case": 1, "target": "a"}, {"default": "b"}]
)  # fmt: skip


def test_wcp_04_exclusive_choice(shop: Shop) -> None:
    result = shop.run(flow(CHOICE, tool("a"), tool("b")), x=1)
    assert statuses(result, "a", "b") == ["success", "skipped"]


def test_wcp_05_simple_merge(shop: Shop) -> None:
    result = shop.run(flow(CHOICE, tool("a"), tool("b"), tool("c", "a", "b")), x=2)
    assert statuses(result, "a", "b", "c") == ["skipped", "success", "success"]
    assert shop.order() == ["b", "c"]


MULTI = flow(
    tool("a"),
    tool("b", when="x > 1"),
    tool("c", when="x > 2"),
    tool("d", "b", "c"),
    edges=[{"from": "a", "to": "b"}, {"from": "a", "to": "c"}],
)


@pytest.mark.parametrize(("x", "ran"), [(2, ["a", "b", "d"]), (3, ["a", "b", "c", "d"])])
def test_wcp_06_multi_choice(shop: Shop, x: int, ran: list[str]) -> None:
    shop.run(MULTI, x=x)
    assert shop.order() == ran


@pytest.mark.parametrize(("x", "merged"), [(1, False), (2, True), (3, True)])
def test_wcp_07_structured_synchronizing_merge(shop: Shop, x: int, merged: bool) -> None:
    shop.takes["b"] = 60
    result = shop.run(MULTI, x=x)
    assert (result.nodes["d"]["status"] == "success") is merged
    assert not merged or shop.order()[-1] == "d", "it waits for whatever was chosen"


# ---- advanced branching


def race(*, cancel_rest: bool) -> Node:
    branches = {"branches": ["a", "b"], "wait_all": False, "cancel_rest": cancel_rest}
    return flow(control("p", "parallel", **branches), tool("a"), tool("b"), tool("c", "p"))


def test_wcp_09_structured_discriminator(shop: Shop) -> None:
    shop.takes["a"] = 60
    result = shop.run(race(cancel_rest=False))
    assert statuses(result, "a", "b", "c") == ["success"] * 3
    assert result.nodes["c"]["ended_at"] < result.nodes["a"]["ended_at"], "the first is enough, the other runs on"


def test_wcp_29_cancelling_discriminator(shop: Shop) -> None:
    shop.takes["a"] = 60
    result = shop.run(race(cancel_rest=True))
    assert statuses(result, "a", "b", "c") == ["cancelled", "success", "success"]


def test_wcp_30_structured_partial_join(shop: Shop) -> None:
    shop.takes["c"] = 60
    result = shop.run(flow(tool("a"), tool("b"), tool("c"), tool("d", "a", "b", "c", join={"at_least": 2})))
    assert result.nodes["d"]["ended_at"] < result.nodes["c"]["ended_at"]
    assert len(shop.runtime.calls("d")) == 1


def test_wcp_32_cancelling_partial_join(shop: Shop) -> None:
    shop.takes["c"] = 60
    done = control("done", "succeed", "a", "b", "c", join={"at_least": 2}, output="enough")
    result = shop.run(flow(tool("a"), tool("b"), tool("c"), done))
    assert result.output == "enough"
    assert statuses(result, "a", "b", "c") == ["success", "success", "cancelled"]


def test_wcp_33_generalised_and_join(shop: Shop) -> None:
    again = {"name": "again", "always": [{"condition": "n < 2", "target": "s"}, {"target": "over"}]}
    count = {"set_variable": {"name": "n", "value": "${n + 1}"}}
    body = [tool("a"), tool("b"), tool("c", "a", "b", join="all_success")]
    first = {"name": "s", "on_enter": [count], "run": body, "on_done": "again"}
    shop.run(chart(first, again, variables={"n": 0}))
    assert sorted(shop.order()) == ["a", "a", "b", "b", "c", "c"], "in each round it waits for both"


@pytest.mark.parametrize(("x", "ran"), [(1, ["a", "c", "d"]), (2, ["b", "c", "d"])])
def test_wcp_37_local_synchronizing_merge(shop: Shop, x: int, ran: list[str]) -> None:
    nodes = (CHOICE, tool("a"), tool("b"), tool("c"), tool("d", "a", "b", "c"))
    shop.run(flow(*nodes), x=x)
    assert sorted(shop.order()) == ran
    assert shop.order()[-1] == "d"


def test_wcp_41_thread_merge_and_42_thread_split(shop: Shop) -> None:
    split = loop("each", times=3, max_concurrency=3, body=[tool("a", inputs={"n": "${index}"})])
    result = shop.run(flow(split, tool("b", "each")))
    assert result.nodes["each"]["output"] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert shop.order() == ["a", "a", "a", "b"]


# ---- multiple instances


def test_wcp_13_multiple_instances_with_a_priori_design_time_knowledge(shop: Shop) -> None:
    result = shop.run(flow(loop("each", times=3, max_concurrency=0, body=[tool("a")]), tool("b", "each")))
    assert len(result.nodes["each"]["output"]) == 3
    assert shop.order()[-1] == "b"


def test_wcp_14_multiple_instances_with_a_priori_run_time_knowledge(shop: Shop) -> None:
    each = loop("each", items="${list}", **{"as": "单"}, max_concurrency=0, body=[tool("a", inputs={"n": "${单}"})])
    result = shop.run(flow(each), list=["甲", "乙"])
    assert result.nodes["each"]["output"] == [{"n": "甲"}, {"n": "乙"}]


def test_wcp_15_multiple_instances_without_a_priori_run_time_knowledge(shop: Shop) -> None:
    more = "(previous_iteration.n ?? 0) < x"
    each = {"while": more, "body": [tool("a", inputs={"n": "${(previous_iteration.n ?? 0) + 1}"})]}
    result = shop.run(flow(loop("each", **each)), x=3)
    assert [output["n"] for output in result.nodes["each"]["output"]] == [1, 2, 3]


def test_wcp_26_cancel_multiple_instance_activity(shop: Shop) -> None:
    shop.takes["a"] = 3600
    each = loop("each", times=5, max_concurrency=2, body=[tool("a")])
    working = {"name": "working", "run": [each], "transitions": [{"event": "stop", "target": "over"}]}
    execution = shop.start(chart(working))
    shop.runtime.send_event(execution, "stop", settle=False)
    shop.finish(execution)
    assert len(shop.runtime.calls("a")) == 2, "what had not begun never does"


def some(count: str) -> Node:
    body = [tool("a", inputs={"n": "${item}"})]
    return flow(loop("each", items="${list}", until=count, body=body), tool("b", "each"))


def test_wcp_34_static_partial_join_for_multiple_instances(shop: Shop) -> None:
    failing = loop("each", items="${list}", max_concurrency=0, tolerated_failures=1, body=[tool("a")])
    shop.runtime.fail("a", times=1)
    result = shop.run(flow(failing, tool("b", "each")), list=[1, 2, 3])
    assert len(result.nodes["each"]["output"]) == 2, "two of three are enough"
    assert result.nodes["b"]["status"] == "success"


def test_wcp_35_cancelling_partial_join_for_multiple_instances(shop: Shop) -> None:
    result = shop.run(some("len(iterations) >= 2"), list=[1, 2, 3, 4])
    assert [output["n"] for output in result.nodes["each"]["output"]] == [1, 2]
    assert len(shop.runtime.calls("a")) == 2


def test_wcp_36_dynamic_partial_join_for_multiple_instances(shop: Shop) -> None:
    result = shop.run(some("previous_iteration.n == enough"), list=[1, 2, 3, 4], enough=3)
    assert [output["n"] for output in result.nodes["each"]["output"]] == [1, 2, 3]


# ---- states and events


def test_wcp_10_arbitrary_cycles(shop: Shop) -> None:
    states = (
        {"name": "one", "transitions": [{"event": "on", "target": "two"}, {"event": "jump", "target": "three"}]},
        {"name": "two", "transitions": [{"event": "on", "target": "three"}, {"event": "back", "target": "one"}]},
        {"name": "three", "transitions": [{"event": "back", "target": "two"}, {"event": "end", "target": "over"}]},
    )
    execution = shop.start(chart(*states))
    seen = []
    for event in ("jump", "back", "back", "on", "on", "end"):
        sent = shop.runtime.send_event(execution, event)
        seen += sent["current_states"]
    assert seen == ["three", "two", "one", "two", "three", "over"]


def test_wcp_11_implicit_termination(shop: Shop) -> None:
    shop.takes["b"] = 60
    result = shop.run(flow(tool("a"), tool("b"), tool("c", "a")))
    assert statuses(result, "a", "b", "c") == ["success"] * 3, "it ends when nothing is left to do"


@pytest.mark.parametrize(("event", "ran"), [("paid", ["a"]), ("refused", ["b"])])
def test_wcp_16_deferred_choice(shop: Shop, event: str, ran: list[str]) -> None:
    states = (
        {"name": "open", "transitions": [{"event": "paid", "target": "good"}, {"event": "refused", "target": "bad"}]},
        {"name": "good", "run": [tool("a")], "on_done": "over"},
        {"name": "bad", "run": [tool("b")], "on_done": "over"},
    )
    execution = shop.start(chart(*states))
    shop.runtime.send_event(execution, event)
    shop.finish(execution)
    assert shop.order() == ran


def test_wcp_24_persistent_trigger(shop: Shop) -> None:
    shop.takes["a"] = 600
    execution = shop.start(flow(tool("a"), control("w", "wait", "a", event="go"), tool("b", "w")))
    shop.runtime.send_event(execution, "go", {"n": 1}, settle=False)
    result = shop.finish(execution)
    assert result.nodes["w"]["output"] == {"n": 1}, "the event came before its wait, and was kept"


# ---- cancellation, iteration, termination


def test_wcp_19_cancel_activity(shop: Shop) -> None:
    shop.takes["a"] = 3600
    working = {"name": "working", "run": [tool("a")], "transitions": [{"event": "stop", "target": "over"}]}
    execution = shop.start(chart(working))
    shop.runtime.send_event(execution, "stop", settle=False)
    result = shop.finish(execution)
    assert statuses(result, "working/a") == ["cancelled"]


def test_wcp_20_cancel_case(shop: Shop) -> None:
    shop.takes["a"] = 3600
    execution = shop.start(flow(tool("a"), tool("b", "a")))
    shop.runtime.cancel(execution, settle=False)
    result = shop.runtime.result(execution)
    assert result.status == "cancelled"
    assert statuses(result, "a", "b") == ["cancelled", "skipped"]


def test_wcp_21_structured_loop(shop: Shop) -> None:
    n = "${(previous_iteration.n ?? 0) + 1}"
    result = shop.run(flow(loop("again", until="previous_iteration.n >= 3", body=[tool("a", inputs={"n": n})])))
    assert [output["n"] for output in result.nodes["again"]["output"]] == [1, 2, 3]


def test_wcp_22_recursion(shop: Shop) -> None:
    below = {"id": "below", "type": "sub_workflow", "workflow_id": "w", "when": "n > 0", "inputs": {"n": "${n - 1}"}}
    result = shop.run(flow(below, outputs={"sum": "${n + (below.sum ?? 0)}"}), n=4)
    assert result.output == {"sum": 10}


def test_wcp_25_cancel_region(shop: Shop) -> None:
    for name in "ab":
        shop.takes[name] = 3600
    region = {
        "name": "region",
        "type": "parallel",
        "states": [{"name": "left", "run": [tool("a")]}, {"name": "right", "run": [tool("b")]}],
        "transitions": [{"event": "stop", "target": "after"}],
    }
    after = {"name": "after", "run": [tool("c")], "on_done": "over"}
    execution = shop.start(chart(region, after))
    shop.runtime.send_event(execution, "stop", settle=False)
    result = shop.finish(execution)
    assert statuses(result, "left/a", "right/b", "after/c") == ["cancelled", "cancelled", "success"]


def test_wcp_40_interleaved_routing(shop: Shop) -> None:
    for name in "abc":
        shop.takes[name] = 60
    started = shop.runtime.now
    each = control("any_order", "parallel", branches=["a", "b", "c"], max_concurrency=1)
    shop.run(flow(each, tool("a"), tool("b"), tool("c"), tool("d", "any_order")))
    assert (shop.runtime.now - started).total_seconds() >= 180, "one at a time"
    assert shop.order()[-1] == "d"


def test_wcp_43_explicit_termination(shop: Shop) -> None:
    shop.takes["b"] = 3600
    result = shop.run(flow(tool("a"), tool("b"), control("end", "succeed", "a", output="done")))
    assert result.output == "done"
    assert statuses(result, "b") == ["cancelled"]


# ---- the table of the guide


def test_every_pattern_that_the_guide_calls_direct_has_its_test() -> None:
    guide = Path("definitions/README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| .*? \| (direct|workaround|no) \|", guide, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 44))
    tested = {
        int(number) for name in globals() if name.startswith("test_wcp_") for number in re.findall(r"_(\d\d)_", name)
    }
    assert {int(number) for number, said in rows if said == "direct"} == tested == set(DIRECT)
