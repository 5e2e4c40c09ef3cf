"""`POST /mcp`: one JSON-RPC call per request, workflows as tools, executions as tasks, approvals as elicitations."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.integration.api.conftest import JSON, YAML, Api, Reply

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.deployment.settings import Callers
from workflow_runtime.frontends.mcp import protocol
from workflow_runtime.frontends.mcp.server import TOOLS_PER_PAGE
from workflow_runtime.frontends.mcp.tools import RESULT_BYTES_MAX

TOOL = """
workflow:
  id: greet
  name: 问候
  description: Greets somebody.
  expose: mcp
  input_schema: {type: object, properties: {name: {type: string}}, required: [name]}
  output_schema: {type: object, properties: {text: {type: string}}}
  nodes: [{id: done, type: control, subtype: pass, inputs: {text: "你好 ${name}"}}]
"""
ASKING = """
workflow:
  id: 退款
  expose: [mcp]
  input_schema: {type: object, properties: {amount: {type: number}}}
  nodes:
    - id: ask
      type: control
      subtype: approval
      prompt: "Refund ${amount}?"
      data: {amount: "${amount}", note: ""}
      form:
        type: object
        required: [amount]
        properties:
          amount: {type: number, minimum: 0, multipleOf: 0.01}
          note: {type: string, maxLength: 20, pattern: "^[a-z]*$"}
          lines: {type: array}
    - {id: done, type: control, subtype: pass, dependencies: [ask], inputs: {amount: "${ask.data.amount}"}}
  outputs: "${done}"
