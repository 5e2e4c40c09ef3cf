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

ROOT = Path(__file__).parents[4]
DEFINITIONS = ROOT / "definitions"
ENGLISH = DEFINITIONS / "en"
WORKFLOWS = sorted([*DEFINITIONS.glob("workflows/*.yaml"), *ENGLISH.glob("workflows/*.yaml")])
AGENTS = {root: AgentRegistry.load(root / "agents") for root in (DEFINITIONS, ENGLISH)}
TOOLS = {root: ToolRegistry.load(root / "tools") for root in (DEFINITIONS, ENGLISH)}
EVERY_WORKFLOW = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: str(file.relative_to(DEFINITIONS)))


class Unmocked:
    abandoned = 0

    async def invoke(self, call: NodeCall) -> NodeResult:
        raise AssertionError(f"{call.target} has no mock")


def plan_of(file: Path) -> Plan:
    compilation = compile_workflow(file.read_text(), file=str(file))
    assert compilation.findings == [] or not list(compilation.findings)
    assert compilation.plan is not None
    return compilation.plan


def root_of(workflow: Path) -> Path:
    """The directory of definitions that a workflow is in."""
    return workflow.parents[1]


def mocks_of(workflow: Path) -> Mocks:
    return Mocks.load(root_of(workflow) / "mocks" / workflow.name)


def sample_input(workflow: Path) -> Any:
    """In the workflow's language; an input without texts is for both."""
    name = f"{workflow.stem}.input.json"
    english = ROOT / "events" / "en" / name
    in_english = root_of(workflow) == ENGLISH and english.exists()
    return msgspec.json.decode((english if in_english else ROOT / "events" / name).read_bytes())


@EVERY_WORKFLOW
def test_a_shipped_workflow_compiles_without_findings(file: Path) -> None:
    assert plan_of(file).workflow_id == file.stem


@EVERY_WORKFLOW
def test_a_shipped_workflow_names_agents_and_tools_that_exist(file: Path) -> None:
    root, used = root_of(file), set()
    for node in (node for block in plan_of(file).blocks for node in block.nodes):
        match node.spec:
            case AgentSpec(agent=str(agent)):
                used.add(agent)
                assert agent in AGENTS[root].ids
            case ToolSpec(tool=str(tool)):
                assert tool in TOOLS[root].ids
    assert mocks_of(file).ids(NodeType.AGENT) == used


@EVERY_WORKFLOW
def test_a_shipped_sample_input_fits_its_workflow(file: Path) -> None:
    assert schema_problems(plan_of(file).input_schema, sample_input(file)) == []


@EVERY_WORKFLOW
def test_shipped_mocks_fit_their_agents_schemas(file: Path) -> None:
    mocks = mocks_of(file)

    def declared(id: str) -> Any:
        agent = AGENTS[root_of(file)].get(id)
        return agent.output_schema if agent else None

    async def no_sleep(seconds: float) -> None: ...

    invoker = MockedInvoker(mocks, NodeType.AGENT, Unmocked(), no_sleep, declared)
    messages = [
        sample_input(file).get("message", ""),
        "请问怎么退货",
        "建议增加夜间客服",
        "嗯",
        "How do I return it?",
        "Thank you!",
    ]
    for agent in mocks.ids(NodeType.AGENT):
        for message in messages:
            for reply in ("好的", "我们保证赔偿", "We guarantee it"):
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
    return run_tool_of(DEFINITIONS, target, inputs)


def run_tool_of(root: Path, target: str, inputs: dict[str, Any]) -> Any:
    return asyncio.run(ToolInvoker(TOOLS[root]).invoke(call_of(NodeType.TOOL, target, inputs))).output


def test_a_reply_that_is_not_compliant_is_held() -> None:
    inputs = {"text": " 好的 ", "customer_name": "王小明", "channel": "email", "sentiment": "negative"}
    sent = run_tool("send_response", **inputs, compliant=True)
    assert sent["status"] == "sent"
    assert sent["message_id"] == "e:send:1"
    assert sent["message"].startswith("尊敬的王小明：\n\n好的\n\n")
    assert run_tool("send_response", **inputs, compliant=False)["status"] == "held"


def test_the_english_tools_write_english() -> None:
    inputs = {"text": "Fine.", "customer_name": "Alex", "sentiment": "neutral", "compliant": True}
    for channel, greeting in (("email", "Dear Alex,"), ("chat", "Hello Alex,")):
        sent = run_tool_of(ENGLISH, "send_response", {**inputs, "channel": channel})
        assert sent["message"] == f"{greeting}\n\nFine.\n\nCustomer support"
    opinions = [{"by": "market", "verdict": "support", "reason": "growth"}]
    report = {"topic": "Thesis", "conclusion": "support", "votes": 1, "opinions": opinions}
    text = run_tool_of(ENGLISH, "render_report", report)["text"]
    assert text == "# Thesis\n\nConclusion: **support** (1/1 votes)\n\n- **market** (support): growth"


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
