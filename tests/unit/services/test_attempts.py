"""What an attempt leaves behind, whatever the invoker does: errors of every kind, usage, warnings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.metrics import AttemptEnded
from workflow_runtime.errors import InvalidEvent, NodeError, RetryableError
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.tools import ToolInvoker, ToolRegistry
from workflow_runtime.invokers.tools.tool import describe
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.observation import Silence
from workflow_runtime.services.work.masked import NOTE_CHARS_MAX, NOTES_MAX
from workflow_runtime.storage.payloads import PAYLOAD_BYTES_MAX
from workflow_runtime.storage.records import RunStatus

USAGE = {"model": "m", "input_tokens": 20, "output_tokens": 10, "requests": 2}


class Invoker:
    """Does what a test says, on the runtime's clock."""

    abandoned = 0

    def __init__(self, clock: VirtualClock, act: Callable[[NodeCall], Any]) -> None:
        self._clock = clock
        self._act = act

    def limiters(self, _target: str) -> tuple[str, ...]:
        return ()

    def budget(self, _target: str) -> None:
        return None

    def beyond(self, _target: str) -> Beyond:
        return NOTHING_BEYOND

    async def invoke(self, call: NodeCall) -> NodeResult:
        result = self._act(call)
        if result == "sleep":
            await self._clock.sleep(3600)
        return result if isinstance(result, NodeResult) else NodeResult(result)


def node_run(act: Callable[[NodeCall], Any], fields: str = "") -> dict[str, Any]:
    """The entry of one node whose invoker does ``act``; whatever that is, the runtime goes on."""
    clock = VirtualClock(0)
    with LocalRuntime(open_backend(clock=clock), wrap=lambda _: Invoker(clock, act)) as local:
        text = f"workflow: {{id: w, nodes: [{{id: a, type: tool, tool: echo{fields}}}]}}"
        local.services.catalog.publish(text.encode())
        execution_id = local.services.starter.start("w")
        assert asyncio.run(local.run_until_ended(execution_id)) in ("completed", "failed")
        entry: dict[str, Any] = local.services.documents.document(execution_id)["node_executions"]["a"]
        return entry


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit(0)

    def __repr__(self) -> str:
        raise ValueError


class Unfit(NodeError):
    def __init__(self) -> None:
        super().__init__("x", "y")
        self.type, self.message = 3, None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (asyncio.CancelledError(), "CancelledError"),
        (SystemExit(0), "SystemExit: 0"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (BaseExceptionGroup("g", [SystemExit(1), ValueError("x")]), "BaseExceptionGroup: SystemExit: 1; ValueError: x"),
        (BaseExceptionGroup("g", [SystemExit(1)]), "SystemExit: 1"),
        (Mute(), "Mute: an error that cannot be printed"),
        (RetryableError("later"), "RetryableError: later"),
        (InvalidEvent("no"), "InvalidEvent: no"),
        (ValueError("a\ud83d"), "ValueError: a?"),
    ],
)
def test_whatever_an_invoker_raises_fails_the_node(error: BaseException, message: str) -> None:
    def act(_call: NodeCall) -> Any:
        raise error

    assert node_run(act)["error"] == {"type": "execution_error", "message": f"tool 'echo': {message}"}


def test_an_error_with_anything_for_its_type_and_message_fails_the_node() -> None:
    def act(_call: NodeCall) -> Any:
        raise Unfit

    assert node_run(act)["error"] == {"type": "3", "message": "None"}


def test_usage_counts_however_the_attempt_ends() -> None:
    def act(result: Any) -> Callable[[NodeCall], Any]:
        def metered(call: NodeCall) -> Any:
            call.meter.usage = dict(USAGE)
            if isinstance(result, Exception):
                raise result
            return result

        return metered

    for result, status in ((1, "success"), (NodeError("validation_error", ""), "failed"), (OSError(), "failed")):
        entry = node_run(act(result))
        assert (entry["status"], entry["usage"]) == (status, USAGE)
    entry = node_run(act("sleep"), ", timeout: 5s")
    assert (entry["error"]["type"], entry["usage"]) == ("timeout", USAGE)
    assert node_run(lambda _: 1)["usage"] is None


