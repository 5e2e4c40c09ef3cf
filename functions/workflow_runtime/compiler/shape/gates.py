"""Stage *gates*: what a switch or condition selects is run by it alone.

A node that a switch or condition names as target keeps, besides that gate, only the links that come from at or below
another target of the same control node; its other links merely order it.
"""

from __future__ import annotations

import msgspec

from workflow_runtime.compiler.shape.walks import Links, incoming_of, topological_order
from workflow_runtime.plan.edges import EdgeKind


def gated(count: int, links: Links) -> Links:
    """The links with their kinds settled.

    Whether a node is below a target depends on links that this stage turns into mere order, so it walks in topological
    order: when it reaches a node, the kinds of all links above are final. ``below[v]`` is v and all that may bring it
    alive.
    """
    if all(link.kind is not EdgeKind.GATE for link in links.values()):
        return links
    targets = [0] * count
    for source, target in links:
        if links[source, target].kind is EdgeKind.GATE:
            targets[source] |= 1 << target
    incoming = incoming_of(count, links)
    below = [0] * count
    settled: Links = {}
    for node in topological_order(count, links):
        rivals = 0
        for link in incoming[node]:
            if link.kind is EdgeKind.GATE:
                rivals |= targets[link.source]
        is_gated = bool(rivals)
        rivals &= ~(1 << node)
        alive = 1 << node
        for link in incoming[node]:
            kept = link
            if is_gated and link.kind is EdgeKind.FLOW and not below[link.source] & rivals:
                kept = msgspec.structs.replace(link, kind=EdgeKind.ORDER)
            settled[link.source, node] = kept
            if kept.kind is not EdgeKind.ORDER:
                alive |= below[link.source]
        below[node] = alive
    return settled
