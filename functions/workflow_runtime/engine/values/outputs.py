"""What a graph yields, made of what its nodes yielded."""

from __future__ import annotations

from workflow_runtime.engine.values.evaluation import View, evaluate
from workflow_runtime.errors import NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import violation
from workflow_runtime.plan.graph import GraphBlock
from workflow_runtime.plan.plan import Plan


def scope_output(plan: Plan, block: GraphBlock, succeeded_by: int, view: View) -> Json:
    """What a graph yields; the execution's is checked against its ``output_schema``. Raises `NodeError`."""
    formula, nodes = block.yields(succeeded_by)
    try:
        output = evaluate(formula, view) if formula is not None else _nodes_output(block, nodes, view)
    except EvaluationError as error:
        raise NodeError("execution_error", f"outputs: {error}") from error
    if block is plan.root:
        check_output(plan, output)
    return output


def check_output(plan: Plan, output: Json) -> None:
    """Raises `NodeError` when the execution's output is not as its ``output_schema`` says."""
    problem = violation(plan.output_schema, output) if plan.output_schema is not None else None
    if problem:
        raise NodeError("validation_error", f"the output does not match output_schema: {problem}")


def _nodes_output(block: GraphBlock, nodes: tuple[int, ...], view: View) -> Json:
    """One node: its output. Several: an object by node id of those that succeeded. None: null."""
    outputs = {}
    for node in nodes:
        value = view.nodes.get(block.first + node)
        if value is not None and value.status == "success":
            outputs[block.nodes[node].id] = value.output
    return outputs if len(nodes) > 1 else next(iter(outputs.values()), None)
