"""Graphviz: what holds others is a cluster, and an arrow to or from it ends at its border."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.drawing.model import ACTIVE, DEAD, DOTS, HISTORY_MARKS, STATE_KINDS, TAKEN, Drawing, Item, Link

_SHAPES = {
    "agent": "box, style=rounded",
    "tool": "box",
    "switch": "diamond",
    "condition": "diamond",
    "parallel": "hexagon",
    "aggregation": "invtrapezium",
    "fail": "octagon",
    "succeed": "doublecircle",
    "sub_workflow": "component",
    "state": "box, style=rounded",
    "final": "box, style=rounded, peripheries=2",
    **dict.fromkeys(DOTS, "point, width=0.15"),
    **dict.fromkeys(HISTORY_MARKS, "circle"),
}
_COLOURS = {
    "success": "#1a7f37",
    "failed": "#cf222e",
    "running": "#0969da",
    "retrying": "#9a6700",
    "ready": "#0969da",
    "waiting": "#8c959f",
    "skipped": "#8c959f",
    "cancelled": "#6e7781",
    "compensated": "#9a6700",
    "visited": "#1a7f37",
}
_ACTIVE = 'color="#0969da", penwidth=3'
_TAKEN = f'color="{_COLOURS["success"]}"'
_DEAD = 'color="#c4cbd2", style=dotted'


def draw(drawing: Drawing) -> str:
    has_clusters = any(item.parent >= 0 for item in drawing.items)
    fonts = ["node", "edge", "graph"] if has_clusters or drawing.has_states else ["node", "edge"]
    leaves = _leaves(drawing)
    return (
        "\n".join(
            [
                f"digraph {quoted(drawing.title)} {{",
                *(["    compound=true;"] if has_clusters or drawing.has_states else []),
                *(f'    {what} [fontname="sans-serif"];' for what in fonts),
                *([f"    label={quoted(drawing.remark)};"] if drawing.remark else []),
                *_inside(drawing, -1, 1),
                *(_arrow(link, leaves) for link in drawing.links),
                "}",
            ]
        )
        + "\n"
    )


def _leaves(drawing: Drawing) -> list[int]:
    """Per item something inside it that an arrow can be tied to: clusters have no arrows of their own."""
    found = list(range(len(drawing.items)))
    for number in reversed(found):  # what is inside comes after what it is inside of
        if drawing.children[number]:
            found[number] = found[drawing.children[number][-1]]
    return found


def _arrow(link: Link, leaves: list[int]) -> str:
    source, target = leaves[link.source], leaves[link.target]
    attributes = [f"label={quoted(link.label)}"] if link.label else []
    attributes += ["style=dashed"] if link.orders else []
    attributes += [_DEAD] if link.mark == DEAD else [_TAKEN] if link.mark == TAKEN else []
    attributes += ["penwidth=2.5"] if link.critical or link.mark == TAKEN else []
    attributes += [f"ltail=cluster_{link.source}"] if source != link.source else []
    attributes += [f"lhead=cluster_{link.target}"] if target != link.target else []
    shown = f" [{', '.join(attributes)}]" if attributes else ""
    return f"    n{source} -> n{target}{shown};"


def _inside(drawing: Drawing, holder: int, depth: int) -> Iterator[str]:
    margin = "    " * depth
    for number in drawing.children[holder]:
        item = drawing.items[number]
        if not drawing.children[number]:
            yield f"{margin}n{number} [{_attributes(item, with_kind=drawing.has_states)}];"
            continue
        yield f"{margin}subgraph cluster_{number} {{"
        style = "rounded,dashed" if holder >= 0 and drawing.items[holder].kind == "regions" else "rounded"
        colour = f" {_coloured(item)};" if _coloured(item) else ""
        stack = " peripheries=3;" if item.is_stack else ""
        yield f'{margin}    label={quoted(_label(item, with_kind=True))}; style="{style}";{stack}{colour}'
        yield from _inside(drawing, number, depth + 1)
        yield f"{margin}}}"


def _label(item: Item, *, with_kind: bool) -> str:
    detail = item.about
    if detail and (with_kind or item.kind == "wait"):
        detail = f"{item.kind} {detail}"
    return "\n".join(part for part in (item.title, detail, *item.notes) if part)


def _attributes(item: Item, *, with_kind: bool) -> str:
    attributes = [
        f"label={quoted(HISTORY_MARKS.get(item.kind) or _label(item, with_kind=with_kind))}",
        f"shape={_SHAPES.get(item.kind, 'ellipse')}",
    ]
    return ", ".join([*attributes, *filter(None, [_coloured(item)])])


def _coloured(item: Item) -> str:
    if item.status == ACTIVE:
        return _ACTIVE
    if item.status not in _COLOURS:
        return ""
    tooltip = "" if item.kind in STATE_KINDS else f", tooltip={quoted(item.status)}"
    return f'color="{_COLOURS[item.status]}", penwidth=2{tooltip}'


def quoted(text: str) -> str:
    """As a string of DOT."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
