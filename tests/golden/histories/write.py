"""Writes the golden histories: ``python -m tests.golden.histories.write``.

Each is what an execution's journal was when it was written, with all that its decisions read. A file is written once
and never rewritten: what ran under earlier code must come out the same under later code. Stored states are left out,
for their layout may change (tests/golden/states has those).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from workflow_runtime.engine.recording import NO_STATE, Recording, encode_recording
from workflow_runtime.testing import WorkflowTester

HERE = Path(__file__).parent
DEFINITIONS = HERE.parents[2] / "definitions"

Story = Callable[[WorkflowTester], str]

EARLY = "早起的鸟儿有虫吃。" * 2_600  # too long for a message

STORIES: dict[str, Story] = {}
"""By name: what happens, and the id of the execution that is recorded."""


def story(play: Story) -> Story:
    STORIES[play.__name__] = play
    return play


def shipped(runtime: WorkflowTester, name: str, input: Any) -> str:
    return runtime.start(name, input, DEFINITIONS / f"mocks/{name}.yaml")


def tool(id: str, *needs: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "ask", "inputs": {"q": id}, "dependencies": list(needs), **fields}


@story
def dag(runtime: WorkflowTester) -> str:
    """The shipped graph: a switch, a parallel, joins, an aggregation."""
    return shipped(runtime, "customer_support", {"message": "我要投诉：订单 A-1 迟到了"})


@story
def fan_out(runtime: WorkflowTester) -> str:
    """Limits, joins of the first and of some, conditions on edges, a node that is skipped."""
    runtime.mock_tool("ask", lambda inputs: {"n": len(inputs["q"]), "text": inputs["q"] * 200})
    ids = ["甲", "乙乙", "丙丙丙", "丁丁丁丁", "戊戊戊戊戊"]
    return runtime.start(
        {
            "id": "并行",
            "limits": {"max_concurrency": 2},
            "nodes": [
                *(tool(id) for id in ids),
                {**tool("最先", *ids), "join": "any"},
                {**tool("长的", "最先"), "when": "${丁丁丁丁.n} > 3"},
                {**tool("短的", "最先"), "when": "${甲.n} > 3"},
                {"id": "合计", "type": "aggregation", "strategy": "sum", "field": "n", "dependencies": ids},
            ],
            "outputs": {"甲": "${甲.n}", "合计": "${合计}"},
        }
    )


@story
def chart(runtime: WorkflowTester) -> str:
    """The shipped state machine: events taken and refused, guards, timers."""
    order = shipped(runtime, "order_state_machine", {"order_id": "A-1042", "amount": 259})
    runtime.send_event(order, "ship", {"tracking_no": "SF0"})
    runtime.send_event(order, "pay", {"payment_method": "card"})
    runtime.advance_time("40m")
    runtime.send_event(order, "confirm")
    runtime.send_event(order, "ship", {"tracking_no": "SF1042"}, key="一次")
    runtime.send_event(order, "ship", {"tracking_no": "SF1042"}, key="一次")
    runtime.send_event(order, "deliver")
    runtime.advance_time("8d")
    return order


@story
def hybrid(runtime: WorkflowTester) -> str:
    """The shipped incident: regions, graphs of agents in states, timers that escalate, people."""
    incident = shipped(runtime, "incident_response", {"service": "checkout", "alert": "支付成功率低于 90%"})
    runtime.advance_time("20m")
    runtime.send_event(incident, "acknowledge", {"by": "李雷"})
    runtime.send_event(incident, "approve", {"by": "李雷"})
    runtime.advance_time("5m")
    runtime.send_event(incident, "approve", {"by": "李雷"})
    runtime.advance_time("1m")
    runtime.send_event(incident, "sign", {"by": "韩梅梅"})
    return incident


@story
def timers(runtime: WorkflowTester) -> str:
    """The shipped subscription: months of timers, history states."""
    subscription = shipped(
        runtime, "subscription_lifecycle", {"customer_id": "C-7", "prices": {"basic": 39, "pro": 99}}
    )
    for step in ("subscribe", "upgrade", 40, "pause", 90, "resume", "cancel"):
        if isinstance(step, str):
            runtime.send_event(subscription, step)
        else:
            runtime.advance(days=step)
    return subscription


@story
def retries(runtime: WorkflowTester) -> str:
    """Delays that grow, a jitter that the event's id decides, an error that asks for time, and the end of patience."""
    busy = {"raise": {"type": "rate_limited", "message": "稍后再试"}}
    runtime.mock_tool("ask", script=[busy, busy, {"return": {"好": True}}])
    runtime.mock_tool("broken", script=[{"raise": {"type": "execution_error", "message": "坏了"}}])
    broken = {"id": "坏", "type": "tool", "tool": "broken", "retry_policy": {"max_retries": 2, "jitter": "none"},
              "on_error": "continue", "dependencies": ["问"]}  # fmt: skip
    return runtime.start({"id": "重试", "nodes": [tool("问", retry_policy={"retry_delay": 5}), broken]})


