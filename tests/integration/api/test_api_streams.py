"""`GET /executions/{id}/stream`: what happens and what agents write, an answer at a time, without loss or repeats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import Event as AnyEvent
from pydantic import TypeAdapter
from tests.integration.api.conftest import JSON, Api, Reply

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents import AgentInvoker
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.views.streams import Position
from workflow_runtime.storage.live import Part

SECRET = "canary-4711-canary"
AGENTS = "agents: [{id: writer, model: test}]"
WORKFLOW = """
workflow:
  id: letter
  nodes:
    - {id: write, type: agent, agent: writer, retry_policy: {max_retries: 1, retry_delay: 0},
       inputs: {key: "${secrets.KEY}"}}
    - {id: done, type: control, subtype: pass, dependencies: [write]}
"""
OPEN = WORKFLOW.replace(',\n       inputs: {key: "${secrets.KEY}"}', "")
CHAIN = """
workflow:
  id: chain
  nodes:
    - {id: write, type: agent, agent: writer}
    - {id: more, type: agent, agent: writer, dependencies: [write]}
"""
STILL = "workflow: {id: still, nodes: [{id: ask, type: control, subtype: approval, prompt: Sure?}]}"


class Told:
    """An agent that is written by a test."""

    abandoned = 0

    def __init__(self, act: Callable[[NodeCall], Awaitable[NodeResult]]) -> None:
        self._act = act

    def limiters(self, target: str) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def budget(self, target: str) -> None:  # noqa: ARG002
        return None

    def beyond(self, _target: str) -> Beyond:
        return NOTHING_BEYOND

    async def invoke(self, call: NodeCall) -> NodeResult:
        return await self._act(call)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "a.yaml").write_text(AGENTS)
    return tmp_path


def serving(folder: Path, act: Callable[[NodeCall], Awaitable[NodeResult]] | None = None) -> Api:
    def wrap(invoker: Any) -> Any:
        return Told(act) if act is not None and isinstance(invoker, AgentInvoker) else invoker

    return Api(LocalRuntime(open_backend(), folder, environ={"WORKFLOW_SECRET_KEY": SECRET}, wrap=wrap))


def play(api: Api, scenario: Callable[[], Awaitable[None]], *sources: str) -> None:
    async def run() -> None:
        api.runtime.start()
        for source in sources:
            api.runtime.services.catalog.publish(source.encode())
        await scenario()

    with api.runtime:
        asyncio.run(run())


async def ask(api: Api, execution_id: str, last: str = "", query: str = "") -> Reply:
    headers = {"last-event-id": last} if last else {}
    return await api.ask("GET", f"/executions/{execution_id}/stream{query}", headers=headers)


def frames(reply: Reply) -> Iterator[tuple[dict[str, Any], str]]:
    """Events, each with the id that its reader has then ("" as long as it has none)."""
    assert reply.headers["content-type"] == "text/event-stream"
    for block in reply.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            yield json.loads(fields["data"]), fields.get("id", "")


async def read(api: Api, execution_id: str, last: str = "", query: str = "") -> list[tuple[dict[str, Any], str]]:
    """All events until there are no more, as an `EventSource` gets them."""
    found: list[tuple[dict[str, Any], str]] = []
    while (reply := await ask(api, execution_id, last, query)).status == 200:
        found += frames(reply)
        last = found[-1][1]
        await asyncio.sleep(0)
    assert reply.status == 204
    return found


AG_UI: TypeAdapter[Any] = TypeAdapter(AnyEvent)
"""AG-UI's own package knows what its events are."""


async def started(api: Api, workflow: str) -> str:
    reply = await api.ask("POST", f"/workflows/{workflow}/execute", "{}", JSON)
    return str(reply.json["execution_id"])


def test_a_reader_sees_the_execution_and_what_its_agent_writes(folder: Path) -> None:
    api = serving(folder)

    async def scenario() -> None:
        execution_id = await started(api, "letter")
        events = [event for event, _ in await read(api, execution_id)]
        for event in events:
            AG_UI.validate_python(event)
        kinds = [event["type"] for event in events]
        assert kinds[0] == "RUN_STARTED"
        assert kinds[-1] == "RUN_FINISHED"
        steps = [(event["type"], event["stepName"]) for event in events if "stepName" in event]
        assert steps[:2] == [("STEP_STARTED", "write"), ("STEP_FINISHED", "write")]
        output = (await api.ask("GET", f"/executions/{execution_id}/nodes/write")).json["output"]
        assert "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT") == output
        assert kinds.index("TEXT_MESSAGE_START") < kinds.index("TEXT_MESSAGE_CONTENT") < kinds.index("TEXT_MESSAGE_END")
        assert kinds.index("TEXT_MESSAGE_END") < kinds.index("STEP_FINISHED")

    play(api, scenario, OPEN)


