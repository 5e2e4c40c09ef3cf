"""What a picture can show: beyond its bounds a drawing becomes an outline, and says so."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from workflow_runtime.drawing.model import DOTS, Drawing, Item, Link

ITEMS_MAX = 2_000
LINKS_MAX = 4_000
"""As many as people can still search on a screen; Mermaid itself refuses more than a few hundred arrows by default."""
NOTES_MAX = 12
"""Of one state; the others are counted."""
OUTLINE_ITEMS_MAX = 24
OUTLINE_LINKS_MAX = 60


def bounded(drawing: Drawing) -> Drawing:
    """The drawing itself if a picture can show it, else its outline."""
    if len(drawing.items) > ITEMS_MAX or len(drawing.links) > LINKS_MAX:
        return outline(drawing)
    if not any(len(item.notes) > NOTES_MAX for item in drawing.items):
        return drawing
    return replace(drawing, items=tuple(map(_with_fewer_notes, drawing.items)))


def _with_fewer_notes(item: Item) -> Item:
    more = len(item.notes) - NOTES_MAX
    return replace(item, notes=(*item.notes[:NOTES_MAX], f"… {more} more")) if more > 0 else item


def outline(drawing: Drawing) -> Drawing:
    """What stands at the top, at most `OUTLINE_ITEMS_MAX`, each with a count of what is inside; links between them."""
    tops = _tops(drawing)
    inside = Counter(tops)
    shown = drawing.children[-1][:OUTLINE_ITEMS_MAX]
    places = {number: place for place, number in enumerate(shown)}
    items = tuple(_counted(drawing.items[number], inside[number] - 1) for number in shown)
    links = dict.fromkeys(
        Link(places[tops[link.source]], places[tops[link.target]])
        for link in drawing.links
        if tops[link.source] in places and tops[link.target] in places and tops[link.source] != tops[link.target]
    )
    kept = tuple(links) if len(links) <= OUTLINE_LINKS_MAX else ()
    return Drawing(drawing.title, items, kept, drawing.has_states, remark=_remark(drawing, len(shown), bool(kept)))


def _tops(drawing: Drawing) -> list[int]:
    """Per item the one at the top that it is inside of, or itself."""
    found: list[int] = []
    for number, item in enumerate(drawing.items):  # parents come first
        found.append(found[item.parent] if item.parent >= 0 else number)
    return found


def _counted(item: Item, inside: int) -> Item:
    notes = (f"{inside} inside",) if inside else ()
    return Item(item.id, item.title, item.kind, item.detail, notes, status=item.status, undo=item.undo)


def _remark(drawing: Drawing, shown: int, has_links: bool) -> str:
    counts = Counter("dot" if item.kind in DOTS else item.kind for item in drawing.items)
    counts.pop("dot", None)
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
    top = len(drawing.children[-1])
    rest = f"; shown are {shown} of {top} at the top" if shown < top else "; shown is the top level"
    arrows = "" if has_links or not drawing.links else ", without arrows"
    return f"outline of {len(drawing.items)} items ({kinds}) and {len(drawing.links)} arrows{rest}{arrows}"
