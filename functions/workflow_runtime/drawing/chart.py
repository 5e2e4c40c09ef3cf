"""What all drawings of charts share: states and nodes inside each other, and the arrows between them.

A plan with a chart is one tree of *items*: states hold states, the nodes of their `run` graphs, and a node may hold the
states of a chart of its own. A small item of kind ``initial`` stands where a chart, or a state with states, begins.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import msgspec

from workflow_runtime.drawing.picture import arrows_of, detail_of, kind_of
from workflow_runtime.language.texts import shorten
from workflow_runtime.plan.actions import CallAction
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import MachineSpec
from workflow_runtime.plan.states import ROOT_STATE, Delay, StateKind, StatePlan, TransitionPlan

ACTIVE = "active"
"""Status of a state that is active. Those of nodes are their own."""

STATE_KINDS = frozenset({"state", "compound", "regions", "final", "shallow_history", "deep_history"})
_KINDS = {StateKind.ATOMIC: "state", StateKind.PARALLEL: "regions"}
_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "m"), (1.0, "s"))
_TEMPLATE = re.compile(r"\$\{([^{}]*)\}")


class Item(msgspec.Struct, frozen=True):
    """A state or a node. ``id``: its path; ``kind``: of `STATE_KINDS`, ``initial``, ``graph``, or a node's kind.

    ``detail``: what a node runs. ``notes``: what happens in a state without leaving it. ``parent``: the item that it is
    inside of, -1 at the top; parents come first. ``status``: `ACTIVE`, a node's status, or "".
    """

    id: str
    title: str
    kind: str
    detail: str = ""
    notes: tuple[str, ...] = ()
    parent: int = -1
    status: str = ""


class Link(msgspec.Struct, frozen=True):
    """An arrow between items, by their positions. ``orders``: it only makes the target wait."""

    source: int
    target: int
    label: str = ""
    orders: bool = False


class Drawing(msgspec.Struct, frozen=True):
    title: str
    items: tuple[Item, ...]
    links: tuple[Link, ...]

    def children(self) -> dict[int, list[int]]:
        """Positions of the items inside each item; under -1 those at the top."""
        found: dict[int, list[int]] = {number: [] for number in range(-1, len(self.items))}
        for number, item in enumerate(self.items):
            found[item.parent].append(number)
        return found

    def line(self, item: int) -> tuple[int, ...]:
        """An item and what it is inside of, from the outside in; first -1, which is everything."""
        found = [item]
        while found[-1] >= 0:
            found.append(self.items[found[-1]].parent)
        return tuple(reversed(found))

    def holder(self, link: Link) -> int:
        """The innermost item around both ends; around the outer one, if the other end is inside that."""
        both = zip(self.line(link.source)[:-1], self.line(link.target)[:-1], strict=False)
        return [one for one, other in both if one == other][-1]


def drawing(plan: Plan, statuses: Mapping[str, str], current: Mapping[str, Collection[str]]) -> Drawing:
    """``current``: names of active leaf states by the path of their chart, ``""`` for the one at the top."""
    maker = _Maker(plan, statuses, current)
    if plan.root.nodes:
        box = maker.add(Item("~graph", "graph", "graph")) if plan.has_chart else -1
        maker.graph(0, box)
    if plan.has_chart:
        maker.chart(0, -1, "")
    return Drawing(plan.workflow_name or plan.workflow_id, tuple(maker.items), tuple(dict.fromkeys(maker.links)))


class _Maker:
    def __init__(self, plan: Plan, statuses: Mapping[str, str], current: Mapping[str, Collection[str]]) -> None:
        self._plan = plan
        self._statuses = statuses
        self._current = current
        self.items: list[Item] = []
        self.links: list[Link] = []

    def add(self, item: Item) -> int:
        self.items.append(item)
        return len(self.items) - 1

    def graph(self, number: int, parent: int) -> None:
        """The nodes of a block, with the charts in them."""
        block = self._plan.blocks[number]
        places: dict[int, int] = {}
        for index, node in enumerate(block.nodes):
            if node.hidden:
                continue
            path = block.prefix + node.id
            title, status = shorten(node.name or node.id), self._statuses.get(path, "")
            item = Item(path, title, kind_of(node), shorten(detail_of(node)), parent=parent, status=status)
            places[index] = self.add(item)
            if isinstance(node.spec, MachineSpec):
                self.chart(node.spec.chart, places[index], path)
        for edge in block.edges:
            for arrow in arrows_of(block, edge):
                self.links.append(Link(places[arrow.source], places[arrow.target], arrow.label, arrow.orders))

    def chart(self, number: int, parent: int, path: str) -> None:
        """The states of a chart, with the graphs they run. ``path``: of the node that holds it."""
        chart = self._plan.charts[number]
        active = _active(chart, self._current.get(path, ()))
        places = {ROOT_STATE: parent}
        dots: dict[int, int] = {}
        self._begin(chart, ROOT_STATE, places, dots)
        for state, plan in enumerate(chart.states[1:], 1):
            kind = _KINDS.get(plan.kind, plan.kind.value)
            places[state] = self.add(
                Item(
                    chart.prefix + plan.name,
                    shorten(plan.name),
                    kind,
                    notes=tuple(self._notes(chart, plan)),
                    parent=places[plan.parent],
                    status=ACTIVE if state in active else "",
                )
            )
            self._begin(chart, state, places, dots)
            if plan.run >= 0:
                self.graph(plan.run, places[state])
        for state, plan in enumerate(chart.states):
            initial = plan.initial
            for target in initial.targets if initial is not None and state else ():
                if plan.kind in (StateKind.SHALLOW_HISTORY, StateKind.DEEP_HISTORY):
                    self.links.append(Link(places[state], places[target], "default"))
            for transition in plan.transitions:
                for target in transition.targets:
                    self.links.append(Link(places[state], places[target], _label(plan, transition)))
        for container, dot in dots.items():
            for target in chart.tree.defaults[container]:
                self.links.append(Link(dot, places[target]))

    def _begin(self, chart: ChartPlan, state: int, places: Mapping[int, int], dots: dict[int, int]) -> None:
        """The dot from which what is entered by default is entered."""
        if chart.states[state].kind is StateKind.COMPOUND and chart.states[state].children:
            dots[state] = self.add(Item("", "", "initial", parent=places[state]))

    def _notes(self, chart: ChartPlan, state: StatePlan) -> Iterator[str]:
        """What a state calls when it is entered or left, and what it reacts to without being left."""
        for moment, actions in (("entry", state.on_enter), ("exit", state.on_exit)):
            for action in actions:
                if isinstance(action, CallAction):
                    node = self._plan.blocks[chart.calls[action.call].block].nodes[0]
                    yield shorten(f"{moment} / {kind_of(node)} {detail_of(node)}")
        for transition in state.transitions:
            if not transition.targets:
                done = ", ".join(str(action.__struct_config__.tag) for action in transition.actions)
                yield shorten(" / ".join(part for part in (_label(state, transition), done) if part))


def _active(chart: ChartPlan, names: Collection[str]) -> set[int]:
    leaves = [chart.index[name] for name in names if name in chart.index]
    return {state for leaf in leaves for state in (leaf, *chart.tree.ancestors[leaf])}


def _label(state: StatePlan, transition: TransitionPlan) -> str:
    """``event [guard]``, as in UML."""
    if transition.after >= 0:
        event = _delay(state.delays[transition.after])
    else:
        own = {f"done.run.{state.name}": "done", f"done.state.{state.name}": "done", f"error.run.{state.name}": "error"}
        event = ", ".join(own.get(name, name) for name in transition.events)
    guard = f"[{_plain(transition.guard)}]" if transition.guard is not None else ""
    return shorten(" ".join(part for part in (event, guard) if part))


def _delay(delay: Delay) -> str:
    first = f"after {_duration(delay.delay)}"
    return first if delay.every is None else f"{first}, every {_duration(delay.every)}"


def _duration(value: float | Formula) -> str:
    if isinstance(value, Formula):
        return _plain(value)
    for seconds, unit in _UNITS:
        if value >= seconds and value % seconds == 0:
            return f"{value / seconds:g}{unit}"
    return f"{value:g}s"


def _plain(formula: Formula) -> str:
    """The text of a formula without the marks around its names."""
    return _TEMPLATE.sub(r"\1", str(formula.source))
