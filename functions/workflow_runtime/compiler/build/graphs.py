"""Stage *assembly*: the finished graph and its formulas become the plan. Nothing is decided or reported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property

from workflow_runtime.compiler.build.decisions import Decisions, shortest
from workflow_runtime.compiler.build.limits import budget_handlers, planned_limits
from workflow_runtime.compiler.collect.formulas import has_inputs
from workflow_runtime.compiler.collect.graphs import GraphSource
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.kinds.kind import Body
from workflow_runtime.compiler.names.schemas import declared_keys
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.compiler.shape.links import Called, Handlers
from workflow_runtime.compiler.shape.ordering import Graph
from workflow_runtime.compiler.shape.predecessors import Before
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.policies import ErrorHandler
from workflow_runtime.definition.policies import ErrorRule as ErrorRuleDefinition
from workflow_runtime.definition.policies import RetryPolicy as RetryPolicyDefinition
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.edges import ORDER, Edge, Join, JoinKind
from workflow_runtime.plan.exposure import Exposure
from workflow_runtime.plan.express import EXPRESS, EXPRESS_SECONDS_MAX
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan, Variable
from workflow_runtime.plan.policies import BY_DEFAULT, Compensation, ErrorRule, Handler, NodeHandler, RetryPolicy
from workflow_runtime.plan.specs import CALLBACK_SECONDS, CallbackPlan, MachineSpec, NodeType
from workflow_runtime.plan.triggers import Trigger

NEVER = Formula("false", is_expression=True)
"""The `when` of a node that only runs when called."""

_NODE_TYPES = {str(kind): kind for kind in NodeType}


class Parts:
    """Everything that the stages before have settled about one graph, read by document path or node index.

    - ``first``: the plan-wide number of its first node
    - ``machines``: by node, the number of its chart and the nodes that are read inside
    - ``correlated``: by node, the number of the trigger that brings events to this wait
    - ``bodies``: by node, the graph that a loop repeats
    - ``loop``: the plan-wide number of the loop that repeats this
    - ``handlers``: by node, those of the workflow
    - ``limiter``: gives the full name of a limiter
    - ``undone_by``: by node, the number of the graph that undoes it
    """

    def __init__(
        self,
        source: GraphSource,
        graph: Graph,
        formulas: Mapping[DocumentPath, Formula],
        called: Called,
        first: int,
        handlers: Handlers,
        limiter: Callable[[str], str],
    ) -> None:
        self.source = source
        self.graph = graph
        self.first = first
        self.before = Before(graph, source)
        self.joins = [*map(join_of, source.nodes), *(_gather_join(gather.spec.branch) for gather in graph.gathers)]
        self.operands = {
            position: self.before.above(position)
            for position, node in enumerate(source.nodes)
            if kind_of_node(node).combines(node)
        }
        self.sinks = _sinks(source.nodes, graph, called) if yields_sinks(source) else ()
        self.called = called
        self.handlers = handlers
        self.limiter = limiter
        self.machines: dict[int, MachineSpec] = {}
        self.correlated: dict[int, int] = {}
        self.bodies: dict[int, Body] = {}
        self.loop = -1
        self.undone_by: dict[int, int] = {}
        self._formulas = formulas

    def wholes(self) -> list[int]:
        """Nodes whose whole output a decision reads without naming them."""
        return [*self.sinks, *(node for operands in self.operands.values() for node in operands)]

    def formula(self, position: int, *path: str | int) -> Formula | None:
        """What stands at ``path`` of a node, if it is a template or an expression."""
        return self._formulas.get(self.source.at(position, *path))

    def required(self, position: int, *path: str | int) -> Formula:
        return self._formulas[self.source.at(position, *path)]

    @cached_property
    def originals(self) -> dict[int, tuple[int, ...]]:
        """The nodes in whose place a node may run, directly or in the place of one that does."""
        found: dict[int, set[int]] = {}
        for source in range(len(self.source.nodes)):
            own = _fallback(self, source) if kind_of_node(self.source.nodes[source]).has_policies else -1
            for target in (own, *[target for _, target in self.handlers[source]]):
                if target != -1:
                    found.setdefault(target, set()).add(source)
        return {target: tuple(sorted(_all_above(found, target))) for target in found}

    @property
    def outputs(self) -> Formula | None:
        return self._formulas[self.source.outputs_place] if self.source.outputs is not MISSING else None

    def nodes(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Indices of ids, in order, each once."""
        return tuple(dict.fromkeys(self.source.index[name] for name in names))


def _all_above(originals: Mapping[int, set[int]], target: int) -> set[int]:
    found: set[int] = set()
    pending = [*originals[target]]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += originals.get(node, ())
    return found - {target}


