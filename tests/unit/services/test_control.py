"""Requests about an execution as a whole: who may ask what when, keys, the history, children, and running code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.services.replaying import assert_replays

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.engine.events import CancelRequested
from workflow_runtime.engine.identity import keyed_execution_id
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RequestError
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.control.requests import Asked
from workflow_runtime.services.upkeep.sweep import Swept
from workflow_runtime.services.work.attempt import RENEWAL_SECONDS
from workflow_runtime.storage.due import shard_of
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.records import RunStatus

START = 1_767_225_600_000
DAY = 24 * 3600 * 1000
GRAPH = (
    "workflow: {id: w, nodes: [{id: 甲, type: tool, tool: act}, {id: b, type: tool, tool: act, dependencies: [甲]}]}"
)
WAITING = "workflow: {id: waiting, nodes: [{id: w, type: control, subtype: wait, duration: 30d}]}"
PARENT = """
workflow:
  id: {id}
  type: state_machine
  initial_state: s
  states:
    - name: s
      on_enter: [{{start_workflow: {{workflow_id: {child}, {more}}}}}]
      after: [{{delay: 60d, target: done}}]
  final_states: [done]
"""


class World:
    """A runtime in virtual time whose tool is ``act``."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock(START)
        self.act: Callable[[NodeCall], Any] = lambda _: None
        self.runtime = LocalRuntime(open_backend(clock=self.clock), wrap=lambda _: self)
        self.services = self.runtime.services
        self.control = self.services.control

    abandoned = 0

    def limiters(self, _target: str) -> tuple[str, ...]:
        return ()

    def budget(self, _target: str) -> None:
        return None

    def beyond(self, _target: str) -> Beyond:
        return NOTHING_BEYOND

    async def invoke(self, call: NodeCall) -> NodeResult:
        result = self.act(call)
        return NodeResult(await result if asyncio.iscoroutine(result) else result)

    def start(self, source: str, *others: str) -> str:
        for text in (source, *others):
            self.services.catalog.publish(text.encode())
        return self.services.starter.start(source.partition("id: ")[2].split(",")[0].split("\n")[0])

    def settle(self, execution_id: str) -> str:
        return asyncio.run(self.runtime.settle(execution_id))

    def run(self, execution_id: str) -> str:
        """What can be done at once is done, also for one that has ended but is asked to go on."""
        asyncio.run(self.runtime.pump.run(lambda: False, settle=True))
        return self.status(execution_id)

    def status(self, execution_id: str) -> str:
        return self.services.documents.status(execution_id).value

    def nodes(self, execution_id: str) -> dict[str, str]:
        entries = self.services.documents.document(execution_id)["node_executions"]
        return {path: entry["status"] for path, entry in entries.items()}


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with world.runtime:
        yield world


def test_a_cancelled_execution_ends_and_its_history_says_who_and_why(world: World) -> None:
    execution = world.start(WAITING)
    world.settle(execution)
    asked = world.control.ask("cancel", execution, "订单撤回", "k", by="李雷")
    assert asked.changed
    assert world.settle(execution) == "cancelled"
    entry = world.services.documents.history(execution, 0, 100).entries[-1]
    assert entry.events == (CancelRequested("control:k", START, "李雷", "订单撤回"),)
    document = world.services.documents.document(execution)
    assert (document["status"], document["error"], document["output"]) == ("cancelled", None, None)
    assert document["ended_at"]
    assert world.nodes(execution) == {"w": "cancelled"}
    assert_replays(world.services, execution)


def test_what_has_ended_otherwise_cannot_be_cancelled(world: World) -> None:
    completed = world.start(GRAPH)
    assert world.settle(completed) == "completed"

    def fail(_: NodeCall) -> Any:
        raise ValueError

    world.act = fail
    failed = world.services.starter.start("w")
    assert world.settle(failed) == "failed"
    for execution, status in ((completed, "completed"), (failed, "failed")):
        with pytest.raises(RequestError, match=status) as caught:
            world.control.ask("cancel", execution, key="k")
        assert caught.value.code == "ended"
        assert world.status(execution) == status


