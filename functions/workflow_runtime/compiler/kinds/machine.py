"""A chart inside a graph; the chart itself is compiled like one at the top."""

from __future__ import annotations

from workflow_runtime.compiler.kinds.kind import NodeKind, NodeParts
from workflow_runtime.definition.charts.states import StateMachineNode
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.plan.specs import MachineSpec


def _spec(_: StateMachineNode, parts: NodeParts) -> MachineSpec:
    return parts.machine


KINDS: dict[type[NodeDefinition], NodeKind] = {
    StateMachineNode: NodeKind(
        spec=_spec, reads_inputs=True, has_fields=True, has_shape=False, takes_time=True, has_policies=True
    )
}
