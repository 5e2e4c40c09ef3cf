"""Nodes that say which session their agent goes on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.handlers.agents_at_work import AgentBench
from tests.handlers.test_sessions import Talker, ended, look, say

OWN = '    - {id: a, type: agent, agent: a, inputs: {q: "${q}"}, session: "of ${who}"}\n'
Open = Callable[..., AgentBench]


@pytest.fixture(params=["embedded", "moto"])
def open_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[AgentBench] = []

    def open_one(**fields: Any) -> AgentBench:
        bench = AgentBench(request.param, tmp_path, Talker(), {"look": look}, **fields)  # type: ignore[arg-type]
        opened.append(bench)
        return bench

    yield open_one
    for bench in opened:
        bench.close()


def told(bench: AgentBench) -> int:
    """How much was said before, as the model was asked last."""
    model: Any = bench.model
    return len(model.told)


@pytest.mark.parametrize("fields", [{}, {"session": "${nobody}"}])
def test_a_node_names_the_session_whatever_its_agent_says(open_bench: Open, fields: dict[str, Any]) -> None:
    bench = open_bench(**fields)
    for who, before in (("li", 1), ("li", 3), ("wang", 1), ("li", 5)):
        say(bench, node=OWN, who=who)
        assert bench.output
        assert told(bench) == before
    sessions = bench.runtime.sessions.list("a").items
    assert [(each["session"], each["turns"]) for each in sessions] == [("of li", 3), ("of wang", 1)]


def test_a_node_may_have_none(open_bench: Open) -> None:
    bench = open_bench(session="${q}")
    alone = OWN.replace('"of ${who}"', "false")
    for _ in range(2):
        say(bench, node=alone)
        assert told(bench) == 1
    assert bench.runtime.sessions.list().items == []


def test_a_node_says_what_its_visits_do_while_others_are_at_work(open_bench: Open) -> None:
    bench = open_bench(tools=[{"tool": "look", "approve": True}])
    model: Any = bench.model
    model.calls = ["look"]
    reject = OWN.replace('"}\n', '", on_busy: reject}\n')
    first = say(bench, node=reject, who="li")
    assert ended(bench, say(bench, node=reject, who="li")) == ("failed", "session_busy")
    bench.id = first
    bench.answer(bench.asked[0])
    assert bench.output == "answer 2"


@pytest.mark.parametrize("who", [None, "", {"x": 1}, "x" * 501])
def test_what_is_no_name_is_an_error(open_bench: Open, who: Any) -> None:
    bench = open_bench()
    id = say(bench, node=OWN.replace("of ${who}", "${who}"), who=who)
    assert ended(bench, id) == ("failed", "validation_error")