def test_warnings_are_few_and_short_each_once() -> None:
    warnings = ["same", "same", "字" * 10_000_000, "a\ud83d", *map(str, range(1000))]
    kept = node_run(lambda _: NodeResult(1, tuple(warnings)))["warnings"]
    assert len(kept) == NOTES_MAX
    assert kept[0] == "same"
    assert kept[1] == "字" * (NOTE_CHARS_MAX - 1) + "…"
    assert kept[2] == "a?"


@pytest.mark.parametrize("gives", ["value", "error"])
def test_what_a_blocking_tool_comes_to_after_its_timeout_is_recorded_as_late(gives: str) -> None:
    release = threading.Event()

    def charge() -> dict[str, int]:
        release.wait()
        if gives == "error":
            raise NodeError("card_declined", "余额不足")
        return {"paid": 1}

    registry = ToolRegistry([describe(charge, "charge", "")])

    async def scenario(local: LocalRuntime) -> None:
        local.services.catalog.publish(b"workflow: {id: w, nodes: [{id: a, type: tool, tool: charge, timeout: 10ms}]}")
        execution_id = local.services.starter.start("w")
        assert await local.run_until_ended(execution_id) == "failed"
        release.set()
        while (late := local.services.documents.node(execution_id, "a").runs[0].late) is None:
            await asyncio.sleep(0.001)
        run = local.services.documents.node(execution_id, "a").runs[0]
        assert run.error is not None
        assert run.error.type == "timeout"
        if gives == "value":
            assert (late.status, late.output) == (RunStatus.SUCCESS, {"paid": 1})
        else:
            assert late.error is not None
            assert (late.status, late.error.type, late.error.message) == (RunStatus.FAILED, "card_declined", "余额不足")

    with LocalRuntime(open_backend(), wrap=lambda _: ToolInvoker(registry)) as local:
        asyncio.run(scenario(local))


def test_a_result_beyond_what_can_be_stored_is_an_error_like_others_that_a_rule_may_deal_with() -> None:
    entry = node_run(lambda _: "字" * (PAYLOAD_BYTES_MAX // 3 + 1), ", on_error: [{errors: [too_large], do: continue}]")
    assert (entry["status"], entry["error"]["type"], entry["handled"]) == ("failed", "too_large", True)
    assert "at most 52,428,800 are stored" in entry["error"]["message"]


def test_every_attempt_that_timed_out_is_counted_and_shown() -> None:
    clock = VirtualClock(0)
    with LocalRuntime(open_backend(clock=clock), wrap=lambda _: Invoker(clock, lambda _: "sleep")) as local:
        policy = "timeout: 5s, retry_policy: {max_retries: 2, retry_delay: 0}"
        local.services.catalog.publish(
            f"workflow: {{id: w, nodes: [{{id: a, type: tool, tool: t, {policy}}}]}}".encode()
        )
        execution_id = local.services.starter.start("w")
        assert asyncio.run(local.run_until_ended(execution_id)) == "failed"
        runs = local.services.documents.node(execution_id, "a").runs
        assert [(run.attempt, run.error.type) for run in runs if run.error] == [(n, "timeout") for n in (1, 2, 3)]
        assert [run.ended_at - run.started_at for run in runs] == [5000] * 3


class Attempts(Silence):
    def __init__(self) -> None:
        self.ended: list[AttemptEnded] = []

    def attempt_ended(self, ended: AttemptEnded) -> None:
        self.ended.append(ended)


def test_an_agent_that_waits_for_a_person_is_one_attempt(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "a.yaml").write_text("id: desk\nmodel: test\ntools: [{tool: echo, approve: true}]\n")
    attempts = Attempts()
    with LocalRuntime(open_backend(clock=VirtualClock(0)), tmp_path, observer=attempts) as local:
        local.services.catalog.publish(b"workflow: {id: w, nodes: [{id: a, type: agent, agent: desk, prompt: hello}]}")
        execution_id = local.services.starter.start("w")
        asyncio.run(local.settle(execution_id))
        local.services.approvals.answer(f"{execution_id}.1", True)
        assert asyncio.run(local.run_until_ended(execution_id)) == "completed"
    assert [(ended.goes_on, ended.error) for ended in attempts.ended] == [(True, None), (False, None)]
    assert [ended.usage["requests"] for ended in attempts.ended if ended.usage] == [1, 1], "each tells what it used"
