"""Stage *sources*: the graphs and charts of a definition, flat, in the order of their numbers in the plan.

A state's `run`, and an agent or tool that an action calls, are graphs inside a chart; a `state_machine` node is a chart
inside a graph, the body of a loop a graph inside a graph; what undoes nodes is a graph of one node, behind all others.
All later stages treat the graph at the top like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from workflow_runtime.compiler.bounds import Spent
from workflow_runtime.compiler.collect.bodies import NO_LOOP, Listing, listing
from workflow_runtime.compiler.collect.graphs import CallSource, ChartSource, Enclosing, GraphSource, Undone
from workflow_runtime.compiler.collect.short_forms import called_node, fallback_node, fallback_of, named_after
from workflow_runtime.compiler.collect.states import calls_of, flatten
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.charts.states import StateMachineNode
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.loop import LoopNode
from workflow_runtime.definition.policies import ErrorHandler
from workflow_runtime.definition.recovery import ANY, Gaps
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.language.expressions import compile_pattern
from workflow_runtime.plan.graph import FALLBACK

NOT_OF_COMPENSATIONS = {"dependencies": (), "fallback": None, "on_error": (), "compensate": None}
"""Fields that mean nothing in a node that undoes others: it has no edges, and its failure is only recorded."""
CHART_FIELDS = ("states", "initial_state", "final_states")


class Sources:
    """All graphs and charts by number. ``graphs[0]`` is the one at the top; ``charts[0]`` is iff ``has_chart``."""

    def __init__(self, definition: WorkflowDefinition, gaps: Gaps, spent: Spent) -> None:
        """Raises `TooMuch`."""
        self._spent = spent
        self.graphs: list[GraphSource] = []
        self.listings: list[Listing] = []
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
        self._add_listed(root)
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

    def loop_at(self, place: Enclosing) -> LoopNode:
        """The loop at this place."""
        node = self.graphs[place.graph].nodes[place.node]
        assert isinstance(node, LoopNode)
        return node

    def _add_listed(self, graph: GraphSource) -> None:
        """Add the graph of a list of nodes, without those that belong to the body of a loop among them."""
        whole = listing(graph.nodes, graph.place, graph.edges, graph.gaps)
        self.listings.append(whole)
        self._add_graph(_part(graph, whole, NO_LOOP) if whole.owners else graph)

    def _add_body(self, graph: GraphSource, position: int, node: LoopNode) -> None:
        here = Enclosing(graph.number, position)
        nodes = tuple(entry for entry in node.body if isinstance(entry, NodeDefinition))
        body = GraphSource(
            number=len(self.graphs),
            nodes=nodes,
            place=graph.at(position, "body"),
            outputs=node.collect,
            outputs_place=graph.at(position, "collect"),
            gaps=self._gaps.of_run(graph.at(position, "body")),
            prefix=f"{graph.prefix}{node.id}/",
            outer=(here, *graph.outer),
            charts=graph.charts,
            loops=(here, *graph.loops),
            loop=here,
            body_of=node,
            outside=(graph.index, *graph.outside),
        )
        if nodes or graph.listing is None:
            self._add_listed(body)
        else:
            self._add_graph(_part(body, graph.listing, graph.written_position(position)))

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
                    loops=graph.loops,
                    is_whole=self._gaps.is_whole(graph.at(position)) and not graph.gaps.has(position, *CHART_FIELDS),
                    hides_states=self._gaps.hide_states(graph.at(position)) or graph.gaps.has(position),
                )
                self._add_chart(chart)
            elif isinstance(node, LoopNode):
                self._add_body(graph, position, node)

    def _add_chart(self, chart: ChartSource) -> None:
        self._charts[chart.number] = chart
        for position, state in enumerate(chart.states):
            run = state.definition.run if state.definition is not None else ()
            if run:
                chart.runs[position] = len(self.graphs)
                self._add_listed(self._inside(chart, position, position, run, (*state.place, "run")))
            taken = {item.id for item in run}
            numbers: dict[str, int] = {}
            for call in calls_of(state, position):
                called = called_node(call.action, taken, numbers, always_numbered=not position)
                taken.add(called.id)
                chart.calls[call.place] = CallSource(len(self.graphs), call.owner, call.action)
                self._add_graph(self._inside(chart, position, call.owner, (called,), call.place, is_call=True))

    def _add_workflows(self, handlers: Sequence[ErrorHandler]) -> None:
        """What error handlers run in the place of nodes and that are not nodes themselves: workflows."""
        names = {id for graph in self.graphs for id in graph.index}
        others = [handler for handler in handlers if handler.action.target not in (None, *names)]
        if others:
            matchers = [Matcher(handler, self._spent) for handler in others]
            self.graphs = [_with_workflows(graph, matchers) for graph in self.graphs]

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
            loops=chart.loops,
            is_call=is_call,
        )


def _part(graph: GraphSource, whole: Listing, loop: int) -> GraphSource:
    """The graph with those nodes and edges of a list that belong to this loop."""
    members = whole.members.get(loop, ())
    edges = whole.edges_inside.get(loop, {})
    return msgspec.structs.replace(
        graph,
        nodes=tuple(whole.nodes[position] for position in members),
        place=whole.place,
        positions=members,
        edges=tuple(edges.values()),
        edge_numbers=tuple(edges),
        gaps=whole.gaps.of_some(members),
        listing=whole,
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


def _with_workflows(graph: GraphSource, matchers: Sequence[Matcher]) -> GraphSource:
    """The graph with a node more for each node and workflow that one of these handlers runs in its place."""
    nodes, fallbacks, handled = list(graph.nodes), dict(graph.fallbacks), dict(graph.handled)
    for position, node in enumerate(graph.nodes):
        for matcher in matchers:
            target = matcher.handler.action.target
            if target is None or (position, target) in handled or not matcher.is_for(graph, position):
                continue
            handled[position, target] = len(nodes)
            fallbacks[len(nodes)] = position
            nodes.append(fallback_of(node, f"{node.id}~{target}{FALLBACK}", "sub_workflow", {"workflow_id": target}))
    return msgspec.structs.replace(graph, nodes=tuple(nodes), fallbacks=fallbacks, handled=handled)


class Matcher:
    """Says of which nodes an error handler is for."""

    def __init__(self, handler: ErrorHandler, spent: Spent) -> None:
        self.handler = handler
        self._pattern = compile_pattern(handler.node_pattern)
        self._spent = spent

    def is_for(self, graph: GraphSource, position: int) -> bool:
        """Whether the handler is for a node. Raises `TooMuch`."""
        node = graph.nodes[position]
        if not kind_of_node(node).has_policies or position in graph.fallbacks or graph.undoes is not None:
            return False
        name = f"{graph.prefix}{node.id}" if "/" in self.handler.node_pattern else node.id
        self._spent.match(len(name), self._pattern.programsize)
        return self._pattern.fullmatch(name) is not None
