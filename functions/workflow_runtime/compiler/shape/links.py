"""Stage *mentions*: the links that a definition declares, and those that data makes for nodes that declare none.

Data links of other nodes only order; they need the finished graph and are added by `ordering`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import TypeAlias

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.bounds import Spent
from workflow_runtime.compiler.collect.formulas import OF_NODE, ReadSite, Site, SiteKind, Use
from workflow_runtime.compiler.collect.graphs import OWN, Enclosing, GraphSource
from workflow_runtime.compiler.collect.sources import Matcher, Sources
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.compiler.shape.walks import DATA, DEPENDENCY, EDGE, TARGET, Link, Links, merge
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.policies import ErrorHandler
from workflow_runtime.plan.edges import EdgeKind

Handlers: TypeAlias = Sequence[Sequence[tuple[int, int]]]
"""Per node of a graph, the workflow's error handlers that are for it, by number; each with the node of this graph that
runs as a fallback (-1: none does)."""

ORDERING = (SiteKind.NODE, SiteKind.CHART, SiteKind.PASS)
"""Sites that must wait for what they read."""

NO_NODES = frozenset({"start", "end"})
"""They mean nothing in `edges`, unless nodes are called so."""


class Called(msgspec.Struct, frozen=True, dict=True):
    """Nodes that do not run by themselves: others call those in ``live``, nothing yet calls those in ``dormant``; those
    in ``undoing`` run in graphs of their own, when others are undone.
    """

    dormant: frozenset[int] = frozenset()
    live: frozenset[int] = frozenset()
    undoing: frozenset[int] = frozenset()

    @cached_property
    def nodes(self) -> frozenset[int]:
        return self.dormant | self.live | self.undoing

    @cached_property
    def never_due(self) -> frozenset[int]:
        """Those that never run in the graph where they are written."""
        return self.dormant | self.undoing


class Named:
    """The nodes that formulas name, each with its first place: per graph, per node that reads. What is read inside of a
    `state_machine` node counts as read by that node; ``machines`` has all of that, the nodes of outer graphs too.
    """

    def __init__(self, graphs: int) -> None:
        self.readers: list[dict[int, dict[int, Use]]] = [{} for _ in range(graphs)]
        self.machines: dict[Enclosing, dict[tuple[int, int], None]] = {}


def declared_links(graph: GraphSource, report: Report) -> Links:
    """Links by `dependencies`, `edges` and control targets. Unknown names and self edges are reported."""
    find = partial(_find, graph, report)
    links: Links = {}
    for target, node in enumerate(graph.nodes):
        here = graph.at(target, "dependencies") if node.dependencies else ()
        for number, name in enumerate(node.dependencies):
            place = (*here, number)
            source = find(name, place)
            _add(links, Link(source, target, (DEPENDENCY, number), place), node.id, report)
    _add_edges(links, graph, find, report)
    for source, node in enumerate(graph.nodes):
        known = kind_of_node(node)
        kind = EdgeKind.GATE if known.gates else EdgeKind.FLOW
        for number, (name, inner) in enumerate(known.targets(node)):
            place = graph.at(source, *inner)
            target = find(name, place)
            _add(links, Link(source, target, (TARGET, source, number), place, kind), node.id, report)
    return links


def calling_links(graph: GraphSource, links: Links, handlers: Handlers, report: Report) -> Links:
    """From each node to those that its `on_timeout`, `on_error` and `fallback` call, and its ``handlers``.
    They are not edges, and such a node has none: nobody could tell whether it is still going to run.
    """
    found: Links = {
        (own, position): Link(own, position, (TARGET, own), graph.at(position), EdgeKind.ORDER)
        for position, own in graph.fallbacks.items()
    }
    if not (graph.calls or graph.undoing or any(handlers)):
        return found
    edges = {node: link for pair, link in links.items() for node in pair}
    for source, name, inner in graph.calls:
        id, place = graph.nodes[source].id, graph.at(source, *inner)
        target = _find(graph, report, name, place)
        if target == source:
            report.add(rules.SELF_EDGE, f"`{id}` calls itself", place)
        elif target >= 0:
            if target in edges:
                message = f"`{name}`, which `{id}` calls, has an edge"
                report.add(rules.CALLED_AND_LINKED, message, edges[target].place)
            found[source, target] = Link(source, target, (TARGET, source), place, EdgeKind.ORDER)
    for source, own_handlers in enumerate(handlers):
        for number, target in own_handlers:
            place = ("error_handlers", number, "action", "target")
            if target in edges:
                message = f"`{graph.nodes[target].id}`, which an error handler calls, has an edge"
                report.add(rules.CALLED_AND_LINKED, message, edges[target].place)
            elif target >= 0:
                found.setdefault((source, target), Link(source, target, (TARGET, source), place, EdgeKind.ORDER))
    for target, undone in graph.undoing.items():
        undoes = f"`{graph.nodes[target].id}`, which undoes `{graph.nodes[undone[0]].id}`"
        if target in edges:
            report.add(rules.CALLED_AND_LINKED, f"{undoes}, has an edge", edges[target].place)
        for (_, called), link in found.items():
            if called == target:
                report.add(rules.BAD_COMPENSATION, f"{undoes}, is called otherwise, too", link.place)
    return found


def handlers_of(graph: GraphSource, handlers: Sequence[ErrorHandler], spent: Spent) -> Handlers:
    """The workflow's handlers that are for each node of a graph. Raises `TooMuch`."""
    found: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    for number, handler in enumerate(handlers):
        name, matcher = handler.action.target, Matcher(handler, spent)
        for position, own in enumerate(found):
            target = -1 if name is None else graph.index.get(name, graph.handled.get((position, name), -1))
            runs_nothing = handler.action.type == "fallback" and target in (-1, position)
            if not runs_nothing and matcher.is_for(graph, position):
                own.append((number, target))
    return found


