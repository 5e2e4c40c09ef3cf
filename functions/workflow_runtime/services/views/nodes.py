"""What people see of nodes: one entry per node by its path, from the plan's blocks, the live scopes, and the runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from workflow_runtime.engine.codec import current
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.lifecycle import STATUS_OF_MARK, Mark, NodeStatus
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.engine.waiting import Cause, cause_of, path_in
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.invokers.usage import total
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import ScopeId, in_order_of_passes
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.policies import rule_for
from workflow_runtime.services.views.compensation import statuses_of_undone
from workflow_runtime.services.views.passes import Scope
from workflow_runtime.storage.limiters import LimiterName
from workflow_runtime.storage.records import Run, RunStatus

NODE_STATUS_OF_RUN = {
    RunStatus.RUNNING: NodeStatus.RUNNING,
    RunStatus.YIELDED: NodeStatus.RUNNING,
    RunStatus.WAITING: NodeStatus.READY,
    RunStatus.RELEASED: NodeStatus.READY,
    RunStatus.SUCCESS: NodeStatus.SUCCESS,
    RunStatus.FAILED: NodeStatus.FAILED,
    RunStatus.CANCELLED: NodeStatus.CANCELLED,
    RunStatus.SKIPPED: NodeStatus.SKIPPED,
}
ENDED_IN_PLACE = (RunStatus.SUCCESS, RunStatus.FAILED)


def live_graphs(plan: Plan, state: ExecutionState | None) -> dict[ScopeId, GraphState]:
    """The graph scopes that there are now, by address; the one at the top is always there."""
    if state is None:
        return {}
    scopes = current(plan, state).all_scopes()
    return {address: scope for address, scope in scopes if isinstance(scope, GraphState)}


def node_executions(
    plan: Plan,
    state: ExecutionState | None,
    runs: Iterable[Run],
    only: Collection[str] | None = None,
    is_frozen: Callable[[str], bool] = lambda _: False,
    scopes: Iterable[Scope] | None = None,
) -> dict[str, Json]:
    """One entry per node by path, in file order, hidden ones apart; or of the paths in ``only``. ``is_frozen``: whether
    runs of the node of a path are held back; asked of those that no worker has begun. ``scopes``: what is shown; by
    default the scopes of the plan, and the passes of loops that are live or have runs.

    A live node has the status that the state gives it, and its newest run since its scope was entered. Any other has
    that of its newest run; without one it is waiting, or skipped once the execution has ended. A compensation has an
    entry once it was ordered; what it undid is compensated. ``usage`` is that of all runs of a node: each was paid for.
    """
    newest: dict[str, Run] = {}
    used: dict[str, list[dict[str, Json]]] = {}
    for run in runs:
        newest[run.path] = run
        if run.usage:
            used.setdefault(run.path, []).append(run.usage)
    undone = statuses_of_undone(plan, state)
    entries: dict[str, Json] = {}
    for scope in scopes if scopes is not None else _scopes(plan, state, newest):
        number, address, graph = scope.block, scope.address, scope.graph
        block = plan.blocks[number]
        for index, node in enumerate(block.nodes):
            path = path_in(plan, number, address, index)
            found = newest.get(path)
            if (node.hidden and not (node.is_fallback and found)) or (only is not None and path not in only):
                continue  # of hidden nodes, fallbacks are shown once they were needed
            if number in plan.undo_blocks and graph is None and found is None:
                continue
            entry = entries[path] = _node_entry(plan, state, block, graph, index, found)
            entry["usage"] = total(used.get(path, ()))
            if found is not None and (path, found.serial) in undone:
                entry["status"] = undone[path, found.serial].value
            if entry["waiting_on"] == Cause.QUEUE and found is not None and found.status is RunStatus.WAITING:
                is_freeze = LimiterName(found.limiter, found.limiter_key).is_freeze
                entry["waiting_on"] = (Cause.FROZEN if is_freeze else Cause.LIMITER).value
            elif entry["waiting_on"] == Cause.QUEUE and is_frozen(path):
                entry["waiting_on"] = Cause.FROZEN.value
    return entries


def _scopes(plan: Plan, state: ExecutionState | None, runs: Iterable[str]) -> Iterator[Scope]:
    """Every block with the addresses at which it is shown: one, or those of the passes of loops that it is in."""
    live = live_graphs(plan, state)
    passed: dict[int, set[ScopeId]] = {}
    if plan.has_loops:
        for address, graph in live.items():
            passed.setdefault(graph.block, set()).add(address)
        for place in filter(None, map(plan.locate, runs)):
            passed.setdefault(place.block, set()).add(place.scope)
    for number in range(len(plan.blocks)):
        found = (
            sorted(passed.get(number, ()), key=in_order_of_passes)
            if plan.loops_around[number]
            else (plan.block_address(number),)
        )
        yield from (Scope(number, address, live.get(address)) for address in found)


def _node_entry(
    plan: Plan, state: ExecutionState | None, block: GraphBlock, graph: GraphState | None, index: int, run: Run | None
) -> dict[str, Json]:
    if graph is None:
        over = state is not None and state.status.terminal
        return _entry(block.nodes[index], _status_of(run, over=over), run, None)
    status = STATUS_OF_MARK[graph.marks[index]]
    if run is not None and run.serial < graph.visit(index):
        if _was_given_up(state, status, run):
            return _entry(block.nodes[index], NodeStatus.CANCELLED, run, None)
        run = None  # of an earlier visit
    if status is NodeStatus.READY and run is not None and run.status is RunStatus.RUNNING:
        status = NodeStatus.RUNNING
    if status is NodeStatus.WAITING and run is not None and run.status in ENDED_IN_PLACE:  # and the execution rests
        status = NODE_STATUS_OF_RUN[run.status]
    entry = _entry(block.nodes[index], status, run, _waiting_on(plan, state, block, graph, index, status))
    if status is NodeStatus.FAILED and not entry["handled"]:
        entry["handled"] = graph.marks[index] != Mark.FAILED
    if run is None and index in graph.begun:
        entry |= {"attempts": 1, "started_at": iso_time(graph.begun[index])}
    if status is NodeStatus.RUNNING and state is not None and index in graph.children:
        started = graph.children[index]
        entry["child"] = child_execution_id(state.execution_id, started.order, started.workflow_id)
    entry["warnings"] += [note for note in graph.notes.get(index, ()) if note not in entry["warnings"]]
    return entry


def _was_given_up(state: ExecutionState | None, status: NodeStatus, run: Run) -> bool:
    """Whether a worker had begun the run in place when what it followed was cancelled: the node has had another visit
    since, in case it should run after all (`GraphScope.cancel_run`). Once the execution was reopened, there may have
    been an earlier one indeed, which says nothing any more."""
    is_cancelled = status is NodeStatus.SKIPPED and run.status is RunStatus.CANCELLED and run.started_at > 0
    return is_cancelled and state is not None and state.attempt == 1


def _status_of(run: Run | None, *, over: bool) -> NodeStatus:
    if run is None:
        return NodeStatus.SKIPPED if over else NodeStatus.WAITING
    return (
        NodeStatus.CANCELLED
        if over and (run.status.open or run.status is RunStatus.YIELDED)
        else NODE_STATUS_OF_RUN[run.status]
    )


def error_json(error: ErrorDocument | None) -> dict[str, Json] | None:
    if error is None:
        return None
    return {"type": error.type, "message": error.message, "node": error.node or None, **_cause_json(error)}


def _cause_json(error: ErrorDocument) -> dict[str, Json]:
    """Of the error of a sub-workflow: where in its execution it began."""
    if error.cause is None:
        return {}
    return {"cause": {"execution_id": error.cause.execution_id, "node": error.cause.node or None}}


def _own_error_json(error: ErrorDocument) -> dict[str, Json]:
    """The error of a node, as its entry has it."""
    return {"type": error.type, "message": error.message, **_cause_json(error)}


def _is_handled(node: NodePlan, status: NodeStatus, run: Run | None) -> bool:
    """Whether a rule of the node dealt with its error. A worker that recorded it did not know."""
    if run is None or run.error is None or status is not NodeStatus.FAILED:
        return False
    rule = rule_for(node.on_error, run.error.type)
    return run.handled or (rule is not None and rule.do != "fail")


def _entry(node: NodePlan, status: NodeStatus, run: Run | None, waiting_on: str | None) -> dict[str, Json]:
    child = {"child": run.child} if run is not None and run.child else {}
    return child | {
        "status": status.value,
        "attempts": run.attempt if run is not None else 0,
        "output": run.output if run is not None else None,
        "error": _own_error_json(run.error) if run is not None and run.error else None,
        "handled": _is_handled(node, status, run),
        "started_at": iso_time(run.started_at) if run is not None and run.started_at else None,
        "ended_at": iso_time(run.ended_at) if run is not None and run.ended_at else None,
        "waiting_on": waiting_on,
        "unresolved": list(run.unresolved) if run is not None else [],
        "warnings": list(run.warnings) if run is not None else [],
        "fallback_used": run is not None and run.fallback_used,
        "fallback_error": error_json(run.fallback_error) if run is not None else None,
        "given": run is not None and run.given,
        "usage": None,
    }


def _waiting_on(
    plan: Plan,
    state: ExecutionState | None,
    block: GraphBlock,
    graph: GraphState,
    index: int,
    status: NodeStatus,
) -> str | None:
    """What an open node waits for; None for one that runs or has ended."""
    if state is None or state.status.terminal:
        return None
    if status is NodeStatus.RUNNING and graph.marks[index] == Mark.READY:
        return None  # a worker has begun it
    return cause_of(plan, state, block, graph, index)
