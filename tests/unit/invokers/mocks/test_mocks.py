"""Mocks: answers from a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.errors import DefinitionError, NodeError
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.mocks import MockedInvoker, Mocks
from workflow_runtime.plan.specs import NodeType


class Real:
    abandoned = 0

    async def invoke(self, call: NodeCall) -> NodeResult:
        return NodeResult(f"real {call.target}")


class Bench:
    """Mocked agents and tools, and how long they slept."""

    def __init__(self, mocks: dict[str, Any], schemas: dict[str, Any] | None = None) -> None:
        self.slept: list[float] = []
        loaded, known = Mocks.load(mocks), schemas or {}
        self._invokers = {
            kind: MockedInvoker(loaded, kind, Real(), self._sleep, known.get)
            for kind in (NodeType.AGENT, NodeType.TOOL)
        }

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def call(self, target: str = "x", kind: NodeType = NodeType.AGENT, **fields: Any) -> Any:
        common: dict[str, Any] = {
            "inputs": {},
            "execution_id": "e",
            "workflow_id": "w",
            "path": "p",
            "attempt": 1,
            "idempotency_key": "k",
            "deadline": 0,
        }
        call = NodeCall(type=kind, target=target, **{**common, **fields})
        return asyncio.run(self._invokers[kind].invoke(call)).output

    def fails(self, **fields: Any) -> NodeError:
        with pytest.raises(NodeError) as caught:
            self.call(**fields)
        return caught.value


def agent(behaviour: Any) -> Bench:
    return Bench({"agents": {"x": behaviour}})


def test_what_has_no_mock_really_runs() -> None:
    bench = Bench({"agents": {"x": {"return": 1}}})
    assert bench.call("y") == "real y"
    assert bench.call("x", NodeType.TOOL) == "real x"


def test_the_default_answers_for_whatever_has_no_mock() -> None:
    bench = Bench({"tools": {"x": {"return": 1}}, "default": {"return": None}})
    assert bench.call("x", NodeType.TOOL) == 1
    assert bench.call("x") is None


def test_a_return_is_a_template_over_the_inputs() -> None:
    bench = agent({"return": {"文": "您好，${名}", "n": "${inputs.n}", "all": ["${inputs.inputs}"], "none": "${z}"}})
    output = bench.call(inputs={"名": "王", "n": 2, "inputs": 3})
    assert output == {"文": "您好，王", "n": 2, "all": [3], "none": None}


def test_an_error_is_raised_as_given() -> None:
    error = agent({"raise": {"type": "rate_limited", "message": "稍后 ${x}"}}).fails()
    assert (error.type, error.message) == ("rate_limited", "稍后 ${x}")
    assert agent({"raise": {"message": "x"}}).fails().type == "execution_error"


def test_a_delay_passes_on_the_clock_before_the_result() -> None:
    bench = agent([{"delay": 0.5}, {"delay": 2, "return": 1}, {"delay": 3, "raise": {"type": "timeout"}}])
    assert bench.call() is None
    assert bench.call() == 1
    assert bench.fails().type == "timeout"
    assert bench.slept == [0.5, 2, 3]


def test_the_first_case_that_matches_wins() -> None:
    bench = agent(
        {
            "cases": [
                {"match": "n > 5 and kind == '大'", "return": "${n}"},
                {"match": "inputs.n > 5", "raise": {"type": "odd"}},
                {"match": "n == 1", "delay": 4},
            ],
            "default": {"return": "other"},
        }
    )
    assert bench.call(inputs={"n": 6, "kind": "大"}) == 6
    assert bench.fails(inputs={"n": 6}).type == "odd"
    assert bench.call(inputs={"n": 1}) is None
    assert bench.slept == [4]
    assert bench.call(inputs={"n": 2}) == "other"


def test_without_a_default_no_match_says_what_was_tried() -> None:
    error = agent({"cases": [{"match": "lenght > 5", "return": 1}]}).fails(inputs={"length": 9})
    assert error.type == "execution_error"
    for part in ("mock of agent 'x'", "lenght > 5", "found nothing at lenght", "inputs: length", "default"):
        assert part in error.message


def test_a_list_is_taken_call_by_call_and_its_last_entry_repeats() -> None:
    bench = agent([{"raise": {"type": "a"}}, {"return": 1}, {"return": 2}])
    assert bench.fails().type == "a"
    assert [bench.call(attempt=2), bench.call(attempt=3), bench.call(attempt=4)] == [1, 2, 2]


def test_every_node_of_every_execution_starts_at_the_first_entry() -> None:
    bench = agent([{"return": 1}, {"return": 2}])
    assert [bench.call(path="a"), bench.call(path="b"), bench.call(path="a"), bench.call(path="b")] == [1, 1, 2, 2]
    assert bench.call(path="a", execution_id="other") == 1


def test_two_loads_count_apart() -> None:
    assert [agent([{"return": 1}, {"return": 2}]).call() for _ in range(2)] == [1, 1]


def test_a_mocked_agent_is_held_to_its_schema() -> None:
    schema = {"type": "object", "required": ["a"]}
    assert agent({"return": {"b": 1}}).fails(output_schema=schema).type == "validation_error"
    assert agent({"return": {"b": 1}}).fails(output_fields=("a",)).type == "validation_error"
    assert Bench({"agents": {"x": {"return": 1}}}, {"x": schema}).fails().type == "validation_error"
    assert Bench({"agents": {"x": {"return": {"a": 1}}}}, {"x": schema}).call() == {"a": 1}
    assert agent({"return": {"b": 1}}).call() == {"b": 1}


def test_a_template_that_fails_names_the_mock() -> None:
    error = agent({"return": "${1 / 0}"}).fails()
    assert error.type == "execution_error"
    assert "mock of agent 'x'" in error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agent: {}", "a.yaml:1:1: error WF603: unknown key 'agent'"),
        ("agent: {}", "Did you mean `agents`?"),
        ("agents:\n  x: {retrun: 1}", "Did you mean `return`?"),
        ("agents:\n  x: {return: 1, raise: {type: a}}", "not both"),
        ("agents:\n  x: {}", "needs `return`"),
        ("agents:\n  x: []", "list of behaviours is empty"),
        ("agents:\n  x: 5", "expected a mapping"),
        ("agents: [x]", "must be a mapping"),
        ("agents:\n  x: {delay: soon}", "`delay`"),
        ("agents:\n  x: {delay: -1}", "`delay`"),
        ("agents:\n  x: {delay: true}", "`delay`"),
        ("agents:\n  x: {raise: timeout}", "expected a mapping with type / message"),
        ("agents:\n  x: {raise: {typ: a}}", "Did you mean `type`?"),
        ("agents:\n  x: {raise: {type: 1}}", "`type`"),
        ("agents:\n  x: {return: 1, default: {return: 1}}", "`default` needs `cases`"),
        ("agents:\n  x: {cases: [], default: {return: 1}}", "at least one"),
        ("agents:\n  x: {cases: [{return: 1}]}", "needs `match`"),
        ("agents:\n  x: {cases: [{match: 'a >', return: 1}]}", "a.yaml:2:23: error WF602"),
        ("agents:\n  x: {cases: [{match: a, return: 1}], return: 1}", "beside `cases`"),
        ("agents:\n  x:\n    return: {a: ['${b +}']}", "agents.x.return.a[0]"),
        ("tools: {x: {return: 1}}\ntools: {}", "already stands"),
        ("[]", "expected a mapping"),
    ],
)
def test_a_wrong_file_says_what_and_where(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(DefinitionError) as caught:
        Mocks.load(file)
    shown = "\n".join(f"{finding} {finding.path}" for finding in caught.value.findings)
    assert expected in shown


def test_an_empty_file_mocks_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("# later\n")
    assert Mocks.load(file).ids(NodeType.AGENT) == frozenset()


def test_a_delay_is_a_duration_as_everywhere_else() -> None:
    bench = agent([{"delay": "1m30s"}])
    bench.call()
    assert bench.slept == [90]
