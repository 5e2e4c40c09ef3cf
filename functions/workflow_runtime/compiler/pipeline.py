"""The stages in their order; see the package's docstring."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.bounds import TRANSITIONS_MAX, TooMuch
from workflow_runtime.compiler.build.charts import ChartAssembly
from workflow_runtime.compiler.build.decisions import GraphReads, decided_paths
from workflow_runtime.compiler.build.graphs import Parts, as_expression, assemble, assemble_graph
from workflow_runtime.compiler.build.limits import full_name, with_budget
from workflow_runtime.compiler.check.charts import STATES_MAX, check_chart, check_paths, check_states_asked
from workflow_runtime.compiler.check.compensation import check_compensations, check_reads
from workflow_runtime.compiler.check.early_reads import Moment, moments_of, warn_of_early_reads
from workflow_runtime.compiler.check.events import check_merging
from workflow_runtime.compiler.check.express import check_express
from workflow_runtime.compiler.check.graphs import check_graph, check_nodes, check_pools, warn_of_recursion
from workflow_runtime.compiler.check.limits import check_limits, limit_sites
from workflow_runtime.compiler.check.loops import check_bodies
from workflow_runtime.compiler.check.policies import check_handlers, check_policies
from workflow_runtime.compiler.check.reachability import warn_of_chart
from workflow_runtime.compiler.check.triggers import check_triggers, plan_triggers, trigger_sites
from workflow_runtime.compiler.check.values import check_values
from workflow_runtime.compiler.collect.chart_formulas import chart_sites
from workflow_runtime.compiler.collect.formulas import variable_sites
from workflow_runtime.compiler.collect.graphs import ChartSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.kinds.kind import Body
from workflow_runtime.compiler.names.bindings import Bindings
from workflow_runtime.compiler.names.names import Names, bind_all
from workflow_runtime.compiler.names.vocabulary import PREVIOUS_NAMES
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.compiler.shape.doubts import doubts_of
from workflow_runtime.compiler.shape.drafts import Draft, drafted, finished_graphs, first_numbers, named_in
from workflow_runtime.compiler.shape.links import Named
from workflow_runtime.compiler.shape.ordering import Graph
from workflow_runtime.compiler.shape.predecessors import Before, numbers_before
from workflow_runtime.compiler.shape.walks import NODES_MAX, TooManyEdges
from workflow_runtime.compiler.support import check_support
from workflow_runtime.definition.entry import entry_of
from workflow_runtime.definition.loader import in_order, load
from workflow_runtime.definition.recovery import ANY, Gaps
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding, Severity, has_errors
from workflow_runtime.language.expressions import ExpressionSyntaxError, compile_expression
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import MachineSpec

LARGE_CHARACTERS = 50_000


class Compilation(msgspec.Struct, frozen=True):
    """A plan, unless a finding is an error, and everything there is to say about the definition."""

    plan: Plan | None
    findings: list[Finding]


def compile_workflow(
    text: str | bytes, *, file: str = "", catalogue: Catalogue | None = None, pools: Collection[str] | None = None
) -> Compilation:
    """Compile a workflow file. Never raises for what the text says.

    ``file``: its name, for the findings. ``catalogue``: the agents and tools there are; without it what they are
    called with, and whether they exist, is not checked. ``pools``: the worker pools there are; None: any.
    """
    with _collection_paused(is_large=len(text) >= LARGE_CHARACTERS):
        return _compiled(text, file, catalogue, pools)


def _compiled(text: str | bytes, file: str, catalogue: Catalogue | None, pools: Collection[str] | None) -> Compilation:
    """A function of its own: what it no longer needs when it returns is gone before the collector looks at the rest."""
    loaded = load(text, file)
    if loaded.definition is None:
        return Compilation(None, loaded.findings)
    report = Report(loaded.source, text.decode("utf-8-sig", "replace") if isinstance(text, bytes) else text)
    plan = _plan(loaded.definition, loaded.gaps, catalogue, pools, report)
    findings = in_order([*loaded.findings, *report.findings()])
    return Compilation(None if has_errors(findings) else plan, findings)


@contextmanager
def _collection_paused(is_large: bool) -> Iterator[None]:
    """Pause the cyclic garbage collector: a compilation makes hundreds of thousands of objects that all stay until its
    end, and visiting them again and again would take as long as compiling. What is left of a large file then, mostly a
    plan, counts as old at once (unless the process keeps frozen objects, which would become old with it).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if is_large and not _keeps_frozen_objects():
                gc.freeze()
                gc.unfreeze()
            gc.enable()


_has_frozen_objects = False


