"""Stage *mentions*: the links that a definition declares, and those that data makes for nodes that declare none.

Data links of other nodes only order; they need the finished graph and are added by `ordering`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.graph import DATA, DEPENDENCY, EDGE, TARGET, Link, Links, Rank, merge
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.sites import DocumentPath, ReadSite, SiteKind, Use
from workflow_runtime.definition import Gaps
from workflow_runtime.definition.model import (
    ConditionNode,
    NodeDefinition,
    ParallelNode,
    SwitchNode,
    WorkflowDefinition,
)
from workflow_runtime.plan import EdgeKind

NO_NODES = frozenset({"start", "end"})
"""They mean nothing in `edges`, unless nodes are called so."""


def declared_links(definition: WorkflowDefinition, gaps: Gaps, index: dict[str, int], report: Report) -> Links:
    """Links by `dependencies`, `edges` and control targets. Unknown names and self edges are reported."""
    find = partial(_find, gaps.hide_ids, index, report)
    links: Links = {}
    for target, node in enumerate(definition.nodes):
        for number, name in enumerate(node.dependencies):
            place: DocumentPath = ("nodes", target, "dependencies", number)
            source = find(name, place)
            _add(links, Link(source, target, Rank(DEPENDENCY, (number,)), place), node.id, report)
    _add_edges(links, definition, find, report)
    for source, node in enumerate(definition.nodes):
        kind = EdgeKind.FLOW if isinstance(node, ParallelNode) else EdgeKind.GATE
        for number, (name, place) in enumerate(control_targets(source, node)):
            target = find(name, place)
            _add(links, Link(source, target, Rank(TARGET, (source, number)), place, kind), node.id, report)
    return links


def control_targets(position: int, node: NodeDefinition) -> Iterator[tuple[str, DocumentPath]]:
    """The ids that a control node names as targets or branches, with their places, in file order."""
    match node:
        case SwitchNode():
            for number, branch in enumerate(node.branches):
                field = "default" if branch.is_default else "target"
                for name in branch.targets:
                    yield name, ("nodes", position, "branches", number, field)
        case ConditionNode():
            for field, names in (("then", node.then), ("otherwise", node.otherwise)):
                for name in names:
                    yield name, ("nodes", position, field)
        case ParallelNode():
            for number, name in enumerate(node.branches):
                yield name, ("nodes", position, "branches", number)
        case _:
            pass


def only_called(definition: WorkflowDefinition, index: dict[str, int], links: Links) -> frozenset[int]:
    """Nodes that only a fallback, an error rule, a handler or a compensation names: they do not run unless called."""
    names: set[str | None] = {handler.action.target for handler in definition.error_handlers}
    for node in definition.nodes:
        names.add(node.fallback.node if node.fallback is not None else None)
        names.update(rule.target for rule in node.on_error)
        names.add(node.compensate if isinstance(node.compensate, str) else None)
    linked = {node for pair in links for node in pair}
    return frozenset(index[name] for name in names if name is not None and name in index and index[name] not in linked)


def named_nodes(sites: Iterable[ReadSite], index: dict[str, int], report: Report) -> dict[int, dict[int, Use]]:
    """Per node the nodes that its formulas name, each with its first place. Conditions of edges do not count."""
    found: dict[int, dict[int, Use]] = {}
    for read in sites:
        if read.site.kind is not SiteKind.NODE:
            continue
        reader = read.site.node
        for use in read.uses:
            source = node_read(use, index)
            if source is None or use.name in read.site.locals:
                continue
            if source == reader:
                report.add(
                    rules.READS_ITSELF, f"{use.text!r} reads its own node", use.path, within=use.text, offset=use.offset
                )
            else:
                found.setdefault(reader, {}).setdefault(source, use)
    return found


def node_read(use: Use, index: dict[str, int]) -> int | None:
    """The node that a name reads, directly or as `nodes.<id>`."""
    if use.name == "nodes":
        return index.get(use.keys[0]) if use.keys else None
    return index.get(use.name)


def data_links(named: dict[int, dict[int, Use]], links: Links) -> Links:
    """For nodes that declare no link: every node they name counts as a dependency."""
    declared = {target for _, target in links}
    return {
        (source, target): Link(source, target, Rank(DATA, (number,)), use.path)
        for target, sources in named.items()
        if target not in declared
        for number, (source, use) in enumerate(sources.items())
    }


def reading_links(named: dict[int, dict[int, Use]]) -> Links:
    """All that is read, as mere order; to find circles in a graph that is not whole."""
    return {
        (source, target): Link(source, target, Rank(DATA, (number,)), use.path, EdgeKind.ORDER)
        for target, sources in named.items()
        for number, (source, use) in enumerate(sources.items())
    }


def _add_edges(
    links: Links, definition: WorkflowDefinition, find: Callable[[str, DocumentPath], int], report: Report
) -> None:
    ids = {node.id for node in definition.nodes} & NO_NODES
    for number, edge in enumerate(definition.edges):
        nothing = [name for name in (edge.source, edge.target) if name in NO_NODES and name not in ids]
        if nothing and edge.condition is not None:
            report.add(
                rules.START_OR_END,
                f"`{nothing[0]}` is no node: this condition is never evaluated",
                ("edges", number, "condition"),
            )
        source = -1 if edge.source in nothing else find(edge.source, ("edges", number, "source"))
        target = -1 if edge.target in nothing else find(edge.target, ("edges", number, "target"))
        condition = ("edges", number, "condition")
        conditions = () if edge.condition is None else ((edge.condition, condition),)
        link = Link(source, target, Rank(EDGE, (number,)), ("edges", number), conditions=conditions)
        _add(links, link, edge.source, report)


def _add(links: Links, link: Link, name: str, report: Report) -> None:
    if link.source < 0 or link.target < 0:
        return
    if link.source == link.target:
        report.add(rules.SELF_EDGE, f"`{name}` waits for itself", link.place)
        return
    merge(links, link)


def _find(hide_ids: bool, index: dict[str, int], report: Report, name: str, place: DocumentPath) -> int:
    """Its position; -1 for a node that does not exist, which is reported unless it may hide, or could not be read."""
    position = index.get(name, -1)
    if position < 0 and name and not hide_ids:
        report.add(rules.UNKNOWN_NODE, f"there is no node `{name}`", place, report.suggest(name, index))
    return position
