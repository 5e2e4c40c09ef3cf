"""Reads a plan as a `Drawing`: its graphs without the compiler's hidden nodes, its charts with the graphs they run.

Of hidden nodes there remain arrows from the ends of the branches that they stand for. From many ends to many nodes that
wait for the first of them, an arrow per pair would be a product; a dot where the arrows meet makes it a sum.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise

from msgspec.structs import replace

from workflow_runtime.drawing.analysis import critical_path
from workflow_runtime.drawing.labels import (
    case_text,
    detail_of,
    edge_label,
    internal_note,
    kind_of,
    transition_label,
    undo_of,
)
from workflow_runtime.drawing.model import GATHERED, START, TAKEN, Drawing, Item, Link
from workflow_runtime.drawing.progress import (
    Progress,
    edge_mark,
    events_by_move,
    move_text,
    state_status,
    taken_of,
)
from workflow_runtime.language.texts import shorten
from workflow_runtime.plan.actions import CallAction
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.edges import Edge, EdgeKind
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import ConditionSpec, LoopSpec, MachineSpec, SwitchSpec, WaitSpec
from workflow_runtime.plan.states import ROOT_STATE, StateKind, StatePlan, TransitionPlan

_KINDS = {StateKind.ATOMIC: "state", StateKind.PARALLEL: "regions"}
_HISTORIES = (StateKind.SHALLOW_HISTORY, StateKind.DEEP_HISTORY)
PAIRS_MAX = 50  # of ends and waiting nodes with an arrow each; beyond that, they meet in a dot


def drawing_of(plan: Plan, progress: Progress | None = None) -> Drawing:
    """The whole plan, however large it is; `outline.bounded` makes of it what a picture can show."""
    reader = _Reader(plan, progress or Progress())
    if plan.root.nodes:
        reader.graph(0, reader.add(Item("~graph", "graph", "graph")) if plan.has_chart else -1)
    if plan.has_chart:
        reader.chart(0, -1, "")
    title = shorten(plan.workflow_name or plan.workflow_id)
    links = tuple(dict.fromkeys(reader.links))
    if plan.charts:
        return Drawing(title, tuple(reader.items), links, has_states=True)
    critical = critical_path(plan).nodes
    index = {item.id: number for number, item in enumerate(reader.items)}
    steps = {(index[source], index[target]) for source, target in pairwise(critical)}
    marked = tuple(replace(link, critical=True) if (link.source, link.target) in steps else link for link in links)
    return Drawing(title, tuple(reader.items), marked, critical=critical)


class _Reader:
    def __init__(self, plan: Plan, progress: Progress) -> None:
        self._plan = plan
        self._progress = progress
        self.items: list[Item] = []
        self.links: list[Link] = []

    def add(self, item: Item) -> int:
        self.items.append(item)
        return len(self.items) - 1

    def graph(self, number: int, parent: int) -> None:
        """The nodes of a block, with the charts and the bodies of loops in them."""
        block = self._plan.blocks[number]
        places: dict[int, int] = {}
        for index, node in enumerate(block.nodes):
            if node.hidden or block.first + index in self._plan.undoing_nodes:
                continue
            path = block.prefix + node.id
            status = self._progress.statuses.get(path, "")
            detail = " · ".join(part for part in (detail_of(node), self._progress.passes.get(path, "")) if part)
            item = Item(path, shorten(node.name or node.id), kind_of(node), detail, (), parent, status)
            item = replace(item, undo=undo_of(self._plan, node), is_stack=_is_stack(node))
            places[index] = self.add(item)
            match node.spec:
                case MachineSpec(chart=chart):
                    self.chart(chart, places[index], path)
                case LoopSpec(body=body):
                    self.graph(body, places[index])
        self.links += self._edges(block, places, parent)

    def _edges(self, block: GraphBlock, places: Mapping[int, int], parent: int) -> Iterator[Link]:
        gates = _gates(block)
        gathering = _Gathering(block, places)
        incoming = Counter(edge.target for edge in block.edges if edge.kind is not EdgeKind.ORDER)
        for edge in block.edges:
            if block.nodes[edge.target].hidden:
                continue
            orders = edge.kind is EdgeKind.ORDER
            label = edge_label(" | ".join(gates.get((edge.source, edge.target), ())), edge.condition)
            mark = "" if orders else self._mark(block, edge, only=incoming[edge.target] == 1)
            for source in gathering.sources(edge.source, self.add, parent):
                first = "first" if source != places.get(edge.source) and not gathering.is_dot(source) else ""
                said = ", ".join(part for part in (first, label) if part)
                yield Link(source, places[edge.target], said, orders, mark="" if first else mark)
        for dot, source in gathering.into_dots():
            yield Link(source, dot, "first")
        for index, node in enumerate(block.nodes):
            if isinstance(node.spec, WaitSpec) and node.spec.timeout_target >= 0:
                yield Link(places[index], places[node.spec.timeout_target], "timed out")

    def _mark(self, block: GraphBlock, edge: Edge, *, only: bool) -> str:
        source, target = block.nodes[edge.source], block.nodes[edge.target]
        before = self._progress.statuses.get(block.prefix + source.id, "")
        if before == "skipped" and source.continue_on_skip:
            before = ""  # its edges are alive, or not: nobody can tell
        after = self._progress.statuses.get(block.prefix + target.id, "")
        return edge_mark(before, after, only=only, free=edge.kind is EdgeKind.FLOW and edge.condition is None)

    def chart(self, number: int, parent: int, path: str) -> None:
        """The states of a chart, with the graphs they run. ``path``: of the node that holds it."""
        chart = self._plan.charts[number]
        active = _active(chart, self._progress.active.get(path, ()))
        entered = frozenset(self._progress.entered.get(path, ()))
        places = {ROOT_STATE: parent}
        dots: dict[int, int] = {}
        self._begin(chart, ROOT_STATE, places, dots)
        for state, plan in enumerate(chart.states[1:], 1):
            places[state] = self.add(
                Item(
                    chart.prefix + plan.name,
                    shorten(plan.name),
                    _KINDS.get(plan.kind, plan.kind.value),
                    notes=tuple(self._notes(chart, plan)),
                    parent=places[plan.parent],
                    status=state_status(plan.name, active, entered),
                )
            )
            self._begin(chart, state, places, dots)
            if plan.run >= 0:
                self.graph(plan.run, places[state])
        self.links += self._transitions(chart, places, events_by_move(self._progress.taken.get(path, ())))
        for container, dot in dots.items():
            self.links += (Link(dot, places[target]) for target in chart.tree.defaults[container])

    def _begin(self, chart: ChartPlan, state: int, places: Mapping[int, int], dots: dict[int, int]) -> None:
        """The dot from which what is entered by default is entered."""
        if chart.states[state].kind is StateKind.COMPOUND and chart.states[state].children:
            dots[state] = self.add(Item("", "", START, parent=places[state]))

    def _transitions(
        self, chart: ChartPlan, places: Mapping[int, int], events: Mapping[str, set[str]]
    ) -> Iterator[Link]:
        for number, state in enumerate(chart.states):
            if state.kind in _HISTORIES and state.initial is not None:
                yield from (Link(places[number], places[target], "default") for target in state.initial.targets)
            taken = _taken(chart, state, events)
            for transition in state.transitions:
                label = transition_label(state, transition, self._plan.event_schemas)
                mark = TAKEN if id(transition) in taken else ""
                for target in transition.targets:
                    yield Link(places[number], places[target], label, mark=mark)

    def _notes(self, chart: ChartPlan, state: StatePlan) -> Iterator[str]:
        """What a state calls when it is entered or left, and what it reacts to without being left."""
        for moment, actions in (("entry", state.on_enter), ("exit", state.on_exit)):
            for action in actions:
                if isinstance(action, CallAction):
                    node = self._plan.blocks[chart.calls[action.call].block].nodes[0]
                    yield shorten(f"{moment} / {kind_of(node)} {detail_of(node)}")
        for transition in state.transitions:
            if not transition.targets:
                yield internal_note(state, transition, self._plan.event_schemas)


def _is_stack(node: NodePlan) -> bool:
    """Whether it is a loop whose passes run side by side."""
    return isinstance(node.spec, LoopSpec) and (node.spec.max_concurrency != 1 or node.spec.is_distributed)


def _gates(block: GraphBlock) -> dict[tuple[int, int], list[str]]:
    """By source and target, what a switch or condition selects the target by."""
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for source, node in enumerate(block.nodes):
        match node.spec:
            case SwitchSpec(cases=cases):
                for case in cases:
                    for target in dict.fromkeys(case.targets):
                        found[source, target].append(case_text(case))
            case ConditionSpec(then=then, otherwise=otherwise):
                for word, targets in (("true", then), ("false", otherwise)):
                    for target in targets:
                        found[source, target].append(word)
    return found


def _active(chart: ChartPlan, leaves: Collection[str]) -> frozenset[str]:
    """The active leaf states, and what they are inside of."""
    found = {chart.index[name] for name in leaves if name in chart.index}
    return frozenset(chart.states[state].name for leaf in found for state in (leaf, *chart.tree.ancestors[leaf]))


def _taken(chart: ChartPlan, state: StatePlan, events: Mapping[str, set[str]]) -> set[int]:
    """The transitions of a state that were taken, by identity."""
    alike: dict[str, list[TransitionPlan]] = defaultdict(list)
    for transition in state.transitions if events else ():
        alike[move_text(state.name, (chart.states[target].name for target in transition.targets))].append(transition)
    found: set[int] = set()
    for move, transitions in alike.items():
        marks = taken_of(transitions, events.get(move, ()))
        found.update(id(transition) for transition, taken in zip(transitions, marks, strict=True) if taken)
    return found


class _Gathering:
    """The visible sources of the hidden nodes of one block. ``places``: of its visible nodes among the items."""

    def __init__(self, block: GraphBlock, places: Mapping[int, int]) -> None:
        self._block = block
        self._places = places
        self._waiting = Counter(edge.source for edge in block.edges)
        self._found: dict[int, tuple[int, ...]] = {}
        self._dots: dict[int, tuple[int, ...]] = {}

    def is_dot(self, item: int) -> bool:
        return item in self._dots

    def into_dots(self) -> Iterator[tuple[int, int]]:
        """Each dot with what leads to it."""
        for dot, sources in self._dots.items():
            yield from ((dot, source) for source in sources)

    def sources(self, node: int, add: Callable[[Item], int], parent: int) -> tuple[int, ...]:
        """The items from which arrows of a node's outgoing edges start: itself, or what a hidden one stands for.

        ``add`` takes a dot that is needed for it, ``parent`` is what the dot is inside of.
        """
        pending = [] if node in self._found else [node]
        while pending:
            number = pending[-1]
            above = self._above(number)
            missing = [source for source in above if source not in self._found]
            pending += missing
            if not missing:
                pending.pop()
                found = tuple(dict.fromkeys(item for source in above for item in self._found[source]))
                self._found[number] = self._gathered(number, found, add, parent)
        return self._found[node]

    def _above(self, node: int) -> list[int]:
        if not self._block.nodes[node].hidden:
            return []
        return [self._block.edges[index].source for index in self._block.nodes[node].incoming]

    def _gathered(self, node: int, found: tuple[int, ...], add: Callable[[Item], int], parent: int) -> tuple[int, ...]:
        if not self._block.nodes[node].hidden:
            return (self._places[node],)
        if len(found) * max(self._waiting[node], 1) <= PAIRS_MAX:
            return found
        dot = add(Item(self._block.prefix + self._block.nodes[node].id, "", GATHERED, parent=parent))
        self._dots[dot] = found
        return (dot,)
