"""Nodes of a plan, by their paths in an execution."""

from __future__ import annotations

from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan


def node_of(plan: Plan, path: str) -> NodePlan | None:
    """The node of this path; None for the outputs of a scope, and where the plan has no such node."""
    place = plan.locate(path)
    return plan.blocks[place.block].nodes[place.node] if place is not None else None
