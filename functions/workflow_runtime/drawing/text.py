"""Drawings for the terminal: a graph as nodes by level, each with what it waits for; a chart as a tree of states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from msgspec.structs import replace

from workflow_runtime.drawing.model import (
    ACTIVE,
    DEAD,
    DOTS,
    GATHERED,
    STACK_MARK,
    START,
    STATE_KINDS,
    TAKEN,
    Drawing,
    Item,
    Link,
)
from workflow_runtime.language.texts import columns, visible

_MARKS = {  # by kind of node or state
    "agent": "●",
    "tool": "■",
    "switch": "◆",
    "condition": "◆",
    "parallel": "⫴",
    "aggregation": "▼",
    "fail": "✗",
    "succeed": "✓",
    "wait": "◷",
    "sub_workflow": "⧉",
    "gathered": "•",
    "state": "□",
    "compound": "▣",
    "regions": "⫴",
    "final": "◎",
    "shallow_history": "Ⓗ",
    "deep_history": "Ⓗ",
    "state_machine": "▣",
    "loop": "↻",
    "graph": "▼",
}
_PLAIN_MARK = "○"
_ACTIVE_MARK = "▶"

_LEGEND = {TAKEN: "⇐ taken", DEAD: "↚ not taken"}
_WORDS = {"regions": "side by side", "shallow_history": "history", "deep_history": "deep history"}
_STEP = 4  # columns that what is inside stands further to the right
_NO_NODES = STATE_KINDS | DOTS | {"graph"}


def draw(drawing: Drawing) -> str:
    lines = _states(drawing) if drawing.has_states else _levels(drawing)
    remark = ["", drawing.remark] if drawing.remark else []
    return "\n".join([*lines, *remark]) + "\n"


def _levels(drawing: Drawing) -> Iterator[str]:
    """Levels from the first to the last; what stands on one level can run side by side. Below a loop, its body."""
    nodes = sum(item.kind not in DOTS for item in drawing.items)
    yield f"{drawing.title}: {nodes} nodes, {len(drawing.links)} edges"
    yield ""
    yield from _Rows(drawing).inside(-1, 0)
    legend = [words for mark, words in _LEGEND.items() if any(link.mark == mark for link in drawing.links)]
    if legend:
        yield ""
        yield ", ".join(legend)
    if len(drawing.critical) > 1:
        yield ""
        yield f"critical path: {' → '.join(map(visible, drawing.critical))}"


class _Rows:
    """A line per node, in columns."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self._level = drawing.levels
        self._incoming: list[list[Link]] = [[] for _ in drawing.items]
        for link in drawing.links:
            self._incoming[link.target].append(link)
        self._gutter = len(str(max(self._level, default=0) + 1))
        depths = [len(drawing.line(number)) - 2 for number in range(len(drawing.items))]
        names = [columns(_name(item)) + depth * _STEP for item, depth in zip(drawing.items, depths, strict=True)]
        self._name_width = max(names, default=0)
        self._kind_width = max((columns(_kind(item)) for item in drawing.items), default=0)

    def inside(self, holder: int, depth: int) -> Iterator[str]:
        shown = -1
        margin = " " * (depth * _STEP)
        for number in sorted(self._drawing.children[holder], key=self._level.__getitem__):
            item, level = self._drawing.items[number], self._level[number]
            name = _padded(_name(item), self._name_width - len(margin))
            parts = [
                f"{margin}{(str(level + 1) if level != shown else '').rjust(self._gutter)}",
                f"{_MARKS.get(item.kind, _PLAIN_MARK)} {name}",
                _padded(_kind(item), self._kind_width),
                ", ".join(_source(self._drawing, link) for link in self._incoming[number]),
            ]
            shown = level
            yield "  ".join(parts).rstrip()
            yield from self.inside(number, depth + 1)


def _name(item: Item) -> str:
    return "(the first of them)" if item.kind == GATHERED else visible(item.id)


def _told(item: Item) -> str:
    """What a node is, and what it runs."""
    many = f"{STACK_MARK} " if item.is_stack else ""
    undo = f" ↩ {item.undo}" if item.undo else ""
    return f"{many}{item.kind} {item.detail}".strip() + undo


def _kind(item: Item) -> str:
    kind = "" if item.kind in DOTS else _told(item if item.kind in ("wait", "loop") else replace(item, detail=""))
    status = f" [{item.status}]" if item.status else ""
    return f"{kind}{status}"


def _source(drawing: Drawing, link: Link) -> str:
    label = f" ({link.label})" if link.label else ""
    arrow = "⇠" if link.orders else "⇐" if link.mark == TAKEN else "↚" if link.mark == DEAD else "←"
    return f"{arrow} {_name(drawing.items[link.source])}{label}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _states(drawing: Drawing) -> Iterator[str]:
    """States in document order, those inside others further to the right; ▶ marks the active ones."""
    states = sum(item.kind in STATE_KINDS for item in drawing.items)
    nodes = sum(item.kind not in _NO_NODES for item in drawing.items)
    starts = {number for number, item in enumerate(drawing.items) if item.kind == START}
    moves = sum(link.source not in starts for link in drawing.links)
    yield f"{drawing.title}: {states} states, {moves} transitions" + (f", {nodes} nodes" if nodes else "")
    yield ""
    tree = _Tree(drawing, starts)
    yield from tree.inside(-1, 0)
    if any(link.mark for link in drawing.links):
        yield ""
        yield f"{_ACTIVE_MARK} active, ⇒ taken"


class _Tree:
    def __init__(self, drawing: Drawing, starts: set[int]) -> None:
        self._drawing = drawing
        self._initial = {link.target for link in drawing.links if link.source in starts}
        self._starts = starts
        self._leaving: dict[int, list[Link]] = defaultdict(list)
        for link in drawing.links:
            self._leaving[link.source].append(link)

    def inside(self, holder: int, depth: int) -> Iterator[str]:
        margin = "    " * depth
        for number in self._drawing.children[holder]:
            if number in self._starts:
                continue
            item = self._drawing.items[number]
            yield f"{margin}{self._headline(number, item)}"
            for note in item.notes:
                yield f"{margin}    · {note}"
            for link in self._leaving[number]:
                label = f"{link.label} " if link.label else ""
                yield f"{margin}    {label}{_arrow(link)} {self._title(link.target)}"
            yield from self.inside(number, depth + 1)

    def _headline(self, number: int, item: Item) -> str:
        words = [
            "first" if number in self._initial else "",
            _WORDS.get(item.kind, "" if item.kind in _NO_NODES - {"graph"} else _told(item)),
            item.status if item.status != ACTIVE else "",
        ]
        mark = _ACTIVE_MARK if item.status == ACTIVE else _MARKS.get(item.kind, _PLAIN_MARK)
        shown = ", ".join(word for word in words if word and word != item.title)
        return f"{mark} {self._title(number)}" + (f"  ({shown})" if shown else "")

    def _title(self, number: int) -> str:
        return self._drawing.items[number].title or "(the first of them)"


def _arrow(link: Link) -> str:
    return "⇢" if link.orders else "⇒" if link.mark == TAKEN else "↛" if link.mark == DEAD else "→"
