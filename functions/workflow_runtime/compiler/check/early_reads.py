"""Stage *timing*: warns of reads that may come before what they read has ended."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_, or_

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.formulas import OF_EDGE, OF_NODE, SiteKind, Use
from workflow_runtime.compiler.collect.graphs import OWN, GraphSource
from workflow_runtime.compiler.names.bindings import Bound
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.shape.links import Called
from workflow_runtime.compiler.shape.ordering import Graph
from workflow_runtime.compiler.shape.walks import Link
from workflow_runtime.plan.edges import EdgeKind, Join, JoinKind

EARLY_JOINS = (JoinKind.ANY, JoinKind.AT_LEAST)
"""Joins that do not wait for all edges."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """A read of node ``source`` of a graph when node ``node`` is due (``at_end``: when it ends)."""

    node: int
    source: int
    use: Use
    at_end: bool = False


def moments_of(bound: Iterable[Bound], firsts: list[int], called: list[Called]) -> list[list[Moment]]:
    """Per graph what is read in it, and when. What stands inside of a node reads when that node is due.

    What nodes read that only run when called, or undo others, and what a chart at the top reads, has no such moment.
    """
    found: list[list[Moment]] = [[] for _ in firsts]
    for item in bound:
        if not item.reads:
            continue
        site, place = item.site, item.place
        own = site.node if site.kind is OF_NODE else site.source if site.kind is OF_EDGE else OWN
        if own == OWN and site.kind not in (SiteKind.CHART, SiteKind.PASS):
            continue
        if isinstance(place, GraphSource) and place.undoes is not None:
            continue
        for read in item.reads:
            number = read.binding.node
            if number < 0:
                continue
            graph = bisect_right(firsts, number) - 1
            around = place.chain[0]
            if around.graph != graph:
                around = next(enclosing for enclosing in place.chain if enclosing.graph == graph)
            node = own if around.node == OWN else around.node
            if node != OWN and node not in called[graph].nodes:
                at_end = site.kind is OF_EDGE
                found[graph].append(Moment(node, number - firsts[graph], read.use, at_end))
    return found


def warn_of_early_reads(
    moments: Sequence[Moment], graph: Graph, joins: list[Join], doubtful: frozenset[int], report: Report
) -> None:
    """Names every read, by a node not in doubt, of one that need not have ended by then; its value would be null."""
    open_to_doubt = [read for read in moments if read.node not in doubtful and not _waits_for(read, graph, joins)]
    due = _ended_when_due(graph, joins) if open_to_doubt else []
    for read in open_to_doubt:
        surely = due[read.node] | 1 << read.node
        if not surely >> read.source & 1:
            when = f"`{graph.ids[read.node]}` " + ("ends" if read.at_end else "is due")
            message = f"`{graph.ids[read.source]}` may not have ended when {when}: it reads as null then"
            report.add(rules.NOT_ENDED, message, read.use.path, within=read.use.text, offset=read.use.offset)


def _waits_for(read: Moment, graph: Graph, joins: list[Join]) -> bool:
    """Whether an edge leads from what is read to who reads it, who waits for all of its edges: as nearly always."""
    if joins[read.node].kind in EARLY_JOINS:
        return False
    return read.source == read.node or read.source in [link.source for link in graph.incoming[read.node]]


def _ended_when_due(graph: Graph, joins: list[Join]) -> list[int]:
    """Per node the set of nodes that have ended, however, whenever it runs.

    ``ended[v]``: what has ended whenever v has ended, run or not. A node that joins by `all_success` is skipped at the
    first dead edge, one that joins by `any` or `at_least` runs before the rest: then only what all of its edges have in
    common is sure.
    An edge through which a node came alive says more than one that was merely resolved: its source ran, so all that the
    source waited for has ended.
    """
    due = [0] * len(graph.incoming)
    ended = [0] * len(graph.incoming)
    for node in graph.order:
        links = graph.incoming[node]
        flowing = [link for link in links if link.kind is not EdgeKind.ORDER]
        ordered = _union(ended[link.source] for link in links if link.kind is EdgeKind.ORDER)
        ran = [due[link.source] | 1 << link.source for link in flowing]
        join = joins[node]
        if join.kind is JoinKind.ALL_SUCCESS or (join.kind is JoinKind.AT_LEAST and join.count >= len(flowing)):
            due[node] = ordered | _union(ran)
        elif join.kind in EARLY_JOINS:
            due[node] = ordered | _common(ran)
        elif join.kind is JoinKind.ALL_DONE:
            due[node] = ordered | _ended(flowing, ended)
        else:
            due[node] = ordered | _ended(flowing, ended) | _common(ran)
        waits_for_all = join.kind in (JoinKind.ALL, JoinKind.ALL_DONE)
        skipped = _ended(flowing, ended) if waits_for_all else _common([ended[link.source] for link in flowing])
        ended[node] = 1 << node | (due[node] & (ordered | skipped))
    return due


def _ended(links: list[Link], ended: list[int]) -> int:
    return _union(ended[link.source] for link in links)


def _union(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


def _common(sets: list[int]) -> int:
    return reduce(and_, sets) if sets else 0