def test_cancelling_again_changes_nothing(world: World) -> None:
    execution = world.start(WAITING)
    world.control.ask("cancel", execution)
    world.settle(execution)
    versions = len(world.services.stores.executions.journal(execution))
    assert not world.control.ask("cancel", execution).changed
    world.settle(execution)
    assert len(world.services.stores.executions.journal(execution)) == versions


def test_a_key_gets_the_same_answer_for_a_day(world: World) -> None:
    execution = world.start(WAITING)
    first = world.control.ask("cancel", execution, key="键")
    world.settle(execution)
    assert world.control.ask("cancel", execution, "another", "键") == first
    world.clock.advance_to(START + DAY - 1)
    assert world.control.ask("cancel", execution, key="键") == first
    world.clock.advance_to(START + DAY)
    assert not world.control.ask("cancel", execution, key="键").changed


@pytest.mark.parametrize(("reason", "key"), [("x" * 1001, None), ("", ""), ("", "k" * 256)])
def test_what_is_too_long_or_empty_is_refused(world: World, reason: str, key: str | None) -> None:
    execution = world.start(WAITING)
    with pytest.raises(RequestError) as caught:
        world.control.ask("cancel", execution, reason, key)
    assert caught.value.code == "invalid_request"
    with pytest.raises(RequestError, match="no execution"):
        world.control.ask("cancel", "ex-none")


def test_an_execution_that_is_cancelled_before_its_start_runs_nothing(world: World) -> None:
    ran: list[str] = []
    world.act = lambda call: ran.append(call.path)
    execution = world.start(GRAPH)
    world.control.ask("cancel", execution)
    assert world.settle(execution) == "cancelled"
    assert ran == []
    assert set(world.nodes(execution).values()) == {"skipped"}
    assert_replays(world.services, execution)


def test_a_running_tool_is_told_and_stopped_at_the_next_renewal(world: World) -> None:
    seen: list[Any] = []

    async def act(call: NodeCall) -> None:
        world.control.ask("cancel", call.execution_id)
        try:
            await world.clock.sleep(3600)
        except asyncio.CancelledError:
            seen.append((world.clock.now() - START, call.stop.requested))
            raise

    world.act = act
    execution = world.start(GRAPH)
    asyncio.run(world.runtime.pump.run(lambda: False))
    assert seen == [(RENEWAL_SECONDS * 1000, True)]
    assert world.status(execution) == "cancelled"
    assert world.nodes(execution) == {"甲": "cancelled", "b": "skipped"}
    runs = world.services.stores.runs.list(execution)
    assert [run.status for run in runs] == [RunStatus.CANCELLED]


def test_the_result_of_a_tool_that_does_not_mind_is_ignored(world: World) -> None:
    async def act(call: NodeCall) -> str:
        world.control.ask("cancel", call.execution_id)
        await world.clock.sleep(RENEWAL_SECONDS - 1)
        return "late"

    world.act = act
    execution = world.start(GRAPH)
    asyncio.run(world.runtime.pump.run(lambda: False))
    assert world.status(execution) == "cancelled"
    assert world.nodes(execution)["甲"] == "cancelled"
    assert world.services.stores.dead_letters.documents(execution) == []
    late = world.services.documents.node(execution, "甲").runs[0].late
    assert late is not None, "it may have had effects, so people see what it came to"
    assert (late.status, late.output, late.at) == (RunStatus.SUCCESS, "late", START + (RENEWAL_SECONDS - 1) * 1000)


def test_awaited_children_are_cancelled_through_all_generations(world: World) -> None:
    middle = PARENT.format(id="middle", child="waiting", more="result_event: x")
    top = PARENT.format(id="top", child="middle", more="result_event: x")
    parent = world.start(top, middle, WAITING)
    world.settle(parent)
    child = keyed_execution_id("middle", f"child:{parent}:c1")
    grandchild = keyed_execution_id("waiting", f"child:{child}:c1")
    asyncio.run(world.runtime.pump.run(lambda: world.status(grandchild) == "running"))
    world.control.ask("cancel", parent, "enough", by="韩梅梅")
    for execution, by in ((parent, "韩梅梅"), (child, f"execution:{parent}"), (grandchild, f"execution:{child}")):
        assert world.settle(execution) == "cancelled"
        events = [
            event for entry in world.services.documents.history(execution, 0, 99).entries for event in entry.events
        ]
        assert [(e.by, e.reason) for e in events if isinstance(e, CancelRequested)] == [(by, "enough")]
    assert_replays(world.services, parent)


