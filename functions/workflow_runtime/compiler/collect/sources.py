"""Stage *sources*: the graphs and charts of a definition, flat, in the order of their numbers in the plan.

A state's `run`, and an agent or tool that an action calls, are graphs inside a chart; a `state_machine` node is a chart
inside a graph; what undoes nodes is a graph of one node, behind all others. All later stages treat the graph at the top
like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import msgspec
import re2

from workflow_runtime.compiler.collect.short_forms import called_node, fallback_node, fallback_of, named_after
from workflow_runtime.compiler.collect.states import StateSource, calls_of, flatten
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.charts.actions import CallActionDefinition
from workflow_runtime.definition.charts.states import StateMachineNode
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import PassNode
from workflow_runtime.definition.policies import ErrorHandler
from workflow_runtime.definition.recovery import ANY, Gaps
from workflow_runtime.definition.workflow import EdgeDefinition, WorkflowDefinition
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import FALLBACK

OWN = -1
NOT_OF_COMPENSATIONS = {"dependencies": (), "fallback": None, "on_error": (), "compensate": None}
"""Fields that mean nothing in a node that undoes others: it has no edges, and its failure is only recorded."""
CHART_FIELDS = ("states", "initial_state", "final_states")


class Enclosing(msgspec.Struct, frozen=True):
    """A graph around a place, and the node of it that the place is inside of (`OWN`: none, it is beside them all)."""

    graph: int
    node: int = OWN


class Undone(msgspec.Struct, frozen=True):
    """What a compensation undoes: ``nodes`` (positions) of a ``graph``. ``written``: it, with the fields that mean
    nothing here."""

    graph: int
    nodes: tuple[int, ...]
    written: NodeDefinition


class GraphSource(msgspec.Struct, frozen=True, dict=True, kw_only=True):
    """A graph as it is written. ``place``: the document path of its nodes. ``chart``, ``state``: who runs it.

    ``outer``: the graphs around it, the innermost first; ``charts``: the charts whose variables it sees, likewise.
    ``is_call``: it is one node, made of an action. ``undoes``: it is one node, a compensation for these.
    ``fallbacks``: nodes made of fallbacks that are defined in others, or by error handlers, after the nodes that are
    written; by position, whose each is. ``handled``: those of error handlers, by whose it is and the workflow it runs.
    """

    number: int
    nodes: tuple[NodeDefinition, ...]
    place: DocumentPath
    edges: tuple[EdgeDefinition, ...] = ()
    outputs: Json = MISSING
    gaps: Gaps = Gaps()
    prefix: str = ""
    chart: int = -1
    state: int = -1
    outer: tuple[Enclosing, ...] = ()
    charts: tuple[int, ...] = ()
    is_call: bool = False
    fallbacks: dict[int, int] = {}
    undoes: Undone | None = None
    handled: dict[tuple[int, str], int] = {}

    @property
    def is_lone(self) -> bool:
        """Whether ``place`` is that of its only node."""
        return self.is_call or self.undoes is not None

    @cached_property
    def fallback_of(self) -> dict[int, int]:
        """The other way round: the position of a node's own fallback, by the node's."""
        return {own: position for position, own in self.fallbacks.items() if position not in self.named_by_handlers}

    @cached_property
    def named_by_handlers(self) -> dict[int, str]:
        """The workflows that error handlers run in the place of others, by the position of the node that does."""
        return {position: workflow for (_, workflow), position in self.handled.items()}

    @cached_property
    def index(self) -> dict[str, int]:
        """Position by id; of nodes that share one, the first."""
        found: dict[str, int] = {}
        for position, node in enumerate(self.nodes):
            if position not in self.gaps.unnamed and position not in self.fallbacks:
                found.setdefault(node.id, position)
        return found

    @cached_property
    def shares_ids(self) -> bool:
        """Whether several nodes have one id: then a name that seems to be missing may be meant for one of them."""
        return len({node.id for node in self.nodes}) < len(self.nodes)

    @cached_property
    def chain(self) -> tuple[Enclosing, ...]:
        """The graphs whose nodes a place in it sees, itself first."""
        return (Enclosing(self.number), *self.outer)

    def at(self, position: int, *path: str | int) -> DocumentPath:
        """The document path of a node, or of something in it."""
        own = self.fallbacks.get(position)
        if position in self.named_by_handlers:
            return self.at(self.fallbacks[position], f"~{self.named_by_handlers[position]}", *path)
        if own is not None:
            is_value = path[:1] == ("inputs",) and isinstance(self.nodes[position], PassNode)
            return self.at(own, "fallback", *(("value", *path[1:]) if is_value else path))
        return (*self.place, *path) if self.is_lone else (*self.place, position, *path)

    @cached_property
    def undoing(self) -> dict[int, tuple[int, ...]]:
        """Nodes that undo others, and which: each has a graph of its own besides."""
        found: dict[int, tuple[int, ...]] = {}
        for position, node in self.compensated():
            target = self.index.get(node.compensate, position) if isinstance(node.compensate, str) else position
            if target != position:
                found[target] = (*found.get(target, ()), position)
        return found

    def compensated(self) -> Iterator[tuple[int, NodeDefinition]]:
        """The nodes that say what undoes them, with their positions."""
        for position, node in enumerate(self.nodes if self.undoes is None else ()):
            if node.compensate is not None and kind_of_node(node).has_policies:
                yield position, node

    @property
    def own_nodes(self) -> Iterator[tuple[int, NodeDefinition]]:
        """Its nodes with their positions; those that undo others are looked at in their own graphs."""
        return ((position, node) for position, node in enumerate(self.nodes) if position not in self.undoing)


class CallSource(msgspec.Struct, frozen=True):
    """An agent or tool that an action calls: the graph it makes, the state that owns it, and the action."""

    block: int
    owner: int
    action: CallActionDefinition


class ChartSource(msgspec.Struct, frozen=True, dict=True, kw_only=True):
    """A chart as it is written, its states flat in document order (0: the chart itself).

    ``place``: the document path of what has its fields. ``node``: the graph and the node that it is inside of; None at
    the top. ``chain``, ``charts``: see `GraphSource`; ``charts[0]`` is itself. ``runs``: block by state; ``calls``: by
    document path of their action; `Sources` fills in both. ``is_whole``: nothing in it was wrong.
    ``hides_states``: it may have states with other names than those that can be seen.
    """

    number: int
    definition: WorkflowDefinition | StateMachineNode
    states: tuple[StateSource, ...]
    place: DocumentPath
    node: Enclosing | None = None
    prefix: str = ""
    chain: tuple[Enclosing, ...] = ()
    charts: tuple[int, ...] = ()
    runs: dict[int, int] = {}
    calls: dict[DocumentPath, CallSource] = {}
    is_whole: bool = True
    hides_states: bool = False

    @cached_property
    def index(self) -> dict[str, int]:
        """State by name; of states that share one, the first."""
        found: dict[str, int] = {}
        for number, state in enumerate(self.states):
            if number and state.name:
                found.setdefault(state.name, number)
        return found


class Sources:
    """All graphs and charts by number. ``graphs[0]`` is the one at the top; ``charts[0]`` is iff ``has_chart``."""

    def __init__(self, definition: WorkflowDefinition, gaps: Gaps) -> None:
        self.graphs: list[GraphSource] = []
        self._gaps = gaps
        self.has_chart = definition.type != "dag" and bool(definition.states)
        self._charts: dict[int, ChartSource] = {}
        self._chart_count = int(self.has_chart)
        root = GraphSource(
            number=0,
            nodes=definition.nodes,
            place=("nodes",),
            edges=definition.edges,
            outputs=MISSING if self.has_chart else definition.outputs,
            gaps=gaps,
            charts=(0,) if self.has_chart else (),
        )
        self._add_graph(root)
        if self.has_chart:
            is_whole = gaps.is_whole(()) and gaps.fields.isdisjoint((*CHART_FIELDS[1:], "type", ANY))
            states = flatten(definition, ())
            top = ChartSource(
                number=0, definition=definition, states=states, place=(), chain=(Enclosing(0),), charts=(0,),
                is_whole=is_whole, hides_states=gaps.hide_states(()) or not gaps.fields.isdisjoint(("type", ANY)),
            )  # fmt: skip
            self._add_chart(top)
        self._add_workflows(definition.error_handlers)
        for graph in tuple(self.graphs):
            self._add_compensations(graph)

    @property
    def charts(self) -> list[ChartSource]:
        return [self._charts[number] for number in range(self._chart_count)]

    @property
    def nodes(self) -> Iterator[NodeDefinition]:
        """Every node of every graph."""
        for graph in self.graphs:
            yield from graph.nodes

    def find(self, chain: Sequence[Enclosing], name: str) -> tuple[int, int, int] | None:
        """The node of this id in the innermost graph that has one: its graph, its position there, and which of
        ``chain`` it was. A node that one is inside of has no output yet: its name means something else here.
        """
        for depth, enclosing in enumerate(chain):
            position = self.graphs[enclosing.graph].index.get(name)
            if position is not None and position != enclosing.node:
                return enclosing.graph, position, depth
        return None

    def _add_graph(self, graph: GraphSource) -> None:
        graph = _with_fallbacks(graph)
        self.graphs.append(graph)
        for position, node in enumerate(graph.nodes):
            if isinstance(node, StateMachineNode):
                number = self._chart_count
                self._chart_count += 1
                here = Enclosing(graph.number, position)
                chart = ChartSource(
                    number=number,
                    definition=node,
                    states=flatten(node, graph.at(position)),
                    place=graph.at(position),
                    node=here,
                    prefix=f"{graph.prefix}{node.id}/",
                    chain=(here, *graph.outer),
                    charts=(number, *graph.charts),
                    is_whole=self._gaps.is_whole(graph.at(position)) and not graph.gaps.has(position, *CHART_FIELDS),
                    hides_states=self._gaps.hide_states(graph.at(position)) or graph.gaps.has(position),
                )
                self._add_chart(chart)

    def _add_chart(self, chart: ChartSource) -> None:
        self._charts[chart.number] = chart
        for position, state in enumerate(chart.states):
            run = state.definition.run if state.definition is not None else ()
            if run:
                chart.runs[position] = len(self.graphs)
                self._add_graph(self._inside(chart, position, position, run, (*state.place, "run")))
            taken = {item.id for item in run}
            numbers: dict[str, int] = {}
            for call in calls_of(state, position):
                called = called_node(call.action, taken, numbers, always_numbered=not position)
                taken.add(called.id)
                chart.calls[call.place] = CallSource(len(self.graphs), call.owner, call.action)
                self._add_graph(self._inside(chart, position, call.owner, (called,), call.place, is_call=True))

    def _add_workflows(self, handlers: Sequence[ErrorHandler]) -> None:
        """What error handlers run in the place of nodes that is no node: workflows."""
        names = {id for graph in self.graphs for id in graph.index}
        others = [handler for handler in handlers if handler.action.target not in (None, *names)]
        if others:
            self.graphs = [_with_workflows(graph, others) for graph in self.graphs]

    def _add_compensations(self, graph: GraphSource) -> None:
        """What undoes nodes of a graph. It runs when their scope may have ended: it sees the nodes that it undoes, and
        what is always there."""
        for position, node in graph.compensated():
            if isinstance(node.compensate, NodeDefinition):
                self._add_compensation(graph, named_after(node), graph.at(position, "compensate"), (position,))
        for target, positions in graph.undoing.items():
            self._add_compensation(graph, graph.nodes[target], graph.at(target), positions)

    def _add_compensation(
        self, graph: GraphSource, node: NodeDefinition, place: DocumentPath, undone: Iterable[int]
    ) -> None:
        source = GraphSource(
            number=len(self.graphs),
            nodes=(node.model_copy(update=NOT_OF_COMPENSATIONS),),
            place=place,
            prefix=graph.prefix,
            outer=graph.chain,
            charts=(0,) if self.has_chart else (),
            undoes=Undone(graph.number, tuple(undone), node),
        )
        self.graphs.append(source)

    def _inside(
        self,
        chart: ChartSource,
        written_in: int,
        state: int,
        nodes: tuple[NodeDefinition, ...],
        place: DocumentPath,
        *,
        is_call: bool = False,
    ) -> GraphSource:
        """A graph that ``state`` of a chart runs; its paths name the state that it is ``written_in``."""
        name = chart.states[written_in].name
        return GraphSource(
            number=len(self.graphs),
            nodes=nodes,
            place=place,
            gaps=self._gaps.of_run(place),
            prefix=f"{chart.prefix}{name}/" if name else chart.prefix,
            chart=chart.number,
            state=state,
            outer=chart.chain,
            charts=chart.charts,
            is_call=is_call,
        )


def _with_fallbacks(graph: GraphSource) -> GraphSource:
    """The graph with a node more for each fallback that is defined in a node."""
    own = {position: fallback_node(node) for position, node in enumerate(graph.nodes)}
    made = [(position, node) for position, node in own.items() if node is not None]
    if not made:
        return graph
    count = len(graph.nodes)
    return msgspec.structs.replace(
        graph,
        nodes=(*graph.nodes, *(node for _, node in made)),
        fallbacks={count + number: position for number, (position, _) in enumerate(made)},
    )


def _with_workflows(graph: GraphSource, handlers: Sequence[ErrorHandler]) -> GraphSource:
    """The graph with a node more for each node and workflow that one of these handlers runs in its place."""
    nodes, fallbacks, handled = list(graph.nodes), dict(graph.fallbacks), dict(graph.handled)
    for position, node in enumerate(graph.nodes):
        for handler in handlers:
            target = handler.action.target
            if target is None or (position, target) in handled or not is_for(handler, graph, position):
                continue
            handled[position, target] = len(nodes)
            fallbacks[len(nodes)] = position
            nodes.append(fallback_of(node, f"{node.id}~{target}{FALLBACK}", "sub_workflow", {"workflow_id": target}))
    return msgspec.structs.replace(graph, nodes=tuple(nodes), fallbacks=fallbacks, handled=handled)


def is_for(handler: ErrorHandler, graph: GraphSource, position: int) -> bool:
    """Whether a node is one of those that an error handler is for."""
    node = graph.nodes[position]
    if not kind_of_node(node).has_policies or position in graph.fallbacks or graph.undoes is not None:
        return False
    name = f"{graph.prefix}{node.id}" if "/" in handler.node_pattern else node.id
    return re2.fullmatch(handler.node_pattern, name) is not None
