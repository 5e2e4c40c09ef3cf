"""The official MCP client against `awr dev`, over real HTTP, in the revision with and the one without a handshake."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.client import advertise
from mcp_types import ElicitRequestParams, ElicitResult
from tests.integration.api.test_api_mcp import ASKING, TOOL
from tests.integration.dev.dev_process import DevProcess

MODES = ("auto", "legacy")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dev")
    workflows = folder / "definitions" / "workflows"
    workflows.mkdir(parents=True)
    for name, source in (("greet", TOOL), ("refund", ASKING)):
        (workflows / f"{name}.yaml").write_text(source, encoding="utf-8")
    with DevProcess(folder / "log", "--definitions", folder / "definitions") as server:
        yield f"{server.url}/mcp"
        assert server.stop() == 0
    assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize("mode", MODES)
def test_the_official_client_lists_and_calls_workflows(url: str, mode: str) -> None:
    async def scenario() -> None:
        async with Client(url, mode=mode) as client:
            tools = {tool.title: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"Get execution", "问候", "退款"}
            done = await client.call_tool("greet", {"name": "小明"})
            assert (done.is_error, done.structured_content) == (False, {"text": "你好 小明"})
            refused = await client.call_tool("greet", {"name": 1})
            assert refused.is_error
            with pytest.raises(MCPError, match="Unknown tool: nothing"):
                await client.call_tool("nothing", {})

    asyncio.run(scenario())


def test_the_official_client_asks_its_user_what_an_approval_asks(url: str) -> None:
    asked: list[Any] = []

    async def answer(_context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params)
        return ElicitResult(action="accept", content={"amount": 3})

    async def scenario() -> None:
        async with Client(url, elicitation_callback=answer) as client:
            tool = next(tool for tool in (await client.list_tools()).tools if tool.title == "退款")
            done = await client.call_tool(tool.name, {"amount": 5})
            assert done.structured_content == {"amount": 3}

    asyncio.run(scenario())
    assert [params.message.partition("\n")[0] for params in asked] == ["Refund 5?"]


def test_the_official_client_is_offered_the_tasks_extension(url: str) -> None:
    async def scenario() -> None:
        async with Client(url, extensions=[advertise("io.modelcontextprotocol/tasks")]) as client:
            assert client.server_capabilities.extensions == {"io.modelcontextprotocol/tasks": {}}
            greet = next(tool for tool in (await client.list_tools()).tools if tool.name == "greet")
            assert greet.output_schema is not None
            assert (await client.call_tool("greet", {"name": "a"})).structured_content == {"text": "你好 a"}

    asyncio.run(scenario())
