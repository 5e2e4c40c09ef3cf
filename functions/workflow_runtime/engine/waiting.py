"""What the open nodes of an execution wait for, as far as its state tells: for people, nothing here decides."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from workflow_runtime.engine.awaited import BUDGET_CALL, Pending, PendingKind, Purpose
from workflow_runtime.engine.lifecycle import OPEN_MARKS, STATUS_OF_MARK, ExecutionStatus, Mark, NodeStatus
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.plan.addresses import ScopeId
from workflow_runtime.plan.graph import GraphBlock
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, ApprovalSpec, SubWorkflowSpec, ToolSpec, WaitSpec

OTHERS = (AgentSpec, ApprovalSpec, SubWorkflowSpec, ToolSpec)
"""Specs of nodes that may wait for what others have to do."""


class Cause(StrEnum):
    """What a node waits for."""

    DEPENDENCY = "dependency"
    QUEUE = "queue"  # it was ordered, and no worker has begun it yet
    CONCURRENCY = "concurrency"
    RETRY = "retry"
    TIMER = "timer"
    EVENT = "event"
    CHILD = "child"
    APPROVAL = "approval"
    CALLBACK = "callback"
    SUSPENDED = "suspended"
    BUDGET = "budget"  # people are to allow it more, or others are to settle, of which only its run tells
    LIMITER = "limiter"  # it waits in a line, of which the engine does not know
    FROZEN = "frozen"  # a switch holds it back, which the engine does not know


class Open(msgspec.Struct, frozen=True):
    """An open node of a graph at work. ``index``: in its block, which has the number ``block``. ``cause`` None:
    something goes on inside it.
    """

    path: str
    scope: ScopeId
    block: int
    index: int
    serial: int
    status: NodeStatus
    cause: Cause | None


def moves_by_itself(state: ExecutionState, until: int) -> bool:
    """Whether nodes, children or timers may move an execution before ``until`` (epoch ms)."""
    if state.status is ExecutionStatus.SUSPENDED:
        return bool(state.in_flight)
    return bool(state.in_flight or state.collecting or state.held) or any(
        entry.kind is PendingKind.CHILD or (entry.kind is PendingKind.TIMER and entry.due <= until)
        for entry in state.pending.values()
    )


def open_nodes(plan: Plan, state: ExecutionState) -> Iterator[Open]:
    """The open nodes, scope by scope in the order they began. Those that the compiler made, other than fallbacks, and
    those that nobody has called are left out."""
    for address, graph in state.all_scopes():
        if not isinstance(graph, GraphState):
            continue
        block = plan.blocks[graph.block]
        for index, node in enumerate(block.nodes):
            mark = graph.marks[index]
            made = node.hidden and not node.is_fallback
            if mark not in OPEN_MARKS or made or (node.called and mark == Mark.WAITING):
                continue
            yield Open(
                path_in(plan, graph.block, address, index),
                address,
                graph.block,
                index,
                graph.serial(index),
                STATUS_OF_MARK[mark],
                cause_of(plan, state, block, graph, index),
            )


def path_in(plan: Plan, block: int, address: ScopeId, index: int) -> str:
    """The path of a node of a block that is at work at this address."""
    id = plan.blocks[block].nodes[index].id
    if block in plan.lone_blocks:
        return address
    return f"{address}/{id}" if address else id


def cause_of(plan: Plan, state: ExecutionState, block: GraphBlock, graph: GraphState, index: int) -> Cause | None:
    """What an open node waits for. Of one that was ordered, only its run tells whether a worker has begun it."""
    suspended = state.status is ExecutionStatus.SUSPENDED
    match graph.marks[index]:
        case Mark.WAITING:
            if any(True for _ in open_sources(block, graph, index)):
                return Cause.DEPENDENCY
            return Cause.SUSPENDED if suspended else None
        case Mark.QUEUED | Mark.READY if suspended:
            return Cause.SUSPENDED
        case Mark.ESCALATED:
            return Cause.SUSPENDED
        case Mark.RETRYING:
            return Cause.RETRY
        case Mark.RUNNING if isinstance(spec := block.nodes[index].spec, WaitSpec) and index in graph.pending:
            return Cause.EVENT if spec.event else Cause.TIMER
        case Mark.RUNNING if isinstance(block.nodes[index].spec, OTHERS) and index in graph.pending:
            return _cause_outside(entries_of(state, graph, index))
        case Mark.QUEUED:
            return Cause.CONCURRENCY if index in graph.held or plan.max_concurrency else Cause.QUEUE
        case Mark.READY:
            return Cause.QUEUE
    return None


def _cause_outside(entries: list[Pending]) -> Cause | None:
    """What a node waits for that others have to do: people first, of an agent that waits for several things."""
    asked = [entry.approval.call.startswith(BUDGET_CALL) for entry in entries if entry.approval is not None]
    if asked:
        return Cause.BUDGET if all(asked) else Cause.APPROVAL
    if any(entry.callback is not None for entry in entries):
        return Cause.CALLBACK
    return Cause.CHILD if any(entry.kind is PendingKind.CHILD for entry in entries) else None


def open_sources(block: GraphBlock, graph: GraphState, index: int) -> Iterator[int]:
    """The nodes before a node that are still open; those that the compiler made are looked through."""
    for edge in block.nodes[index].incoming:
        source = block.edges[edge].source
        if graph.marks[source] not in OPEN_MARKS:
            continue
        if block.nodes[source].hidden:
            yield from open_sources(block, graph, source)
        else:
            yield source


def entries_of(state: ExecutionState, graph: GraphState, index: int) -> list[Pending]:
    """What a node waits for in the table of pending things."""
    return [state.pending[id] for id in graph.pending.get(index, ()) if id in state.pending]


def due_of(entries: list[Pending]) -> int:
    """When the first timer among these is due (epoch ms); 0: there is none."""
    return min((entry.due for entry in entries if entry.kind is PendingKind.TIMER), default=0)


def children(state: ExecutionState) -> Iterator[tuple[str, Pending]]:
    """The executions whose end is awaited, by token."""
    for token, entry in state.pending.items():
        if entry.kind is PendingKind.CHILD and entry.purpose is Purpose.RESULT:
            yield token, entry
