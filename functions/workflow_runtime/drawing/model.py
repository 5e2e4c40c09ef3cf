"""A plan as people see it: items inside each other, and links between them. Every form of drawing shows a `Drawing`."""

from __future__ import annotations

from functools import cached_property

import msgspec

from workflow_runtime.drawing.walks import levels

ACTIVE = "active"
"""Status of a state that is active now. Those of nodes are their own."""
VISITED = "visited"
"""Status of a state that was active and is no longer."""

TAKEN = "taken"
DEAD = "dead"

STATE_KINDS = frozenset({"state", "compound", "regions", "final", "shallow_history", "deep_history"})
HISTORY_MARKS = {"shallow_history": "H", "deep_history": "H*"}
START = "initial"
"""Kind of the dot from which a chart, or a state with states, is entered by default."""
GATHERED = "gathered"
"""Kind of the dot at which many branches come together before many nodes go on: an arrow each, not one per pair."""
STACK_MARK = "⧉"
"""Of a loop whose passes run side by side, where a form has no way to draw a stack."""
DOTS = frozenset({START, GATHERED})


class Item(msgspec.Struct, frozen=True):
    """A state, a node, or a dot.

    ``id``: its path; ``""`` for the dot where something begins.
    ``title``: what people call it, shortened.
    ``kind``: of `STATE_KINDS`, of `DOTS`, ``graph`` (the graph of a hybrid workflow), or a node's kind.
    ``detail``: what a node runs or waits for.
    ``notes``: what happens in a state without leaving it.
    ``parent``: the item that it is inside of, -1 at the top; parents come first.
    ``status``: `ACTIVE`, `VISITED`, a node's status, or ``""``. ``undo``: what undoes a node.
    ``is_stack``: a loop whose passes run side by side; what is inside of it is drawn once.
    """

    id: str
    title: str
    kind: str
    detail: str = ""
    notes: tuple[str, ...] = ()
    parent: int = -1
    status: str = ""
    undo: str = ""
    is_stack: bool = False

    @property
    def about(self) -> str:
        """The detail of a node unless it is its title, and what undoes it."""
        detail = self.detail if self.detail != self.title else ""
        return f"{detail} ↩ {self.undo}".lstrip() if self.undo else detail

    @property
    def subtitle(self) -> str:
        """Kind and detail of a node; nothing for states, whose looks tell their kind."""
        if self.kind in STATE_KINDS or self.kind in DOTS or self.kind == "graph":
            return ""
        return f"{self.kind} · {self.about}" if self.about else self.kind


class Link(msgspec.Struct, frozen=True):
    """An arrow between items, by their positions.

    ``orders``: it only makes the target wait.
    ``critical``: it lies on the critical path.
    ``mark``: `TAKEN`, `DEAD` (it will not be taken any more), or ``""`` where nobody can tell.
    """

    source: int
    target: int
    label: str = ""
    orders: bool = False
    critical: bool = False
    mark: str = ""


class Drawing(msgspec.Struct, frozen=True, dict=True):
    """``has_states``: it holds a chart, and is drawn as one. ``critical``: ids of the nodes on the critical path.
    ``remark``: what it leaves out, ``""`` if nothing.
    """

    title: str
    items: tuple[Item, ...]
    links: tuple[Link, ...]
    has_states: bool = False
    critical: tuple[str, ...] = ()
    remark: str = ""

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """Positions of the items inside each item; under -1 those at the top."""
        found: dict[int, list[int]] = {number: [] for number in range(-1, len(self.items))}
        for number, item in enumerate(self.items):
            found[item.parent].append(number)
        return found

    @cached_property
    def levels(self) -> list[int]:
        """Of a graph, the row of each node: below all that lead to it."""
        return levels(len(self.items), ((link.source, link.target) for link in self.links))

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
