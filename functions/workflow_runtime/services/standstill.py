"""Why an express execution stands still that nothing of its own can move in time: with that it fails at once."""

from __future__ import annotations

from collections.abc import Iterable

from workflow_runtime.engine.awaited import Purpose
from workflow_runtime.engine.codec import current
from workflow_runtime.engine.preview import preview
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.waiting import Cause, Open, due_of, entries_of, moves_by_itself, open_nodes
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.plan import Plan
from workflow_runtime.storage.runs import RunStore

_OF_OTHERS = (Cause.DEPENDENCY, Cause.CONCURRENCY, Cause.QUEUE)
"""What nodes wait for that wait for those that stand still."""
CANNOT = "an express execution cannot"


def stands_still(state: ExecutionState, end: int) -> bool:
    """Whether an execution that has nothing under way can only wait for its time to be over, which is at ``end``
    (epoch ms) at the latest."""
    deadlines = [entry.due - 1 for entry in state.pending.values() if entry.purpose is Purpose.DEADLINE]
    return not moves_by_itself(state, min([end, *deadlines]))


def standstill(plan: Plan, state: ExecutionState, runs: RunStore) -> ErrorDocument:
    """What it waits for, as the error that it fails with. A node that waits for its next attempt tells how the last one
    failed."""
    state = current(plan, state)
    nodes = sorted((node for node in open_nodes(plan, state) if node.cause not in _OF_OTHERS), key=_vague)
    if not nodes:
        return ErrorDocument.of("execution_error", f"nothing in it could go on in time, and {CANNOT} wait longer")
    node = nodes[0]
    if node.cause is Cause.RETRY:
        return _late_attempt(state, node, runs)
    moves = _in_charts(plan, state, node.path) if node.cause is None else _moves(plan, state, node)
    message = f"`{node.path}` waits for {moves}, which {CANNOT} await"
    return ErrorDocument.of("execution_error", message, node.path)


def _vague(node: Open) -> bool:
    """Of nodes that have others inside, those say more."""
    return node.cause is None


def _late_attempt(state: ExecutionState, node: Open, runs: RunStore) -> ErrorDocument:
    run = runs.get(state.execution_id, node.path, node.serial - 1)
    error = run.error if run is not None else None
    seconds = _seconds_left(state, node)
    what = f"its next attempt would begin in {seconds:g} s, which {CANNOT} await"
    if error is None:
        return ErrorDocument.of("execution_error", f"`{node.path}` has failed, and {what}", node.path)
    return ErrorDocument.of(error.type, f"{error.message} ({what})", error.node or node.path, cause=error.cause)


def _moves(plan: Plan, state: ExecutionState, node: Open) -> str:
    """What would move a node, in words."""
    from workflow_runtime.services.views.explanation import Explanation  # hardly any execution stands still

    if node.cause is Cause.TIMER:
        return f"another {_seconds_left(state, node):g} s"
    return Explanation(plan, state, node, None, 0).waiting().moves


def _seconds_left(state: ExecutionState, node: Open) -> float:
    due = due_of(entries_of(state, state.graph(node.scope), node.index))
    return max(due - state.now, 0) / 1000


def _in_charts(plan: Plan, state: ExecutionState, path: str) -> str:
    """What the chart inside a node, or one inside that, listens to in the states that it is in."""
    ahead = preview(plan, state, state.now)
    inside = [chart for chart in ahead.charts if chart.path == path or chart.path.startswith(f"{path}/")]
    within = {chart.path for chart in inside}
    words = [f"the event `{each.event}`" for each in ahead.prospects if each.machine in within]
    words += [
        f"another {max(timer.due - state.now, 0) / 1000:g} s" for timer in ahead.timers if timer.machine in within
    ]
    states = _listed(f"`{name}`" for chart in inside for name in chart.states)
    return (_listed(words) or "what never comes") + (f" in the state {states}" if states else "")


def _listed(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))
