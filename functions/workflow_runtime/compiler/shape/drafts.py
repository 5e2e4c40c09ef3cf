"""Stage *drafts*: every graph, from what it declares and what is read in it, to its finished shape and its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from workflow_runtime.compiler.collect.formulas import ReadSite, Use, read_sites
from workflow_runtime.compiler.collect.graphs import GraphSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.shape.branches import branched
from workflow_runtime.compiler.shape.doubts import Doubts, doubts_of
from workflow_runtime.compiler.shape.gates import gated
from workflow_runtime.compiler.shape.links import (
    Called,
    Handlers,
    Named,
    called_nodes,
    calling_links,
    data_links,
    declared_links,
    handlers_of,
    named_nodes,
    reading_links,
)
from workflow_runtime.compiler.shape.ordering import Graph, finished, report_cycles
from workflow_runtime.compiler.shape.walks import EDGES_MAX, TOO_MANY, Links, TooManyEdges
from workflow_runtime.definition.workflow import WorkflowDefinition


class Draft(msgspec.Struct, frozen=True):
    """A graph as far as it declares itself: its links, what its nodes call, and what they read."""

    source: GraphSource
    handlers: Handlers
    links: Links
    calling: Links
    called: Called
    sites: list[ReadSite]


def drafted(definition: WorkflowDefinition, source: GraphSource, report: Report) -> Draft:
    links = declared_links(source, report)
    handlers = handlers_of(source, definition.error_handlers, report.spent)
    calling = calling_links(source, links, handlers, report)
    called = called_nodes(source, links, calling)
    return Draft(source, handlers, links, calling, called, read_sites(source, called.dormant, called.live, report))


def named_in(sources: Sources, drafts: Sequence[Draft], charts: Sequence[list[ReadSite]], report: Report) -> Named:
    """The nodes that are read, in graphs and in ``charts`` (their sites)."""
    sites = [(draft.sites, draft.source.chain) for draft in drafts]
    sites += [(own, chart.chain) for chart, own in zip(sources.charts, charts, strict=True)]
    return named_nodes(sites, sources, [draft.called for draft in drafts], report)


def finished_graphs(drafts: Sequence[Draft], named: Named, report: Report) -> list[Graph | None]:
    """The finished graphs. Raises `TooManyEdges` before all of them together fill the memory."""
    found: list[Graph | None] = []
    count = 0
    for draft, readers in zip(drafts, named.readers, strict=True):
        graph = _finished(draft, readers, report)
        count += len(draft.links) if graph is None else sum(map(len, graph.incoming))
        if count > EDGES_MAX:
            raise TooManyEdges(TOO_MANY)
        found.append(graph)
    return found


def _finished(draft: Draft, readers: dict[int, dict[int, Use]], report: Report) -> Graph | None:
    """None when there is a cycle, or when all links are in doubt: then cycles are all that can be told."""
    links = {**draft.links, **data_links(readers, draft.links)}
    if len(links) > EDGES_MAX:
        raise TooManyEdges(TOO_MANY)
    ids = tuple(node.id for node in draft.source.nodes)
    doubts = doubts_of(draft.source, report)
    if doubts != Doubts() and report_cycles(ids, len(ids), {**reading_links(readers), **links}, report):
        return None
    if doubts.everything or report_cycles(ids, len(ids), links, report):
        return None
    shape = branched(draft.source.nodes, draft.source.index, gated(len(ids), links))
    return finished(ids, shape, readers, report)


def first_numbers(drafts: Sequence[Draft], graphs: Sequence[Graph | None]) -> list[int]:
    """Per graph the plan-wide number of its first node; hidden nodes have numbers, too."""
    numbers = []
    following = 0
    for draft, graph in zip(drafts, graphs, strict=True):
        numbers.append(following)
        following += len(draft.source.nodes) if graph is None else len(graph.incoming)
    return numbers
