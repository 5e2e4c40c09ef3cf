"""Stage *ordering*: data links that only order, cycles, and the finished graph.

A node that declares links and reads a node that is not above it waits for that node's end without depending on its
success.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.formulas import Use
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.shape.branches import Branched, Gather
from workflow_runtime.compiler.shape.walks import (
    DATA,
    Link,
    Links,
    ancestors,
    find_cycles,
    incoming_of,
    topological_order,
)
from workflow_runtime.plan.edges import ORDER


class Graph(msgspec.Struct, frozen=True):
    """The finished graph: authored nodes first, then gathers. ``incoming`` is in dependency order.

    ``order``: every node after its sources.
    """

    ids: tuple[str, ...]
    count: int
    incoming: list[list[Link]]
    order: list[int]
    gathers: tuple[Gather, ...]
    members: dict[int, tuple[tuple[int, ...], ...]]

    def authored(self, node: int) -> int:
        """The node, or for a hidden one the parallel node that it belongs to."""
        return node if node < self.count else self.gathers[node - self.count].spec.parallel

    def alive_sources(self, node: int) -> list[int]:
        """Predecessors whose success can make the node run, in dependency order."""
        return [link.source for link in self.incoming[node] if link.kind is not ORDER]


def finished(ids: Sequence[str], graph: Branched, named: dict[int, dict[int, Use]], report: Report) -> Graph | None:
    """The graph with its ordering links; None when it has a cycle, which is reported."""
    order = topological_order(graph.size, graph.links)
    if len(order) == graph.size:
        incoming = incoming_of(graph.size, graph.links)
        unlinked = list(_unlinked(graph.links, named))
        if not unlinked or not _add_reads(graph, unlinked, ancestors(order, incoming)):
            return _graph(ids, graph, incoming, order)
        order = topological_order(graph.size, graph.links)
    whole = _graph(ids, graph, incoming_of(graph.size, graph.links), order)
    if len(order) < graph.size and report_cycles(whole.ids, graph.count, graph.links, report):
        return None
    return whole


def _graph(ids: Sequence[str], graph: Branched, incoming: list[list[Link]], order: list[int]) -> Graph:
    names = (*ids, *(gather.id for gather in graph.gathers))
    return Graph(names, graph.count, incoming, order, tuple(graph.gathers), graph.members)


def report_cycles(ids: Sequence[str], count: int, links: Links, report: Report) -> bool:
    """Report one cycle per knot, at a link that data makes if there is one: those surprise."""
    cycles = find_cycles(len(ids), links)
    for cycle in cycles:
        pairs = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
        link = max((links[pair] for pair in pairs), key=lambda link: (link.target < count, link.rank[0] == DATA))
        shown = [ids[node] for node in cycle if node < count]
        printed = " → ".join((*shown, shown[0]))
        hint = "A node cannot read what runs after it." if link.rank[0] == DATA else None
        report.add(rules.CYCLE, f"these nodes wait for each other: {printed}", link.place, hint)
    return bool(cycles)


def _unlinked(links: Links, named: dict[int, dict[int, Use]]) -> Iterator[Link]:
    """For every read of a node to which there is no link yet, one that merely orders. Most nodes read those right above
    them."""
    for target, sources in sorted(named.items()):
        for number, (source, use) in enumerate(sources.items()):
            if (source, target) not in links:
                yield Link(source, target, (DATA, number), use.path, ORDER)


def _add_reads(graph: Branched, reads: list[Link], above: list[int]) -> bool:
    """Returns whether there was any that orders what was not in order already."""
    has_added = False
    for link in reads:
        if above[link.target] >> link.source & 1:
            continue
        has_added = True
        if graph.is_wait(link.source, link.target):
            graph.add_wait(link)
        else:
            graph.add(link)
    return has_added
