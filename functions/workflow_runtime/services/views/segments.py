"""What workers have done in place (`plan.segments`) and the dispatcher has not been told yet, for people to see."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from workflow_runtime.engine.codec import current
from workflow_runtime.engine.lifecycle import Mark
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.waiting import path_in
from workflow_runtime.plan import segments
from workflow_runtime.plan.addresses import ScopeId
from workflow_runtime.plan.plan import Plan
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.runs import RunStore

HEADS_MAX = 500  # nodes at work, of an execution, that are looked at

NO_RUNS: dict[str, Run] = {}


def as_it_stands(runs: RunStore, plan: Plan, state: ExecutionState) -> tuple[ExecutionState, dict[str, Run]]:
    """The state with what workers have done in place since, and the runs, by path, that have no record yet."""
    if not state.segments or not state.in_flight:
        return state, NO_RUNS
    stands = current(plan, state).copy()
    heads = dict(islice(_heads(plan, stands), HEADS_MAX))
    found = runs.get_all(state.execution_id, [*heads]) if heads else {}
    claimed: dict[str, Run] = {}
    for ran, head in found.items():
        if head.next is None:
            continue
        graph = stands.touch(heads[ran])
        assert isinstance(graph, GraphState), "nodes are in graphs"
        for run in runs.segment(state.execution_id, head):
            place = plan.locate(run.path)
            if place is not None:
                graph.marks[place.node] = Mark.SUCCESS if run.status is RunStatus.SUCCESS else Mark.READY
            if run.in_place:
                claimed[run.path] = run
    return stands, claimed


def _heads(plan: Plan, state: ExecutionState) -> Iterator[tuple[tuple[str, int], ScopeId]]:
    """Runs of ordered nodes that others may follow in place, by path and serial, with their scopes."""
    for address, graph in state.all_scopes():
        if not isinstance(graph, GraphState):
            continue
        for index, mark in enumerate(graph.marks):
            if mark == Mark.READY and segments.after(plan.blocks[graph.block], index):
                yield (path_in(plan, graph.block, address, index), graph.serial(index)), address