def test_a_reader_who_was_cut_off_anywhere_goes_on_without_loss_or_repeats(folder: Path) -> None:
    async def writes(call: NodeCall) -> NodeResult:
        for word in ("one ", "two ", "three"):
            await call.live.tell(Part("text", 1, "x" * 400 + word))
        await call.live.tell(Part("end", 1))
        return NodeResult("done")

    api = serving(folder, writes)

    async def scenario() -> None:
        execution_id = await started(api, "letter")
        for query in ("", "?format=awr"):
            whole = await read(api, execution_id, query=query)
            for place, (_, id) in enumerate(whole):
                if id:
                    assert await read(api, execution_id, id, query) == whole[place + 1 :]
        assert [event["type"] for event, _ in whole].count("wrote") == 4

    play(api, scenario, OPEN)


def test_an_agent_that_its_worker_goes_on_with_is_read_along_while_it_writes(folder: Path) -> None:
    read_along = asyncio.Event()

    async def writes(call: NodeCall) -> NodeResult:
        await call.live.tell(Part("start", 1))
        await call.live.tell(Part("text", 1, "x" * 400))
        if call.path == "more":
            await asyncio.wait_for(read_along.wait(), 120)
        await call.live.tell(Part("stop", 1))
        await call.live.tell(Part("end", 1))
        return NodeResult("done")

    api = serving(folder, writes)

    async def scenario() -> None:
        execution_id = await started(api, "chain")
        found: list[dict[str, Any]] = []
        last = ""
        while not any(event.get("messageId", "").startswith("more") for event in found):
            for event, id in frames(await ask(api, execution_id, last, "?hold=5")):
                found.append(event)
                last = id or last
        read_along.set()
        found += [event for event, _ in await read(api, execution_id, last)]
        steps = [(event["type"], event["stepName"]) for event in found if "stepName" in event]
        assert steps == [(f"STEP_{what}", node) for node in ("write", "more") for what in ("STARTED", "FINISHED")]
        assert sum(len(event.get("delta", "")) for event in found) == 800
        assert found[-1]["type"] == "RUN_FINISHED"
        whole = [event for event, _ in await read(api, execution_id)]
        assert [event for event in whole if "delta" in event] == [event for event in found if "delta" in event]

    play(api, scenario, CHAIN)


def test_a_position_holds_no_place_for_an_agent_that_was_never_begun(folder: Path) -> None:
    api = serving(folder)
    chains = "".join(
        f"    - {{id: w{n}, type: agent, agent: writer}}\n"
        f'    - {{id: m{n}, type: agent, agent: writer, dependencies: [w{n}], when: "${{w{n} == 1}}"}}\n'
        for n in range(3)
    )
    last = "    - {id: last, type: agent, agent: writer, join: all_done, dependencies: [m0, m1, m2]}\n"

    async def scenario() -> None:
        execution_id = await started(api, "chains")
        await api.runtime.wait_ended(execution_id)
        told = api.runtime.services.streams.told(execution_id, Position())
        assert max(len(after.seen) for _, after in told.news) == 6
        orders = [(news, after) for news, after in told.news if isinstance(news, JournalEntry)]
        [ordered] = [after for entry, after in orders if "last" in [getattr(c, "path", "") for c in entry.commands]]
        assert len(ordered.seen) == 1

    play(api, scenario, f"workflow:\n  id: chains\n  nodes:\n{chains}{last}")


