"""What runs in the place of a workflow that is mocked: an execution of one node, which the mock answers.

So it takes its time, fails, is cancelled and is shown like any other.
"""

from __future__ import annotations

from workflow_runtime.plan.formulas import Binding, BindingKind, Formula
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import NodeType, ToolSpec

MOCK = "mock"
"""Id of the node."""


def stand_in(workflow_id: str, published: Plan | None) -> Plan:
    """The plan of an execution that a mock answers, held to the schemas of the workflow that is ``published``."""
    inputs = Formula("${execution.input}", (Binding("execution", BindingKind.EXECUTION),))
    node = NodePlan(
        MOCK,
        NodeType.SUB_WORKFLOW,
        ToolSpec(workflow_id),
        pool=NodeType.TOOL.value,
        inputs=inputs,
        decision_paths=((),),  # its output, whole, is the execution's
    )
    return Plan(
        workflow_id,
        GraphBlock((node,), (), sinks=(0,)),
        input_schema=published.input_schema if published is not None else None,
        output_schema=published.output_schema if published is not None else None,
    )
