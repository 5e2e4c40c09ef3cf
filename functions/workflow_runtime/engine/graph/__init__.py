"""Graphs: from the end of a node to the start of the next, in the order it goes.

- `scope`: one graph at work, over `values`, what its nodes came to;
- `readiness`: what follows for other nodes when one ends, over `joins` and `concurrency`;
- a node begins: `control` (decided here), `waits`, `approvals`, `machines` (charts inside nodes), `loops` (graphs that
  are repeated, over `loop_scope` and `collecting`), `children` (executions that nodes start), `work` (ordered from
  workers), `callbacks` (what workers have left to others), `agents` (runs that another
  one follows);
- a node ends: `outcome`, over `policy` (what is done about a failure) and `failure` (what it means to the scope);
- `outputs`: what a graph yields.

Charts know nothing of this package; what they run, they run as scopes.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from workflow_runtime.engine.awaited import Pending, Purpose
from workflow_runtime.engine.graph import (
    agents,
    approvals,
    callbacks,
    children,
    control,
    loops,
    machines,
    retries,
    waits,
    work,
)
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.pending import Resolution
from workflow_runtime.plan.specs import (
    AgentSpec,
    AggregationSpec,
    ApprovalSpec,
    ConditionSpec,
    FailSpec,
    GatherSpec,
    LoopSpec,
    MachineSpec,
    ParallelSpec,
    PassSpec,
    Spec,
    SubWorkflowSpec,
    SucceedSpec,
    SwitchSpec,
    ToolSpec,
    WaitSpec,
)


class Kind(msgspec.Struct, frozen=True):
    """What the engine does with nodes of a type.

    - ``start``: begins one that is ready; it may be over at once, or fail by `EvaluationError` or `NodeError`
    - ``resolved``: what a running one waits for has come; None for those that never run here

    Both raise `ValuesMissing`. Nothing says how to stop one: what it waits for and what runs inside it is known from
    the tables (`GraphScope.stop`).
    """

    start: Callable[[GraphScope, int], None]
    resolved: Callable[[GraphScope, int, Resolution], None] | None = None


KINDS: dict[type[Spec], Kind] = {
    AgentSpec: Kind(work.order, agents.resolved),
    ToolSpec: Kind(work.order, callbacks.timed_out),
    SwitchSpec: Kind(control.switch),
    ConditionSpec: Kind(control.condition),
    ParallelSpec: Kind(control.parallel),
    GatherSpec: Kind(control.gather),
    PassSpec: Kind(control.unless_large(control.pass_on)),
    FailSpec: Kind(control.fail),
    SucceedSpec: Kind(control.unless_large(control.succeed)),
    AggregationSpec: Kind(control.unless_large(control.aggregation)),
    WaitSpec: Kind(waits.start, waits.resolved),
    MachineSpec: Kind(machines.start, machines.resolved),
    LoopSpec: Kind(loops.start, loops.resolved),
    SubWorkflowSpec: Kind(children.start, children.resolved),
    ApprovalSpec: Kind(approvals.start, approvals.resolved),
}


def resolve(scope: GraphScope, node: int, what: Resolution) -> None:
    """Tell a node what has become of what it waits for. Raises `ValuesMissing`."""
    if isinstance(what, Pending) and what.purpose is Purpose.RETRY:
        retries.due(scope, node)
        return
    resolved = KINDS[type(scope.block.nodes[node].spec)].resolved
    assert resolved is not None, "only nodes of these kinds wait for anything"
    resolved(scope, node, what)
