"""Stage *assembly*: the finished graph and its formulas become the plan. Nothing is decided or reported here."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.compiler.before import Before
from workflow_runtime.compiler.decisions import Decisions
from workflow_runtime.compiler.names import declared_keys
from workflow_runtime.compiler.ordering import Graph
from workflow_runtime.compiler.sites import DocumentPath
from workflow_runtime.definition.model import (
    MISSING,
    AgentNode,
    AggregationNode,
    ConditionNode,
    FailNode,
    NodeDefinition,
    ParallelNode,
    PassNode,
    SucceedNode,
    SwitchNode,
    ToolNode,
    WorkflowDefinition,
)
from workflow_runtime.plan import (
    AgentSpec,
    AggregationSpec,
    ConditionSpec,
    Edge,
    EdgeKind,
    FailSpec,
    Formula,
    GraphBlock,
    Join,
    JoinKind,
    Json,
    NodePlan,
    NodeType,
    ParallelSpec,
    PassSpec,
    Plan,
    Spec,
    SucceedSpec,
    SwitchCase,
    SwitchSpec,
    ToolSpec,
    Variable,
)

NEVER = Formula("false", is_expression=True)
"""The `when` of a node that only runs when called."""


class Parts:
    """Everything that the stages before have settled, read by document path or node index."""

    def __init__(
        self,
        definition: WorkflowDefinition,
        graph: Graph,
        formulas: Mapping[DocumentPath, Formula],
        called: frozenset[int],
    ) -> None:
        self.definition = definition
        self.graph = graph
        self.before = Before(graph, definition.nodes)
        self.joins = [*map(join_of, definition.nodes), *(_gather_join(gather.spec.branch) for gather in graph.gathers)]
        self.operands = {
            position: self.before.above(position)
            for position, node in enumerate(definition.nodes)
            if isinstance(node, AggregationNode) and node.items is None
        }
        self.sinks = _sinks(definition.nodes, graph, called) if definition.outputs is MISSING else ()
        self.called = called
        self._formulas = formulas
        self._index = {node.id: position for position, node in enumerate(definition.nodes)}

    def wholes(self) -> list[int]:
        """Nodes whose whole output a decision reads without naming them."""
        return [*self.sinks, *(node for operands in self.operands.values() for node in operands)]

    def formula(self, *path: str | int) -> Formula | None:
        return self._formulas.get(path)

    def required(self, *path: str | int) -> Formula:
        return self._formulas[path]

    def nodes(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Indices of ids, in order, each once."""
        return tuple(dict.fromkeys(self._index[name] for name in names))


def join_of(node: NodeDefinition) -> Join:
    return Join(JoinKind(node.join.kind), node.join.count)


def _gather_join(is_branch: bool) -> Join:
    return Join(JoinKind.ALL_SUCCESS if is_branch else JoinKind.ANY)


def assemble(parts: Parts, decisions: Decisions, conditions: Mapping[tuple[int, int], Formula]) -> Plan:
    definition = parts.definition
    schema = definition.input_schema
    declared, _ = declared_keys(schema)
    return Plan(
        workflow_id=definition.id,
        root=_block(parts, decisions, conditions),
        workflow_name=definition.name,
        workflow_version=definition.version or "",
        input_schema=schema,
        output_schema=definition.output_schema,
        variables=tuple(
            Variable(name, parts.required("variables", name), schema is None or name in declared)
            for name in definition.variables
        ),
        timeout_seconds=definition.timeout,
        max_concurrency=definition.limits.max_concurrency,
        priority=definition.limits.priority,
        events=definition.events,
        input_paths=decisions.inputs,
        variable_paths=decisions.variables,
    )


def _block(parts: Parts, decisions: Decisions, conditions: Mapping[tuple[int, int], Formula]) -> GraphBlock:
    graph = parts.graph
    edges: list[Edge] = []
    incoming: list[tuple[int, ...]] = []
    outgoing: list[list[int]] = [[] for _ in graph.incoming]
    for links in graph.incoming:
        first = len(edges)
        for link in links:
            outgoing[link.source].append(len(edges))
            edges.append(Edge(link.source, link.target, link.kind, conditions.get((link.source, link.target))))
        incoming.append(tuple(range(first, len(edges))))
    nodes = [
        _node(parts, position, incoming[position], tuple(outgoing[position]), decisions.nodes.get(position, ()))
        for position in range(graph.count)
    ]
    for position, gather in enumerate(graph.gathers, graph.count):
        hidden = NodePlan(
            gather.id,
            NodeType.CONTROL,
            gather.spec,
            incoming[position],
            tuple(outgoing[position]),
            parts.joins[position],
        )
        nodes.append(hidden)
    return GraphBlock(tuple(nodes), tuple(edges), parts.sinks, parts.formula("outputs"))


