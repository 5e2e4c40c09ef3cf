"""Drawings for the terminal: a graph as nodes by level, each with what it waits for; a chart as a tree of states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from workflow_runtime.drawing.model import ACTIVE, DEAD, DOTS, GATHERED, START, STATE_KINDS, TAKEN, Drawing, Item, Link
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
    "graph": "▼",
}
_PLAIN_MARK = "○"
_ACTIVE_MARK = "▶"

_LEGEND = {TAKEN: "⇐ taken", DEAD: "↚ not taken"}
_WORDS = {"regions": "side by side", "shallow_history": "history", "deep_history": "deep history"}
_NO_NODES = STATE_KINDS | DOTS | {"graph"}


def draw(drawing: Drawing) -> str:
    lines = _states(drawing) if drawing.has_states else _levels(drawing)
    remark = ["", drawing.remark] if drawing.remark else []
    return "\n".join([*lines, *remark]) + "\n"


def _levels(drawing: Drawing) -> Iterator[str]:
    """Levels from the first to the last; what stands on one level can run side by side."""
    incoming: list[list[Link]] = [[] for _ in drawing.items]
    for link in drawing.links:
        incoming[link.target].append(link)
    level = drawing.levels
    order = sorted(range(len(drawing.items)), key=level.__getitem__)
    id_width = max((columns(_name(item)) for item in drawing.items), default=0)
    kind_width = max((columns(_kind(item)) for item in drawing.items), default=0)
    nodes = sum(item.kind not in DOTS for item in drawing.items)
    yield f"{drawing.title}: {nodes} nodes, {len(drawing.links)} edges"
    yield ""
    gutter = len(str(max(level, default=0) + 1))
    shown = -1
    for number in order:
        item = drawing.items[number]
        parts = [
            (str(level[number] + 1) if level[number] != shown else "").rjust(gutter),
            f"{_MARKS.get(item.kind, _PLAIN_MARK)} {_padded(_name(item), id_width)}",
            _padded(_kind(item), kind_width),
            ", ".join(_source(drawing, link) for link in incoming[number]),
        ]
        shown = level[number]
        yield "  ".join(parts).rstrip()
    legend = [words for mark, words in _LEGEND.items() if any(link.mark == mark for link in drawing.links)]
    if legend:
        yield ""
        yield ", ".join(legend)
    if len(drawing.critical) > 1:
        yield ""
        yield f"critical path: {' → '.join(map(visible, drawing.critical))}"


def _name(item: Item) -> str:
    return "(the first of them)" if item.kind == GATHERED else visible(item.id)


def _kind(item: Item) -> str:
    kind = "" if item.kind in DOTS else f"wait {item.detail}".rstrip() if item.kind == "wait" else item.kind
    kind += f" ↩ {item.undo}" if item.undo else ""
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
            _WORDS.get(
                item.kind,
                ""
                if item.kind in _NO_NODES - {"graph"}
                else f"{item.kind} {item.detail}".strip() + (f" ↩ {item.undo}" if item.undo else ""),
            ),
            item.status if item.status != ACTIVE else "",
        ]
        mark = _ACTIVE_MARK if item.status == ACTIVE else _MARKS.get(item.kind, _PLAIN_MARK)
        shown = ", ".join(word for word in words if word and word != item.title)
        return f"{mark} {self._title(number)}" + (f"  ({shown})" if shown else "")

    def _title(self, number: int) -> str:
        return self._drawing.items[number].title or "(the first of them)"


def _arrow(link: Link) -> str:
    return "⇢" if link.orders else "⇒" if link.mark == TAKEN else "↛" if link.mark == DEAD else "→"
