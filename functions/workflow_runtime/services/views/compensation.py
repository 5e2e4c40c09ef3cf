"""What people see of a compensation: one entry per visit that is or was undone, and the statuses of those visits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workflow_runtime.engine.lifecycle import STATUS_OF_MARK, ExecutionStatus, Mark, NodeStatus
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.engine.visits import Fate, Undoable
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.storage.records import Run

RunId = tuple[str, int]
"""A run by path and serial."""


def statuses_of_undone(plan: Plan, state: ExecutionState | None) -> dict[RunId, NodeStatus]:
    """The statuses of runs that succeeded and are, were or will be undone, once that has begun."""
    if state is None or state.undoing is None:
        return {}
    return {
        (_path(plan, visit), visit.serial): NodeStatus.COMPENSATED if _is_undone(state, place) else NodeStatus.SUCCESS
        for place, visit in enumerate(state.undo)
    }


def _is_undone(state: ExecutionState, place: int) -> bool:
    fate = state.fates.get(place)
    return fate is not None and fate.mark == Mark.SUCCESS


def compensations(plan: Plan, state: ExecutionState | None, runs: Iterable[Run]) -> list[dict[str, Json]]:
    """One entry per visit, the one that completed last first; none until a compensation has begun. Of an execution that
    was reopened, those that were undone before."""
    if state is None or state.undoing is None:
        return []
    known = {(run.path, run.serial): run for run in runs}
    is_under_way = state.status is ExecutionStatus.COMPENSATING or state.undoing.is_of(state.status, state.error)
    return [
        _entry(plan, state, state.undo[place], state.fates.get(place), known)
        for place in reversed(range(len(state.undo)))
        if place in state.fates or is_under_way
    ]


def _entry(
    plan: Plan, state: ExecutionState, visit: Undoable, fate: Fate | None, runs: Mapping[RunId, Run]
) -> dict[str, Json]:
    block = plan.blocks[plan.node(visit.number).compensate]
    path = visit.prefix + block.nodes[0].id
    status, run = NodeStatus.WAITING, None
    if fate is not None:
        mark, serial = fate.mark, fate.serial
        if mark == Mark.RUNNING and path in state.scopes:
            graph = state.look(path)
            assert isinstance(graph, GraphState)
            mark, serial = graph.marks[0], graph.serial(0)
        status = STATUS_OF_MARK[mark]
        run = runs.get((path, serial))
        if status is NodeStatus.READY and run is not None and run.status.open:
            status = NodeStatus.RUNNING
    return {
        "node": _path(plan, visit),
        "path": path,
        "status": status.value,
        "attempts": run.attempt if run is not None else 0,
        "error": {"type": run.error.type, "message": run.error.message} if run is not None and run.error else None,
        "started_at": iso_time(run.started_at) if run is not None else None,
        "ended_at": iso_time(run.ended_at) if run is not None and run.ended_at else None,
    }


def _path(plan: Plan, visit: Undoable) -> str:
    return visit.prefix + plan.node(visit.number).id