@story
def errors(runtime: WorkflowTester) -> str:
    """Rules for errors: one that goes on, one that skips, one that has a node run, one that fails."""
    runtime.mock_tool("ask", {"好": True})
    for path in ("续", "略", "转", "败"):
        runtime.fail(path, "broken", f"{path}坏了")
    return runtime.start(
        {
            "id": "出错",
            "nodes": [
                tool("续", on_error="continue"),
                tool("续后", "续"),
                tool("略", on_error="skip"),
                tool("略后", "略"),
                tool("转", on_error=[{"errors": ["broken"], "target": "救"}]),
                {**tool("救"), "inputs": {"q": "${error.message}"}},
                tool("败", "续后"),
            ],
        }
    )


@story
def deadline(runtime: WorkflowTester) -> str:
    """An execution that takes longer than it may, and a wait that gives up before."""
    runtime.mock_tool("ask", {"好": True})
    wait = {"type": "control", "subtype": "wait", "event": "批准"}
    once = {"id": "等", **wait, "timeout": "10m", "on_timeout": "催"}
    again = {"id": "再等", **wait, "timeout": "9h", "dependencies": ["问"]}
    id = runtime.start({"id": "超时", "timeout": "1h", "nodes": [tool("问"), once, tool("催"), again]})
    runtime.advance_time("2h")
    return id


@story
def cancelled(runtime: WorkflowTester) -> str:
    """Cancelled while a node runs, one waits for its next attempt, and one for an event; the late result comes."""
    runtime.mock_tool("ask", {"好": True}, delay=600)
    runtime.mock_tool("busy", script=[{"raise": {"type": "rate_limited", "message": "稍后再试"}}])
    busy = {"id": "忙", "type": "tool", "tool": "busy", "retry_policy": {"retry_delay": "1h", "max_delay": "1h"}}
    id = runtime.start(
        {"id": "取消", "nodes": [tool("慢"), busy, {"id": "等", "type": "control", "subtype": "wait", "event": "批准"}]}
    )
    runtime.advance_time("1m", settle=False)
    runtime.cancel(id, "订单撤回", settle=False)
    runtime.advance_time("1h")
    return id


@story
def events(runtime: WorkflowTester) -> str:
    """Events that come before their wait, twice, large, and for nobody."""
    runtime.mock_tool("ask", {"好": True}, delay=5)
    id = runtime.start(
        {
            "id": "事件",
            "nodes": [
                tool("先"),
                {"id": "早", "type": "control", "subtype": "wait", "event": "早到", "dependencies": ["先"]},
                {"id": "晚", "type": "control", "subtype": "wait", "event": "晚到", "match": "${event.data.n} > 1",
                 "dependencies": ["早"]},
                {"id": "报", "type": "control", "subtype": "pass", "inputs": {"早": "${len(早.text)}", "晚": "${晚.n}"},
                 "dependencies": ["晚"]},
            ],
            "outputs": "${报}",
        }
    )  # fmt: skip
    runtime.send_event(id, "早到", {"text": EARLY}, key="k", settle=False)
    runtime.send_event(id, "早到", {"text": EARLY}, key="k", settle=False)
    runtime.settle()
    runtime.send_event(id, "晚到", {"n": 1})
    runtime.send_event(id, "晚到", {"n": 2})
    return id


