"""Guardrails of messages and outputs that ask people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.handlers.agents_at_work import AgentBench
from tests.unit.invokers.agents.visits import Scripted

INPUT = {"guardrails": {"input": [{"check": "not contains(message, '你好')", "on_fail": "human", "message": "greets"}]}}
OUTPUT = {"guardrails": {"output": [{"check": "not contains(output, 'guarantee')", "on_fail": "human"}]}}

Open = Callable[..., AgentBench]


@pytest.fixture(params=["embedded", "moto"])
def open_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[AgentBench] = []

    def open_one(*turns: Any, **fields: Any) -> AgentBench:
        bench = AgentBench(request.param, tmp_path, Scripted(*turns), {}, **fields)
        opened.append(bench)
        return bench

    yield open_one
    for bench in opened:
        bench.close()


def test_somebody_lets_a_message_pass_before_a_model_is_paid(open_bench: Open) -> None:
    bench = open_bench("done", **INPUT)
    bench.begin()
    assert bench.model.asked == []
    [asked] = bench.asked
    assert (asked["kind"], asked["tool"], asked["path"]) == ("guardrail", "a", "a")
    assert asked["prompt"] == "The agent a is told what did not pass a check: greets"
    assert bench.runtime.approval_views.get(asked["id"])["data"] == '{"q":"你好"}'
    bench.answer(asked)
    assert bench.output == "done"


def test_somebody_gives_another_message(open_bench: Open) -> None:
    bench = open_bench("done", **INPUT)
    bench.begin()
    bench.answer(bench.asked[0], data="hello")
    [request] = bench.model.asked
    assert request[0].parts[0].content == "hello"  # type: ignore[union-attr]


def test_what_is_rejected_fails_the_attempt(open_bench: Open) -> None:
    bench = open_bench("done", **INPUT)
    bench.begin()
    bench.answer(bench.asked[0], approved=False, by="li", comment="no")
    error = bench.document(bench.id)["error"]
    assert (error["type"], error["message"]) == (
        "guardrail_failed",
        "agent 'a': guardrails.input[0]: li rejected it: no",
    )
    assert bench.model.asked == []


def test_an_output_that_somebody_lets_pass_was_paid_for_once(open_bench: Open) -> None:
    bench = open_bench("we guarantee it", **OUTPUT)
    bench.begin()
    [asked] = bench.asked
    assert bench.runtime.approval_views.get(asked["id"])["data"] == "we guarantee it"
    bench.answer(asked)
    assert bench.output == "we guarantee it"
    assert len(bench.model.asked) == 1


def test_somebody_gives_another_output(open_bench: Open) -> None:
    bench = open_bench("we guarantee it", **OUTPUT)
    bench.begin()
    bench.answer(bench.asked[0], data="we hope so")
    assert bench.output == "we hope so"


def test_several_that_ask_do_so_one_after_the_other(open_bench: Open) -> None:
    checks = [{"check": f"contains(output, '{word}')", "on_fail": "human"} for word in "abcdfg"]
    bench = open_bench("none", guardrails={"input": [], "output": checks})
    bench.begin()
    for number in range(len(checks)):
        [asked] = bench.asked
        assert f"'{'abcdfg'[number]}'" in asked["prompt"]
        bench.answer(asked)
    assert len(bench.model.asked) == 1
    assert bench.output == "none"