def yields_sinks(source: GraphSource) -> bool:
    """Whether its sinks are what a graph yields. One beside a chart at the top yields nothing: the chart does. Nobody
    asks what a compensation yields."""
    is_beside_chart = not source.number and bool(source.charts)
    return source.outputs is MISSING and not is_beside_chart and source.undoes is None


def join_of(node: NodeDefinition) -> Join:
    return _join(node.join.kind, node.join.count)


@cache
def _join(kind: str, count: int) -> Join:
    """The same for all nodes that say the same; they say few different things."""
    return Join(JoinKind(kind), count)


def _gather_join(is_branch: bool) -> Join:
    return Join(JoinKind.ALL_SUCCESS if is_branch else JoinKind.ANY)


def assemble(
    definition: WorkflowDefinition,
    formulas: Mapping[DocumentPath, Formula],
    decisions: Decisions,
    blocks: Sequence[GraphBlock],
    charts: Sequence[ChartPlan],
    triggers: tuple[Trigger, ...],
) -> Plan:
    schema = definition.input_schema
    declared, _ = declared_keys(schema)
    return Plan(
        workflow_id=definition.id,
        root=blocks[0],
        workflow_name=definition.name,
        workflow_version=definition.version or "",
        input_schema=schema,
        output_schema=definition.output_schema,
        event_schemas=definition.event_schemas,
        variables=tuple(
            Variable(name, formulas["variables", name], schema is None or name in declared)
            for name in definition.variables
        ),
        timeout_seconds=time_limit(definition),
        max_concurrency=definition.limits.max_concurrency,
        priority=definition.limits.priority,
        events=_lifecycle_events(definition),
        input_paths=decisions.inputs,
        variable_paths=decisions.variables,
        inner=tuple(blocks[1:]),
        charts=tuple(charts),
        has_chart=bool(charts) and charts[0].node < 0,
        triggers=triggers,
        handlers=(*map(handler, definition.error_handlers), *budget_handlers(definition)),
        compensation=_compensation(definition),
        limits=planned_limits(definition, formulas),
        exposed=_exposure(definition),
        express=definition.durability == EXPRESS,
    )


def _lifecycle_events(definition: WorkflowDefinition) -> tuple[str, ...]:
    """Those that are published: of express executions only what is asked for, as they would cost more than the rest."""
    if definition.durability == EXPRESS and "events" not in definition.model_fields_set:
        return ()
    return definition.events


def time_limit(definition: WorkflowDefinition) -> float | None:
    """Of an execution; express ones always have one."""
    if definition.durability != EXPRESS:
        return definition.timeout
    return min(definition.timeout or EXPRESS_SECONDS_MAX, EXPRESS_SECONDS_MAX)


def _exposure(definition: WorkflowDefinition) -> Exposure | None:
    if "mcp" not in definition.expose:
        return None
    return Exposure(definition.description if isinstance(definition.description, str) else "")


def _compensation(definition: WorkflowDefinition) -> Compensation:
    written = definition.compensation
    return BY_DEFAULT if written is None else Compensation(written.on, written.order)


