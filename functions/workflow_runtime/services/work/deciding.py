"""In the worker: what a plan says of the node of an order, and what the dispatcher would decide if it were smaller."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.values.aggregation import aggregate, operand_values
from workflow_runtime.engine.values.evaluation import View, evaluate
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AggregationSpec, SucceedSpec
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.rendering import Rendering


def decided(plan: Plan, rendering: Rendering) -> Json:
    """The output of a node that the dispatcher would run itself if its values were smaller."""
    node, view = rendering.node, rendering.view
    inputs = rendering.inputs()
    match node.spec:
        case AggregationSpec() as spec:
            output = aggregate(spec, operand_values(spec, _block_of(plan, rendering.command.path), view), view)
        case SucceedSpec(output=formula) if formula is not None:
            output = evaluate(formula, view, unresolved=rendering.unresolved)
        case _:
            output = inputs
    return rendering.shaped(inputs, output)[0]


def node_of(plan: Plan, path: str) -> NodePlan | None:
    """The node of this path; None for the scope's outputs."""
    place = plan.locate(path)
    return plan.blocks[place.block].nodes[place.node] if place is not None else None


def order_to_keep(plan: Plan, command: RunNode) -> RunNode | None:
    """The order of an attempt that failed, if another one may be ordered as it was."""
    node = node_of(plan, command.path)
    if node is None:
        return None
    may_go_on = node.retry or any(plan.handlers[own.number].retry is not None for own in node.handlers)
    return command if may_go_on else None


def output_formulas(plan: Plan, order: Order) -> tuple[Formula, ...]:
    """What puts the execution's output together."""
    formula, _ = plan.root.yields(order.command.succeeded_by)
    return (formula,) if formula is not None else ()


def with_callers_inputs(plan: Plan, caller: int, view: View) -> View:
    """What a node sees that was called in the place of another, whose inputs it reads."""
    formula = plan.node(caller).inputs if caller >= 0 else None
    if formula is None:
        return view
    return replace(view, names={**view.names, "inputs": evaluate(formula, view)})


def _block_of(plan: Plan, path: str) -> GraphBlock:
    place = plan.locate(path)
    assert place is not None, "only outputs have no node, and they are not aggregated"
    return plan.blocks[place.block]