def _keeps_frozen_objects() -> bool:
    """Counted until there are some: to count thousands takes milliseconds, longer than to compile a small file."""
    global _has_frozen_objects
    _has_frozen_objects = _has_frozen_objects or gc.get_freeze_count() > 0
    return _has_frozen_objects


def compile_or_raise(text: str | bytes, *, file: str = "", catalogue: Catalogue | None = None) -> Plan:
    """The plan of a workflow file. Raises `DefinitionError` with all findings if any is an error."""
    compilation = compile_workflow(text, file=file, catalogue=catalogue)
    if compilation.plan is None:
        raise DefinitionError(compilation.findings)
    return compilation.plan


def strict(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with every warning turned into an error."""
    return [msgspec.structs.replace(finding, severity=Severity.ERROR) for finding in findings]


def _plan(
    definition: WorkflowDefinition,
    gaps: Gaps,
    catalogue: Catalogue | None,
    pools: Collection[str] | None,
    report: Report,
) -> Plan | None:
    """The plan, as far as the definition shows it: what may merely follow from an error is not reported."""
    catalogue = _with_itself(definition, catalogue)
    try:
        sources = Sources(definition, gaps, report.spent)
        check_support(sources, report)
        check_pools(sources, catalogue, pools, report)
        check_express(definition, sources, catalogue, pools, report)
        if not _has_fitting_size(definition, gaps, sources, report):
            return None
        others = [
            *variable_sites(definition, report),
            *trigger_sites(definition, report),
            *limit_sites(definition, report),
        ]
        drafts = [drafted(definition, source, report) for source in sources.graphs]
        charts = [chart_sites(chart, report) for chart in sources.charts]
        named = named_in(sources, drafts, charts, report)
        graphs = finished_graphs(drafts, named, report)
    except TooManyEdges as error:
        report.add(rules.TOO_MANY_EDGES, str(error), ("nodes",))
        return None
    except TooMuch as error:
        report.add(error.rule, str(error), error.place)
        return None
    firsts = first_numbers(drafts, graphs)
    befores = [
        None if graph is None else Before(graph, draft.source) for graph, draft in zip(graphs, drafts, strict=True)
    ]
    names = Names(definition, gaps, sources, firsts, befores, report)
    bound = bind_all(names, sources, drafts, charts, others)
    _check(definition, gaps, sources, drafts, bound, catalogue, report)
    check_compensations(definition, gaps, sources, graphs, catalogue, report)
    check_reads(bound.placed, sources, firsts, report)
    check_values(definition, sources, bound.placed, firsts, catalogue, report)
    formulas = {item.site.path: item.formula for item in bound.all}
    limiter = partial(full_name, definition)
    handlers = [with_budget(definition, draft.handlers) for draft in drafts]
    parts = [
        None if graph is None else Parts(draft.source, graph, formulas, draft.called, first, own, limiter)
        for draft, graph, first, own in zip(drafts, graphs, firsts, handlers, strict=True)
    ]
    moments = moments_of(bound.placed, firsts, [draft.called for draft in drafts])
    for part, read in zip(parts, moments, strict=True):
        if part is not None:
            _check_finished(definition.id, part, read, report)
    whole = [part for part in parts if part is not None]
    conditions = [_conditions(part.graph, formulas, report) for part in whole]
    if report.has_errors or gaps != Gaps() or len(whole) < len(parts):
        return None
    return _assembled(definition, sources, whole, conditions, named, bound, formulas)


def _with_itself(definition: WorkflowDefinition, catalogue: Catalogue | None) -> Catalogue | None:
    """The catalogue with this workflow, which may start itself."""
    if catalogue is None or catalogue.workflows is None:
        return catalogue
    return catalogue.with_workflows({definition.id: entry_of(definition)})


def _check_finished(workflow_id: str, part: Parts, moments: Sequence[Moment], report: Report) -> None:
    """What a finished graph tells of the nodes that are not in doubt."""
    doubts = doubts_of(part.source, report)
    if doubts.everything:
        return
    doubtful = doubts.spread(part.graph)
    check_graph(part.source, part.graph, part.joins, doubtful, report)
    if not part.source.number and not doubtful:
        warn_of_recursion(workflow_id, part.source, part.graph, part.called, report)
    warn_of_early_reads(moments, part.graph, part.joins, doubtful, report)
    for position in () if doubtful else sorted(part.called.dormant):
        id = part.source.nodes[position].id
        message = f"`{id}` only runs when called, which nothing does yet: it is skipped"
        report.add(rules.ONLY_CALLED, message, part.source.at(position, "id"))


def _check(
    definition: WorkflowDefinition,
    gaps: Gaps,
    sources: Sources,
    drafts: Sequence[Draft],
    bound: Bindings,
    catalogue: Catalogue | None,
    report: Report,
) -> None:
    """What needs no finished graph."""
    for listing in sources.listings:
        check_bodies(listing, report)
    for graph in sources.graphs:
        check_nodes(graph, catalogue, report)
        check_policies(graph, report)
    check_handlers(definition, sources, [draft.handlers for draft in drafts], catalogue, report)
    for chart in sources.charts:
        check_chart(chart, report)
    check_paths(sources, report)
    check_states_asked(bound.placed, sources, report)
    check_merging(definition, sources, report)
    check_triggers(definition, gaps, sources, report)
    check_limits(definition, gaps, sources, catalogue, report)
    for chart in sources.charts:
        warn_of_chart(chart, report)


def _assembled(
    definition: WorkflowDefinition,
    sources: Sources,
    parts: list[Parts],
    conditions: list[dict[tuple[int, int], Formula]],
    named: Named,
    bound: Bindings,
    formulas: dict[DocumentPath, Formula],
) -> Plan:
    firsts = [part.first for part in parts]
    befores = [part.before for part in parts]
    for chart in sources.charts:
        if chart.node is not None:
            reads = sorted(firsts[graph] + node for graph, node in named.machines.get(chart.node, ()))
            parts[chart.node.graph].machines[chart.node.node] = MachineSpec(chart.number, tuple(reads))
    chained = bound.chained
    for source in sources.graphs:
        if source.loop is not None:
            reads = sorted(firsts[graph] + node for graph, node in named.machines.get(source.loop, ()))
            parts[source.loop.graph].bodies[source.loop.node] = Body(
                source.number, tuple(reads), source.loop in chained
            )
            parts[source.number].loop = firsts[source.loop.graph] + source.loop.node
        if source.undoes is not None:
            parts[source.undoes.graph].undone_by |= dict.fromkeys(source.undoes.nodes, source.number)
    triggers, correlated = plan_triggers(definition, sources, formulas)
    for (graph, node), number in correlated.items():
        parts[graph].correlated[node] = number
    reads_of = [
        GraphReads(items, partial(numbers_before, sources, befores, firsts, part.source), part.first, part.wholes())
        for items, part in zip(bound.graphs, parts, strict=True)
    ]
    others = [*bound.others, *(item for items in bound.charts for item in items)]
    decisions = decided_paths(reads_of, others, copies_globals=sources.has_chart)
    blocks = [assemble_graph(part, decisions, found) for part, found in zip(parts, conditions, strict=True)]
    charts = [ChartAssembly(chart, formulas, firsts).plan() for chart in sources.charts]
    return assemble(definition, formulas, decisions, blocks, charts, triggers)


def _has_fitting_size(definition: WorkflowDefinition, gaps: Gaps, sources: Sources, report: Report) -> bool:
    nodes = sum(len(graph.nodes) for graph in sources.graphs if graph.undoes is None)
    states = sum(len(chart.states) - 1 for chart in sources.charts)
    if not definition.nodes and definition.type == "dag" and gaps.fields.isdisjoint({"nodes", "type", ANY}):
        report.add(rules.NO_NODES, f"`{definition.id}` has no nodes", ("nodes",))
    if nodes > NODES_MAX:
        report.add(rules.TOO_MANY_NODES, f"{nodes:,} nodes are more than {NODES_MAX:,}", ("nodes",))
    if states > STATES_MAX:
        report.add(rules.TOO_MANY_STATES, f"{states:,} states are more than {STATES_MAX:,}", ("states",))
    transitions = sum(map(_count_transitions, sources.charts))
    if transitions > TRANSITIONS_MAX:
        message = f"{transitions:,} transitions are more than {TRANSITIONS_MAX:,}"
        report.add(rules.TOO_MANY_TRANSITIONS, message, ("states",))
    return nodes <= NODES_MAX and states <= STATES_MAX and transitions <= TRANSITIONS_MAX


def _count_transitions(chart: ChartSource) -> int:
    written = [state.definition for state in chart.states if state.definition is not None]
    return sum(len(state.transitions) + len(state.after) + len(state.always) for state in written)


def _conditions(graph: Graph, formulas: dict[DocumentPath, Formula], report: Report) -> dict[tuple[int, int], Formula]:
    """The condition of every edge that has one. Several of one edge must together still be one expression."""
    found = {}
    for links in graph.incoming:
        for link in links:
            if not link.conditions:
                continue
            parts = list(dict.fromkeys(formulas[place] for _, place in link.conditions))
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