def assemble_graph(parts: Parts, decisions: Decisions, conditions: Mapping[tuple[int, int], Formula]) -> GraphBlock:
    graph = parts.graph
    edges: list[Edge] = []
    incoming: list[tuple[int, ...]] = []
    outgoing: list[list[int]] = [[] for _ in graph.incoming]
    for links in graph.incoming:
        first = len(edges)
        for link in links:
            outgoing[link.source].append(len(edges))
            condition = conditions[link.source, link.target] if link.conditions else None
            edges.append(Edge(link.source, link.target, link.kind, condition))
        incoming.append(tuple(range(first, len(edges))))
    nodes = [
        _node(parts, position, incoming[position], tuple(outgoing[position]), _paths(parts, decisions, position))
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
    source = parts.source
    return GraphBlock(
        nodes=tuple(nodes),
        edges=tuple(edges),
        sinks=parts.sinks,
        outputs=parts.outputs,
        first=parts.first,
        prefix=source.prefix,
        chart=source.chart,
        state=source.state,
        loop=parts.loop,
    )


def _paths(parts: Parts, decisions: Decisions, position: int) -> tuple[tuple[str, ...], ...]:
    """What decisions read of a node's output; of one that may run in the place of others, what they read of those."""
    found = decisions.nodes.get(parts.first + position, ())
    originals = parts.originals.get(position, ())
    if not originals:
        return found
    return shortest({*found, *(path for node in originals for path in decisions.nodes.get(parts.first + node, ()))})


def _node(
    parts: Parts,
    position: int,
    incoming: tuple[int, ...],
    outgoing: tuple[int, ...],
    paths: tuple[tuple[str, ...], ...],
) -> NodePlan:
    node = parts.source.nodes[position]
    kind = kind_of_node(node)
    return NodePlan(
        id=node.id,
        type=_NODE_TYPES[node.type],
        spec=kind.spec(node, _NodeParts(parts, position)),
        incoming=incoming,
        outgoing=outgoing,
        join=parts.joins[position],
        pool=getattr(node, "pool", None) or kind.pool,
        name=node.name,
        inputs=parts.formula(position, "inputs") if has_inputs(parts.source, position) and kind.reads_inputs else None,
        output_fields=node.outputs if isinstance(node.outputs, tuple) and kind.has_shape else None,
        shape=parts.formula(position, "outputs") if node.outputs is not None and kind.has_shape else None,
        when=_when(parts, position, node),
        continue_on_skip=node.on_skip == "continue",
        timeout_seconds=None if kind.own_timeout else node.timeout,
        priority=node.priority,
        decision_paths=paths,
        called=position in parts.called.live,
        retry=tuple([policy.planned for policy in node.retry_policy]) if kind.has_policies else (),
        on_error=tuple([_error_rule(rule, parts) for rule in node.on_error]) if kind.has_policies else (),
        fallback=_fallback(parts, position) if kind.has_policies else -1,
        handlers=tuple([NodeHandler(*found) for found in parts.handlers[position]]),
        compensate=parts.undone_by.get(position, -1),
        max_wait_seconds=node.max_wait if kind.pool is not None else None,
        limiters=tuple(map(parts.limiter, node.limiter)) if kind.pool is not None else (),
        cost_tokens=node.cost.tokens if node.cost is not None and kind.pool is not None else 0,
        callback=_callback(node) if kind.pool is not None else None,
    )


def _when(parts: Parts, position: int, node: NodeDefinition) -> Formula | None:
    if position in parts.called.never_due:
        return NEVER
    return parts.formula(position, "when") if node.when is not None else None


def _callback(node: NodeDefinition) -> CallbackPlan | None:
    if node.callback is None:
        return None
    return CallbackPlan(node.callback.timeout or CALLBACK_SECONDS, node.callback.heartbeat)


def _fallback(parts: Parts, position: int) -> int:
    own = parts.source.nodes[position].fallback
    if own is not None and own.node is not None:
        return parts.nodes((own.node,))[0]
    return parts.source.fallback_of.get(position, -1)


def handler(written: ErrorHandler) -> Handler:
    policy = written.action.planned if written.action.type == "retry" else None
    return Handler(written.action.type, written.errors, policy)


def _error_rule(rule: ErrorRuleDefinition, parts: Parts) -> ErrorRule:
    if rule.target is None:
        return ErrorRule(rule.do or "fail", rule.errors)
    return ErrorRule("call", rule.errors, parts.nodes((rule.target,))[0])


class _NodeParts:
    """See `kinds.kind.NodeParts`."""

    def __init__(self, parts: Parts, position: int) -> None:
        self._parts = parts
        self._position = position

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        return self._parts.graph.members[self._position]

    @property
    def operands(self) -> tuple[int, ...]:
        return self._parts.operands.get(self._position, ())

    @property
    def machine(self) -> MachineSpec:
        return self._parts.machines[self._position]

    @property
    def body(self) -> Body:
        return self._parts.bodies[self._position]

    @property
    def correlated(self) -> int:
        return self._parts.correlated.get(self._position, -1)

    def formula(self, *path: str | int) -> Formula | None:
        return self._parts.formula(self._position, *path)

    def required(self, *path: str | int) -> Formula:
        return self._parts.required(self._position, *path)

    def nodes(self, names: tuple[str, ...]) -> tuple[int, ...]:
        return self._parts.nodes(names)

    def retries(self, policies: tuple[RetryPolicyDefinition, ...]) -> tuple[RetryPolicy, ...]:
        return tuple(policy.planned for policy in policies)


def _sinks(nodes: tuple[NodeDefinition, ...], graph: Graph, called: Called) -> tuple[int, ...]:
    """Nodes without successors that yield something.

    Nodes that only choose, start, wait or fail yield nothing, nor do nodes that only run when called.
    """
    continued = {link.source for links in graph.incoming for link in links if link.kind is not ORDER}
    return tuple(
        position
        for position, node in enumerate(nodes)
        if position not in continued and position not in called.nodes and kind_of_node(node).yields
    )


def as_expression(formulas: list[Formula]) -> Formula:
    """Several conditions as one, all of which must hold."""
    if len(formulas) == 1:
        return formulas[0]
    source: Json = " and ".join(f"({formula.source})" for formula in formulas)
    bindings = tuple(dict.fromkeys(binding for formula in formulas for binding in formula.bindings))
    return Formula(source, bindings, is_expression=True)