def test_what_a_lost_run_had_not_finished_is_void(folder: Path) -> None:
    async def dies_once(call: NodeCall) -> NodeResult:
        await call.live.tell(Part("start", 1))
        await call.live.tell(Part("text", 1, f"attempt {call.attempt}"))
        if call.attempt == 1:
            raise NodeError("timeout", "gone")
        await call.live.tell(Part("end", 1))
        return NodeResult("done")

    api = serving(folder, dies_once)

    async def scenario() -> None:
        execution_id = await started(api, "letter")
        told = [event for event, _ in await read(api, execution_id, query="?format=awr") if event["type"] != "commit"]
        first, void, second, end = told
        assert [part["kind"] for part in first["parts"]] == ["start"]
        assert (void["type"], void["parts"]) == ("superseded", [{"kind": "stop", "message": 1}])
        assert void["serial"] == first["serial"] < second["serial"]
        assert [part.get("text") or part["kind"] for part in end["parts"]] == ["attempt 2", "end"]

    play(api, scenario, OPEN)


def test_nothing_is_written_when_nobody_watches(folder: Path) -> None:
    seen: list[bool] = []

    async def writes(call: NodeCall) -> NodeResult:
        seen.append(call.live.is_watched)
        return NodeResult("done")

    api = serving(folder, writes)

    async def scenario() -> None:
        execution_id = await started(api, "letter")
        await api.runtime.wait_ended(execution_id)
        assert api.runtime.services.stores.live.of(execution_id) == []

    play(api, scenario, OPEN)
    assert seen == [False]


def test_a_worker_under_way_learns_of_a_watcher_when_it_renews_its_lease(folder: Path) -> None:
    found: list[int | None] = []

    async def writes(call: NodeCall) -> NodeResult:
        services = api.runtime.services
        services.streams.watch(call.execution_id)
        (run,) = services.stores.runs.list(call.execution_id)
        found.append(services.stores.runs.renew(call.execution_id, run, run.lease_until))
        return NodeResult("done")

    api = serving(folder, writes)

    async def scenario() -> None:
        await api.runtime.wait_ended(await started(api, "letter"))

    play(api, scenario, OPEN)
    assert found[0]


def test_no_secret_is_told(folder: Path) -> None:
    from workflow_runtime.invokers.agents.live_model import LiveModel

    texts: list[str] = []

    async def writes(call: NodeCall) -> NodeResult:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.models.function import AgentInfo, FunctionModel

        async def stream(_messages: Any, _info: AgentInfo) -> Any:
            for start in range(0, len(SECRET), 3):
                yield SECRET[start : start + 3]
            yield " is no secret"

        model = LiveModel(FunctionModel(stream_function=stream), call.live, call.mask)
        await model.request([], None, ModelRequestParameters())
        return NodeResult("done")

    api = serving(folder, writes)

    async def scenario() -> None:
        execution_id = await started(api, "letter")
        texts.extend(event["delta"] for event, _ in await read(api, execution_id) if "delta" in event)

    play(api, scenario, WORKFLOW)
    assert "".join(texts) == "*** is no secret"


def test_a_reader_waits_for_news_and_is_told_when_there_will_be_none(folder: Path) -> None:
    api = serving(folder)

    async def scenario() -> None:
        execution_id = await started(api, "still")
        reply = await ask(api, execution_id)
        *_, (asked, last) = frames(reply)
        while asked.get("name") != "approval.requested":
            await asyncio.sleep(0)
            *_, (asked, last) = frames(await ask(api, execution_id, last))
        assert asked["value"]["prompt"] == "Sure?"
        waiting = await ask(api, execution_id, last, "?hold=0")
        assert list(frames(waiting)) == []
        held = asyncio.create_task(ask(api, execution_id, last))
        await api.ask("POST", f"/executions/{execution_id}/cancel", "{}", JSON)
        *_, (ended, last) = frames(await held)
        assert (ended["type"], ended["code"]) == ("RUN_ERROR", "cancelled")
        assert (await ask(api, execution_id, last)).status == 204

    play(api, scenario, STILL)


def test_positions_that_are_none_are_refused(folder: Path) -> None:
    api = serving(folder)

    async def scenario() -> None:
        execution_id = await started(api, "still")
        for wrong in ("x", "1.2", "-1", "1.0000000g-1", "9" * 13, "1" + ".00000000-1" * 41):
            assert (await ask(api, execution_id, wrong, "?hold=0")).code == "invalid_request"
        assert (await ask(api, "ex-0")).code == "not_found"
        assert (await ask(api, execution_id, query="?hold=21")).code == "invalid_request"

    play(api, scenario, STILL)
