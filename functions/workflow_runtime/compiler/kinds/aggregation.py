"""The aggregation."""

from __future__ import annotations

from workflow_runtime.compiler.kinds.kind import NodeKind, NodeParts, expression, template
from workflow_runtime.definition.nodes.aggregation import AggregationNode
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.plan.specs import AggregationSpec


def _spec(node: AggregationNode, parts: NodeParts) -> AggregationSpec:
    return AggregationSpec(
        strategy=node.strategy,
        operands=parts.operands,
        items=parts.formula("items"),
        field=node.field,
        score=parts.formula("score"),
        value=parts.formula("value"),
        ties=node.ties,
        min_votes=node.min_votes,
        detail=node.detail,
        default=parts.formula("default"),
    )


def _combines(node: AggregationNode) -> bool:
    return node.items is None


KINDS: dict[type[NodeDefinition], NodeKind] = {
    AggregationNode: NodeKind(
        formulas=(
            template("items"),
            expression("score", locals=frozenset({"item"})),
            template("value"),
            template("default"),
        ),
        spec=_spec,
        has_fields=True,
        combines=_combines,
        has_policies=True,
    )
}
