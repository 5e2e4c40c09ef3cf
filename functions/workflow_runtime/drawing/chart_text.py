"""Charts for the terminal: the tree of states, each with what leads out of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from workflow_runtime.drawing.chart import ACTIVE, STATE_KINDS, Drawing, Link
from workflow_runtime.drawing.text import MARKS, PLAIN_MARK

_MARKS = {
    **MARKS,
    "state": "□",
    "compound": "▣",
    "regions": "⫴",
    "final": "◎",
    "shallow_history": "Ⓗ",
    "deep_history": "Ⓗ",
    "state_machine": "▣",
    "graph": "▼",
}
_WORDS = {"regions": "side by side", "shallow_history": "history", "deep_history": "deep history"}
_ACTIVE_MARK = "▶"


def draw(drawing: Drawing) -> str:
    """States in document order, those inside others further to the right; ▶ marks the active ones."""
    states = sum(item.kind in STATE_KINDS for item in drawing.items)
    nodes = sum(item.kind not in STATE_KINDS and item.kind not in ("initial", "graph") for item in drawing.items)
    dots = {number for number, item in enumerate(drawing.items) if item.kind == "initial"}
    moves = sum(link.source not in dots for link in drawing.links)
    head = f"{drawing.title}: {states} states, {moves} transitions" + (f", {nodes} nodes" if nodes else "")
    initial = {link.target for link in drawing.links if link.source in dots}
    leaving: dict[int, list[Link]] = defaultdict(list)
    for link in drawing.links:
        leaving[link.source].append(link)
    return "\n".join([head, "", *_inside(drawing, drawing.children(), initial, leaving, -1, 0)]) + "\n"


def _inside(
    drawing: Drawing,
    children: dict[int, list[int]],
    initial: set[int],
    leaving: dict[int, list[Link]],
    holder: int,
    depth: int,
) -> Iterator[str]:
    margin = "    " * depth
    for number in children[holder]:
        item = drawing.items[number]
        if item.kind == "initial":
            continue
        mark = _ACTIVE_MARK if item.status == ACTIVE else _MARKS.get(item.kind, PLAIN_MARK)
        words = [
            "first" if number in initial else "",
            _WORDS.get(item.kind, "" if item.kind in STATE_KINDS else f"{item.kind} {item.detail}".strip()),
            item.status if item.status != ACTIVE else "",
        ]
        shown = ", ".join(word for word in words if word and word != item.title)
        yield f"{margin}{mark} {item.title}" + (f"  ({shown})" if shown else "")
        for note in item.notes:
            yield f"{margin}    · {note}"
        for link in leaving[number]:
            label = f"{link.label} " if link.label else ""
            yield f"{margin}    {label}{'⇢' if link.orders else '→'} {drawing.items[link.target].title}"
        yield from _inside(drawing, children, initial, leaving, number, depth + 1)
