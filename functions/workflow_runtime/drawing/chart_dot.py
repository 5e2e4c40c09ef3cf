"""Charts for Graphviz: what holds others is a cluster, an arrow to or from it ends at its border."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.drawing.chart import ACTIVE, Drawing, Item
from workflow_runtime.drawing.dot import COLOURS, SHAPES, quoted

_SHAPES = {
    "initial": "point, width=0.15",
    "state": "box, style=rounded",
    "final": "box, style=rounded, peripheries=2",
    "shallow_history": "circle",
    "deep_history": "circle",
}
_MARKS = {"shallow_history": "H", "deep_history": "H*"}
_ACTIVE = 'color="#0969da", penwidth=3'


def draw(drawing: Drawing) -> str:
    children = drawing.children()
    lines = [
        f"digraph {quoted(drawing.title)} {{",
        "    compound=true;",
        '    node [fontname="sans-serif"];',
        '    edge [fontname="sans-serif"];',
        '    graph [fontname="sans-serif"];',
        *_inside(drawing, children, -1, 1),
    ]
    for link in drawing.links:
        source, target = _leaf(children, link.source), _leaf(children, link.target)
        attributes = [f"label={quoted(link.label)}"] if link.label else []
        attributes += ["style=dashed"] if link.orders else []
        attributes += [f"ltail=cluster_{link.source}"] if source != link.source else []
        attributes += [f"lhead=cluster_{link.target}"] if target != link.target else []
        shown = f" [{', '.join(attributes)}]" if attributes else ""
        lines.append(f"    n{source} -> n{target}{shown};")
    return "\n".join([*lines, "}"]) + "\n"


def _leaf(children: dict[int, list[int]], item: int) -> int:
    """Something inside an item that an arrow can be tied to: clusters have no arrows of their own."""
    while children[item]:
        item = children[item][-1]
    return item


def _inside(drawing: Drawing, children: dict[int, list[int]], holder: int, depth: int) -> Iterator[str]:
    margin = "    " * depth
    for number in children[holder]:
        item = drawing.items[number]
        if not children[number]:
            yield f"{margin}n{number} [{_attributes(item)}];"
            continue
        yield f"{margin}subgraph cluster_{number} {{"
        style = "rounded,dashed" if holder >= 0 and drawing.items[holder].kind == "regions" else "rounded"
        colour = f" {_ACTIVE};" if item.status == ACTIVE else ""
        yield f'{margin}    label={quoted(_label(item))}; style="{style}";{colour}'
        yield from _inside(drawing, children, number, depth + 1)
        yield f"{margin}}}"


def _label(item: Item) -> str:
    detail = f"{item.kind} {item.detail}" if item.detail and item.detail != item.title else ""
    return "\n".join(part for part in (item.title, detail, *item.notes) if part)


def _attributes(item: Item) -> str:
    shape = _SHAPES.get(item.kind) or SHAPES.get(item.kind, "ellipse")
    attributes = [f"label={quoted(_MARKS.get(item.kind) or _label(item))}", f"shape={shape}"]
    if item.status == ACTIVE:
        attributes.append(_ACTIVE)
    elif item.status in COLOURS:
        attributes += [f'color="{COLOURS[item.status]}"', "penwidth=2", f"tooltip={quoted(item.status)}"]
    return ", ".join(attributes)