def has_unknown_calls(sources: Sources) -> bool:
    """Whether nodes call others that do not exist: some node may then see what only called ones do."""
    return any(name not in graph.index for graph in sources.graphs for _, name, _ in graph.calls)


def called_nodes(graph: GraphSource, links: Links, calling: Links) -> Called:
    """Nodes that only a wait, a fallback, an error rule, a handler or a compensation names."""
    live = frozenset(target for _, target in calling)
    named = {name for node in graph.nodes if not kind_of_node(node).has_policies for name in _named_in_vain(node)}
    if not (named or graph.undoing):
        return Called(live=live)
    linked = {node for pair in links for node in pair}
    undoing = frozenset(graph.undoing) - live - linked
    dormant = frozenset(graph.index[name] for name in named if name in graph.index) - linked - live - undoing
    return Called(dormant, live, undoing)


def _named_in_vain(node: NodeDefinition) -> Iterator[str]:
    """The nodes that the policies of a node name, as if it could fail."""
    targets = [rule.target for rule in node.on_error]
    targets.append(node.fallback.node if node.fallback is not None else None)
    return (target for target in targets if target is not None)


def named_nodes(
    sites: Iterable[tuple[Sequence[ReadSite], tuple[Enclosing, ...]]],
    sources: Sources,
    called: list[Called],
    report: Report,
) -> Named:
    """What is read where; ``sites`` come with the graphs that they see.

    Conditions of edges do not count, nor what is read of nodes that may be called at any time.
    """
    found = Named(len(sources.graphs))
    for site, use, chain in _uses_that_count(sites):
        place = None if use.name in site.locals else node_read(use, sources, chain)
        if place is None:
            continue
        graph, source, depth = place
        first_machine = 1 if site.kind is OF_NODE else 0
        for machine in chain[first_machine : depth + 1]:
            if machine.node != OWN:
                found.machines.setdefault(machine, {})[graph, source] = None
        reader = site.node if depth < first_machine else chain[depth].node
        if source == reader:
            report.add(
                rules.READS_ITSELF, f"{use.text!r} reads its own node", use.path, within=use.text, offset=use.offset
            )
        elif reader != OWN and reader not in called[graph].nodes and source not in called[graph].live:
            found.readers[graph].setdefault(reader, {}).setdefault(source, use)
    return found


