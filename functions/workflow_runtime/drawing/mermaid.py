"""Mermaid, as GitHub and many documentation sites show it: graphs as flowcharts, with the bodies of loops as subgraphs;
charts as state diagrams, in which the nodes that a state runs are drawn as states inside it.

Keys are n0, n1 … or s0, s1 …, so that ids of any script are safe; texts are written with entities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from workflow_runtime.drawing.model import (
    ACTIVE,
    DEAD,
    GATHERED,
    HISTORY_MARKS,
    STACK_MARK,
    START,
    STATE_KINDS,
    TAKEN,
    VISITED,
    Drawing,
    Item,
    Link,
)

_SHAPES = {
    "agent": ("([", "])"),
    "tool": ("[", "]"),
    "switch": ("{", "}"),
    "condition": ("{", "}"),
    "parallel": ("{{", "}}"),
    "aggregation": ("[/", "\\]"),
    "fail": (">", "]"),
    "succeed": ("((", "))"),
    "sub_workflow": ("[[", "]]"),
}
_ROUNDED = ("(", ")")
_LINKS: Mapping[str, str] = {
    TAKEN: "stroke:#1a7f37,stroke-width:3px",
    DEAD: "stroke:#c4cbd2,stroke-dasharray:2 4",
}
_STYLES: Mapping[str, str] = {
    ACTIVE: "fill:#d5e8ff,stroke:#0969da,color:#06325f,stroke-width:3px",
    VISITED: "fill:#eaf6ed,stroke:#1a7f37,color:#0b3d1a",
    "success": "fill:#d3f0dc,stroke:#1a7f37,color:#0b3d1a",
    "failed": "fill:#ffd9d6,stroke:#cf222e,color:#5c0a10",
    "running": "fill:#d5e8ff,stroke:#0969da,color:#06325f",
    "retrying": "fill:#fff0c2,stroke:#9a6700,color:#4a3200",
    "ready": "fill:#e6f1ff,stroke:#0969da,color:#06325f",
    "waiting": "fill:#f2f2f2,stroke:#8c959f,color:#424a53",
    "skipped": "fill:#f2f2f2,stroke:#8c959f,color:#6e7781,stroke-dasharray:4 3",
    "compensated": "fill:#fff0c2,stroke:#9a6700,color:#4a3200,stroke-dasharray:4 3",
    "cancelled": "fill:#ececec,stroke:#6e7781,color:#424a53,stroke-dasharray:4 3",
}
"""Light fills with dark texts of their own: readable on a light and on a dark page."""

_ENTITIES = {ord(character): f"#{ord(character)};" for character in '"#&<>`\\;|'}
_MORE_ENTITIES = {**_ENTITIES, **{ord(character): f"#{ord(character)};" for character in ":{}"}}


def draw(drawing: Drawing) -> str:
    lines = _state_diagram(drawing) if drawing.has_states else _flowchart(drawing)
    remark = [f"%% {_escaped(drawing.remark)}"] if drawing.remark else []
    return "\n".join([*lines, *remark]) + "\n"


def _flowchart(drawing: Drawing) -> Iterator[str]:
    yield "flowchart TD"
    yield from _boxes(drawing, -1, 1)
    for link in drawing.links:
        line = "-.->" if link.orders else "==>" if link.critical else "-->"
        label = f'|"{_escaped(link.label)}"|' if link.label else ""
        yield f"    n{link.source} {line}{label} n{link.target}"
    yield from _styled("n", drawing.items)
    for mark, style in _LINKS.items():
        members = [str(number) for number, link in enumerate(drawing.links) if link.mark == mark]
        if members:
            yield f"    linkStyle {','.join(members)} {style}"


def _boxes(drawing: Drawing, holder: int, depth: int) -> Iterator[str]:
    """What is inside an item; what holds others is a subgraph."""
    margin = "    " * depth
    for number in drawing.children[holder]:
        item = drawing.items[number]
        if not drawing.children[number]:
            yield f"{margin}{_box(number, item)}"
            continue
        yield f'{margin}subgraph n{number}["{_words(item)}"]'
        yield from _boxes(drawing, number, depth + 1)
        yield f"{margin}end"


def _box(number: int, item: Item) -> str:
    if item.kind == GATHERED:
        return f'n{number}((" "))'
    left, right = _SHAPES.get(item.kind, _ROUNDED)
    return f'n{number}{left}"{_words(item)}"{right}'


def _words(item: Item) -> str:
    """The title, with what it runs below; of a loop whose passes run side by side, with a sign that it is many."""
    many = f"{STACK_MARK} " if item.is_stack else ""
    detail = f"<br/><small>{_escaped(item.about)}</small>" if item.about else ""
    return f"{many}{_escaped(item.title)}{detail}"


def _state_diagram(drawing: Drawing) -> Iterator[str]:
    writer = _Writer(drawing)
    yield "stateDiagram-v2"
    yield from writer.inside(-1, 1)
    for number in drawing.children[-1]:
        if drawing.items[number].kind == "final":
            yield f"    s{number} --> [*]"
    yield from _styled("s", drawing.items)


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
            label = f": {_escaped_for_states(link.label)}" if link.label else ""
            yield f"{margin}{source} --> s{link.target}{label}"

    def _item(self, number: int, item: Item, depth: int) -> Iterator[str]:
        margin = "    " * depth
        if item.kind == GATHERED or number in self._far_starts:
            yield f"{margin}state s{number} <<choice>>"
        if item.kind in (GATHERED, START):
            return
        opening = f'{margin}state "{_escaped_for_states(_title(item))}" as s{number}'
        if not self._children[number]:
            yield opening
            yield from (f"{margin}s{number} : {_escaped_for_states(note)}" for note in item.notes)
            return
        yield f"{opening} {{"
        yield from self.inside(number, depth + 1)
        yield f"{margin}}}"
        if item.notes:
            yield f"{margin}note right of s{number}"
            yield from (f"{margin}    {_escaped_for_states(note)}" for note in item.notes)
            yield f"{margin}end note"

    def _is_near(self, link: Link) -> bool:
        """Whether a chart begins at its own level, where Mermaid's ``[*]`` can stand for its dot."""
        return self._items[link.source].parent == self._items[link.target].parent


def _title(item: Item) -> str:
    if item.kind in HISTORY_MARKS:
        return f"{HISTORY_MARKS[item.kind]} {item.title}"
    many = f"{STACK_MARK} " if item.is_stack else ""
    return f"{many}{item.title} ({item.kind} {item.about})" if item.about else item.title


def _escaped(text: str) -> str:
    """As a text of a flowchart."""
    return text.translate(_ENTITIES)


def _escaped_for_states(text: str) -> str:
    """As a text of a state diagram, where more characters mean something."""
    return text.translate(_MORE_ENTITIES)


def _styled(prefix: str, items: Sequence[Item]) -> Iterator[str]:
    """A class per status that there is, and its members."""
    by_status: dict[str, list[str]] = {}
    for number, item in enumerate(items):
        by_status.setdefault(item.status, []).append(f"{prefix}{number}")
    for status, style in _STYLES.items():
        if status in by_status:
            yield f"    classDef {status} {style}"
            yield f"    class {','.join(by_status[status])} {status}"
