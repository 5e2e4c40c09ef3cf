"""Blocking tools in processes of their own: what they are given and give, how they stop, and what dies with them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.processes.living import PATIENCE_SECONDS, is_running
from tests.unit.invokers.tools.tool_calls import FixedClock, node_call

from workflow_runtime.errors import NodeError, WrongArguments
from workflow_runtime.invokers.containment import Outcome
from workflow_runtime.invokers.invocation import NodeResult
from workflow_runtime.invokers.tools import ToolInvoker, ToolRegistry
from workflow_runtime.invokers.tools.processes import Processes
from workflow_runtime.sdk import Pending

TOOLS = '''
import os, signal, time
from pathlib import Path

from workflow_runtime.sdk import NodeContext, ToolError, pending, tool

@tool
def who(text: str, context: NodeContext) -> dict:
    context.warn("careful")
    context.logger.info("called with %s", text)
    print("this is not part of any answer")
    return {"pid": os.getpid(), "text": text, "key": context.idempotency_key, "path": context.path,
            "fences": dict(context.limit_fences), "left": context.deadline}

@tool
def meet(own: str, other: str) -> int:
    """Returns once the other call has begun, too."""
    Path(own).touch()
    while not Path(other).exists():
        time.sleep(0.01)
    return os.getpid()

@tool
def die(how: str) -> None:
    if how == "exit":
        raise SystemExit(3)
    if how == "vanish":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)

@tool
def decline() -> None:
    raise ToolError("declined", "额度不足")

@tool
def wait(begun: str, ended: str, context: NodeContext) -> str:
    Path(begun).touch()
    while not context.cancelled:
        time.sleep(0.01)
    Path(ended).touch()
    return "late"

@tool
def hang(begun: str) -> None:
    Path(begun).write_text(str(os.getpid()))
    while True:
        time.sleep(1)

@tool
def later(context: NodeContext):
    assert context.task_token == "token-7"
    return pending(timeout="2h")

@tool
def odd() -> object:
    return object()
'''  # fmt: skip

Invoke = Callable[..., Awaitable[NodeResult]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "some.py").write_text(TOOLS, "utf-8")
    return tools


def with_processes(
    folder: Path,
    use: Callable[[Invoke, Processes], Awaitable[None]],
    count: int = 2,
    stop_seconds: float = PATIENCE_SECONDS,
) -> None:
    async def run() -> None:
        processes = Processes(folder, count, stop_seconds)
        invoker = ToolInvoker(ToolRegistry.load(folder), FixedClock(), processes)

        async def invoke(tool: str, inputs: dict[str, Any], **more: Any) -> NodeResult:
            return await invoker.invoke(msgspec.structs.replace(node_call(tool, inputs), **more))

        try:
            await use(invoke, processes)
        finally:
            await processes.close()

    asyncio.run(run())


async def failure(call: Awaitable[NodeResult]) -> NodeError:
    with pytest.raises(NodeError) as caught:
        await call
    return caught.value


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_tool_runs_elsewhere_and_has_all_that_a_context_has(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def use(invoke: Invoke, _: Processes) -> None:
        with caplog.at_level(logging.INFO, "workflow_runtime.tools"):
            result = await invoke("who", {"text": "您好"}, limit_fences={"model": 4})
        output: Any = result.output
        assert output.pop("pid") != os.getpid()
        assert output == {
            "text": "您好", "key": "e1:节点:1", "path": "节点", "fences": {"model": 4}, "left": 1_060_000
        }  # fmt: skip
        assert result.warnings == ("careful",)
        [record] = [record for record in caplog.records if record.name == "workflow_runtime.tools"]
        assert (record.getMessage(), vars(record)["node"]) == ("called with 您好", "节点")

    with_processes(folder, use)


def test_two_calls_run_side_by_side_and_processes_are_used_again(folder: Path, tmp_path: Path) -> None:
    async def use(invoke: Invoke, _: Processes) -> None:
        a, b = str(tmp_path / "a"), str(tmp_path / "b")
        met = await asyncio.gather(invoke("meet", {"own": a, "other": b}), invoke("meet", {"own": b, "other": a}))
        pids = {result.output for result in met}
        assert len(pids) == 2
        again: Any = (await invoke("who", {"text": ""})).output
        assert again["pid"] in pids

    with_processes(folder, use)


@pytest.mark.parametrize(
    ("how", "said"), [("vanish", "with exit code 3"), ("kill", f"by signal {signal.SIGKILL.value}")]
)
def test_a_process_that_dies_costs_its_attempt_alone(folder: Path, tmp_path: Path, how: str, said: str) -> None:
    async def use(invoke: Invoke, _: Processes) -> None:
        a, b = str(tmp_path / "a"), str(tmp_path / "b")
        other = asyncio.ensure_future(invoke("meet", {"own": a, "other": b}))
        await until(lambda: Path(a).exists())
        lost = await failure(invoke("die", {"how": how}))
        assert (lost.type, lost.message) == ("worker_lost", f"the process of tool 'die' ended: {said}")
        await invoke("meet", {"own": b, "other": a})
        assert (await other).output

    with_processes(folder, use)


def test_what_a_tool_raises_fails_its_attempt_as_in_a_thread(folder: Path) -> None:
    async def use(invoke: Invoke, _: Processes) -> None:
        declined = await failure(invoke("decline", {}))
        assert (declined.type, declined.message) == ("declined", "额度不足")
        assert (await failure(invoke("die", {"how": "exit"}))).type == "execution_error"
        assert isinstance(await failure(invoke("who", {"txt": 1})), WrongArguments)
        assert (await failure(invoke("odd", {}))).type == "validation_error"

    with_processes(folder, use, count=1)


def test_a_tool_that_looks_whether_it_is_wanted_returns_and_is_heard_late(folder: Path, tmp_path: Path) -> None:
    async def use(invoke: Invoke, _: Processes) -> None:
        begun, ended = tmp_path / "begun", tmp_path / "ended"
        heard: list[Outcome[NodeResult]] = []
        call = node_call("wait", {})
        call.late.listen(heard.append)
        work = asyncio.ensure_future(invoke("wait", {"begun": str(begun), "ended": str(ended)}, late=call.late))
        await until(begun.exists)
        work.cancel()
        await until(lambda: bool(heard))
        assert work.cancelled()
        assert heard[0].result().output == "late"

    with_processes(folder, use)


def test_a_tool_that_does_not_stop_is_killed_and_its_place_is_free_again(folder: Path, tmp_path: Path) -> None:
    async def use(invoke: Invoke, _: Processes) -> None:
        begun = tmp_path / "begun"
        work = asyncio.ensure_future(invoke("hang", {"begun": str(begun)}))
        await until(lambda: begun.exists() and bool(begun.read_text()))
        work.cancel()
        result: Any = (await invoke("who", {"text": "next"})).output
        assert result["text"] == "next"
        assert not is_running(int(begun.read_text()))

    with_processes(folder, use, count=1, stop_seconds=0.2)


def test_a_task_token_is_asked_of_the_server(folder: Path) -> None:
    async def use(invoke: Invoke, _: Processes) -> None:
        result = await invoke("later", {}, make_token=lambda: "token-7")
        assert result.pending == Pending("2h", None)

    with_processes(folder, use)


def test_changed_tools_are_run_by_processes_that_know_them(folder: Path) -> None:
    async def use(invoke: Invoke, processes: Processes) -> None:
        before: Any = (await invoke("who", {"text": "a"})).output
        (folder / "some.py").write_text(TOOLS.replace('"text": text', '"text": text.upper()'), "utf-8")
        processes.renew()
        after: Any = (await invoke("who", {"text": "a"})).output
        assert (before["text"], after["text"]) == ("a", "A")
        assert not is_running(before["pid"])

    with_processes(folder, use)


def test_processes_end_with_their_server(folder: Path) -> None:
    pids: list[int] = []

    async def use(invoke: Invoke, _: Processes) -> None:
        output: Any = (await invoke("who", {"text": ""})).output
        pids.append(output["pid"])

    with_processes(folder, use)
    assert not is_running(pids[0])
