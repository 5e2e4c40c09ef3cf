"""Graphs and charts as they are written: what the stages of the compiler work on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import msgspec

from workflow_runtime.compiler.collect.bodies import Listing, ids_in
from workflow_runtime.compiler.collect.short_forms import INHERITED
from workflow_runtime.compiler.collect.states import StateSource
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.charts.actions import CallActionDefinition
from workflow_runtime.definition.charts.states import StateMachineNode
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import PassNode
from workflow_runtime.definition.nodes.loop import LoopNode
from workflow_runtime.definition.recovery import Gaps
from workflow_runtime.definition.workflow import EdgeDefinition, WorkflowDefinition
from workflow_runtime.language.json_values import Json

OWN = -1


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
    """A graph as it is written.

    - ``place``: the document path of its nodes; ``positions``: which of the nodes there it has, all in order if empty;
      ``edge_numbers`` likewise
    - ``outputs_place``: of what it yields
    - ``chart``, ``state``: who runs it
    - ``loop``: the loop whose body it is; ``body_of``: the same as it is written
    - ``loops``: those around, the innermost first; ``outside``: ids of the nodes around those
    - ``listing``: the list that its nodes are part of
    - ``outer``: the graphs around it, the innermost first
    - ``charts``: the charts whose variables it sees, likewise
    - ``is_call``: it is one node, made of an action
    - ``undoes``: it is one node, a compensation for these
    - ``fallbacks``: nodes made of fallbacks that are defined in others, or by error handlers, after the nodes that are
      written; by position, the node that each belongs to
    - ``handled``: those of error handlers, by whose it is and the workflow it runs
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
    positions: tuple[int, ...] = ()
    edge_numbers: tuple[int, ...] = ()
    outputs_place: DocumentPath = ("outputs",)
    loop: Enclosing | None = None
    body_of: LoopNode | None = None
    loops: tuple[Enclosing, ...] = ()
    listing: Listing | None = None
    outside: tuple[Mapping[str, int], ...] = ()

    @cached_property
    def inside(self) -> dict[str, str]:
        """The loops whose passes have nodes with these ids, by those."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, LoopNode):
                found.update(dict.fromkeys(ids_in(node), node.id))
        return found

    @property
    def numbered_edges(self) -> Iterator[tuple[int, EdgeDefinition]]:
        """Its edges, with their places among those that are written."""
        return zip(self.edge_numbers or range(len(self.edges)), self.edges, strict=True)

    def local(self, position: int) -> int | None:
        """Which of its nodes stands at this position of the list at ``place``; None: none of them."""
        if not self.positions:
            return position
        return self.positions.index(position) if position in self.positions else None

    def written_position(self, node: int) -> int:
        return self.positions[node] if self.positions else node

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
        if position not in self.fallbacks:  # as nearly all
            if self.is_call or self.undoes is not None:
                return (*self.place, *path)
            return (*self.place, self.positions[position] if self.positions else position, *path)
        own = self.fallbacks[position]
        if position in self.named_by_handlers:
            return self.at(own, f"~{self.named_by_handlers[position]}", *path)
        is_value = path[:1] == ("inputs",) and isinstance(self.nodes[position], PassNode)
        return self.at(own, "fallback", *(("value", *path[1:]) if is_value else path))

    def written_at(self, position: int, *path: str | int) -> DocumentPath:
        """The document path of a field of a node, or of something in it. What a fallback has from the node in whose
        place it runs stands there."""
        own = self.fallbacks.get(position)
        if own is not None and path[0] in INHERITED:
            value = getattr(self.nodes[position], str(path[0]))
            if value is getattr(self.nodes[own], str(path[0]), None):
                return self.written_at(own, *path)
        return self.at(position, *path)

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

    @cached_property
    def own_nodes(self) -> tuple[tuple[int, NodeDefinition], ...]:
        """Its nodes with their positions; those that undo others are looked at in their own graphs."""
        undoing = self.undoing
        return tuple([(position, node) for position, node in enumerate(self.nodes) if position not in undoing])

    @cached_property
    def calls(self) -> tuple[tuple[int, str, DocumentPath], ...]:
        """The nodes that a failure of another calls: the position of that, the id, and where in it that is named."""
        found: list[tuple[int, str, DocumentPath]] = []
        for position, node in enumerate(self.nodes):
            kind = kind_of_node(node)
            found += [(position, name, inner) for name, inner in kind.calls(node)]
            if not kind.has_policies:
                continue
            if node.fallback is not None and node.fallback.node is not None:
                found.append((position, node.fallback.node, ("fallback",)))
            for number, rule in enumerate(node.on_error):
                if rule.target is not None:
                    found.append((position, rule.target, ("on_error", number, "target")))
        return tuple(found)


class CallSource(msgspec.Struct, frozen=True):
    """An agent or tool that an action calls: the graph it makes, the state that owns it, and the action."""

    block: int
    owner: int
    action: CallActionDefinition


class ChartSource(msgspec.Struct, frozen=True, dict=True, kw_only=True):
    """A chart as it is written, its states flat in document order (0: the chart itself).

    - ``place``: the document path of what has its fields
    - ``node``: the graph and the node that it is inside of; None at the top
    - ``chain``, ``charts``: see `GraphSource`; ``charts[0]`` is itself
    - ``runs``: block by state
    - ``calls``: by document path of their action; `Sources` fills in both
    - ``is_whole``: nothing in it was wrong
    - ``hides_states``: it may have states with other names than those that can be seen
    """

    number: int
    definition: WorkflowDefinition | StateMachineNode
    states: tuple[StateSource, ...]
    place: DocumentPath
    node: Enclosing | None = None
    prefix: str = ""
    chain: tuple[Enclosing, ...] = ()
    charts: tuple[int, ...] = ()
    loops: tuple[Enclosing, ...] = ()
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