@story
def children(runtime: WorkflowTester) -> str:
    """A chart that starts an execution, awaits its end, and reads what came out."""
    runtime.mock_tool("ask", {"答": "四十二"})
    runtime.publish({"id": "孩子", "nodes": [tool("想")], "outputs": {"答": "${想.答}"}})
    call = {"start_workflow": {"workflow_id": "孩子", "input": {}, "result_event": "答完"}}
    answered = {"set_variable": {"name": "答", "value": "${event.data.output.答}"}}
    asking = {
        "name": "问",
        "on_enter": [call],
        "transitions": [{"event": "答完", "target": "完", "actions": [answered]}],
    }
    return runtime.start(
        {"id": "父母", "type": "state_machine", "initial_state": "问", "states": [asking], "final_states": ["完"]}
    )


@story
def long_texts(runtime: WorkflowTester) -> str:
    """Decisions that read values too large to travel with results."""
    text = "长江后浪推前浪，世上新人换旧人。" * 500
    runtime.mock_tool("ask", {"text": text, "n": 3})
    nodes = [
        tool("写"),
        {"id": "路", "type": "control", "subtype": "switch", "condition": "${len(写.text) > 1000}",
         "branches": [{"case": True, "target": "长"}, {"default": "短"}], "dependencies": ["写"]},
        tool("长"), tool("短"),
        {"id": "收", "type": "aggregation", "strategy": "merge", "dependencies": ["写", "长"]},
    ]  # fmt: skip
    return runtime.start({"id": "长文", "nodes": nodes, "outputs": {"全": "${收}", "头": "${写.text}"}})


@story
def reopened(runtime: WorkflowTester) -> str:
    """Failed, retried with other variables, failed again, and gone on without the node that failed."""
    runtime.mock_tool("ask", {"好": True})
    runtime.fail("试", "broken", "坏了")
    nodes = [tool("先"), {**tool("试", "先"), "when": "${次} > 0"}, tool("后", "试"), tool("旁", "先", when="次 > 1")]
    id = runtime.start({"id": "重来", "variables": {"次": 1}, "nodes": nodes})
    runtime.settle()
    runtime.retry(id, variables={"次": 2}, reason="再试一次")
    runtime.skip(id, "试", output={"好": False}, reason="不等了")
    return id


@story
def suspended(runtime: WorkflowTester) -> str:
    """Suspended while nodes run; a result, an event and a timer come, one node is skipped; then it goes on."""
    runtime.mock_tool("ask", {"好": True}, delay=60)
    wait = {"type": "control", "subtype": "wait"}
    id = runtime.start(
        {
            "id": "暂停",
            "timeout": "3h",
            "nodes": [
                tool("先"),
                tool("后", "先"),
                {"id": "等", **wait, "event": "批准"},
                {"id": "钟", **wait, "duration": "10m"},
                {"id": "久", **wait, "duration": "30d"},
                tool("末", "等", "钟", "久"),
            ],
        }
    )
    runtime.advance_time("1s", settle=False)
    runtime.suspend(id, "维护")
    runtime.send_event(id, "批准", {"by": "李雷"})
    runtime.advance_time("5h")
    runtime.skip(id, "久")
    runtime.resume(id, "维护结束")
    return id


