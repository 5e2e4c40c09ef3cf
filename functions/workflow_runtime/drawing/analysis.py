"""What the shape of a plan tells: which nodes can run side by side, and the longest way through."""

from __future__ import annotations

import msgspec

from workflow_runtime.drawing.walks import forward_order
from workflow_runtime.plan.plan import Plan

UNKNOWN_SECONDS = 1.0
"""Weight of a node without `timeout`: nothing is known of how long it takes, so every such node counts the same."""


class CriticalPath(msgspec.Struct, frozen=True):
    """The heaviest chain of nodes that wait for each other; ``length_seconds`` is the sum of their weights.

    A node weighs its `timeout` in seconds, the longest that one attempt can take, or `UNKNOWN_SECONDS`.
    """

    nodes: tuple[str, ...]
    length_seconds: float


def levels(plan: Plan) -> list[int]:
    """Per node the number of authored nodes on the longest way to it. Hidden nodes take the level that they pass on."""
    nodes = plan.root.nodes
    found = [0] * len(nodes)
    for node in _order(plan):
        for index in nodes[node].incoming:
            source = plan.root.edges[index].source
            found[node] = max(found[node], found[source] + (0 if nodes[source].hidden else 1))
    return found


def parallel_groups(plan: Plan) -> list[list[str]]:
    """Node ids by level, in file order: nodes of one level do not wait for each other."""
    groups: list[list[str]] = []
    for number, (node, level) in enumerate(zip(plan.root.nodes, levels(plan), strict=True)):
        if not node.hidden and number not in plan.undoing_nodes:
            groups.extend([] for _ in range(level + 1 - len(groups)))
            groups[level].append(node.id)
    return groups


def critical_path(plan: Plan) -> CriticalPath:
    """The heaviest path; of equal ones, the first in file order."""
    nodes = plan.root.nodes
    weights = [
        0.0 if node.hidden or number in plan.undoing_nodes else node.timeout_seconds or UNKNOWN_SECONDS
        for number, node in enumerate(nodes)
    ]
    total = [0.0] * len(nodes)
    best = [-1] * len(nodes)
    for node in _order(plan):
        sources = [plan.root.edges[index].source for index in nodes[node].incoming]
        if sources:
            best[node] = max(sources, key=lambda source: (total[source], -source))
        total[node] = weights[node] + (total[best[node]] if sources else 0.0)
    path = []
    node = max(range(len(nodes)), key=lambda node: (total[node], -node), default=-1)
    length = total[node] if nodes else 0.0
    while node >= 0:
        if not nodes[node].hidden:
            path.append(nodes[node].id)
        node = best[node]
    return CriticalPath(tuple(reversed(path)), length)


def _order(plan: Plan) -> list[int]:
    return forward_order(len(plan.root.nodes), ((edge.source, edge.target) for edge in plan.root.edges)).order
