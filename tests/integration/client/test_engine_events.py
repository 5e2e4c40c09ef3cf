"""Events through the SDK: sent to executions, put on the bus, heard by handlers; here and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.frontends.client import (
    EXECUTION_EVENTS,
    Conflict,
    EngineError,
    Event,
    InvalidInput,
    NotFound,
    SyncWorkflowEngine,
    WaitTimeout,
    WorkflowEngine,
)
from workflow_runtime.frontends.client.events import Wanted
from workflow_runtime.frontends.client.remote import RemoteConnection
from workflow_runtime.frontends.dev.doors import BusDoor
from workflow_runtime.frontends.server.gateway import Gateway
from workflow_runtime.handlers.api import create
from workflow_runtime.runtime.in_process import LocalRuntime

DEADLINE_SECONDS = 120
DOOR: dict[str, Any] = {
    "id": "门",
    "type": "state_machine",
    "initial_state": "closed",
    "variables": {"knocks": 0},
    "states": [
        {
            "name": "closed",
            "transitions": [
                {"event": "knock", "actions": [{"set_variable": {"name": "knocks", "value": "${knocks + 1}"}}]},
                {
                    "event": "open",
                    "condition": "${key} == 'right'",
                    "target": "done",
                    "actions": [{"publish_event": {"topic": "door.opened", "payload": {"by": "${key}"}}}],
                },
            ],
        }
    ],
    "triggers": [{"type": "event", "topic": "door.built"}],
}


@asynccontextmanager
async def engine_over_http(*, with_bus: bool = True) -> AsyncIterator[WorkflowEngine]:
    """The SDK, an HTTP client without a network, the gateway of `awr dev`, the API handler and a runtime."""
    runtime = LocalRuntime(open_backend(), environ={})
    function = TOPOLOGY.function("api")
    handler = create(runtime.services, function)
    door = BusDoor(runtime.ports.bus, lambda: handler)
    gateway = Gateway(lambda: door if with_bus else handler, LocalContext(function), lambda *_: None)
    runtime.start()
    try:
        transport = httpx.ASGITransport(app=gateway)
        connection = RemoteConnection("http://localhost", transport=transport, sleep=lambda _: asyncio.sleep(0.005))
        async with WorkflowEngine(connection) as engine:
            yield engine
    finally:
        await runtime.stop()


Opened = Callable[[], Any]
BOTH = pytest.mark.parametrize("opened", [WorkflowEngine.local, engine_over_http], ids=["local", "remote"])


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, DEADLINE_SECONDS))


@BOTH
def test_an_event_tells_what_it_did(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            execution_id = await engine.execute_workflow(await engine.create_workflow(DOOR))
            accepted = await engine.send_event(execution_id, "knock", key="k")
            assert accepted == {"execution_id": execution_id, "event": "knock", "id": "k"}
            result = await engine.send_event(execution_id, "knock", key="k", wait=25)
            assert (result["outcome"], result["variables"]) == ("taken", {"knocks": 1})
            ignored = await engine.send_event(execution_id, "open", {"key": "wrong"}, wait=25)
            assert (ignored["outcome"], ignored["current_states"]) == ("ignored", ["closed"])
            assert ignored["reason"] == "`${key} == 'right'` of `closed` is false"
            ended = await engine.send_event(execution_id, "open", {"key": "right"}, wait=25)
            assert (ended["status"], ended["current_states"]) == ("completed", ["done"])
            with pytest.raises(Conflict, match="completed"):
                await engine.send_event(execution_id, "knock")
            with pytest.raises(InvalidInput, match="did you mean 'knock'"):
                await engine.send_event(execution_id, "knok")
            with pytest.raises(NotFound):
                await engine.send_event("ex-none", "knock")
            document = await engine.get_execution_status(execution_id)
            assert [step["event"] for step in document["transitions"]] == [None, "knock", "open", "open"]

    run(use())


@BOTH
def test_what_comes_while_an_execution_is_suspended_is_taken_when_it_is_resumed(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            workflow_id = await engine.create_workflow(DOOR)
            execution_id = await engine.execute_workflow(workflow_id)
            asked = await engine.suspend_execution(execution_id, "维护", key="k")
            assert (asked["operation"], asked["id"], asked["changed"]) == ("suspend", "k", True)
            held = await engine.send_event(execution_id, "knock", wait=25)
            assert (held["outcome"], held["status"]) == ("held", "suspended")
            suspension = (await engine.get_execution_status(execution_id))["suspension"]
            assert (suspension["reason"], suspension["held"]) == ("维护", 1)
            listed = await engine.list_executions(workflow_id, "suspended")
            assert [found["execution_id"] for found in listed] == [execution_id]
            await engine.resume_execution(execution_id)
            await engine.send_event(execution_id, "knock", wait=25)  # what was held before comes before it
            while (document := await engine.get_execution_status(execution_id))["variables"] != {"knocks": 2}:
                await asyncio.sleep(0.01)
            assert (document["status"], document["suspension"]) == ("running", None)
            assert [step["event"] for step in document["transitions"]] == [None, "knock", "knock"]
            with pytest.raises(NotFound):
                await engine.suspend_execution("ex-none")

    run(use())


@BOTH
def test_many_executions_are_cancelled_at_once(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            workflow_id = await engine.create_workflow(DOOR)
            ids = [await engine.execute_workflow(workflow_id) for _ in range(103)]
            seen = await engine.control_executions("cancel", workflow_id, dry_run=True)
            assert sorted(seen["execution_ids"]) == sorted(ids)
            done = await engine.control_executions("cancel", workflow_id, reason="拆了", key="k")
            assert (done["changed"], done["unchanged"], done["refused"]) == (103, 0, [])
            for execution_id in ids:
                assert (await engine.wait(execution_id, 100))["status"] == "cancelled"
            again = await engine.control_executions("cancel", workflow_id, status=["cancelled"], key="other")
            assert (again["changed"], again["unchanged"]) == (0, 103)
            with pytest.raises(NotFound):
                await engine.control_executions("cancel", "无")

    run(use())


@BOTH
def test_what_is_frozen_waits_for_the_thaw(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            workflow_id = await engine.create_workflow(DOOR)
            frozen = await engine.freeze(workflow=workflow_id, reason="装修")
            assert (frozen["scope"], frozen["reason"], frozen["changed"]) == (f"workflow:{workflow_id}", "装修", True)
            assert not (await engine.freeze(workflow=workflow_id))["changed"]
            assert [switch["scope"] for switch in await engine.list_freezes()] == [frozen["scope"]]
            execution_id = await engine.execute_workflow(workflow_id, wait=0.3)
            waiting: Any = {"waiting_on": None}
            while waiting["waiting_on"] != "frozen":
                (waiting,) = (await engine.why_execution(execution_id))["waits"]
            assert waiting["status"] == "pending"
            assert (await engine.thaw(workflow=workflow_id))["changed"]
            await engine.send_event(execution_id, "open", {"key": "right"}, wait=25)
            assert (await engine.wait(execution_id, 100))["status"] == "completed"
            with pytest.raises(NotFound):
                await engine.freeze(workflow="无")
            with pytest.raises(NotFound):
                await engine.thaw(agent="从未")
            for wrong in ({}, {"workflow": "w", "all": True}):
                with pytest.raises(EngineError, match="one of a workflow"):
                    await engine.freeze(**wrong)

    run(use())


@BOTH
def test_an_execution_says_what_it_waits_for(opened: Opened) -> None:
    waits = [{"id": f"等{n}", "type": "control", "subtype": "wait", "event": f"e{n}"} for n in range(150)]

    async def use() -> None:
        async with opened() as engine:
            execution_id = await engine.execute_workflow(await engine.create_workflow({"id": "候", "nodes": waits}))
            while (found := await engine.why_execution(execution_id, limit=130))["waits"][0]["status"] == "pending":
                await asyncio.sleep(0.01)
            assert ([waiting["path"] for waiting in found["waits"]], found["open_nodes"]) == (
                [f"等{n}" for n in range(130)],
                150,
            )
            assert "next_cursor" not in found
            (one,) = (await engine.why_execution(execution_id, "等7"))["waits"]
            assert (one["waiting_on"], one["on"], one["moves"]) == ("event", ["e7"], "the event `e7`")
            with pytest.raises(NotFound):
                await engine.why_execution(execution_id, "无")
            with pytest.raises(NotFound):
                await engine.why_execution("ex-none")

    run(use())


@BOTH
def test_an_execution_is_cancelled_once(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            workflow_id = await engine.create_workflow(DOOR)
            execution_id = await engine.execute_workflow(workflow_id)
            asked = await engine.cancel_execution(execution_id, "拆了", key="k")
            assert asked == {
                "execution_id": execution_id,
                "operation": "cancel",
                "id": "k",
                "changed": True,
                "attempt": 1,
            }
            assert (await engine.wait(execution_id, 100))["status"] == "cancelled"
            assert await engine.cancel_execution(execution_id, key="k") == asked
            assert not (await engine.cancel_execution(execution_id))["changed"]
            other = await engine.execute_workflow(workflow_id)
            await engine.send_event(other, "open", {"key": "right"}, wait=25)
            with pytest.raises(Conflict, match="completed"):
                await engine.cancel_execution(other)
            with pytest.raises(NotFound):
                await engine.cancel_execution("ex-none")

    run(use())


@BOTH
def test_an_execution_goes_on_after_its_end_and_is_waited_for_again(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            execution_id = await engine.execute_workflow(await engine.create_workflow(DOOR))
            await engine.cancel_execution(execution_id)
            assert (await engine.wait(execution_id, 100))["status"] == "cancelled"
            asked = await engine.retry_execution(execution_id, "重来", key="r")
            assert asked == {
                "execution_id": execution_id, "operation": "retry", "id": "r", "changed": True, "attempt": 2,
            }  # fmt: skip
            with pytest.raises(WaitTimeout):
                await engine.wait(execution_id, 0.3)
            await engine.send_event(execution_id, "open", {"key": "right"}, wait=25)
            ended = await engine.wait(execution_id, 100)
            assert (ended["status"], ended["attempt"]) == ("completed", 2)
            with pytest.raises(Conflict, match="name the node"):
                await engine.retry_execution(execution_id)
            with pytest.raises(Conflict, match="completed"):
                await engine.skip_node(execution_id, "nobody")
            with pytest.raises(InvalidInput):
                await engine.skip_node(execution_id, "x", output={1, 2})

    run(use())


@BOTH
def test_handlers_hear_the_events_of_executions(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            workflow_id = await engine.create_workflow(DOOR)
            heard: list[Event] = []
            own: list[Event] = []
            ended = asyncio.Event()

            async def hear(event: Event) -> None:
                heard.append(event)
                if event["detail-type"] == "execution.completed":
                    ended.set()
                    raise ValueError("a failing handler is not a reason to stop")

            engine.event_bus.subscribe(EXECUTION_EVENTS, hear, workflow_id=workflow_id)
            opened_doors = engine.event_bus.subscribe("door.*", own.append)
            execution_id = await engine.execute_workflow(workflow_id)
            await engine.send_event(execution_id, "open", {"key": "right"}, wait=25)
            await ended.wait()
            types = [event["detail-type"] for event in heard]
            assert types == ["execution.started", "state.entered", "state.exited", "state.entered",
                             "execution.completed"]  # fmt: skip
            assert {event["detail"]["execution_id"] for event in heard} == {execution_id}
            assert heard[0]["source"] == "workflow-runtime"
            while not own:
                await asyncio.sleep(0.01)
            assert (own[0]["detail-type"], own[0]["detail"]["by"]) == ("door.opened", "right")
            engine.event_bus.unsubscribe(opened_doors)
            engine.event_bus.unsubscribe(opened_doors)

    run(use())


@BOTH
def test_an_event_put_on_the_bus_starts_what_its_trigger_says(opened: Opened) -> None:
    async def use() -> None:
        async with opened() as engine:
            workflow_id = await engine.create_workflow(DOOR)
            await engine.event_bus.publish("door.built", {"n": 1}, source="yard")
            while not (found := await engine.list_executions(workflow_id)):
                await asyncio.sleep(0.01)
            document = await engine.get_execution_status(found[0]["execution_id"])
            assert document["input"] == {"trigger": {"n": 1}}
            with pytest.raises(InvalidInput, match="runtime's own"):
                await engine.event_bus.publish("x", {}, source="workflow-runtime")

    run(use())


def test_a_deployed_runtime_has_a_bus_of_its_own() -> None:
    async def use() -> None:
        async with engine_over_http(with_bus=False) as engine:
            with pytest.raises(EngineError, match="EventBridge"):
                await engine.event_bus.publish("door.built", {})

    run(use())


def test_code_without_an_event_loop_has_it_all_too() -> None:
    with SyncWorkflowEngine.local() as engine:
        workflow_id = engine.create_workflow(DOOR)
        heard: list[Event] = []
        subscription = engine.event_bus.subscribe("execution.*", heard.append)
        execution_id = engine.execute_workflow(workflow_id)
        engine.send_event(execution_id, "open", {"key": "right"}, wait=25)
        assert engine.wait(execution_id, 100)["status"] == "completed"
        engine.event_bus.publish("door.built", {})
        engine.event_bus.unsubscribe(subscription)
        other = engine.execute_workflow(workflow_id)
        assert engine.why_execution(other)["status"] in ("pending", "running")
        assert engine.cancel_execution(other)["changed"]
        assert engine.wait(other, 100)["status"] == "cancelled"
        assert heard[0]["detail-type"] == "execution.started"


@pytest.mark.parametrize(
    ("wanted", "included"),
    [
        (Wanted(EXECUTION_EVENTS), True),
        (Wanted("state.*"), True),
        (Wanted("state.entered"), True),
        (Wanted("state"), False),
        (Wanted("*", execution_id="e1"), True),
        (Wanted("*", execution_id="e2"), False),
        (Wanted("*", workflow_id="w"), True),
        (Wanted("*", workflow_id="v"), False),
    ],
)
def test_a_topic_and_its_filters_choose_the_events(wanted: Wanted, included: bool) -> None:
    detail = {"execution_id": "e1", "workflow_id": "w"}
    assert wanted.includes({"source": "workflow-runtime", "detail-type": "state.entered", "detail": detail}) is included