@story
def compensated(runtime: WorkflowTester) -> str:
    """Failed and undone, the newest visit first; the compensations fail, and are made again on request."""
    runtime.mock_tool("ask", lambda inputs: {"号": inputs["q"]})
    broken = {"raise": {"type": "busy", "message": "对方无应答"}}
    runtime.mock_tool("undo", script=[broken, {"return": 1}])
    runtime.fail("付", "card_declined", "余额不足")
    undo = {"tool": "undo", "inputs": {"号": "${output.号}", "为何": "${error.type}"}}
    id = runtime.start(
        {
            "id": "撤销",
            "nodes": [tool("订", compensate=undo), tool("租", "订", compensate=undo), tool("付", "租")],
        }
    )
    runtime.settle()
    runtime.compensate(id, "对方恢复了")
    return id


@story
def fell_back(runtime: WorkflowTester) -> str:
    """Attempts used up, then another tool, a value, a node of the graph, and one that fails, too; handlers behind."""
    runtime.mock_tool("ask", {"好": True})
    runtime.mock_tool("broken", script=[{"raise": {"type": "busy", "message": "忙"}}])
    retry = {"retry_policy": {"max_retries": 1, "jitter": "none"}}

    def broken(id: str, fallback: Any) -> dict[str, Any]:
        return tool(id, tool="broken", fallback=fallback, **retry)

    return runtime.start(
        {
            "id": "后备",
            "error_handlers": [
                {"node_pattern": "双.*", "action": {"type": "retry", "max_retries": 1, "retry_delay": 5}},
                {"node_pattern": "双.*", "action": {"type": "fallback", "target": "救"}},
                {"node_pattern": "弃", "action": "continue"},
            ],
            "nodes": [
                broken("甲", {"tool": "ask"}),
                broken("乙", {"value": {"原": "${inputs.q}", "错": "${error.type}"}}),
                broken("丙", "代"),
                tool("代"),
                broken("双败", {"tool": "broken"}),
                {**tool("救"), "inputs": {"q": "${inputs.q}"}},
                tool("弃", tool="broken"),
                tool("后", "甲", "乙", "丙", "双败", "弃"),
            ],
        }
    )


@story
def escalated(runtime: WorkflowTester) -> str:
    """A person retries a failure, then gives an output for another; the third takes its course, and is undone."""
    declined = {"raise": {"type": "card_declined", "message": "余额不足"}}
    runtime.mock_tool("ask", {"好": True})
    runtime.mock_tool("charge", script=[declined, {"return": {"paid": 1}}])
    charge = {"tool": "charge"}
    id = runtime.start(
        {
            "id": "升级",
            "variables": {"卡": "甲"},
            "error_handlers": [{"errors": ["card_declined"], "action": "escalate"}],
            "nodes": [
                tool("订", compensate={"tool": "ask"}),
                tool("付", "订", **charge),
                tool("再付", "付", **charge),
                tool("寄", "再付"),
                tool("尾款", "寄", **charge),
            ],
        }
    )
    runtime.settle()
    runtime.retry(id, variables={"卡": "乙"}, reason="换卡")
    runtime.skip(id, "再付", output={"paid": "现金"}, reason="付了现金")
    runtime.resume(id, "客户放弃")
    return id


@story
def loops(runtime: WorkflowTester) -> str:
    """Passes side by side, of which one is tried again and one is left out; and in turn, until one is good."""
    runtime.mock_tool("ask", lambda inputs: {"n": inputs["q"]})
    runtime.fail("each[1]/问")
    runtime.fail("each[2]/问", times=2)
    body = [{"id": "问", "type": "tool", "tool": "ask", "inputs": {"q": "${item}"}}]
    again = [{"id": "再问", "type": "tool", "tool": "ask", "inputs": {"q": "${(previous_iteration.n ?? 0) + 1}"}}]
    each = {"id": "each", "type": "control", "subtype": "loop", "items": "${xs}", "body": body}
    each |= {"max_concurrency": 2, "item_retry": {"max_retries": 1, "retry_delay": 5}, "on_item_error": "skip"}
    turns = {"id": "turns", "type": "control", "subtype": "loop", "until": "${再问.n >= 3}", "body": again}
    turns |= {"dependencies": ["each"], "collect": "${再问}"}
    return runtime.start({"id": "循环", "nodes": [each, turns]}, {"xs": [5, 6, 7, 8]})


