"""Agents that remember what was said in executions before, one after the other, whatever becomes of their workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo
from tests.contract.conftest import about
from tests.handlers.agents_at_work import NODE, AgentBench

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.sessions import Asked, Said
from workflow_runtime.ports import Key
from workflow_runtime.services.work.sessions import VisitSessions
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.sessions import User

SESSION = {"session": "${q}"}
DAY_MS = 86_400_000


class Talker:
    """A model that says what it was told before, by all messages of users."""

    def __init__(self) -> None:
        self.asked: list[list[ModelMessage]] = []
        self.calls: list[str] = []  # tools that it calls before it answers
        self.fails = 0
        self.during: Callable[[], object] = lambda: None
        self.answer = ""
        self.arguments: dict[str, Any] = {}

    def __call__(self, messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        self.asked.append(messages)
        during, self.during = self.during, lambda: None
        during()
        if self.fails:
            self.fails -= 1
            raise NodeError("timeout", "no answer")
        if self.calls:
            return ModelResponse(parts=[ToolCallPart(self.calls.pop(0), self.arguments)])
        return ModelResponse(parts=[TextPart(self.answer or f"answer {len(self.asked)}")])

    @property
    def told(self) -> list[str]:
        """What users and the model itself have said, as it was asked last."""
        return [
            str(part.content)
            for message in self.asked[-1]
            for part in message.parts
            if isinstance(part, UserPromptPart | TextPart)
        ]


Open = Callable[..., AgentBench]


def look() -> str:
    return "seen"


@pytest.fixture(params=["embedded", "moto"])
def open_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[AgentBench] = []

    def open_one(**fields: Any) -> AgentBench:
        bench = AgentBench(request.param, tmp_path, Talker(), {"look": look}, **{**SESSION, **fields})  # type: ignore[arg-type]
        opened.append(bench)
        return bench

    yield open_one
    for bench in opened:
        bench.close()


def say(bench: AgentBench, session: str = "li", *, node: str = NODE, **input: Any) -> str:
    """Start an execution, and deliver what there is to deliver."""
    bench.id = bench.start(node, {"q": session, **input})
    bench.settle()
    return bench.id


def ended(bench: AgentBench, id: str) -> Any:
    document = bench.document(id)
    return document["status"], (document["error"] or {}).get("type") or document["output"]


def turns(bench: AgentBench, session: str = "li") -> list[int]:
    """The numbers of what stands in a session, whether it counts or not."""
    found = bench.backend.ports.table.query(f"SESSION#a##{session}", "T#")
    return [int(item.attributes["n"]) for item in found]


def head(bench: AgentBench, session: str = "li") -> Any:
    key = Key(f"SESSION#a##{session}", "HEAD")
    return bench.backend.ports.table.get([key])[key].attributes


def test_a_visit_goes_on_from_what_was_said_before(open_bench: Open) -> None:
    bench = open_bench()
    model: Any = bench.model
    say(bench)
    assert model.told == ['{"q":"li"}']
    say(bench)
    assert model.told == ['{"q":"li"}', "answer 1", '{"q":"li"}']
    say(bench, "wang")
    assert model.told == ['{"q":"wang"}']
    assert bench.output == "answer 3"
    assert turns(bench) == [1, 2]


def test_what_tools_gave_is_remembered_too_and_instructions_are_not(open_bench: Open) -> None:
    bench = open_bench(instructions="be kind")
    model: Any = bench.model
    model.calls = ["look"]
    say(bench)
    say(bench)
    before = model.asked[-1][:-1]
    assert [type(part).__name__ for message in before for part in message.parts] == [
        "UserPromptPart",
        "ToolCallPart",
        "ToolReturnPart",
        "TextPart",
    ]
    assert {message.instructions for message in model.asked[-1] if isinstance(message, ModelRequest)} == {
        None,
        "be kind",
    }


def test_nothing_of_a_visit_that_failed_is_remembered(open_bench: Open) -> None:
    bench = open_bench()
    model: Any = bench.model
    model.fails = 1
    assert ended(bench, say(bench))[0] == "failed"
    assert (turns(bench), head(bench)["turns"], "holder" in head(bench)) == ([], 0, False)
    say(bench)
    assert model.told == ['{"q":"li"}']


def test_a_failed_shaping_of_the_output_leaves_nothing_in_the_session(open_bench: Open) -> None:
    """The turn is written before the run is recorded, and does not count."""
    node = NODE.replace("}}", '}, outputs: {x: "${output.a.b + 1}"}}')
    bench = open_bench()
    model: Any = bench.model
    assert ended(bench, say(bench, node=node)) == ("failed", "execution_error")
    say(bench)
    assert model.told == ['{"q":"li"}']


def test_an_attempt_that_follows_keeps_the_session_and_remembers_once(open_bench: Open) -> None:
    node = NODE.replace("}}", "}, retry_policy: {max_retries: 1, retry_delay: 60s, jitter: none}}")
    bench = open_bench()
    model: Any = bench.model
    say(bench)
    model.fails = 1
    id = say(bench, node=node)
    assert "holder" in head(bench)
    bench.pass_time(61)
    bench.settle()
    assert ended(bench, id) == ("completed", "answer 3")
    assert (turns(bench), head(bench)["turns"]) == ([1, 2], 2)


def others_say(bench: AgentBench, count: int = 1) -> list[str]:
    """Start executions while the model is asked; what they wait for comes when it has answered."""
    ids = [bench.runtime.starter.start("w", {"q": "li"}) for _ in range(count)]
    bench.settle()
    return ids


def test_who_comes_while_another_visit_is_at_work_waits_in_the_order_of_arrival(open_bench: Open) -> None:
    bench = open_bench(tools=[{"tool": "look", "approve": True}])
    model: Any = bench.model
    model.calls = ["look"]
    first = say(bench)
    second, third = others_say(bench, 1) + others_say(bench, 1)
    assert len(model.asked) == 1
    why = bench.runtime.explanations.why(second, 10)
    assert "the session" in str(why), why
    bench.answer(bench.asked[0])
    documents = [bench.document(id) for id in (first, second, third)]
    assert [document["output"] for document in documents] == ["answer 2", "answer 3", "answer 4"]
    assert model.told == ['{"q":"li"}', "answer 2", '{"q":"li"}', "answer 3", '{"q":"li"}']
    assert (turns(bench), head(bench)["turns"], head(bench).get("waiters")) == ([1, 2, 3], 3, None)


def test_who_waits_looks_by_itself_for_a_holder_that_was_cancelled(open_bench: Open) -> None:
    bench = open_bench(tools=[{"tool": "look", "approve": True}])
    model: Any = bench.model
    model.calls = ["look"]
    first = say(bench)
    [second] = others_say(bench)
    bench.runtime.control.ask("cancel", first)
    bench.settle()
    assert bench.document(second)["status"] == "running"
    bench.pass_time(61)
    bench.settle()
    bench.drain()
    assert ended(bench, second) == ("completed", "answer 2")
    assert model.told == ['{"q":"li"}']


def test_a_dead_waiter_keeps_nobody_waiting(open_bench: Open) -> None:
    bench = open_bench(tools=[{"tool": "look", "approve": True}])
    model: Any = bench.model
    model.calls = ["look"]
    say(bench)
    asked = bench.asked[0]
    second, third = others_say(bench, 2)
    bench.runtime.control.ask("cancel", second)
    bench.settle()
    bench.answer(asked)
    bench.drain()
    assert ended(bench, third) == ("completed", "answer 3")


def test_on_busy_reject_fails_at_once(open_bench: Open) -> None:
    bench = open_bench(tools=[{"tool": "look", "approve": True}], on_busy="reject")
    model: Any = bench.model
    model.calls = ["look"]
    first = say(bench)
    [second] = others_say(bench)
    assert ended(bench, second) == ("failed", "session_busy")
    assert f"node 'a' of the execution {first} works on the session" in bench.document(second)["error"]["message"]
    bench.answer(bench.asked[0])
    assert ended(bench, first) == ("completed", "answer 2")


def test_on_busy_interrupt_takes_the_session_and_the_one_before_pays_for_nothing_more(open_bench: Open) -> None:
    bench = open_bench(tools=[{"tool": "look", "approve": True}], on_busy="interrupt")
    model: Any = bench.model
    model.calls = ["look"]
    first = say(bench)
    [second] = others_say(bench)
    assert ended(bench, second) == ("completed", "answer 2")
    bench.answer(bench.asked[0])
    assert ended(bench, first) == ("failed", "session_busy")
    assert len(model.asked) == 2
    say(bench)
    assert model.told == ['{"q":"li"}', "answer 2", '{"q":"li"}']


def test_a_run_that_is_interrupted_asks_its_model_no_more(open_bench: Open) -> None:
    bench = open_bench(on_busy="interrupt")
    model: Any = bench.model
    model.calls = ["look"]
    others: list[str] = []
    model.during = lambda: others.extend(others_say(bench)) if bench.name == "embedded" else None
    first = say(bench)
    if others:  # the handlers of moto's bench cannot be called within one another
        assert ended(bench, first) == ("failed", "session_busy")
        assert ended(bench, others[0])[0] == "completed"


def test_a_session_that_a_calling_execution_holds_is_busy_instead_of_waited_for_for_ever(open_bench: Open) -> None:
    bench = open_bench(tools=[{"workflow_id": "w"}])
    model: Any = bench.model
    model.calls, model.arguments = ["w"], {"q": "li"}
    bench.runtime.catalog.publish(f"workflow:\n  id: w\n  nodes:\n{NODE}".encode())
    id = say(bench)
    bench.drain()
    assert bench.document(id)["status"] == "completed"
    assert "and waits for this node" in str(model.asked[-1])


def test_a_worker_that_dies_after_its_run_is_recorded_leaves_a_turn_that_counts(open_bench: Open) -> None:
    bench = open_bench()
    model: Any = bench.model
    say(bench)
    table, place = bench.backend.ports.table, Key("SESSION#a##li", "HEAD")
    item = table.get([place])[place]
    dead = f'{{"execution_id":"{bench.id}","path":"a","visit":1,"serial":1}}'.encode()
    item.attributes.update({"holder": dead, "turns": 0})
    table.put(item)
    say(bench)
    assert model.told == ['{"q":"li"}', "answer 1", '{"q":"li"}']


def test_a_turn_of_a_dead_worker_counts_though_others_come_first(open_bench: Open) -> None:
    bench = open_bench(tools=[{"tool": "look", "approve": True}])
    model: Any = bench.model
    say(bench)
    done = bench.id
    model.calls = ["look"]
    waiting = say(bench)  # is open, as somebody has to approve its call
    table, place = bench.backend.ports.table, Key("SESSION#a##li", "HEAD")
    item = table.get([place])[place]
    dead = f'{{"execution_id":"{done}","path":"a","visit":1,"serial":1}}'.encode()
    first = f'[{{"execution_id":"{waiting}","path":"a","visit":1,"serial":1,"call":"session:0.1"}}]'.encode()
    turn = table.get([Key("SESSION#a##li", "T#000000001")])
    fence = int(next(iter(turn.values())).attributes["fence"])
    item.attributes.update({"holder": dead, "turns": 0, "waiters": first, "fence": fence})
    table.put(item)
    others_say(bench)
    assert (head(bench)["turns"], "holder" in head(bench)) == (1, False)


def test_a_session_is_busy_while_an_agent_holds_it_that_was_begun_in_place_after_another(open_bench: Open) -> None:
    """The dispatcher has not ordered its node, and is told of it when its run is over."""
    bench = open_bench(others={"plain": (lambda _messages, _info: ModelResponse(parts=[TextPart("first")]), {})})
    model: Any = bench.model
    refused: list[str] = []

    def comes_between() -> None:
        user = User("ex-other", "a", 1, 1)
        other = VisitSessions(bench.runtime.ports, bench.runtime.stores, user, "", None)
        try:
            asyncio.run(other.take(Asked("a", "li", "reject", 60, "w")))
        except NodeError as error:
            refused.append(error.type)

    def during() -> None:
        visitor = Thread(target=comes_between)
        visitor.start()
        visitor.join()

    model.during = during
    nodes = "    - {id: p, type: agent, agent: plain, prompt: hi}\n" + NODE.replace(
        "id: a,", "id: a, dependencies: [p],"
    )
    say(bench, node=nodes)
    assert ended(bench, bench.id) == ("completed", "answer 1")
    assert refused == ["session_busy"]


def test_turns_are_forgotten_after_their_time(open_bench: Open) -> None:
    bench = open_bench(session={"id": "${q}", "ttl": "2d"})
    model: Any = bench.model
    say(bench)
    bench.pass_time(DAY_MS // 1000)
    say(bench)
    bench.pass_time(DAY_MS // 1000 + 60)
    say(bench)
    assert model.told == ['{"q":"li"}', "answer 2", '{"q":"li"}']
    key = Key("SESSION#a##li", "T#000000001")
    expires = bench.backend.ports.table.get([key])[key].attributes["expires_at"]
    assert expires - bench.clock.now() // 1000 > 0  # a visit that was told it may still be open


def test_older_turns_are_summed_up_once_there_are_too_many_tokens(open_bench: Open) -> None:
    bench = open_bench(session={"id": "${q}", "compact_over": 1000})
    model: Any = bench.model
    model.answer = "word " * 400
    say(bench)
    say(bench)
    model.answer = "they talked"
    model.asked.clear()
    id = say(bench)
    summing, answering = model.asked
    assert "Assistant: word" in summing[0].parts[0].content
    assert "Sum up" in summing[0].instructions
    told = [str(part.content) for message in answering for part in message.parts]
    assert told[0].endswith("they talked")
    assert told[1:] == ["OK.", '{"q":"li"}']
    steps = [step.name for _, step in bench.runtime.stores.steps.told(id, "a")]
    assert "compaction" in steps
    assert bench.document(id)["usage"]["requests"] == 2
    assert head(bench)["start"] == 3
    model.answer = "well"
    say(bench)
    assert [text for text in model.told if "word" in text] == []
    assert "they talked" in model.told[0]


def test_two_hundred_turns_are_small_items(open_bench: Open) -> None:
    bench = open_bench()
    stores, ports = bench.runtime.stores, bench.backend.ports
    count = 200 if bench.name == "embedded" else 10  # moto takes its time
    said = Said([{"parts": [{"content": f"{number} {'word ' * 400}"}]} for number in range(4)])

    async def talk(number: int) -> int:
        user = User(f"e{number}", "a", 1, 1)
        sessions = VisitSessions(ports, stores, user, "", None)
        turns = await sessions.take(Asked("a", "li", "queue", 86_400, "session:0.1"))
        await sessions.propose(said)
        await sessions.end(Run(path="a", serial=1, status=RunStatus.SUCCESS, owner="o"))
        return len(turns)

    async def talks() -> list[int]:
        return [await talk(number) for number in range(count)]

    assert asyncio.run(talks()) == list(range(count))
    items = ports.table.query("SESSION#a##li")
    assert len(items) == count + 1
    assert max(sum(len(str(value)) for value in item.attributes.values()) for item in items) < 350 * 1024


def test_tenants_and_agents_have_sessions_of_their_own(open_bench: Open) -> None:
    bench = open_bench()
    model: Any = bench.model
    source = 'workflow:\n  id: w\n  tenant: "${t}"\n  nodes:\n' + NODE
    bench.runtime.catalog.publish(source.encode())
    for tenant in ("one", "two"):
        bench.runtime.starter.start("w", {"q": "li", "t": tenant})
        bench.settle()
        assert model.told == ['{"q":"li"}']


def test_what_is_no_name_of_a_session_is_an_error(open_bench: Open) -> None:
    bench = open_bench()
    ids: list[Any] = ["", "  ", None, ["x"], {"a": 1}, True, 1.5, "x" * 501]
    for id in ids:
        with about(id):
            said = say(bench, id)
            assert ended(bench, said) == ("failed", "validation_error")
            assert "`session` must come to a text" in bench.document(said)["error"]["message"]
            assert bench.model.asked == []


def test_any_text_names_a_session(open_bench: Open) -> None:
    bench = open_bench()
    model: Any = bench.model
    ids: list[Any] = ["客户", "a#b#T#1", "~", 7, "x" * 500]
    for id in ids:
        with about(id):
            say(bench, id)
            assert len(model.asked[-1]) == 1
            say(bench, id)
            assert len(model.asked[-1]) == 3


def test_secrets_name_no_session(open_bench: Open) -> None:
    bench = open_bench()
    node = '    - {id: a, type: agent, agent: a, inputs: {q: "${secrets.TOKEN}"}}\n'
    assert ended(bench, say(bench, node=node)) == ("failed", "validation_error")


def test_a_session_holds_no_secrets(open_bench: Open) -> None:
    bench = open_bench(session="s")
    say(bench, node='    - {id: a, type: agent, agent: a, inputs: {q: "${secrets.TOKEN}"}}\n')
    items = bench.backend.ports.table.query("SESSION#a##s", "T#")
    assert len(items) == 1
    assert "s3cr3t" not in str(items)


def test_a_summary_that_no_item_takes_is_too_large(open_bench: Open) -> None:
    bench = open_bench(session={"id": "${q}", "compact_over": 1_000})
    model: Any = bench.model
    model.answer = "".join(map(chr, range(0x4E00, 0x9FFF))) * 8
    say(bench)
    assert ended(bench, say(bench)) == ("failed", "too_large")
    assert "summed up" in bench.document(bench.id)["error"]["message"]
