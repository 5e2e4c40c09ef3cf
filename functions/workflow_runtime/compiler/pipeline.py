"""The stages in their order; see the package's docstring."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from workflow_runtime import definition as definitions
from workflow_runtime.compiler import rules
from workflow_runtime.compiler.assembly import Parts, as_expression, assemble
from workflow_runtime.compiler.before import Before
from workflow_runtime.compiler.branches import branched
from workflow_runtime.compiler.checks import Known, check_graph, check_nodes
from workflow_runtime.compiler.decisions import decided_paths
from workflow_runtime.compiler.gates import gated
from workflow_runtime.compiler.graph import EDGES_MAX, NODES_MAX, Links, TooManyEdges
from workflow_runtime.compiler.mentions import (
    data_links,
    declared_links,
    named_nodes,
    only_called,
    reading_links,
)
from workflow_runtime.compiler.names import PREVIOUS_NAMES, Names, formulas_by_place
from workflow_runtime.compiler.ordering import Graph, finished, report_cycles
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.sites import DocumentPath, Use, read_sites
from workflow_runtime.compiler.support import check_support
from workflow_runtime.compiler.timing import warn_of_early_reads
from workflow_runtime.definition.gaps import ANY, Gaps
from workflow_runtime.definition.model import UnsupportedNode, WorkflowDefinition
from workflow_runtime.errors import DefinitionError
from workflow_runtime.expressions import ExpressionSyntaxError, compile_expression
from workflow_runtime.findings import Finding, Severity, has_errors
from workflow_runtime.plan import Formula, Plan


class Compilation(msgspec.Struct, frozen=True):
    """A plan, unless a finding is an error, and everything there is to say about the definition."""

    plan: Plan | None
    findings: list[Finding]


def compile_workflow(text: str | bytes, *, file: str = "", known: Known | None = None) -> Compilation:
    """Compile a workflow file. Never raises for what the text says.

    ``file``: its name, for the findings. ``known``: what is registered; without it agents and tools are not checked.
    """
    loaded = definitions.load(text, file)
    if loaded.definition is None:
        return Compilation(None, loaded.findings)
    report = Report(loaded.source, text.decode("utf-8-sig", "replace") if isinstance(text, bytes) else text)
    plan = _plan(loaded.definition, loaded.gaps, known, report)
    findings = definitions.in_order([*loaded.findings, *report.findings()])
    return Compilation(None if has_errors(findings) else plan, findings)


def compile_or_raise(text: str | bytes, *, file: str = "", known: Known | None = None) -> Plan:
    """The plan of a workflow file. Raises `DefinitionError` with all findings if any is an error."""
    compilation = compile_workflow(text, file=file, known=known)
    if compilation.plan is None:
        raise DefinitionError(compilation.findings)
    return compilation.plan


def strict(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with every warning turned into an error."""
    return [msgspec.structs.replace(finding, severity=Severity.ERROR) for finding in findings]


def _plan(definition: WorkflowDefinition, gaps: Gaps, known: Known | None, report: Report) -> Plan | None:
    """The plan, as far as the definition shows it: what may merely follow from an error is not reported."""
    check_support(definition, gaps, report)
    if not _has_fitting_size(definition, gaps, report):
        return None
    index = {node.id: position for position, node in enumerate(definition.nodes) if position not in gaps.unnamed}
    try:
        links = declared_links(definition, gaps, index, report)
        called = only_called(definition, index, links)
        sites = read_sites(definition, index, called, report)
        named = named_nodes((read for read in sites if read.site.node not in called), index, report)
        graph = _graph(definition, gaps, index, links, named, report)
    except TooManyEdges:
        report.add(rules.TOO_MANY_EDGES, f"there are more than {EDGES_MAX:,} edges", ("nodes",))
        return None
    names = Names(definition, gaps, index, Before(graph, definition.nodes) if graph else None, report)
    bound = [names.bind(read) for read in sites]
    check_nodes(definition, gaps, known, report)
    if not _is_whole(definition, gaps, report):
        return None
    for position in sorted(called):
        message = f"`{definition.nodes[position].id}` only runs when called, which nothing does yet: it is skipped"
        report.add(rules.ONLY_CALLED, message, ("nodes", position, "id"))
    if graph is None:
        return None
    formulas = formulas_by_place(bound)
    parts = Parts(definition, graph, formulas, called)
    check_graph(definition, graph, parts.joins, report)
    warn_of_early_reads((item for item in bound if item.site.node not in called), graph, parts.joins, report)
    conditions = _conditions(graph, formulas, report)
    if report.has_errors or gaps != Gaps():
        return None
    decisions = decided_paths(bound, parts.before, parts.wholes())
    return assemble(parts, decisions, conditions)


def _is_whole(definition: WorkflowDefinition, gaps: Gaps, report: Report) -> bool:
    """Whether every edge is known, those that data makes included. If not, nothing can be said of the graph's shape."""
    unread = (rules.UNKNOWN_NODE, rules.SYNTAX, rules.UNDECLARED, rules.UNKNOWN_NODE_READ, rules.DYNAMIC_NODES)
    return not (
        gaps.hide_edges or report.has(*unread) or any(isinstance(node, UnsupportedNode) for node in definition.nodes)
    )


def _has_fitting_size(definition: WorkflowDefinition, gaps: Gaps, report: Report) -> bool:
    count = len(definition.nodes)
    if not count and definition.type == "dag" and gaps.fields.isdisjoint({"nodes", "type", ANY}):
        report.add(rules.NO_NODES, f"`{definition.id}` has no nodes", ("nodes",))
    if count > NODES_MAX:
        report.add(rules.TOO_MANY_NODES, f"{count:,} nodes are more than {NODES_MAX:,}", ("nodes",))
    return count <= NODES_MAX


def _graph(
    definition: WorkflowDefinition,
    gaps: Gaps,
    index: dict[str, int],
    links: Links,
    named: dict[int, dict[int, Use]],
    report: Report,
) -> Graph | None:
    """The finished graph; None when there is a cycle, or when it is not whole: then cycles are all that can be told."""
    links = {**links, **data_links(named, links)}
    if len(links) > EDGES_MAX:
        raise TooManyEdges
    ids = tuple(node.id for node in definition.nodes)
    is_whole = _is_whole(definition, gaps, report)
    if not is_whole:
        links = {**reading_links(named), **links}
    if report_cycles(ids, len(ids), links, report) or not is_whole:
        return None
    return finished(ids, branched(definition, index, gated(len(ids), links)), named, report)


def _conditions(graph: Graph, formulas: dict[DocumentPath, Formula], report: Report) -> dict[tuple[int, int], Formula]:
    """The condition of every edge that has one. Several of one edge must together still be one expression."""
    found = {}
    for links in graph.incoming:
        for link in links:
            parts = list(dict.fromkeys(formulas[place] for _, place in link.conditions))
            if not parts:
                continue
            formula = found[link.source, link.target] = as_expression(parts)
            if len(parts) == 1 or report.has_errors:
                continue
            meanings = {binding for part in parts for binding in part.bindings if binding.name in PREVIOUS_NAMES}
            if len(meanings) > len({binding.name for binding in meanings}):
                message = "`previous` means different nodes in the conditions of this edge"
                report.add(rules.UNCLEAR_PREVIOUS, message, link.conditions[0][1])
            try:
                compile_expression(formula.source)
            except ExpressionSyntaxError as error:
                report.add(
                    rules.SYNTAX, f"the conditions of this edge together: {error.message}", link.conditions[0][1]
                )
    return found