def _uses_that_count(
    sites: Iterable[tuple[Sequence[ReadSite], tuple[Enclosing, ...]]],
) -> Iterator[tuple[Site, Use, tuple[Enclosing, ...]]]:
    for reads, chain in sites:
        for read in reads:
            if read.site.kind in ORDERING:
                for use in read.uses:
                    yield read.site, use, chain


def node_read(use: Use, sources: Sources, chain: tuple[Enclosing, ...]) -> tuple[int, int, int] | None:
    """The node that a name reads, directly or as `nodes.<id>`; see `Sources.find`."""
    if use.name != "nodes":
        return sources.find(chain, use.name)
    return sources.find(chain, use.keys[0]) if use.keys else None


def data_links(named: dict[int, dict[int, Use]], links: Links) -> Links:
    """For nodes that declare no link: every node they name counts as a dependency."""
    declared = {target for _, target in links}
    return {
        (source, target): Link(source, target, (DATA, number), use.path)
        for target, sources in named.items()
        if target not in declared
        for number, (source, use) in enumerate(sources.items())
    }


def reading_links(named: dict[int, dict[int, Use]]) -> Links:
    """All that is read, as mere order; to find circles in a graph that is not whole."""
    return {
        (source, target): Link(source, target, (DATA, number), use.path, EdgeKind.ORDER)
        for target, sources in named.items()
        for number, (source, use) in enumerate(sources.items())
    }


def _add_edges(links: Links, graph: GraphSource, find: Callable[[str, DocumentPath], int], report: Report) -> None:
    ids = {node.id for node in graph.nodes} & NO_NODES
    for number, edge in graph.numbered_edges:
        nothing = [name for name in (edge.source, edge.target) if name in NO_NODES and name not in ids]
        if nothing and edge.condition is not None:
            report.add(
                rules.START_OR_END,
                f"`{nothing[0]}` is not a node: this condition is never evaluated",
                ("edges", number, "condition"),
            )
        source = -1 if edge.source in nothing else find(edge.source, ("edges", number, "source"))
        target = -1 if edge.target in nothing else find(edge.target, ("edges", number, "target"))
        condition = ("edges", number, "condition")
        conditions = () if edge.condition is None else ((edge.condition, condition),)
        link = Link(source, target, (EDGE, number), ("edges", number), conditions=conditions)
        _add(links, link, edge.source, report)


def _add(links: Links, link: Link, name: str, report: Report) -> None:
    if link.source < 0 or link.target < 0:
        return
    if link.source == link.target:
        report.add(rules.SELF_EDGE, f"`{name}` waits for itself", link.place)
        return
    merge(links, link)


def _find(graph: GraphSource, report: Report, name: str, place: DocumentPath) -> int:
    """Its position; -1 for a node that does not exist, which is reported unless it may hide, or could not be read."""
    position = graph.index.get(name, -1)
    if position >= 0:
        return position
    if name in graph.inside:
        message = f"`{name}` is in the body of the loop `{graph.inside[name]}`"
        report.add(rules.CROSSES_LOOP, message, place, f"Name `{graph.inside[name]}` instead.")
    elif any(name in ids for ids in graph.outside):
        report.add(rules.CROSSES_LOOP, f"`{name}` is outside of the loop that this node is in the body of", place)
    elif name and not graph.gaps.hides_id(name):
        report.add(rules.UNKNOWN_NODE, f"there is no node `{name}`", place, report.suggest(name, graph.index))
    return -1
