"""Charts for the terminal: the tree of states, each with what leads out of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from workflow_runtime.drawing.model import ACTIVE, DEAD, DOTS, START, STATE_KINDS, TAKEN, Drawing, Item, Link
from workflow_runtime.drawing.text_marks import ACTIVE_MARK, MARKS, PLAIN_MARK

_WORDS = {"regions": "side by side", "shallow_history": "history", "deep_history": "deep history"}
_NO_NODES = STATE_KINDS | DOTS | {"graph"}


def lines(drawing: Drawing) -> Iterator[str]:
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
        yield f"{ACTIVE_MARK} active, ⇒ taken"


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
        mark = ACTIVE_MARK if item.status == ACTIVE else MARKS.get(item.kind, PLAIN_MARK)
        shown = ", ".join(word for word in words if word and word != item.title)
        return f"{mark} {self._title(number)}" + (f"  ({shown})" if shown else "")

    def _title(self, number: int) -> str:
        return self._drawing.items[number].title or "(the first of them)"


def _arrow(link: Link) -> str:
    return "⇢" if link.orders else "⇒" if link.mark == TAKEN else "↛" if link.mark == DEAD else "→"
