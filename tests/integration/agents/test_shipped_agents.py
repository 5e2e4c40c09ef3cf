"""The shipped agents against a server with OpenAI's API, with real HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.cli.conftest import Awr, awr  # noqa: F401  a fixture
from tests.model_server import ModelServer, Reply, Request, calls, serving, text
from tests.ports import reserved_port
from tests.processes.mcp.test_mcp_tools import at
from tests.processes.mcp.test_mcp_tools import serving as serving_mcp

from workflow_runtime import WorkflowEngine

DEFINITIONS = Path(__file__).parents[3] / "definitions"
SECONDS = 60.0  # far beyond what it takes

Decide = Callable[[WorkflowEngine], Awaitable[None]]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture
def definitions(tmp_path: Path, server: ModelServer) -> Path:
    """The shipped ones, whose agents are at the server. Nobody knows its prices: their tokens are counted."""
    folder = tmp_path / "definitions"
    for kind in ("workflows", "agents", "tools"):
        shutil.copytree(DEFINITIONS / kind, folder / kind)
    for file in (folder / "agents").iterdir():
        document = yaml.safe_load(file.read_text("utf-8"))
        for agent in document["agents"]:
            agent.pop("models", None)
            agent |= {"model": f"openai:{agent['id']}", "base_url": server.url}
            if usd := agent.get("limits", {}).pop("usd", None):
                agent["budget"] = {"usd": usd, "unknown_price": "tokens"}
        file.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    workflow = folder / "workflows" / "refund_desk.yaml"
    workflow.write_text(workflow.read_text("utf-8").replace("retry_delay: 5s", "retry_delay: 1s"), "utf-8")
    return folder


def run(definitions: Path, workflow: str, input: dict[str, Any], decide: Decide | None = None) -> dict[str, Any]:
    """The execution's document at its end. ``decide``: what people do meanwhile."""

    async def use() -> dict[str, Any]:
        async with WorkflowEngine.local(definitions) as engine:
            workflow_id = await engine.create_workflow(definitions / "workflows" / f"{workflow}.yaml")
            execution_id = await engine.execute_workflow(workflow_id, input)
            if decide is not None:
                await decide(engine)
            return await engine.wait(execution_id, SECONDS)

    return asyncio.run(use())


def output(request: Request, value: dict[str, Any]) -> Reply:
    """The model calls the tool through which it gives its output: the last one that it is offered."""
    return calls((request["tools"][-1]["function"]["name"], value))


def turn(request: Request) -> int:
    """How often the model has answered in this conversation."""
    return sum(message["role"] == "assistant" for message in request["messages"])


def told(request: Request) -> list[str]:
    return [str(message["content"]) for message in request["messages"] if message["role"] == "tool"]


def refund(order: str, amount: int) -> tuple[str, dict[str, Any]]:
    return "refund_order", {"order": order, "amount": amount}


class Desk:
    """A model that refunds too early, then does as it is told, and promises something at first."""

    def __init__(self, order: str, amount: int) -> None:
        self.order = order
        self.amount = amount
        self.told: list[str] = []

    def __call__(self, request: Request) -> Reply:
        self.told = told(request)
        done = {"decision": "refunded", "amount": self.amount, "reply": "钱三天内到账。"}
        match turn(request):
            case 0:
                return calls(("find_order", {"order": self.order}), refund(self.order, self.amount))
            case 1:
                return calls(("read_refund_policy", {}))
            case 2:
                return calls(refund(self.order, self.amount))
            case 3 if "rejected" in self.told[-1] or "拒绝" in self.told[-1]:
                return calls(("open_complaint", {"order": self.order, "reason": "退款没有获得批准"}))
            case 3:
                return calls(("tell_customer", {"customer": "王小明", "text": "三天内到账"}))
            case 4:
                return output(request, {**done, "reply": "我保证三天内到账。"})
        return output(request, done)


INPUT = {"customer": "王小明", "message": "请退款"}


def test_the_refund_desk_uses_its_tools_by_its_rules(definitions: Path, server: ModelServer) -> None:
    desk = Desk("A-1001", 180)
    server.answer(desk)
    ended = run(definitions, "refund_desk", INPUT)
    assert ended["status"] == "completed", ended["error"]
    assert ended["output"]["decision"] == "refunded"
    assert "保证" not in ended["output"]["message"]
    assert "耳机" in desk.told[0]
    assert "先看退款规定" in desk.told[1]
    assert '"refund":"R-A-1001"' in desk.told[3].replace(" ", "")
    assert ended["usage"]["requests"] == 6
    assert ended["usage"]["by_agent"]["refund_desk"]["input_tokens"] == 60


@pytest.mark.parametrize("approved", [True, False])
def test_a_large_refund_waits_for_a_person(definitions: Path, server: ModelServer, *, approved: bool) -> None:
    desk = Desk("A-1002", 860)
    server.answer(desk)

    async def decide(engine: WorkflowEngine) -> None:
        async with asyncio.timeout(SECONDS):
            while not (asked := await engine.list_approvals(workflow="refund_desk")):
                await asyncio.sleep(0.05)
        assert (asked[0]["kind"], asked[0]["tool"]) == ("tool", "refund_order")
        assert len(desk.told) == 3, "the model is asked again only once somebody has decided"
        answer = engine.approve if approved else engine.reject
        await answer(asked[0]["id"], by="li", comment="同意" if approved else "拒绝")

    ended = run(definitions, "refund_desk", INPUT, decide)
    assert ended["status"] == "completed", ended["error"]
    assert ('"refund":"R-A-1002"' in desk.told[3].replace(" ", "")) is approved
    assert ("C-A-1002" in str(desk.told)) is not approved
    assert ended["usage"]["requests"] == 6, "no request is made twice"


