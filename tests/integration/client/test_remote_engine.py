"""The engine over HTTP: against the real API in this process, and against servers that fail."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from botocore.credentials import Credentials

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.frontends.client import (
    Conflict,
    InvalidDefinition,
    InvalidInput,
    NotAuthorized,
    NotFound,
    Unavailable,
    WaitTimeout,
    WorkflowEngine,
)
from workflow_runtime.frontends.client.calls import ATTEMPTS_MAX
from workflow_runtime.frontends.client.remote import RemoteConnection
from workflow_runtime.frontends.client.signing import SigV4, aws_region
from workflow_runtime.frontends.server.gateway import Gateway
from workflow_runtime.handlers.api import create
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.in_process import LocalRuntime

Result = TypeVar("Result")
GREETING: dict[str, Any] = {
    "id": "问候",
    "input_schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
    "nodes": [{"id": "hello", "type": "tool", "tool": "echo", "inputs": {"text": "您好，${name}"}}],
    "outputs": {"text": "${hello.text}"},
}
WAITING = {"id": "waiting", "nodes": [{"id": "slow", "type": "agent", "agent": "sleeper"}]}


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)


@asynccontextmanager
async def engine_of_the_api() -> AsyncIterator[WorkflowEngine]:
    """The SDK, an HTTP client without a network, the gateway, the API handler and a runtime."""
    mocks = Mocks.load({"agents": {"sleeper": {"delay": 3600}}})
    runtime = LocalRuntime(open_backend(), mocks=mocks, environ={})
    function = TOPOLOGY.function("api")
    handler = create(runtime.services, function)
    gateway = Gateway(lambda: handler, LocalContext(function), lambda *_: None)
    runtime.start()
    try:
        connection = RemoteConnection("http://localhost", transport=httpx.ASGITransport(app=gateway))
        async with WorkflowEngine(connection) as engine:
            yield engine
    finally:
        await runtime.stop()


def engine_of(answer: Callable[[httpx.Request], httpx.Response], pauses: list[float] | None = None) -> WorkflowEngine:
    async def sleep(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    return WorkflowEngine(RemoteConnection("http://localhost", transport=httpx.MockTransport(answer), sleep=sleep))


def test_the_api_answers_the_engine_as_the_local_runtime_does() -> None:
    async def use() -> None:
        async with engine_of_the_api() as engine:
            workflow_id = await engine.create_workflow(GREETING)
            assert workflow_id == "问候"
            execution_id = await engine.execute_workflow(workflow_id, {"name": "王小明"}, wait=25)
            document = await engine.get_execution_status(execution_id)
            assert document["status"] == "completed"
            assert document["input"] == {"name": "王小明"}
            assert document["output"] == {"text": "您好，王小明"}
            assert document["node_executions"]["hello"]["status"] == "success"
            assert [entry["execution_id"] for entry in await engine.list_executions(workflow_id)] == [execution_id]
            assert await engine.list_executions(workflow_id, "failed") == []

    run(use())


NOT_JSON: list[Any] = [float("nan"), float("inf"), b"x", {1, 2}, {1: 2}, 2**64, "a\ud83d", object()]


@pytest.mark.parametrize("where", ["here", "behind the API"])
def test_what_is_no_json_is_invalid_input_wherever_the_runtime_is(where: str) -> None:
    async def use(engine: WorkflowEngine) -> None:
        workflow_id = await engine.create_workflow({**GREETING, "input_schema": {}, "outputs": {"got": "${t}"}})
        for value in NOT_JSON:
            with pytest.raises(InvalidInput, match=r"^input\.t "):
                await engine.execute_workflow(workflow_id, {"t": value})
            with pytest.raises(InvalidInput, match=r"^data\[0\] "):
                await engine.send_event("ex-1", "pay", [value])
            with pytest.raises(InvalidInput, match=r"^data\.t "):
                await engine.event_bus.publish("paid", {"t": value}, source="shop")
        price = {"t": (Decimal("1.10"), dt.date(2026, 1, 1)), "name": ""}
        execution_id = await engine.execute_workflow(workflow_id, price, wait=25)
        assert (await engine.get_execution_status(execution_id))["output"] == {"got": [1.1, "2026-01-01"]}

    async def scenario() -> None:
        opened = WorkflowEngine.local() if where == "here" else engine_of_the_api()
        async with opened as engine:
            await use(engine)

    run(scenario())


HALF = "a\ud83d"


@pytest.mark.parametrize("where", ["here", "behind the API"])
def test_half_a_character_is_invalid_input_wherever_it_stands(where: str) -> None:
    async def use(engine: WorkflowEngine) -> None:
        calls: list[Coroutine[Any, Any, Any]] = [
            engine.create_workflow(HALF),
            engine.create_workflow(f"{HALF}\n"),
            engine.create_workflow({"id": HALF}),
            engine.execute_workflow(HALF),
            engine.execute_workflow("w", idempotency_key=HALF),
            engine.get_execution_status(HALF),
            engine.list_executions(HALF),
            engine.cancel_execution(HALF),
            engine.retry_execution("ex-1", key=HALF),
            engine.skip_node("ex-1", HALF),
            engine.why_execution("ex-1", HALF),
            engine.send_event("ex-1", HALF),
            engine.get_limit(HALF),
        ]
        for call in calls:
            with pytest.raises((InvalidInput, NotFound)):
                await call

    async def scenario() -> None:
        opened = WorkflowEngine.local() if where == "here" else engine_of_the_api()
        async with opened as engine:
            await use(engine)

    run(scenario())


def test_a_key_that_no_header_can_hold_is_invalid_input() -> None:
    async def use() -> None:
        async with engine_of_the_api() as engine:
            with pytest.raises(InvalidInput, match="'幂' cannot stand in a header"):
                await engine.execute_workflow("w", idempotency_key="幂等")

    run(use())


def test_publishing_again_changes_nothing_and_publishing_anew_makes_a_version() -> None:
    async def use() -> None:
        async with engine_of_the_api() as engine:
            for definition in (GREETING, GREETING, {**GREETING, "outputs": {"other": "${hello.text}"}}):
                assert await engine.create_workflow(definition) == "问候"
            execution_id = await engine.execute_workflow("问候", {"name": "a"}, wait=25)
            document = await engine.get_execution_status(execution_id)
            assert document["workflow_version"] == 2
            assert document["output"] == {"other": "您好，a"}

    run(use())


def test_errors_are_those_of_the_local_engine() -> None:
    async def use() -> None:
        async with engine_of_the_api() as engine:
            with pytest.raises(InvalidDefinition) as caught:
                await engine.create_workflow({"id": "broken", "nodes": [{"id": "a", "type": "tool"}]})
            assert caught.value.findings[0].line
            with pytest.raises(NotFound):
                await engine.execute_workflow("nobody")
            with pytest.raises(NotFound):
                await engine.get_execution_status("ex-none")
            with pytest.raises(NotFound):
                await engine.list_executions("nobody")
            await engine.create_workflow(GREETING)
            with pytest.raises(InvalidInput, match="name"):
                await engine.execute_workflow("问候", {})
            await engine.execute_workflow("问候", {"name": "a"}, idempotency_key="k1")
            with pytest.raises(Conflict):
                await engine.execute_workflow("问候", {"name": "b"}, idempotency_key="k1")

    run(use())


def test_an_event_key_stands_for_one_event_here_and_over_http(tmp_path: Path) -> None:
    chart = {
        "id": "door",
        "type": "state_machine",
        "states": [{"name": "shut", "transitions": [{"event": "touch"}, {"event": "end", "target": "gone"}]}],
        "final_states": ["gone"],
        "initial_state": "shut",
    }

    async def use(engine: WorkflowEngine) -> None:
        execution_id = await engine.execute_workflow(await engine.create_workflow(chart))
        await engine.send_event(execution_id, "touch", {"n": 1}, key="k", wait=25)
        for wait in (None, 3.0):
            with pytest.raises(Conflict, match="another event") as caught:
                await engine.send_event(execution_id, "end", {"n": 1}, key="k", wait=wait)
            assert caught.value.code == "conflict"
        assert (await engine.get_execution_status(execution_id))["status"] == "running"

    async def use_both() -> None:
        async with engine_of_the_api() as engine:
            await use(engine)
        async with WorkflowEngine.local(db=tmp_path / "engine.db") as engine:
            await use(engine)

    run(use_both())


def test_waiting_for_what_does_not_end_times_out() -> None:
    async def use() -> None:
        async with engine_of_the_api() as engine:
            execution_id = await engine.execute_workflow(await engine.create_workflow(WAITING))
            with pytest.raises(WaitTimeout):
                await engine.wait(execution_id, timeout=0.01)

    run(use())


def test_a_start_is_repeated_with_the_same_key_until_it_is_answered() -> None:
    keys: list[str] = []
    pauses: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx.ReadError("the connection broke", request=request)
        if len(keys) == 2:
            return httpx.Response(503, headers={"retry-after": "2"}, json={"code": "unavailable", "detail": "later"})
        return httpx.Response(202, json={"execution_id": "ex-1"})

    async def use() -> str:
        async with engine_of(answer, pauses) as engine:
            return await engine.execute_workflow("w", {})

    assert run(use()) == "ex-1"
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert pauses[1] == 2


def test_a_server_that_never_answers_is_unavailable_after_a_few_attempts() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        raise httpx.ConnectError("refused", request=request)

    async def use() -> None:
        async with engine_of(answer) as engine:
            await engine.get_execution_status("ex-1")

    with pytest.raises(Unavailable, match="cannot be reached"):
        run(use())
    assert len(seen) == ATTEMPTS_MAX


def test_what_was_refused_for_good_is_not_repeated() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(403, json={"message": "Forbidden"})

    async def use() -> None:
        async with engine_of(answer) as engine:
            await engine.get_execution_status("ex-1")

    with pytest.raises(NotAuthorized, match="Forbidden"):
        run(use())
    assert len(seen) == 1


def test_ids_stand_in_paths_as_one_segment() -> None:
    paths = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path.decode())
        return httpx.Response(404, json={"code": "not_found", "detail": "no"})

    async def use() -> None:
        async with engine_of(answer) as engine:
            await engine.get_execution_status("../a?b/单")

    with pytest.raises(NotFound):
        run(use())
    assert paths[0].startswith("/executions/..%2Fa%3Fb%2F%E5%8D%95?")


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://abc.execute-api.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://abc.execute-api.cn-north-1.amazonaws.com.cn/prod", "cn-north-1"),
        ("http://localhost:8080", None),
        ("https://execute-api.eu-central-1.amazonaws.com.example.org", None),
    ],
)
def test_the_hosts_of_api_gateway_are_known_by_name(url: str, region: str | None) -> None:
    assert aws_region(url) == region


def test_requests_to_aws_are_signed_with_their_body() -> None:
    def signature(body: bytes) -> str:
        auth = SigV4("eu-central-1", Credentials("AKID", "secret", "token"))
        request = httpx.Request("POST", "https://a.execute-api.eu-central-1.amazonaws.com/workflows", content=body)
        signed = next(auth.sync_auth_flow(request))
        assert signed.headers["x-amz-security-token"] == "token"
        authorization = str(signed.headers["authorization"])
        assert re.match(r"AWS4-HMAC-SHA256 Credential=AKID/\d{8}/eu-central-1/execute-api/aws4_request", authorization)
        return authorization.rpartition("Signature=")[2]

    assert signature(b"one") != signature(b"two")


@pytest.mark.parametrize(
    ("asked", "signed"),
    [
        ({}, ""),
        ({"region": "eu-west-1"}, "eu-west-1"),
        ({"profile": "team"}, "ap-east-1"),
        ({"profile": "team", "sign": False}, ""),
    ],
)
def test_any_api_is_signed_for_where_a_profile_or_a_region_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: dict[str, Any], signed: str
) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=MINE\naws_secret_access_key=x\n"
        "[team]\naws_access_key_id=TEAMS\naws_secret_access_key=x\nregion=ap-east-1\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization", ""))
        return httpx.Response(200, json={"execution_id": "ex-1"})

    async def ask() -> None:
        connection = RemoteConnection("https://workflows.example.com", transport=httpx.MockTransport(answer), **asked)
        async with WorkflowEngine(connection) as engine:
            await engine.get_execution_status("ex-1")

    asyncio.run(ask())
    key = "TEAMS" if "profile" in asked else "MINE"
    assert seen
    assert (f"Credential={key}/" in seen[0] and f"/{signed}/execute-api/" in seen[0]) if signed else seen[0] == ""


def test_a_profile_that_is_not_there_is_named() -> None:
    auth = SigV4("eu-central-1", profile="no-such-profile")
    with pytest.raises(NotAuthorized, match="no-such-profile"):
        next(auth.sync_auth_flow(httpx.Request("GET", "https://workflows.example.com")))
