"""Reads what the engine needs to know before it can decide: recorded runs, and the execution's globals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from msgspec.structs import replace

from workflow_runtime.engine.awaited import Purpose
from workflow_runtime.engine.commands import Read, RunNode
from workflow_runtime.engine.events import Event, EventReturned, TimerFired
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known, Needs, Visit
from workflow_runtime.engine.values.evaluation import NOT_RUN, NodeValue
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Item, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.records import Globals, Run
from workflow_runtime.storage.stores import Stores

EventT = TypeVar("EventT", bound=Event)


class Knowledge:
    def __init__(self, table: Table, stores: Stores) -> None:
        self._table = table
        self._stores = stores
        self._executions = stores.executions
        self._runs = stores.runs

    def fetch(self, plan: Plan, execution_id: str, needs: Needs, known: Known) -> Known:
        """``known`` with what was needed. A run that should be recorded and is not is a fault: `KeyError`."""
        input_key = keys.input(execution_id, needs.replaced)
        wanted = {keys.run(execution_id, read.path(plan), read.serial): read for read in needs.reads}
        failed = {keys.run(execution_id, read.path(plan), read.serial): read for read in needs.orders}
        undone = {keys.run(execution_id, read.path(plan), read.serial): read for read in needs.visits}
        passed = {keys.run(execution_id, read.path(plan), read.serial): read for read in needs.passes}
        results = {**wanted, **passed}
        items = self._runs.ended(list(results))
        others = [key for key in {**failed, **undone} if key not in results] + ([input_key] if needs.globals else [])
        if others:
            items |= self._table.get(others)
        nodes = dict(known.nodes)
        for key, read in wanted.items():
            nodes[read] = _pruned(plan, read.node, self._runs.run_of(items[key]))
        for key, read in passed.items():
            nodes[read] = _pruned(plan, read.node, self._runs.run_of(items[key])) if key in items else NOT_RUN
        if needs.globals:
            known = replace(known, globals=pruned_globals(plan, self._executions.globals_of(items[input_key])))
        blobs = {key: unpack(self._executions.get_blob(key)) for key in needs.blobs}
        orders = {read: self._order(plan, execution_id, read, items[key]) for key, read in failed.items()}
        visits = {read: self._visit(items[key]) for key, read in undone.items()}
        return known.with_more(Known(nodes, None, blobs, orders, visits, segments=frozenset(needs.segments)))

    def _visit(self, item: Item) -> Visit:
        """A run that is undone, whole."""
        return Visit(self._runs.inputs_of(item), self._runs.run_of(item).output)

    def heard(self, state: ExecutionState, events: Sequence[EventT]) -> list[EventT]:
        """The events; of timers at which a sign of life must have come, with when the last one came."""
        return [self._with_heartbeat(state, event) for event in events]

    def _with_heartbeat(self, state: ExecutionState, event: EventT) -> EventT:
        fired: Event = event.held if isinstance(event, EventReturned) else event
        entry = state.pending.get(fired.timer) if isinstance(fired, TimerFired) else None
        if not isinstance(fired, TimerFired) or entry is None or entry.purpose is not Purpose.HEARTBEAT:
            return event
        task = self._stores.tasks.get(entry.name)
        known = replace(fired, heard=task.heard_at if task is not None else 0)
        return cast(EventT, replace(event, held=known) if isinstance(event, EventReturned) else known)

    def _order(self, plan: Plan, execution_id: str, read: Read, item: Item) -> RunNode | None:
        """The order of a run: kept by its record if it failed and had more attempts. What an action called has its
        inputs from its order alone, and that stands in the journal."""
        kept = self._runs.order_of(item)
        if kept is None and plan.node(read.node).pool is not None:  # the dispatcher has recorded how its task failed
            return self._executions.order_of(execution_id, read.path(plan), read.serial)
        if kept is not None or plan.place(read.node)[0] not in plan.lone_blocks:
            return kept
        return self._executions.order_of(execution_id, read.path(plan), read.serial)


def node_value(run: Run) -> NodeValue:
    """A recorded run as formulas see it, to whom its status is a text like any other."""
    error: dict[str, Json] | None = None
    if run.error is not None:
        error = {"type": run.error.type, "message": run.error.message, "node": run.error.node}
    return NodeValue(run.status.value, run.output, error)


def _pruned(plan: Plan, node: int, run: Run) -> NodeValue:
    value = node_value(run)
    return replace(value, output=prune(value.output, plan.node(node).decision_paths))


def pruned_globals(plan: Plan, data: Globals) -> dict[str, Json]:
    """What decisions read of input and variables, and env."""
    return {
        "input": prune(data.input, plan.input_paths),
        "variables": prune(data.variables, plan.variable_paths),
        "env": data.env,
    }