def test_a_child_that_nobody_awaits_goes_on(world: World) -> None:
    parent = world.start(PARENT.format(id="top", child="waiting", more="input: {}"), WAITING)
    world.settle(parent)
    child = keyed_execution_id("waiting", f"child:{parent}:c1")
    world.settle(child)
    world.control.ask("cancel", parent)
    assert world.settle(parent) == "cancelled"
    assert world.settle(child) == "running"


def test_code_that_runs_at_the_deadline_of_its_execution_is_stopped(world: World) -> None:
    stopped: list[int] = []

    async def act(_: NodeCall) -> None:
        try:
            await world.clock.sleep(3600)
        except asyncio.CancelledError:
            stopped.append(world.clock.now() - START)
            raise

    world.act = act
    execution = world.start(GRAPH.replace("id: w,", "id: w, timeout: 70s,"))
    asyncio.run(world.runtime.pump.run(lambda: False))
    document = world.services.documents.document(execution)
    assert (document["status"], document["error"]["type"]) == ("failed", "timeout")
    assert document["ended_at"] == "2026-01-01T00:01:10.000Z"
    assert stopped == [3 * RENEWAL_SECONDS * 1000]
    assert world.nodes(execution) == {"甲": "cancelled", "b": "skipped"}
    assert_replays(world.services, execution)


def test_a_deadline_far_away_comes_in_time(world: World) -> None:
    execution = world.start(
        "workflow: {id: far, timeout: 10d, nodes: [{id: w, type: control, subtype: wait, duration: 30d}]}"
    )
    asyncio.run(world.runtime.pump.run(lambda: world.services.documents.status(execution).terminal))
    document = world.services.documents.document(execution)
    assert (document["status"], document["ended_at"]) == ("failed", "2026-01-11T00:00:00.000Z")


# ---- retry and skip


def failing(world: World, *paths: str) -> None:
    """Have the tool fail at these nodes, until it is called otherwise."""

    def act(call: NodeCall) -> dict[str, Any]:
        if call.path in paths:
            raise ValueError
        return {"ran": call.path, "key": call.idempotency_key}

    world.act = act


def ask(
    world: World, execution: str, operation: str, *, reason: str = "", key: str | None = None, **said: Any
) -> Asked:
    return world.control.ask(operation, execution, reason, key, by="李雷", said=said)


