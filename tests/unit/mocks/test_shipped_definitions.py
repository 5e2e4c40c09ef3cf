"""The shipped workflows, agents, tools and mocks fit each other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents import AgentRegistry
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.mocks import MockedInvoker, Mocks
from workflow_runtime.invokers.tools import ToolInvoker, ToolRegistry
from workflow_runtime.language.schemas import schema_problems
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, NodeType, ToolSpec

ROOT = Path(__file__).parents[3]
DEFINITIONS = ROOT / "definitions"
WORKFLOWS = sorted(DEFINITIONS.glob("workflows/*.yaml"))
AGENTS = AgentRegistry.load(DEFINITIONS / "agents")
TOOLS = ToolRegistry.load(DEFINITIONS / "tools")


class Unmocked:
    abandoned = 0

    async def invoke(self, call: NodeCall) -> NodeResult:
        raise AssertionError(f"{call.target} has no mock")


def plan_of(file: Path) -> Plan:
    compilation = compile_workflow(file.read_text(), file=str(file))
    assert compilation.findings == [] or not list(compilation.findings)
    assert compilation.plan is not None
    return compilation.plan


def sample_input(file: Path) -> Any:
    return msgspec.json.decode((ROOT / "events" / f"{file.stem}.input.json").read_bytes())


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_shipped_workflow_compiles_without_findings(file: Path) -> None:
    assert plan_of(file).workflow_id == file.stem


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_shipped_workflow_names_agents_and_tools_that_exist(file: Path) -> None:
    mocks = Mocks.load(DEFINITIONS / "mocks" / file.name)
    used = set()
    for node in (node for block in plan_of(file).blocks for node in block.nodes):
        match node.spec:
            case AgentSpec(agent=str(agent)):
                used.add(agent)
                assert agent in AGENTS.ids
            case ToolSpec(tool=str(tool)):
                assert tool in TOOLS.ids
    assert mocks.ids(NodeType.AGENT) == used


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_shipped_sample_input_fits_its_workflow(file: Path) -> None:
    assert schema_problems(plan_of(file).input_schema, sample_input(file)) == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_shipped_mocks_fit_their_agents_schemas(file: Path) -> None:
    mocks = Mocks.load(DEFINITIONS / "mocks" / file.name)

    def declared(id: str) -> Any:
        agent = AGENTS.get(id)
        return agent.output_schema if agent else None

    async def no_sleep(seconds: float) -> None: ...

    invoker = MockedInvoker(mocks, NodeType.AGENT, Unmocked(), no_sleep, declared)
    messages = [sample_input(file).get("message", ""), "请问怎么退货", "建议增加夜间客服", "嗯"]
    for agent in mocks.ids(NodeType.AGENT):
        for message in messages:
            for reply in ("好的", "我们保证赔偿"):
                inputs = {"feedback": None, **sample_input(file), "message": message, "reply": reply}
                asyncio.run(invoker.invoke(call_of(NodeType.AGENT, agent, inputs)))


def call_of(kind: NodeType, target: str, inputs: dict[str, Any]) -> NodeCall:
    return NodeCall(
        type=kind,
        target=target,
        inputs=inputs,
        execution_id="e",
        workflow_id="w",
        path="send",
        attempt=1,
        idempotency_key="e:send:1",
        deadline=0,
    )


def run_tool(target: str, **inputs: Any) -> Any:
    return asyncio.run(ToolInvoker(TOOLS).invoke(call_of(NodeType.TOOL, target, inputs))).output


def test_a_reply_that_is_not_compliant_is_held() -> None:
    inputs = {"text": " 好的 ", "customer_name": "王小明", "channel": "email", "sentiment": "negative"}
    sent = run_tool("send_response", **inputs, compliant=True)
    assert sent["status"] == "sent"
    assert sent["message_id"] == "e:send:1"
    assert sent["message"].startswith("尊敬的王小明：\n\n好的\n\n")
    assert run_tool("send_response", **inputs, compliant=False)["status"] == "held"


def test_money_moves_once_per_attempt_and_never_nothing() -> None:
    assert run_tool("refund_payment", order_id="A", amount=1, method="card")["refund_id"] == "e:send:1"
    assert run_tool("charge_subscription", customer_id="C", amount=39)["charge_id"] == "e:send:1"
    for tool, who in (
        ("refund_payment", {"order_id": "A", "method": "card"}),
        ("charge_subscription", {"customer_id": "C"}),
    ):
        with pytest.raises(NodeError) as caught:
            run_tool(tool, amount=0, **who)
        assert caught.value.type == "invalid_amount"


def test_a_page_goes_up_to_the_director_and_no_further() -> None:
    page = {"service": "checkout", "severity": "high", "message": "慢"}
    paged = [run_tool("page_on_call", level=level, **page)["paged"] for level in (1, 2, 3, 4)]
    assert paged == ["值班工程师", "技术负责人", "技术总监", "技术总监"]


def test_an_incident_has_a_ticket_and_its_fix_can_be_checked() -> None:
    assert run_tool("open_incident", service="checkout", summary="慢")["title"] == "[checkout] 慢"
    assert run_tool("apply_fix", service="checkout", steps=["回滚", "重启"])["applied"] == 2
    assert run_tool("check_health", service="checkout") == {"service": "checkout", "healthy": True}


def test_a_report_lists_every_opinion() -> None:
    opinions = [{"by": "市场", "verdict": "支持", "reason": "增长"}]
    text = run_tool("render_report", topic="命题", conclusion="支持", votes=1, opinions=opinions)["text"]
    assert text == "# 命题\n\n结论：**支持**（1/1 票）\n\n- **市场**（支持）：增长"