def _node(
    parts: Parts,
    position: int,
    incoming: tuple[int, ...],
    outgoing: tuple[int, ...],
    paths: tuple[tuple[str, ...], ...],
) -> NodePlan:
    node = parts.definition.nodes[position]
    worker = {AgentNode: "agent", ToolNode: "tool"}.get(type(node))
    reads_inputs = worker is not None or isinstance(node, PassNode)
    return NodePlan(
        id=node.id,
        type=NodeType(node.type),
        spec=_spec(parts, position, node),
        incoming=incoming,
        outgoing=outgoing,
        join=parts.joins[position],
        pool=worker,
        name=node.name,
        inputs=parts.formula("nodes", position, "inputs") if node.inputs and reads_inputs else None,
        output_fields=node.outputs if isinstance(node.outputs, tuple) else None,
        shape=parts.formula("nodes", position, "outputs"),
        when=NEVER if position in parts.called else parts.formula("nodes", position, "when"),
        continue_on_skip=node.on_skip == "continue",
        timeout_seconds=node.timeout,
        priority=node.priority,
        decision_paths=paths,
    )


def _spec(parts: Parts, position: int, node: NodeDefinition) -> Spec:
    at = ("nodes", position)
    match node:
        case AgentNode():
            agent = parts.required(*at, "agent") if node.allow else node.agent
            return AgentSpec(agent, node.allow, parts.formula(*at, "prompt"), node.output_schema)
        case ToolNode():
            return ToolSpec(parts.required(*at, "tool") if node.allow else node.tool, node.allow)
        case SwitchNode():
            return SwitchSpec(parts.formula(*at, "condition"), _cases(parts, position, node))
        case ConditionNode():
            condition = parts.required(*at, "condition")
            return ConditionSpec(condition, parts.nodes(node.then), parts.nodes(node.otherwise))
        case ParallelNode():
            members = parts.graph.members[position]
            return ParallelSpec(
                parts.nodes(node.branches), members, node.max_concurrency, node.wait_all, node.cancel_rest
            )
        case PassNode():
            return PassSpec()
        case FailNode():
            return FailSpec(parts.required(*at, "error"), parts.required(*at, "message"))
        case SucceedNode():
            return SucceedSpec(parts.formula(*at, "output"))
        case AggregationNode():
            return _aggregation(parts, position, node)
    raise AssertionError(f"a node of type {node.type} has passed the stage that refuses it")


def _cases(parts: Parts, position: int, node: SwitchNode) -> tuple[SwitchCase, ...]:
    cases = [
        SwitchCase(
            parts.nodes(branch.targets), branch.values, parts.formula("nodes", position, "branches", number, "when")
        )
        for number, branch in enumerate(node.branches)
    ]
    return tuple(sorted(cases, key=lambda case: case.is_default))


def _aggregation(parts: Parts, position: int, node: AggregationNode) -> AggregationSpec:
    at = ("nodes", position)
    return AggregationSpec(
        strategy=node.strategy,
        operands=parts.operands.get(position, ()),
        items=parts.formula(*at, "items"),
        field=node.field,
        score=parts.formula(*at, "score"),
        value=parts.formula(*at, "value"),
        ties=node.ties,
        min_votes=node.min_votes,
        detail=node.detail,
        default=parts.formula(*at, "default"),
    )


def _sinks(nodes: tuple[NodeDefinition, ...], graph: Graph, called: frozenset[int]) -> tuple[int, ...]:
    """Nodes without successors that yield something.

    Switch, condition, parallel and fail nodes yield nothing, nor do nodes that only run when called.
    """
    continued = {link.source for links in graph.incoming for link in links if link.kind is not EdgeKind.ORDER}
    silent = (SwitchNode, ConditionNode, ParallelNode, FailNode)
    return tuple(
        position
        for position, node in enumerate(nodes)
        if position not in continued and position not in called and not isinstance(node, silent)
    )


def as_expression(formulas: list[Formula]) -> Formula:
    """Several conditions as one, all of which must hold."""
    if len(formulas) == 1:
        return formulas[0]
    source: Json = " and ".join(f"({formula.source})" for formula in formulas)
    bindings = tuple(dict.fromkeys(binding for formula in formulas for binding in formula.bindings))
    return Formula(source, bindings, is_expression=True)