"""
PRIVATE = "workflow: {id: private, nodes: [{id: a, type: control, subtype: approval, prompt: sure?}]}"
PING = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
TASKS: dict[str, Any] = {"extensions": {protocol.TASKS: {}}}
FORMS: dict[str, Any] = {"elicitation": {}}


class Client:
    """Calls of the stateless revision, while the runtime runs in the background."""

    def __init__(self, api: Api, capabilities: dict[str, Any] | None = None) -> None:
        self.api = api
        self.capabilities = capabilities or {}

    async def reply(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> Reply:
        meta = {
            f"{protocol.META_PREFIX}protocolVersion": protocol.STATELESS,
            f"{protocol.META_PREFIX}clientCapabilities": self.capabilities,
        }
        params = {"_meta": meta, **(params or {})}
        named = str(params.get("name") or params.get("taskId") or "")
        if not named.isascii():
            named = f"=?base64?{base64.b64encode(named.encode()).decode()}?="
        routed = {"mcp-protocol-version": protocol.STATELESS, "mcp-method": method, "mcp-name": named}
        return await self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, {**routed, **headers})

    async def post(self, body: Any, headers: dict[str, str] | None = None) -> Reply:
        text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
        return await self.api.ask("POST", "/mcp", text, {**JSON, **(headers or {})})

    async def result(self, method: str, params: dict[str, Any] | None = None) -> Any:
        reply = await self.reply(method, params)
        assert reply.status == 200, reply.body
        return reply.json["result"]

    async def call(self, tool: str, arguments: dict[str, Any] | None = None, **params: Any) -> Any:
        return await self.result("tools/call", {"name": tool, "arguments": arguments or {}, **params})

    async def tools(self) -> list[str]:
        return [tool["name"] for tool in (await self.result("tools/list"))["tools"]]

    async def task_in(self, task_id: str, status: str) -> Any:
        """The task, once it is in this status."""
        while True:
            found = await self.result("tasks/get", {"taskId": task_id})
            if found["status"] == status:
                return found
            await asyncio.sleep(0)


def play(api: Api, scenario: Callable[[], Awaitable[None]], *sources: str) -> None:
    """Run it on a runtime that has published these workflows and runs in the background."""

    async def run() -> None:
        api.runtime.start()
        for source in sources:
            assert (await api.ask("POST", "/workflows", source, YAML)).status == 201
        await scenario()

    asyncio.run(run())


def fault(reply: Reply) -> int:
    assert set(reply.json) == {"jsonrpc", "id", "error"}
    return int(reply.json["error"]["code"])


def test_a_workflow_that_is_exposed_is_a_tool_and_others_are_none(api: Api) -> None:
    async def scenario() -> None:
        listed = (await Client(api).result("tools/list"))["tools"]
        assert [tool["name"] for tool in listed] == ["get_execution", "greet"]
        assert (listed[1]["title"], listed[1]["description"]) == ("问候", "Greets somebody.")
        assert listed[1]["inputSchema"]["required"] == ["name"]
        assert "outputSchema" not in listed[1]
        typed = (await Client(api, TASKS).result("tools/list"))["tools"]
        assert typed[1]["outputSchema"]["type"] == "object"
        reply = await Client(api).reply("tools/call", {"name": "private"})
        assert (reply.status, fault(reply)) == (400, protocol.INVALID_PARAMS)

    play(api, scenario, TOOL, PRIVATE)


def test_a_call_gives_what_the_workflow_comes_to(api: Api) -> None:
    async def scenario() -> None:
        for capabilities in ({}, TASKS, FORMS):
            result = await Client(api, capabilities).call("greet", {"name": "小明"})
            assert result["resultType"] == "complete"
            assert result["structuredContent"] == {"text": "你好 小明"}
            assert result["content"] == [{"type": "text", "text": '{"text":"你好 小明"}'}]
            assert result["isError"] is False

    play(api, scenario, TOOL)


def test_a_model_is_told_what_is_wrong_with_its_arguments_and_what_failed(api: Api) -> None:
    failing = TOOL.replace("subtype: pass, inputs", 'subtype: fail, error: sold_out, message: "none left", metadata')

    async def scenario() -> None:
        wrong = await Client(api).call("greet", {"name": 1})
        assert wrong["isError"] is True
        assert "input_schema" in wrong["content"][0]["text"]
        failed = await Client(api).call("greet", {"name": "a"})
        assert failed["isError"] is True
        assert failed["content"][0]["text"].startswith("sold_out: none left (execution ex-")

    play(api, scenario, failing)


def test_the_list_follows_the_newest_version(api: Api) -> None:
    closed = TOOL.replace("  expose: mcp\n", "")

    async def scenario() -> None:
        client = Client(api)
        for source, tools in ((closed, []), (TOOL, ["greet"]), (TOOL.replace("Greets", "Welcomes"), ["greet"])):
            assert (await api.ask("PUT", "/workflows/greet", source, YAML)).status in (200, 201)
            assert (await client.tools())[1:] == tools
        assert (await client.result("tools/list"))["tools"][1]["description"] == "Welcomes somebody."
        assert (await api.ask("DELETE", "/workflows/greet")).status == 204
        assert await client.tools() == ["get_execution"]

    play(api, scenario, TOOL)


def test_ids_that_no_model_takes_for_a_name_get_one(api: Api) -> None:
    ids = ("退款", "a" * 100, "get_execution")

    async def scenario() -> None:
        listed = (await Client(api).result("tools/list"))["tools"]
        assert listed[0]["name"] == "get_execution"
        assert {tool["title"] for tool in listed[1:]} == set(ids)
        assert all(re.fullmatch(r"workflow-[0-9a-f]{12}", tool["name"]) for tool in listed[1:])
        for tool in listed[1:]:
            assert (await Client(api).call(tool["name"], {"name": "a"}))["isError"] is False

    play(api, scenario, *(TOOL.replace("greet", id).replace("  name: 问候\n", "") for id in ids))


def test_an_execution_is_a_task_whose_approval_asks_for_input(api: Api) -> None:
    async def scenario() -> None:
        client = Client(api, TASKS)
        (tool,) = (await client.tools())[1:]
        task = await client.call(tool, {"amount": 12.5})
        assert (task["resultType"], task["ttlMs"]) == ("task", None)
        asking = await client.task_in(task["taskId"], "input_required")
        assert "ask" in asking["statusMessage"]
        ((key, asked),) = asking["inputRequests"].items()
        assert asked["method"] == "elicitation/create"
        assert asked["params"]["message"].startswith("Refund 12.5?")
        assert asked["params"]["requestedSchema"] == {
            "type": "object",
            "properties": {
                "amount": {"type": "number", "minimum": 0, "default": 12.5},
                "note": {"type": "string", "maxLength": 20, "default": ""},
            },
            "required": ["amount"],
        }
        answer = {"action": "accept", "content": {"amount": 10}}
        responses = {key: answer, "unknown": {"action": "decline"}}
        params = {"taskId": task["taskId"], "inputResponses": responses}
        assert (await client.result("tasks/update", params)).keys() == {"resultType", "_meta"}
        done = await client.task_in(task["taskId"], "completed")
        assert done["result"]["structuredContent"] == {"amount": 10}
        assert done["resultType"] == "complete"

    play(api, scenario, ASKING)


def test_declining_rejects_and_cancelling_leaves_the_question_open(api: Api) -> None:
    async def scenario() -> None:
        client = Client(api, TASKS)
        (tool,) = (await client.tools())[1:]
        task_id = (await client.call(tool, {"amount": 1}))["taskId"]
        ((key, _),) = (await client.task_in(task_id, "input_required"))["inputRequests"].items()
        for action, status in (("cancel", "input_required"), ("decline", "completed")):
            await client.result("tasks/update", {"taskId": task_id, "inputResponses": {key: {"action": action}}})
            found = await client.task_in(task_id, status)
        assert found["result"]["isError"] is True
        assert found["result"]["content"][0]["text"].startswith("rejected: ")

    play(api, scenario, ASKING)


def test_what_does_not_fit_the_form_is_refused_and_asked_again(api: Api) -> None:
    async def scenario() -> None:
        client = Client(api, TASKS)
        (tool,) = (await client.tools())[1:]
        task_id = (await client.call(tool, {"amount": 1}))["taskId"]
        ((key, _),) = (await client.task_in(task_id, "input_required"))["inputRequests"].items()
        for response in ({"action": "accept", "content": {"note": "NO"}}, {"action": "sure"}, "yes"):
            params = {"taskId": task_id, "inputResponses": {key: response}}
            assert fault(await client.reply("tasks/update", params)) == protocol.INVALID_PARAMS
        assert (await client.task_in(task_id, "input_required"))["inputRequests"].keys() == {key}

    play(api, scenario, ASKING)


def test_only_those_who_are_asked_see_an_approval(api: Api) -> None:
    for_anna = ASKING.replace("      prompt:", "      assignees: [anna]\n      prompt:")

    async def scenario() -> None:
        client = Client(api, TASKS)
        (tool,) = (await client.tools())[1:]
        task_id = (await client.call(tool, {"amount": 1}))["taskId"]
        waiting = await client.task_in(task_id, "working")
        assert "anna" in waiting["statusMessage"]
        number = f"{task_id}.1"
        params = {"taskId": task_id, "inputResponses": {number: {"action": "accept"}}}
        await client.result("tasks/update", params)  # an answer nobody asked for has no effect
        assert (await client.result("tasks/get", {"taskId": task_id}))["status"] == "working"

    play(api, scenario, for_anna)


def test_a_task_can_be_cancelled_also_when_it_has_ended(api: Api) -> None:
    async def scenario() -> None:
        client = Client(api, TASKS)
        (tool,) = (await client.tools())[1:]
        task_id = (await client.call(tool, {"amount": 1}))["taskId"]
        for _ in range(2):
            await client.result("tasks/cancel", {"taskId": task_id})
            await client.task_in(task_id, "cancelled")

    play(api, scenario, ASKING)


def test_a_client_without_tasks_answers_by_calling_again(api: Api) -> None:
    async def scenario() -> None:
        client = Client(api, FORMS)
        (tool,) = (await client.tools())[1:]
        asked = await client.call(tool, {"amount": 7})
        assert asked["resultType"] == "input_required"
        (key,) = asked["inputRequests"]
        again = {"requestState": asked["requestState"], "inputResponses": {key: {"action": "accept"}}}
        assert (await client.call(tool, {"amount": 7}, **again))["structuredContent"] == {"amount": 7}
        reply = await client.reply("tools/call", {"name": tool, "requestState": "ex-nothing"})
        assert fault(reply) == protocol.INVALID_PARAMS

    play(api, scenario, ASKING)


def test_a_client_that_takes_neither_gets_the_execution_to_ask_for(api: Api) -> None:
    async def scenario() -> None:
        client = Client(api)
        (tool,) = (await client.tools())[1:]
        note = (await client.call(tool, {"amount": 7}))["content"][0]["text"]
        execution_id = re.findall(r"ex-[0-9a-f-]+", note)[0]
        assert "get_execution" in note
        assert "ask: " in note
        decision = msgspec.json.encode({"approved": True}).decode()
        assert (await api.ask("POST", f"/approvals/{execution_id}.1/answer", decision, JSON)).status == 202
        got = await client.call("get_execution", {"execution_id": execution_id, "wait_seconds": 20})
        while "structuredContent" not in got:  # the answer is on its way
            await asyncio.sleep(0)
            got = await client.call("get_execution", {"execution_id": execution_id, "wait_seconds": 20})
        assert got["structuredContent"] == {"amount": 7}
        for wrong in ({}, {"execution_id": "ex-0"}, {"execution_id": execution_id, "wait_seconds": 99}):
            assert (await client.call("get_execution", wrong))["isError"] is True

    play(api, scenario, ASKING)


def test_executions_of_other_workflows_are_unknown_here(api: Api) -> None:
    async def scenario() -> None:
        started = await api.ask("POST", "/workflows/private/execute", "{}", JSON)
        params = {"taskId": started.json["execution_id"]}
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            assert fault(await Client(api, TASKS).reply(method, params)) == protocol.INVALID_PARAMS
            assert fault(await Client(api).reply(method, params)) == protocol.MISSING_CAPABILITY

    play(api, scenario, PRIVATE)


def test_an_output_that_no_result_holds_is_named_not_sent(api: Api) -> None:
    large = TOOL.replace("你好 ${name}", "${name}")

    async def scenario() -> None:
        result = await Client(api).call("greet", {"name": "x" * RESULT_BYTES_MAX})
        assert result["isError"] is True
        assert "include=output" in result["content"][0]["text"]

    play(api, scenario, large)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2099-01-01", None])
def test_older_clients_shake_hands_and_need_no_session(api: Api, version: str | None) -> None:
    async def scenario() -> None:
        client = Client(api)
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
        reply = await client.post({"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": params})
        assert "mcp-session-id" not in reply.headers
        agreed = reply.json["result"]["protocolVersion"]
        assert agreed == (version if version in protocol.WITH_HANDSHAKE else "2025-11-25")
        done = await client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert (done.status, done.body) == (202, b"")
        header = {"mcp-protocol-version": agreed}
        called = {"name": "greet", "arguments": {"name": "b"}}
        reply = await client.post({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": called}, header)
        assert "resultType" not in reply.json["result"]
        assert reply.json["result"]["structuredContent"] == {"text": "你好 b"}
        reply = await client.post({"jsonrpc": "2.0", "id": 3, "method": "resources/list"}, header)
        assert (reply.status, fault(reply)) == (200, protocol.METHOD_NOT_FOUND)

    play(api, scenario, TOOL)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", protocol.PARSE_ERROR),
        ("{", protocol.PARSE_ERROR),
        ("\ud800", protocol.PARSE_ERROR),
        ("[" * 100_000, protocol.PARSE_ERROR),
        (PING[:-1] + ', "params": {"a": ' + "[" * 500 + "]" * 500 + "}}", protocol.PARSE_ERROR),
        ("[]", protocol.INVALID_REQUEST),
        ("null", protocol.INVALID_REQUEST),
        ('{"id": 1, "method": "ping"}', protocol.INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": 1, "result": {}}', protocol.INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": null, "method": "ping"}', protocol.INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": true, "method": "ping"}', protocol.INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', protocol.INVALID_REQUEST),
    ],
)
def test_what_is_no_call_is_refused_as_json_rpc_says(api: Api, body: str, code: int) -> None:
    reply = asyncio.run(Client(api).post(body))
    assert (reply.status, fault(reply), reply.json["id"]) == (400, code, None)


def test_a_stateless_call_must_say_the_same_in_its_headers(api: Api) -> None:
    async def scenario() -> None:
        client = Client(api)
        for wrong in (
            {"mcp-protocol-version": ""},
            {"mcp-method": "tools/list"},
            {"mcp-name": "other"},
            {"mcp-name": "=?base64?///?="},
        ):
            reply = await client.reply("tools/call", {"name": "greet"}, **wrong)
            assert (reply.status, fault(reply)) == (400, protocol.HEADER_MISMATCH)
        prefix = protocol.META_PREFIX
        newer = {f"{prefix}protocolVersion": "2099-01-01", f"{prefix}clientCapabilities": {}}
        reply = await client.reply("tools/list", {"_meta": newer}, **{"mcp-protocol-version": "2099-01-01"})
        assert fault(reply) == protocol.UNSUPPORTED_VERSION
        assert reply.json["error"]["data"]["supported"][0] == protocol.STATELESS
        reply = await client.reply("tools/list", {"_meta": {}})
        assert fault(reply) == protocol.INVALID_PARAMS
        assert fault(await client.reply("initialize")) == protocol.METHOD_NOT_FOUND
        for params in ({"cursor": 1}, {"cursor": "forged"}):
            assert fault(await client.reply("tools/list", params)) == protocol.INVALID_PARAMS

    play(api, scenario)


def test_long_lists_come_in_pages(api: Api) -> None:
    plan = compile_or_raise(TOOL)
    names = [f"tool{number:03}" for number in range(2 * TOOLS_PER_PAGE + 1)]
    for name in names:
        api.runtime.services.stores.exposed.put(msgspec.structs.replace(plan, workflow_id=name))

    async def scenario() -> None:
        listed, sizes, cursor = [], [], {}
        while True:
            found = await Client(api).result("tools/list", cursor)
            listed += [tool["name"] for tool in found["tools"]]
            sizes.append(len(found["tools"]))
            if "nextCursor" not in found:
                break
            cursor = {"cursor": found["nextCursor"]}
        assert listed == ["get_execution", *names]
        assert sizes == [TOOLS_PER_PAGE + 1, TOOLS_PER_PAGE, 1]

    play(api, scenario)


def test_the_same_key_starts_one_execution(api: Api) -> None:
    async def scenario() -> None:
        client = Client(api)
        for _ in range(2):
            reply = await client.reply(
                "tools/call", {"name": "greet", "arguments": {"name": "a"}}, **{"idempotency-key": "k"}
            )
            assert reply.json["result"]["structuredContent"]
        executions = await api.ask("GET", "/executions?workflow=greet")
        assert len(executions.json["items"]) == 1

    play(api, scenario, TOOL)


def test_web_pages_call_from_the_same_host_or_a_listed_origin(api: Api) -> None:
    api.runtime.services.callers = Callers(web_origins=frozenset({"https://chat.example"}))
    host = {"host": "api.example"}
    for origin, status in (
        ("https://api.example", 200),
        ("https://chat.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ):
        reply = asyncio.run(Client(api).post(PING, {**host, "origin": origin}))
        assert reply.status == status, origin


def test_clients_find_who_issues_tokens_where_tokens_are_taken(api: Api) -> None:
    paths = ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp")
    assert all(api("GET", path).code == "not_found" for path in paths)
    api.runtime.services.callers = Callers(issuer="https://login.example", scopes=("run",))
    for path in paths:
        assert api("GET", path, headers={"host": "api.example"}).json == {
            "resource": "https://api.example/mcp",
            "authorization_servers": ["https://login.example"],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["run"],
        }