@story
def people(runtime: WorkflowTester) -> str:
    """People approve, name another, and reject in time; a task token is failed, and another completed."""
    runtime.mock_tool("ask", {"job": 7})
    asked = {"type": "control", "subtype": "approval", "prompt": "行不行？", "data": {"n": 1}}
    both = {
        "id": "都同意",
        "assignees": ["甲", "乙"],
        "quorum": 2,
        "escalate_after": "1h",
        "escalate_to": ["丙"],
        **asked,
    }
    late = {"id": "没人理", "timeout": "1h", "on_timeout": "continue", "dependencies": ["都同意"], **asked}
    film = tool("渲染", "没人理", callback={"heartbeat": "10m"}, retry_policy={"max_retries": 1, "retry_delay": 1})
    id = runtime.start({"id": "众人", "nodes": [both, late, film]})
    runtime.approve(id, "都同意", by="甲", data={"n": 2})
    runtime.delegate(id, "丁", "都同意", by="乙")
    runtime.advance(hours=2)
    runtime.approve(id, "都同意", by="丁", comment="好")
    runtime.advance(minutes=65)
    runtime.fail_task(id, "渲染", type="busy")
    runtime.advance(minutes=1)
    runtime.heartbeat_task(id, "渲染")
    runtime.complete_task(id, "渲染", {"url": "x"})
    return id


@story
def generations(runtime: WorkflowTester) -> str:
    """A node's execution fails and is tried again, one is too late, one is not awaited; then all go on by a retry."""
    runtime.mock_tool("ask", {})
    runtime.publish({"id": "子", "nodes": [tool("问")]})
    runtime.publish({"id": "慢", "nodes": [{"id": "等", "type": "control", "subtype": "wait", "event": "来"}]})
    runtime.fail("问")
    call = {"type": "sub_workflow", "workflow_id": "子"}
    nodes = [
        {"id": "一", "retry_policy": {"max_retries": 1, "retry_delay": 1}, **call},
        {"id": "二", "type": "sub_workflow", "workflow_id": "慢", "timeout": "5m", "dependencies": ["一"]},
        {"id": "三", "wait": False, **call},
        {"id": "四", "type": "sub_workflow", "workflow_id": "没有", "on_error": "continue"},
    ]
    id = runtime.start({"id": "几代", "nodes": nodes})
    runtime.advance(minutes=7)
    runtime.retry(id)
    return id


def recorded(play: Story) -> Recording:
    """What a story's execution leaves, once it has ended or nothing but the outside could move it."""
    with WorkflowTester.embedded(DEFINITIONS) as runtime:
        id = play(runtime)
        runtime.finish(id)
        return msgspec.structs.replace(runtime.recording(id), state=NO_STATE)


def main() -> None:
    for name, play in STORIES.items():
        target = HERE / f"{name}.json"
        if target.exists():
            print(f"{target.name} stays: it was written before", file=sys.stderr)
            continue
        target.write_bytes(_written(recorded(play)))


def _written(recording: Recording) -> bytes:
    """A line for each part, one for each commit."""
    document = msgspec.json.decode(encode_recording(recording), type=dict[str, msgspec.Raw])
    lines = []
    for name, value in document.items():
        text = bytes(value)
        if name in ("entries", "runs"):
            rows = msgspec.json.decode(text, type=list[msgspec.Raw])
            text = b"[\n  " + b",\n  ".join(map(bytes, rows)) + b"\n ]"
        lines.append(b" " + msgspec.json.encode(name) + b": " + text)
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


if __name__ == "__main__":
    main()
