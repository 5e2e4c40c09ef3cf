"""Agents on a server with OpenAI's API, with real HTTP on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from tests.model_server import ModelServer, Reply, Request, calls, error, serving, text

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.invocation import NodeCall, NodeResult, reveal_nothing
from workflow_runtime.invokers.masking import Mask
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.specs import NodeType

KEY = "sk-geheim-0123456789"
SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}, "additionalProperties": False}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


async def reveal(name: str) -> tuple[str, Mask]:
    assert name == "MODEL_KEY"
    return KEY, Mask([KEY])


def call() -> NodeCall:
    return NodeCall(
        type=NodeType.AGENT,
        target="a",
        inputs={"问": "你好"},
        execution_id="e",
        workflow_id="w",
        path="p",
        attempt=1,
        idempotency_key="k",
        deadline=0,
        reveal=reveal,
    )


class Outcome(msgspec.Struct):
    result: NodeResult | None
    error: NodeError | None
    usage: dict[str, Json] | None


def run(folder: Path, server: ModelServer, **fields: Any) -> Outcome:
    """One attempt of the agent with these fields; ``model`` is `openai:m` at the server unless they say otherwise."""
    models = {} if "models" in fields else {"model": "openai:m"}
    agent = {"id": "a", **models, "base_url": server.url, **fields}
    (folder / "a.json").write_bytes(msgspec.json.encode({name: value for name, value in agent.items() if value}))
    invoker, attempt = AgentInvoker(AgentRegistry.load(folder)), call()
    try:
        result = asyncio.run(invoker.invoke(attempt))
    except NodeError as failed:
        return Outcome(None, failed, attempt.meter.usage)
    return Outcome(result, None, attempt.meter.usage)


def test_an_agent_runs_on_any_server_with_the_api(tmp_path: Path, server: ModelServer) -> None:
    server.answer(text("答", model="qwen3"))
    outcome = run(tmp_path, server, instructions="简短回答", settings={"temperature": 0.5})
    assert outcome.result is not None
    assert outcome.result.output == "答"
    assert outcome.usage == {"model": "qwen3", "input_tokens": 10, "output_tokens": 5, "requests": 1}
    (asked,) = server.requests
    assert (asked["model"], asked["temperature"]) == ("m", 0.5)
    assert asked["messages"] == [
        {"role": "system", "content": "简短回答"},
        {"role": "user", "content": '{"问":"你好"}'},
    ]


def giving(output: Json, request: Request) -> Reply:
    """What a model says that calls the tool through which it is to give its output."""
    return calls((request["tools"][0]["function"]["name"], output))


def test_an_output_that_does_not_fit_is_asked_for_again(tmp_path: Path, server: ModelServer) -> None:
    server.answer(*(partial(giving, output) for output in ({"n": "one"}, {"n": 1})))
    outcome = run(tmp_path, server, output_schema=SCHEMA)
    assert outcome.result is not None
    assert outcome.result.output == {"n": 1}
    assert len(server.requests) == 2


def test_the_key_comes_from_a_secret_and_from_nowhere_else(
    tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    run(tmp_path, server, credentials="${secrets.MODEL_KEY}")
    run(tmp_path, server)
    assert server.keys[0] == KEY
    assert server.keys[1] not in (KEY, "sk-of-openai")


def test_a_secret_that_is_not_there_fails_before_anything_is_asked(tmp_path: Path, server: ModelServer) -> None:
    (tmp_path / "a.yaml").write_text(
        f"id: a\nmodel: openai:m\nbase_url: {server.url}\ncredentials: ${{secrets.MODEL_KEY}}\n"
    )
    attempt = msgspec.structs.replace(call(), reveal=reveal_nothing)
    with pytest.raises(NodeError) as caught:
        asyncio.run(AgentInvoker(AgentRegistry.load(tmp_path)).invoke(attempt))
    assert caught.value.type == "not_found"
    assert not server.requests


CUT = msgspec.structs.replace(text("half"), cut=True)


@pytest.mark.parametrize(
    ("reply", "type", "message", "retry_after"),
    [
        (error(429, retry_after="30"), "rate_limited", "limits the rate", 30.0),
        (error(429, code="insufficient_quota"), "execution_error", "is used up", None),
        (error(500), "execution_error", "HTTP 500", None),
        (error(503, retry_after="7"), "execution_error", "HTTP 503", 7.0),
        (error(504), "timeout", "did not answer in time", None),
        (error(401), "execution_error", "refused the credentials", None),
        (error(404), "execution_error", "has no model m", None),
        (error(302, location="/elsewhere"), "execution_error", "answered with an error", None),
        (Reply(b"{no json"), "execution_error", "cannot be read", None),
        (Reply(b"[]"), "validation_error", "Invalid response", None),
        (Reply(b"{}"), "validation_error", "no usable output", None),
        (Reply(b"<html>", headers={"content-type": "text/html"}), "validation_error", "Invalid response", None),
        (CUT, "execution_error", "could not be reached", None),
        (text("", "length"), "validation_error", "token limit", None),
        (text("", "content_filter"), "execution_error", "content filter refused", None),
    ],
)
def test_each_failure_of_a_server_has_its_type_and_is_not_asked_again_by_a_library(
    tmp_path: Path, server: ModelServer, reply: Reply, type: str, message: str, retry_after: float | None
) -> None:
    server.answer(reply)
    failed = run(tmp_path, server, credentials="${secrets.MODEL_KEY}").error
    assert failed is not None
    assert (failed.type, failed.retry_after) == (type, retry_after)
    assert message in failed.message
    assert "\n" not in failed.message
    assert len(server.requests) == 1


def test_no_message_quotes_what_a_server_says(tmp_path: Path, server: ModelServer) -> None:
    server.answer(error(401, f"the key {KEY} is wrong"))
    failed = run(tmp_path, server, credentials="${secrets.MODEL_KEY}").error
    assert failed is not None
    assert KEY not in failed.message


def test_a_server_that_is_not_there_fails_the_attempt(tmp_path: Path, server: ModelServer) -> None:
    failed = run(tmp_path, server, base_url="http://127.0.0.1:1/v1").error
    assert failed is not None
    assert (failed.type, "could not be reached" in failed.message) == ("execution_error", True)


def test_the_timeout_is_of_each_request(tmp_path: Path, server: ModelServer) -> None:
    for seconds in (1.0, 10.0, 100.0):  # the next answer may take as long on this machine
        asked_in_vain = Event()
        server.answer(msgspec.structs.replace(text("late"), before=asked_in_vain.wait), text("next"))
        outcome = run(tmp_path, server, models=["openai:m", "openai:n"], settings={"timeout": seconds})
        asked_in_vain.set()
        if outcome.result is not None:
            break
    assert outcome.result is not None
    assert outcome.result.output == "next"


@pytest.mark.parametrize(
    ("reply", "fallback_on"),
    [
        (error(429, retry_after="30"), None),
        (error(504), None),
        (error(500), None),
        (CUT, None),
        (text("bad", "content_filter"), ["refused"]),
        (text("half", "length"), ["truncated"]),
    ],
)
def test_the_next_model_is_asked_at_once(
    tmp_path: Path, server: ModelServer, reply: Reply, fallback_on: list[str] | None
) -> None:
    server.answer(reply, text("from n", model="n"))
    outcome = run(tmp_path, server, models=["openai:m", "openai:n"], fallback_on=fallback_on)
    assert outcome.result is not None
    assert outcome.result.output == "from n"
    assert outcome.result.warnings == ("the model m gave no answer that is taken; n was asked in its place",)
    assert outcome.usage is not None
    assert outcome.usage["model"] == "n"
    assert [request["model"] for request in server.requests] == ["m", "n"]


@pytest.mark.parametrize(
    ("reply", "fallback_on"),
    [(error(401), None), (error(404), None), (error(500), ["rate_limited"]), (text("", "content_filter"), None)],
)
def test_no_other_model_is_asked_after_what_is_not_listed(
    tmp_path: Path, server: ModelServer, reply: Reply, fallback_on: list[str] | None
) -> None:
    server.answer(reply)
    outcome = run(tmp_path, server, models=["openai:m", "openai:n"], fallback_on=fallback_on)
    assert outcome.error is not None
    assert len(server.requests) == 1


def test_when_no_model_answers_the_error_is_the_first_ones_with_the_shortest_wait(
    tmp_path: Path, server: ModelServer
) -> None:
    server.answer(error(429, retry_after="9"), error(429, retry_after="5"))
    failed = run(tmp_path, server, models=["openai:m", "openai:n"]).error
    assert failed is not None
    assert (failed.type, failed.retry_after) == ("rate_limited", 5.0)
    assert "the model m" in failed.message
    assert "the model n" in failed.message


def test_each_model_has_its_own_address_and_key(tmp_path: Path, server: ModelServer) -> None:
    with serving() as other:
        server.answer(error(503))
        other.answer(text("from the other"))
        second = {"model": "openai:n", "base_url": other.url, "credentials": "${secrets.MODEL_KEY}"}
        outcome = run(tmp_path, server, models=["openai:m", second])
    assert outcome.result is not None
    assert outcome.result.output == "from the other"
    assert other.keys == [KEY]
    assert server.keys != [KEY]


@pytest.fixture
def _in_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.mark.usefixtures("_in_a_region")
def test_bedrock_is_not_asked_again_by_its_library_either(tmp_path: Path, server: ModelServer) -> None:
    server.answer(error(503))
    failed = run(tmp_path, server, model="bedrock:anthropic.claude-x").error
    assert failed is not None
    assert "HTTP 503" in failed.message
    assert len(server.requests) == 1


@pytest.mark.usefixtures("_in_a_region")
def test_a_cache_is_asked_for_as_the_provider_has_it(tmp_path: Path, server: ModelServer) -> None:
    server.answer(error(503))
    model = "bedrock:global.anthropic.claude-sonnet-4-6"
    run(tmp_path, server, model=model, cache="1h", instructions="短")
    run(tmp_path, server, model=model, instructions="短")
    cached, plain = server.requests
    assert cached["system"][-1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert plain["system"] == cached["system"][:-1]


def test_the_settings_of_an_agent_reach_the_model(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def reply(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(dict(info.model_settings or {}))
        return ModelResponse(parts=[TextPart("x")])

    (tmp_path / "a.yaml").write_text("id: a\nmodel: openai:m\nsettings: {timeout: 5, openai_user: u}\n")
    invoker = AgentInvoker(AgentRegistry.load(tmp_path), lambda _: FunctionModel(reply))
    assert asyncio.run(invoker.invoke(call())).output == "x"
    assert seen == [{"timeout": 5.0, "request_timeout": 5.0, "max_retries": 0, "openai_user": "u"}]
