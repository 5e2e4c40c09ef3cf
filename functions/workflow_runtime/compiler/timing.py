"""Stage *timing*: warns of reads that may come before what they read has ended (language §2.1, "Time of reading")."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import and_, or_

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.graph import Link
from workflow_runtime.compiler.names import Bound
from workflow_runtime.compiler.ordering import Graph
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.sites import SiteKind
from workflow_runtime.plan import BindingKind, EdgeKind, Join, JoinKind


def warn_of_early_reads(bound: Iterable[Bound], graph: Graph, joins: list[Join], report: Report) -> None:
    """Names every read of a node that need not have ended by then; its value would be null."""
    due = _ended_when_due(graph, joins)
    for item in bound:
        site = item.site
        if site.kind not in (SiteKind.NODE, SiteKind.EDGE):
            continue
        moment = site.node if site.kind is SiteKind.NODE else site.source
        surely = due[moment] | 1 << moment
        for read in item.reads:
            node = read.binding.node
            if read.binding.kind in (BindingKind.NODE, BindingKind.NODES) and not surely >> node & 1:
                when = f"`{graph.ids[moment]}` " + ("is due" if site.kind is SiteKind.NODE else "ends")
                message = f"`{graph.ids[node]}` may not have ended when {when}: it reads as null then"
                report.add(rules.NOT_ENDED, message, read.use.path, within=read.use.text, offset=read.use.offset)


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
        elif join.kind in (JoinKind.ANY, JoinKind.AT_LEAST):
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
