"""`run_node`: a batch's orders side by side, each acknowledged by itself."""

from __future__ import annotations

import asyncio

import pytest
from tests.handlers.bench import Bench

from workflow_runtime.deployment.topology import node_queue
from workflow_runtime.ports import Message

TOOLS = node_queue("tool")
BATCH = 10


NEWER = '{"execution_id": "ex-1", "command": {"of": "a newer version"}}'


def test_a_batch_of_ten_runs_at_once_and_only_what_failed_is_returned(bench: Bench) -> None:
    nodes = "".join(f"    - {{id: n{number}, type: tool, tool: meet}}\n" for number in range(BATCH - 1))
    execution_id = bench.start(nodes)
    bench.invoke("dispatch.fifo", bench.receive("dispatch.fifo"))
    bench.backend.ports.queues.send(TOOLS, [Message(NEWER)])
    records = bench.receive(TOOLS)
    assert len(records) == BATCH

    meeting: list[asyncio.Barrier] = []

    async def meet(_: object) -> str:
        if not meeting:
            meeting.append(asyncio.Barrier(BATCH - 1))
        async with asyncio.timeout(20):
            await meeting[0].wait()
        return "met"

    bench.tools.tools["meet"] = meet
    failed = bench.invoke(TOOLS, records)
    assert failed == [record.event_record["messageId"] for record in records if record.event_record["body"] == NEWER]
    if bench.name == "embedded":  # on moto that second passes by itself
        assert bench.receive(TOOLS) == [], "what failed is hidden for a second"
    bench.pass_time(2)
    again = bench.receive(TOOLS)
    assert [record.event_record["body"] for record in again] == [NEWER]
    bench.backend.poller.delete(TOOLS, [record.receipt_handle for record in again])
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), asyncio.CancelledError()])
def test_whatever_a_tool_raises_fails_its_node_and_the_batch_goes_on(bench: Bench, error: BaseException) -> None:
    def act(_: object) -> None:
        raise error

    bench.tools.tools["odd"] = act
    failing, fine = (bench.start(f"    - {{id: a, type: tool, tool: {tool}}}\n") for tool in ("odd", "echo"))
    bench.drain()
    assert bench.document(failing)["error"]["type"] == "execution_error"
    assert bench.document(fine)["status"] == "completed"


def test_a_node_may_return_ten_megabytes_and_the_next_reads_them(bench: Bench) -> None:
    size = 10 * 1024 * 1024
    text = "".join(chr(32 + number * 7919 % 95) for number in range(4096)) * (size // 4096)
    bench.tools.tools["large"] = lambda _: {"text": text}
    bench.tools.tools["measure"] = lambda call: len(call.inputs["text"])
    nodes = (
        "    - {id: large, type: tool, tool: large}\n"
        '    - {id: reader, type: tool, tool: measure, inputs: {text: "${large.text}"}}\n'
    )
    execution_id = bench.start(nodes)
    bench.drain()
    document = bench.document(execution_id)
    assert (document["status"], document["output"]) == ("completed", size)
    assert document["node_executions"]["large"]["output"] == {"text": text}


def test_a_node_that_returns_more_than_can_be_stored_fails_and_says_so(bench: Bench) -> None:
    bench.tools.tools["huge"] = lambda _: "x" * (51 * 1024 * 1024)
    execution_id = bench.start("    - {id: huge, type: tool, tool: huge}\n")
    bench.drain()
    error = bench.document(execution_id)["error"]
    assert (error["type"], error["node"]) == ("execution_error", "huge")


def test_a_repeated_order_reports_its_result_again_without_running(bench: Bench) -> None:
    execution_id = bench.start("    - {id: once, type: tool, tool: echo}\n")
    bench.invoke("dispatch.fifo", bench.receive("dispatch.fifo"))
    records = bench.receive(TOOLS)
    bench.tools.calls.clear()
    assert bench.invoke(TOOLS, records) == []
    assert bench.invoke(TOOLS, records) == []
    assert bench.tools.calls == ["once"]
    assert len(bench.receive("dispatch.fifo")) == 2
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"
