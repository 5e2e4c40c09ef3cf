"""Mermaid, as GitHub and many documentation sites show it: graphs as flowcharts, charts as state diagrams.

Keys are n0, n1 … or s0, s1 …, so that ids of any script are safe; texts are written with entities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from workflow_runtime.drawing import mermaid_states
from workflow_runtime.drawing.mermaid_style import STYLES, escaped, styled
from workflow_runtime.drawing.model import DEAD, GATHERED, TAKEN, Drawing, Item

_SHAPES = {
    "agent": ("([", "])"),
    "tool": ("[", "]"),
    "switch": ("{", "}"),
    "condition": ("{", "}"),
    "parallel": ("{{", "}}"),
    "aggregation": ("[/", "\\]"),
    "fail": (">", "]"),
    "succeed": ("((", "))"),
}
_ROUNDED = ("(", ")")
_LINKS: Mapping[str, str] = {
    TAKEN: "stroke:#1a7f37,stroke-width:3px",
    DEAD: "stroke:#c4cbd2,stroke-dasharray:2 4",
}


def draw(drawing: Drawing) -> str:
    lines = mermaid_states.lines(drawing) if drawing.has_states else _flowchart(drawing)
    remark = [f"%% {escaped(drawing.remark)}"] if drawing.remark else []
    return "\n".join([*lines, *remark]) + "\n"


def _flowchart(drawing: Drawing) -> Iterator[str]:
    yield "flowchart TD"
    for number, item in enumerate(drawing.items):
        yield f"    {_box(number, item)}"
    for link in drawing.links:
        line = "-.->" if link.orders else "==>" if link.critical else "-->"
        label = f'|"{escaped(link.label)}"|' if link.label else ""
        yield f"    n{link.source} {line}{label} n{link.target}"
    yield from styled("n", drawing.items, STYLES)
    for mark, style in _LINKS.items():
        members = [str(number) for number, link in enumerate(drawing.links) if link.mark == mark]
        if members:
            yield f"    linkStyle {','.join(members)} {style}"


def _box(number: int, item: Item) -> str:
    if item.kind == GATHERED:
        return f'n{number}((" "))'
    left, right = _SHAPES.get(item.kind, _ROUNDED)
    detail = f"<br/><small>{escaped(item.about)}</small>" if item.about else ""
    return f'n{number}{left}"{escaped(item.title)}{detail}"{right}'