def test_parallel_research_runs_on_a_real_server(definitions: Path, server: ModelServer) -> None:
    verdicts = {"market_researcher": "支持", "technical_researcher": "支持", "risk_researcher": "反对"}
    server.answer(
        lambda asked: output(asked, {"verdict": verdicts[asked["model"]], "reason": "因为", "confidence": 0.7})
    )
    ended = run(definitions, "parallel_research", {"topic": "电动车"})
    assert ended["status"] == "completed", ended["error"]
    assert ended["output"]["conclusion"] == "支持", ended["node_executions"]["market_view"]
    assert {request["model"] for request in server.requests} == set(verdicts)


def test_a_model_that_is_busy_is_asked_again_by_the_workflows_policy(definitions: Path, server: ModelServer) -> None:
    busy = [Reply(b'{"error": {"message": "busy"}}', 429, {"retry-after": "1"})]
    desk = Desk("A-1001", 180)
    server.answer(lambda asked: busy.pop() if busy and turn(asked) == 2 else desk(asked))
    ended = run(definitions, "refund_desk", INPUT)
    assert (ended["status"], ended["node_executions"]["desk"]["attempts"]) == ("completed", 2)
    assert ended["usage"]["requests"] == 6, "what was answered before is not asked again"


def test_text_that_is_no_output_is_asked_for_again(definitions: Path, server: ModelServer) -> None:
    server.answer(
        text("好的"),
        lambda asked: output(asked, {"decision": "refused", "amount": 0, "reply": "超过三十天。"}),
    )
    assert run(definitions, "refund_desk", INPUT)["output"]["decision"] == "refused"


def test_the_refund_desk_may_use_the_tools_of_a_server(
    awr: Awr,  # noqa: F811
    definitions: Path,
    server: ModelServer,
) -> None:
    file = definitions / "agents" / "refund_desk.yaml"
    document = yaml.safe_load(file.read_text("utf-8"))
    document["agents"][0]["tools"].append({"mcp": "stock", "allow": ["in_stock"]})
    file.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    heard: list[str] = []

    def desk(asked: Request) -> Reply:
        heard[:] = told(asked)
        if not turn(asked):
            return calls(("find_order", {"order": "A-1001"}), ("stock__in_stock", {"article": "耳机"}))
        return output(asked, {"decision": "refused", "amount": 0, "reply": "可以换货。"})

    server.answer(desk)
    with reserved_port() as port, serving_mcp(port):
        (definitions / "mcp").mkdir()
        (definitions / "mcp" / "stock.yaml").write_text(yaml.safe_dump(at(port)))
        assert awr("tools", "pull", "stock", "--definitions", definitions).exit_code == 0
        ended = run(definitions, "refund_desk", INPUT)
    assert ended["status"] == "completed", ended["error"]
    assert [tool["function"]["name"] for tool in server.requests[0]["tools"]].count("stock__in_stock") == 1
    assert '"count":2' in heard[1].replace(" ", "")


@pytest.mark.parametrize(("option", "approved"), [("--approve", True), ("--reject", False)])
def test_what_an_agent_asks_is_decided_on_the_command_line(
    awr: Awr,  # noqa: F811
    definitions: Path,
    server: ModelServer,
    option: str,
    *,
    approved: bool,
) -> None:
    desk = Desk("A-1002", 860)
    server.answer(desk)
    path = definitions / "workflows" / "refund_desk.yaml"
    ended = awr("run", path, "--input", json.dumps(INPUT), "--json", option, "desk")
    assert ended.exit_code == 0, ended.stderr
    assert ('"refund":"R-A-1002"' in desk.told[3].replace(" ", "")) is approved


def test_the_refund_desk_remembers_what_a_customer_has_said(definitions: Path, server: ModelServer) -> None:
    desk = Desk("A-1001", 180)
    server.answer(desk)

    async def use() -> list[str]:
        async with WorkflowEngine.local(definitions) as engine:
            workflow_id = await engine.create_workflow(definitions / "workflows" / "refund_desk.yaml")
            first = await engine.execute_workflow(workflow_id, INPUT)
            assert (await engine.wait(first, SECONDS))["status"] == "completed"
            heard: list[str] = []

            def answer(request: Request) -> Reply:
                heard.extend(str(message["content"]) for message in request["messages"] if message["role"] == "user")
                return output(request, {"decision": "handed_over", "amount": 0, "reply": "已经退过了。"})

            server.answer(answer)
            for customer in ("王小明", "李四"):
                again = await engine.execute_workflow(workflow_id, {"customer": customer, "message": "钱到了吗"})
                assert (await engine.wait(again, SECONDS))["status"] == "completed"
                heard.append("")
            return heard

    first, second, _, other, _ = asyncio.run(use())
    assert "请退款" in first
    assert "钱到了吗" in second
    assert "李四" in other
