"""Mermaid state diagrams. Nodes that a state runs are drawn as states inside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from workflow_runtime.drawing.chart import ACTIVE, STATE_KINDS, Drawing, Item, Link
from workflow_runtime.drawing.mermaid import STYLES

_STYLES = {ACTIVE: "fill:#d5e8ff,stroke:#0969da,color:#06325f,stroke-width:3px", **STYLES}
_ENTITIES = {ord(character): f"#{ord(character)};" for character in '"#&<>`\\;|:{}'}
_MARKS = {"shallow_history": "H", "deep_history": "H*"}


def draw(drawing: Drawing) -> str:
    """Item keys are s0, s1 …, so that names of any script are safe; texts are escaped with entities."""
    writer = _Writer(drawing)
    lines = ["stateDiagram-v2", *writer.inside(-1, 1)]
    lines += [f"    s{number} --> [*]" for number in writer.children[-1] if drawing.items[number].kind == "final"]
    for status, style in _STYLES.items():
        members = [f"s{number}" for number, item in enumerate(drawing.items) if item.status == status]
        if members:
            lines += [f"    classDef {status} {style}", f"    class {','.join(members)} {status}"]
    return "\n".join(lines) + "\n"


class _Writer:
    """``links``: by the item around both ends, where Mermaid wants them."""

    def __init__(self, drawing: Drawing) -> None:
        self._items = drawing.items
        self.children = drawing.children()
        self._links: dict[int, list[Link]] = defaultdict(list)
        for link in drawing.links:
            self._links[drawing.holder(link)].append(link)

    def inside(self, holder: int, depth: int) -> Iterator[str]:
        """What is inside an item, regions divided by ``--``."""
        margin = "    " * depth
        divides = holder >= 0 and self._items[holder].kind == "regions"
        regions = 0
        for number in self.children[holder]:
            item = self._items[number]
            if divides and item.kind in STATE_KINDS and item.kind not in _MARKS:
                yield from [f"{margin}--"] if regions else []
                regions += 1
            yield from self._item(number, item, depth)
        for link in self._links[holder]:
            source = f"s{link.source}"
            if self._items[link.source].kind == "initial":
                source = "[*]" if self._is_near(link) else source
            label = f": {_escaped(link.label)}" if link.label else ""
            yield f"{margin}{source} --> s{link.target}{label}"

    def _item(self, number: int, item: Item, depth: int) -> Iterator[str]:
        margin = "    " * depth
        if item.kind == "initial":
            if not all(self._is_near(link) for link in self._links[item.parent] if link.source == number):
                yield f"{margin}state s{number} <<choice>>"
            return
        opening = f'{margin}state "{_escaped(_title(item))}" as s{number}'
        if not self.children[number]:
            yield opening
            yield from (f"{margin}s{number} : {_escaped(note)}" for note in item.notes)
            return
        yield f"{opening} {{"
        yield from self.inside(number, depth + 1)
        yield f"{margin}}}"
        if item.notes:
            yield f"{margin}note right of s{number}"
            yield from (f"{margin}    {_escaped(note)}" for note in item.notes)
            yield f"{margin}end note"

    def _is_near(self, link: Link) -> bool:
        """Whether a chart begins at its own level, where Mermaid's ``[*]`` can stand for its dot."""
        return self._items[link.source].parent == self._items[link.target].parent


def _title(item: Item) -> str:
    if item.kind in _MARKS:
        return f"{_MARKS[item.kind]} {item.title}"
    return f"{item.title} ({item.kind} {item.detail})" if item.detail not in ("", item.title) else item.title


def _escaped(text: str) -> str:
    return text.translate(_ENTITIES)
