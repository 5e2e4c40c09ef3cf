"""`run_node`: a batch's orders side by side, each acknowledged by itself."""

from __future__ import annotations

import asyncio

import pytest
from tests.handlers.bench import SOURCES, START, Bench

from workflow_runtime.deployment.topology import TOPOLOGY, node_queue
from workflow_runtime.ports import Message
from workflow_runtime.services.work.attempt import LEASE_SECONDS
from workflow_runtime.services.work.queue import HIDDEN_LONGER_SECONDS, Worker
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.runs import RunStore

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
        async with asyncio.timeout(120):
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
    assert (error["type"], error["node"]) == ("too_large", "huge")


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


def test_after_their_worker_died_the_nodes_of_a_batch_run_one_at_a_time(bench: Bench) -> None:
    """One of ten has ended the process. Whichever that was, it takes no other with it again."""
    execution_id = bench.start(
        "".join(f"    - {{id: n{number}, type: tool, tool: watch}}\n" for number in range(BATCH))
    )
    bench.invoke("dispatch.fifo", bench.receive("dispatch.fifo"))
    bench.receive(TOOLS)
    runs = RunStore(bench.backend.ports.table, bench.backend.ports.blobs)
    until = bench.clock.now() + LEASE_SECONDS * 1000
    for number in range(BATCH):
        claimed = Run(path=f"n{number}", serial=1, status=RunStatus.RUNNING, owner="/dead", lease_until=until)
        assert runs.claim(execution_id, claimed)
    active: list[int] = []
    most: list[int] = []

    async def watch(_: object) -> str:
        active.append(1)
        await asyncio.sleep(0.001)
        most.append(len(active))
        active.pop()
        return "well"

    bench.tools.tools["watch"] = watch
    bench.pass_time(TOPOLOGY.queue(TOOLS).visibility_seconds + 1)
    bench.drain()
    document = bench.document(execution_id)
    assert document["status"] == "completed"
    assert max(most) == 1
    assert {run.attempt for run in runs.list(execution_id) if run.status == "success"} == {2}
    assert len(most) == BATCH, "none ran twice"


def test_a_message_is_hidden_only_as_long_as_its_worker_shows_that_it_lives() -> None:
    bench = Bench("embedded")
    execution_id = bench.start("    - {id: a, type: tool, tool: slow}\n")
    bench.deliver("dispatch.fifo")
    bench.tools.tools["slow"] = lambda _: bench.clock.sleep(600)
    (record,) = bench.receive(TOOLS)
    runtime = bench.runtime
    worker = Worker(runtime.node_runner(900), runtime.ports, SOURCES[TOOLS], runtime.dead_letters)
    seen: list[int] = []

    async def die_after(seconds: int) -> None:
        batch = worker.batch([record.event_record])
        hiding, taking = batch.keep_hidden(), asyncio.ensure_future(batch.take(record.event_record))
        while bench.clock.now() < START + seconds * 1000:
            await asyncio.sleep(0.001)
            wakeup = bench.clock.next_wakeup()
            assert wakeup is not None
            bench.clock.advance_to(wakeup)
            seen.append((bench.backend.poller.next_visible_at() or 0) - bench.clock.now())
        hiding.cancel()
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

    asyncio.run(die_after(100))
    hidden = (LEASE_SECONDS + HIDDEN_LONGER_SECONDS) * 1000
    left = bench.backend.poller.next_visible_at() - bench.clock.now()
    assert left <= hidden, "a dead worker is noticed within two minutes"
    bench.pass_time(left // 1000 + 1)
    assert bench.receive(TOOLS)
    assert bench.document(execution_id)["status"] == "running"
    bench.close()