def refused(world: World, execution: str, operation: str, **fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        ask(world, execution, operation, **fields)
    return caught.value


def test_a_failed_execution_is_retried_until_it_completes(world: World) -> None:
    failing(world, "b")
    execution = world.start(GRAPH)
    assert world.run(execution) == "failed"
    ask(world, execution, "retry", reason="支付恢复了")
    assert world.run(execution) == "failed"
    failing(world)
    ask(world, execution, "retry")
    assert world.run(execution) == "completed"
    document = world.services.documents.document(execution)
    assert (document["attempt"], document["error"], document["status"]) == (3, None, "completed")
    assert document["node_executions"]["甲"]["output"]["key"] == f"{execution}:甲:1"
    assert document["node_executions"]["b"]["output"] == {"ran": "b", "key": f"{execution}:b:3"}
    assert document["output"] == document["node_executions"]["b"]["output"]
    assert_replays(world.services, execution)


def test_while_it_goes_on_the_header_has_nothing_of_its_end(world: World) -> None:
    failing(world, "甲")
    execution = world.start(GRAPH)
    world.run(execution)
    seen: list[Any] = []

    def act(call: NodeCall) -> None:
        document = world.services.documents.document(call.execution_id)
        seen.append((document["status"], document["ended_at"], document["error"], document["output"]))

    world.act = act
    ask(world, execution, "retry")
    world.run(execution)
    assert seen == [("running", None, None, None)] * 2


def test_it_is_looked_after_again(world: World) -> None:
    execution = world.start(WAITING)
    world.run(execution)
    world.control.ask("cancel", execution)
    world.run(execution)
    world.clock.advance_to(START + DAY)
    assert world.services.sweep.sweep(shard_of(execution)) == Swept(), "it has ended, and with it that it was due"
    ask(world, execution, "retry")
    world.run(execution)
    world.clock.advance_to(START + 2 * DAY)
    assert world.services.sweep.sweep(shard_of(execution)).running == 1


def test_variables_are_replaced_for_the_next_attempt_and_shown(world: World) -> None:
    source = (
        "workflow: {id: v, variables: {币种: CNY, n: 1}, nodes: [{id: a, type: tool, tool: act, "
        "inputs: {c: '${币种}', n: '${n}', k: '${execution.attempt}'}}]}"
    )
    seen: list[Any] = []

    def act(call: NodeCall) -> None:
        seen.append(call.inputs)
        raise ValueError

    world.act = act
    execution = world.start(source)
    world.run(execution)
    for value in ("EUR", "x" * 500_000):
        ask(world, execution, "retry", variables={"币种": value})
        world.run(execution)
    assert seen == [{"c": value, "n": 1, "k": k} for k, value in enumerate(("CNY", "EUR", "x" * 500_000), 1)]
    assert world.services.documents.document(execution)["variables"] == {"币种": "x" * 500_000, "n": 1}
    assert "Did you mean `币种`" in refused(world, execution, "retry", variables={"币钟": 1}).message
    assert_replays(world.services, execution)


def test_a_failed_node_gets_an_output_and_says_who_gave_it(world: World) -> None:
    failing(world, "甲")
    execution = world.start(GRAPH)
    world.run(execution)
    ask(world, execution, "skip", node="甲", output={"大": "x" * 400_000}, reason="手工处理")
    assert world.run(execution) == "completed"
    entry = world.services.documents.document(execution)["node_executions"]["甲"]
    assert (entry["status"], entry["given"], len(entry["output"]["大"])) == ("success", True, 400_000)
    assert_replays(world.services, execution)


def test_a_wait_is_skipped(world: World) -> None:
    execution = world.start(WAITING)
    world.run(execution)
    ask(world, execution, "skip", node="w")
    assert world.run(execution) == "completed"
    assert world.nodes(execution) == {"w": "skipped"}


def test_an_agent_that_an_action_called_runs_again_with_its_inputs_after_a_cancellation(world: World) -> None:
    source = """
workflow:
  id: chart
  type: state_machine
  initial_state: s
  variables: {n: 7}
  states:
    - {name: s, on_enter: [{tool: {tool: act, inputs: {n: "${n}"}}}], transitions: [{event: done.run.s, target: e}]}
    - {name: e}
  final_states: [e]
"""
    seen: list[Any] = []

    async def act(call: NodeCall) -> None:
        seen.append(call.inputs)
        if len(seen) == 1:
            world.control.ask("cancel", call.execution_id)
            await world.clock.sleep(3600)

    world.act = act
    execution = world.start(source)
    assert world.run(execution) == "cancelled"
    ask(world, execution, "retry")
    assert world.run(execution) == "completed"
    assert seen == [{"n": 7}, {"n": 7}]
    assert_replays(world.services, execution)


def test_what_cannot_be_asked_is_refused_with_the_reason(world: World) -> None:
    failing(world, "b")
    execution = world.start(GRAPH)
    assert (error := refused(world, execution, "retry")).code == "refused"
    assert "pending" in error.message
    world.run(execution)
    assert "no node `c`" in refused(world, execution, "retry", **{"from": "c"}).message
    assert "has not failed" in refused(world, execution, "skip", node="甲").message
    failing(world)
    ask(world, execution, "retry")
    world.run(execution)
    assert "name the node" in refused(world, execution, "retry").message
    assert refused(world, execution, "skip", node="b").code == "ended"
    assert refused(world, execution, "retry", variables={"x": float("nan")}).code == "invalid_request"
    assert refused(world, "ex-none", "retry").code == "not_found"


def test_under_one_key_a_retry_happens_once_whatever_follows(world: World) -> None:
    failing(world, "b")
    execution = world.start(GRAPH)
    world.run(execution)
    first = ask(world, execution, "retry", key="键")
    world.run(execution)
    assert ask(world, execution, "retry", key="键") == first
    assert world.run(execution) == "failed"
    assert world.services.documents.document(execution)["attempt"] == 2
    assert refused(world, execution, "retry", key="键", **{"from": "b"}).code == "conflict"
    assert refused(world, execution, "cancel", key="键").code == "conflict"


def test_a_cancellation_that_is_repeated_does_not_cancel_what_was_retried(world: World) -> None:
    execution = world.start(WAITING)
    world.run(execution)
    world.control.ask("cancel", execution, key="k")
    assert world.run(execution) == "cancelled"
    ask(world, execution, "retry")
    world.control.ask("cancel", execution, key="k")
    assert world.run(execution) == "running"


def test_a_child_is_reopened_by_its_parent_only(world: World) -> None:
    failing(world, "甲")
    world.run(world.start(PARENT.format(id="p", child="w", more="result_event: over"), GRAPH))
    child = world.services.documents.list(Wanted(tuple(ExecutionStatus), "w"), 10).headers[0]
    assert child.status == "failed"
    assert "waits for this one" in refused(world, child.execution_id, "retry").message


# ---- compensate

UNDONE = """
workflow:
  id: trip
  nodes:
    - {id: 机票, type: tool, tool: act, compensate: {tool: act, inputs: {of: "${output.ran}"}}}
    - {id: 酒店, type: tool, tool: act, dependencies: [机票], compensate: {tool: act}}
    - {id: 付款, type: tool, tool: act, dependencies: [酒店]}
"""


def test_a_compensation_that_failed_runs_again_when_asked_for(world: World) -> None:
    failing(world, "付款", "机票~compensate")
    execution = world.start(UNDONE)
    assert world.run(execution) == "failed"
    document = world.services.documents.document(execution)
    assert (document["compensation"], document["attempt"]) == ("failed", 1)
    failing(world)
    asked = ask(world, execution, "compensate", reason="再试")
    assert asked.attempt == 2
    assert world.run(execution) == "failed"
    document = world.services.documents.document(execution)
    assert (document["compensation"], document["attempt"], document["error"]["node"]) == ("completed", 2, "付款")
    assert "nothing is left" in refused(world, execution, "compensate").message
    assert_replays(world.services, execution)


def test_what_has_completed_is_not_undone_by_request(world: World) -> None:
    failing(world)
    execution = world.start(UNDONE)
    assert world.run(execution) == "completed"
    before = world.services.documents.document(execution)
    with pytest.raises(RequestError, match="it has completed") as refused:
        ask(world, execution, "compensate")
    assert refused.value.code == "refused"
    assert world.run(execution) == "completed"
    assert world.services.documents.document(execution) == before


def test_a_retry_after_a_compensation_does_again_what_was_undone(world: World) -> None:
    failing(world, "付款")
    execution = world.start(UNDONE)
    assert world.run(execution) == "failed"
    ran: list[str] = []

    def act(call: NodeCall) -> dict[str, Any]:
        ran.append(call.path)
        if len(ran) == 3:
            raise ValueError
        return {"ran": call.path}

    world.act = act
    ask(world, execution, "retry")
    assert world.run(execution) == "failed"
    assert ran == ["机票", "酒店", "付款", "酒店~compensate", "机票~compensate"]
    ask(world, execution, "retry")
    assert world.run(execution) == "completed"
    assert ran[5:] == ["机票", "酒店", "付款"]
    assert set(world.nodes(execution).values()) == {"success"}
    assert_replays(world.services, execution)


def test_what_runs_cannot_be_compensated(world: World) -> None:
    execution = world.start(WAITING)
    world.run(execution)
    assert refused(world, execution, "compensate").code == "refused"
    world.control.ask("cancel", execution)
    world.run(execution)
    assert "nothing is left" in refused(world, execution, "compensate").message
