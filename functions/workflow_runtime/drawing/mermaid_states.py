"""Mermaid state diagrams. Nodes that a state runs are drawn as states inside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from workflow_runtime.drawing.mermaid_style import STYLES, escaped_for_states, styled
from workflow_runtime.drawing.model import GATHERED, HISTORY_MARKS, START, STATE_KINDS, Drawing, Item, Link


def lines(drawing: Drawing) -> Iterator[str]:
    writer = _Writer(drawing)
    yield "stateDiagram-v2"
    yield from writer.inside(-1, 1)
    for number in drawing.children[-1]:
        if drawing.items[number].kind == "final":
            yield f"    s{number} --> [*]"
    yield from styled("s", drawing.items, STYLES)


class _Writer:
    """``links``: by the item around both ends, where Mermaid wants them."""

    def __init__(self, drawing: Drawing) -> None:
        self._items = drawing.items
        self._children = drawing.children
        self._links: dict[int, list[Link]] = defaultdict(list)
        self._far_starts: set[int] = set()
        for link in drawing.links:
            self._links[drawing.holder(link)].append(link)
            if self._items[link.source].kind == START and not self._is_near(link):
                self._far_starts.add(link.source)

    def inside(self, holder: int, depth: int) -> Iterator[str]:
        """What is inside an item, regions divided by ``--``."""
        margin = "    " * depth
        divides = holder >= 0 and self._items[holder].kind == "regions"
        regions = 0
        for number in self._children[holder]:
            item = self._items[number]
            if divides and item.kind in STATE_KINDS and item.kind not in HISTORY_MARKS:
                yield from [f"{margin}--"] if regions else []
                regions += 1
            yield from self._item(number, item, depth)
        for link in self._links[holder]:
            source = f"s{link.source}"
            if self._items[link.source].kind == START:
                source = "[*]" if self._is_near(link) else source
            label = f": {escaped_for_states(link.label)}" if link.label else ""
            yield f"{margin}{source} --> s{link.target}{label}"

    def _item(self, number: int, item: Item, depth: int) -> Iterator[str]:
        margin = "    " * depth
        if item.kind == GATHERED or number in self._far_starts:
            yield f"{margin}state s{number} <<choice>>"
        if item.kind in (GATHERED, START):
            return
        opening = f'{margin}state "{escaped_for_states(_title(item))}" as s{number}'
        if not self._children[number]:
            yield opening
            yield from (f"{margin}s{number} : {escaped_for_states(note)}" for note in item.notes)
            return
        yield f"{opening} {{"
        yield from self.inside(number, depth + 1)
        yield f"{margin}}}"
        if item.notes:
            yield f"{margin}note right of s{number}"
            yield from (f"{margin}    {escaped_for_states(note)}" for note in item.notes)
            yield f"{margin}end note"

    def _is_near(self, link: Link) -> bool:
        """Whether a chart begins at its own level, where Mermaid's ``[*]`` can stand for its dot."""
        return self._items[link.source].parent == self._items[link.target].parent


def _title(item: Item) -> str:
    if item.kind in HISTORY_MARKS:
        return f"{HISTORY_MARKS[item.kind]} {item.title}"
    return f"{item.title} ({item.kind} {item.about})" if item.about else item.title
