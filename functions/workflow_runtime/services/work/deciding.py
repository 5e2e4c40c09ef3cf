"""In the worker: what a plan says of the node of an order."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.values.evaluation import View, evaluate
from workflow_runtime.errors import NodeError, TransportError
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import LoopSpec, NodeType
from workflow_runtime.services.messages import Order

GOES_ON_AFTER = frozenset({"timeout", "rate_limited", "throttled", "worker_lost"})
"""Error types after which a replay of an agent's steps leads on; after others it would fail again."""


def order_to_keep(plan: Plan, command: RunNode, *, fresh: bool = False) -> RunNode | None:
    """The order of an attempt that failed, if another one may be ordered as it was. ``fresh``: see `is_fresh`."""
    node = node_of(plan, command.path)
    if node is None:
        return None
    may_go_on = node.retry or any(plan.handlers[own.number].retry is not None for own in node.handlers)
    if not may_go_on:
        return None
    return replace(command, fresh=True) if fresh and node.type is NodeType.AGENT else command


def is_fresh(error: Exception) -> bool:
    """Whether the attempt after one that failed so begins anew, unless a policy says otherwise."""
    type = error.type if isinstance(error, NodeError) else "execution_error"
    return type not in GOES_ON_AFTER and not isinstance(error, TransportError)


def formulas_of(plan: Plan, node: NodePlan | None, order: Order) -> tuple[Formula, ...]:
    """What the worker evaluates for this node or, without one, to put the execution's output together."""
    if node is None:
        formula, _ = plan.root.yields(order.command.succeeded_by)
        return (formula,) if formula is not None else ()
    if order.command.reads_file:
        return ()  # what the file is stands in the order
    body = plan.blocks[node.spec.body].outputs if isinstance(node.spec, LoopSpec) else None
    return node.worker_formulas if body is None else (*node.worker_formulas, body)


def with_callers_inputs(plan: Plan, caller: int, view: View) -> View:
    """What a node sees that was called in the place of another, whose inputs it reads."""
    formula = plan.node(caller).inputs if caller >= 0 else None
    if formula is None:
        return view
    return replace(view, names={**view.names, "inputs": evaluate(formula, view)})
