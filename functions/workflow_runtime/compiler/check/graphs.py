"""Stage *checks*: what can be said of a finished graph before it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.graphs import GraphSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.kinds.kind import Checking
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.shape.links import Called
from workflow_runtime.compiler.shape.ordering import Graph
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.work import AgentNode, SubWorkflowNode
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.edges import EdgeKind, Join, JoinKind
from workflow_runtime.plan.express import EXPRESS


def check_nodes(graph: GraphSource, catalogue: Catalogue | None, report: Report) -> None:
    """What one node alone tells, and ids that several share (those at the top the loader has compared)."""
    first: dict[str, int] = {}
    for position, node in graph.own_nodes:
        kind = kind_of_node(node)
        if position not in graph.named_by_handlers:  # the handlers themselves are checked
            unread = partial(graph.gaps.has, position)
            kind.check(node, Checking(graph.at(position), catalogue, report, unread, graph.is_call))
        if isinstance(node.outputs, tuple) and not kind.has_fields:
            message = f"`{node.id}` has no fields to choose from"
            report.add(rules.OUTPUT_LIST, message, graph.at(position, "outputs"))
        if graph.number and node.id and first.setdefault(node.id, position) != position:
            message = f"another node of this graph is already called `{node.id}`"
            report.add(rules.DUPLICATE_NAME, message, graph.at(position, "id"))


def check_pools(sources: Sources, catalogue: Catalogue | None, pools: Collection[str] | None, report: Report) -> None:
    """Nodes whose worker pool does not exist, or that of a call of their agent; None: there may be any."""
    agents = catalogue.agents if catalogue is not None else {}
    nodes_pools = [pool for pool in pools or () if pool != EXPRESS]
    for graph in sources.graphs if pools is not None else ():
        for position, node in graph.own_nodes:
            for pool, field, of in _pools_of(node, agents):
                if pool not in nodes_pools:
                    hint = did_you_mean(pool, nodes_pools)
                    message = f"there is no worker pool `{pool}` here{of}"
                    report.add(rules.UNKNOWN_POOL, message, graph.at(position, field), hint)


def _pools_of(node: NodeDefinition, agents: Mapping[str, CatalogueEntry]) -> Iterator[tuple[str, str, str]]:
    """Pools that a node needs, each with the field that says so, and of what it is if not of the node."""
    pool = getattr(node, "pool", None)
    if pool is not None:
        yield pool, "pool", ""
    agent = agents.get(node.agent) if isinstance(node, AgentNode) else None
    for terms in agent.call_terms if agent is not None else ():
        if terms.pool and agent is not None:
            yield terms.pool, "agent", f", where a call of the agent `{agent.id}` is to run"


def check_graph(source: GraphSource, graph: Graph, joins: list[Join], doubtful: frozenset[int], report: Report) -> None:
    """What the graph as a whole tells: joins that cannot be met, nodes that cannot run. Not of ``doubtful`` nodes."""
    for position, node in enumerate(source.nodes):
        join = joins[position]
        if join.kind is JoinKind.ALL or position in doubtful:
            continue
        count = len(graph.alive_sources(position))
        place = source.at(position, "join")
        if join.kind is JoinKind.AT_LEAST and join.count > count:
            report.add(rules.JOIN_COUNT, f"`{node.id}` needs {join.count} edges alive and has {count}", place)
        elif not count and "join" in node.model_fields_set:
            report.add(
                rules.JOIN_WITHOUT_EDGES, f"`{node.id}` waits for no node, so `{join.kind}` means nothing", place
            )
    for position, reason in _never_run(source.nodes, graph, joins):
        if position in doubtful:
            continue
        message = f"`{source.nodes[position].id}` can never run: {reason}"
        report.add(rules.UNREACHABLE, message, source.at(position, "id"))


def warn_of_recursion(workflow_id: str, source: GraphSource, graph: Graph, called: Called, report: Report) -> None:
    """Nodes that start the workflow itself, and that nothing but a failure keeps from running."""
    starts_itself = [isinstance(node, SubWorkflowNode) and node.workflow_id == workflow_id for node in source.nodes]
    if not any(starts_itself) or any(kind_of_node(node).ends_scope for node in source.nodes):
        return
    certain: set[int] = set()
    for position in graph.order:
        links = graph.incoming[position]
        if position in called.nodes or any(
            link.kind is EdgeKind.GATE or link.conditions or link.source not in certain for link in links
        ):
            continue
        node = source.nodes[position] if position < len(source.nodes) else None
        if node is not None and node.when is not None:
            continue
        certain.add(position)
        if node is not None and starts_itself[position]:
            message = f"`{node.id}` starts `{workflow_id}` in every execution of `{workflow_id}`"
            report.add(rules.ENDLESS_RECURSION, message, source.at(position, "workflow_id"))


def _never_run(nodes: tuple[NodeDefinition, ...], graph: Graph, joins: list[Join]) -> Iterator[tuple[int, str]]:
    """Nodes that no edge can bring alive: what lies behind a `fail` or a `succeed`, which both end the scope."""
    final = {position for position, node in enumerate(nodes) if kind_of_node(node).ends_scope}
    dead: set[int] = set()
    for node in graph.order if final else ():
        sources = graph.alive_sources(node)
        join = joins[node]
        alive = sum(source not in final and source not in dead for source in sources)
        needed = {JoinKind.ALL_SUCCESS: len(sources), JoinKind.AT_LEAST: join.count, JoinKind.ALL_DONE: 0}.get(
            join.kind, 1
        )
        if alive >= needed or len(sources) < max(needed, 1):
            continue
        dead.add(node)
        if node < graph.count:
            ending = next((source for source in sources if source in final), None)
            behind = next((source for source in sources if source in dead), sources[0])
            shown = graph.authored(behind if ending is None else ending)
            yield node, f"`{graph.ids[shown]}` " + ("never does" if ending is None else "ends the workflow")
