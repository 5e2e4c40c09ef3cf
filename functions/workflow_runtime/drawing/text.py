"""Drawings for the terminal: a graph as nodes by level, each with what it waits for; a chart as a tree of states."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.drawing import text_states
from workflow_runtime.drawing.model import DEAD, DOTS, GATHERED, TAKEN, Drawing, Item, Link
from workflow_runtime.drawing.text_marks import MARKS, PLAIN_MARK
from workflow_runtime.language.texts import columns, visible

_LEGEND = {TAKEN: "⇐ taken", DEAD: "↚ not taken"}


def draw(drawing: Drawing) -> str:
    lines = text_states.lines(drawing) if drawing.has_states else _levels(drawing)
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
            f"{MARKS.get(item.kind, PLAIN_MARK)} {_padded(_name(item), id_width)}",
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
