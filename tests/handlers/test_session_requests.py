"""Sessions through the API's real handler: listed, shown, and deleted while others are at work on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.handlers.agents_at_work import NODE, AgentBench
from tests.handlers.http_requests import FUNCTION, ask, event_of
from tests.handlers.test_sessions import Talker, ended, look, say, turns

from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.services.session_ids import session_id

Open = Callable[..., AgentBench]


@pytest.fixture(params=["embedded", "moto"])
def open_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[AgentBench] = []

    def open_one(**fields: Any) -> AgentBench:
        said = {"session": "${q}", **fields}
        bench = AgentBench(request.param, tmp_path, Talker(), {"look": look}, **said)  # type: ignore[arg-type]
        opened.append(bench)
        return bench

    yield open_one
    for bench in opened:
        bench.close()


def path_of(bench: AgentBench, name: str = "li") -> str:
    """As lists have it, or have had it."""
    listed = {each["session"]: each["id"] for each in ask(bench, "GET", "/sessions")[1]["items"]}
    return f"/sessions/{listed.get(name, session_id('a', '', name))}"


def names(bench: AgentBench, query: str = "") -> list[Any]:
    """Of all sessions that the pages of a list have, two on each."""
    found: list[Any] = []
    cursor = ""
    while True:
        status, page = ask(bench, "GET", "/sessions", query=f"limit=2{query}{cursor}")
        assert status == 200
        found += [(each["tenant"], each["session"]) for each in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_sessions_are_listed_by_name_of_an_agent_or_a_tenant(open_bench: Open) -> None:
    bench = open_bench()
    for who in ("d", "b", "客户", "a", "c"):
        say(bench, who)
    source = 'workflow:\n  id: t\n  tenant: "${t}"\n  nodes:\n' + NODE
    bench.runtime.catalog.publish(source.encode())
    bench.runtime.starter.start("t", {"q": "a", "t": "acme"})
    bench.settle()
    plain = [(None, who) for who in ("a", "b", "c", "d", "客户")]
    assert names(bench) == names(bench, "&agent=a") == [*plain, ("acme", "a")]
    assert names(bench, "&agent=a&tenant=acme") == names(bench, "&tenant=acme") == [("acme", "a")]
    assert names(bench, "&agent=a&tenant=") == names(bench, "&tenant=") == plain
    assert names(bench, "&agent=b") == []
    for query in ("limit=0", "cursor=x", "who=a"):
        assert ask(bench, "GET", "/sessions", query=query)[0] in (404, 422), query


@pytest.mark.parametrize("name", ["li", "a/b c?#%41", "客户"])
def test_what_was_said_is_shown_page_by_page(open_bench: Open, name: str) -> None:
    bench = open_bench()
    for _ in range(3):
        say(bench, name)
    url = path_of(bench, name)
    status, shown = ask(bench, "GET", url, query="limit=2")
    assert (status, shown["turns"], shown["summed_up"], shown["held_by"]) == (200, 3, 0, None)
    assert [turn["number"] for turn in shown["told"]] == [1, 2]
    assert shown["told"][1]["messages"][1]["parts"][0]["content"] == "answer 2"
    _, rest = ask(bench, "GET", url, query=f"limit=2&cursor={shown['next_cursor']}")
    assert ([turn["number"] for turn in rest["told"]], rest["next_cursor"]) == ([3], None)
    assert rest["told"][0]["execution_id"] == bench.id


def test_a_large_turn_is_read_in_slices(open_bench: Open) -> None:
    """Two of them are more than an answer of the API takes."""
    bench = open_bench(session={"id": "${q}", "compact_over": 10_000_000})
    model: Any = bench.model
    for text in ("长", "短"):
        model.answer = text * 1_390_000
        say(bench)
    status, shown = ask(bench, "GET", path_of(bench))
    assert status == 200
    [left_out] = [turn["messages"] for turn in shown["told"] if "truncated" in turn["messages"]]
    path, _, query = left_out["href"].partition("?")
    answered = ask_raw(bench, path, query)
    assert answered["statusCode"] == 206
    assert answered["headers"]["content-range"].endswith(f"/{left_out['bytes']}")


def ask_raw(bench: AgentBench, path: str, query: str) -> dict[str, Any]:
    handler = bench.api()

    async def send() -> dict[str, Any]:
        answered: dict[str, Any] = await handler(event_of("GET", path, None, None, query), LocalContext(FUNCTION))
        return answered

    return asyncio.run(send())


def test_what_is_deleted_is_forgotten_and_begins_anew(open_bench: Open) -> None:
    bench = open_bench()
    model: Any = bench.model
    say(bench)
    say(bench)
    assert ask(bench, "DELETE", path_of(bench)) == (204, None)
    assert turns(bench) == []
    assert names(bench) == []
    for method in ("GET", "DELETE"):
        status, problem = ask(bench, method, path_of(bench))
        assert (status, problem["code"]) == (404, "not_found")
    say(bench)
    assert len(model.told) == 1
    assert (names(bench), turns(bench)) == ([(None, "li")], [1])
    say(bench)
    assert len(model.told) == 3


def test_what_there_is_not_is_not_found(open_bench: Open) -> None:
    bench = open_bench()
    say(bench)
    nobodys = [session_id(*key) for key in (("a", "", "nobody"), ("nobody", "", "li"), ("a", "acme", "li"))]
    for id in (*nobodys, "li", "W10", "%%%"):
        for method in ("GET", "DELETE"):
            assert ask(bench, method, f"/sessions/{quote(id)}")[0] == 404
    assert turns(bench) == [1]


def test_a_visit_at_work_on_what_is_deleted_leaves_nothing_and_who_waits_is_next(open_bench: Open) -> None:
    bench = open_bench(tools=[{"tool": "look", "approve": True}])
    model: Any = bench.model
    say(bench)
    model.calls = ["look"]
    first = say(bench)
    second = bench.runtime.starter.start("w", {"q": "li"})
    bench.settle()
    _, shown = ask(bench, "GET", path_of(bench))
    assert shown["held_by"] == {"execution_id": first, "path": "a"}
    assert shown["waiting"] == [{"execution_id": second, "path": "a"}]
    assert ask(bench, "DELETE", path_of(bench))[0] == 204
    bench.settle()
    assert ended(bench, second) == ("completed", "answer 3")
    assert len(model.told) == 1
    bench.id = first
    bench.answer(bench.asked[0])
    assert ended(bench, first) == ("failed", "session_busy")
    _, shown = ask(bench, "GET", path_of(bench))
    assert (shown["turns"], [turn["execution_id"] for turn in shown["told"]]) == (1, [second])


def test_a_turn_that_is_written_as_its_session_is_deleted_does_not_count(open_bench: Open) -> None:
    """The model answers, and meanwhile somebody deletes what was said."""
    bench = open_bench()
    model: Any = bench.model
    say(bench)
    model.during = lambda: bench.runtime.sessions.delete(session_id("a", "", "li"))
    first = say(bench)
    assert ended(bench, first) == ("completed", "answer 2")
    assert names(bench) == []
    say(bench)
    assert len(model.told) == 1
    say(bench)
    assert model.told[1] == "answer 3"
