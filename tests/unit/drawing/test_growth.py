"""What drawing costs, in steps and not in seconds: as much more as there is more to draw; and that is bounded."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.drawing import FORMATS, Drawing, drawing_of
from workflow_runtime.drawing.arrangement import BENDS_MAX, arrange
from workflow_runtime.drawing.model import GATHERED, Item, Link
from workflow_runtime.drawing.outline import ITEMS_MAX, LINKS_MAX, NOTES_MAX, OUTLINE_ITEMS_MAX, bounded

GROWTH = 4
TOLERANCE = 1.4  # sorting, and wider numbers
SMALL = 12


def steps(call: Callable[[], object]) -> int:
    """Instructions of Python's machine that are run."""
    count = 0

    def traced(frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG001
        nonlocal count
        count += event == "opcode"
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return traced

    before = sys.gettrace()
    gc.disable()  # what garbage of others does as it goes is not counted
    sys.settrace(traced)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def node(number: int, parent: int = -1) -> Item:
    return Item(f"节点{number}", f"节点 {number}", "tool", "t", (), parent)


def graph(count: int, pairs: list[tuple[int, int]]) -> Drawing:
    return Drawing("w", tuple(map(node, range(count))), tuple(Link(*pair, "when x") for pair in pairs))


def chain(count: int) -> Drawing:
    return graph(count, [(number, number + 1) for number in range(count - 1)])


def fan(count: int) -> Drawing:
    return graph(count, [(0, number) for number in range(1, count)])


def gathered(count: int) -> Drawing:
    return graph(count, [(number, count - 1) for number in range(count - 1)])


def ladder(count: int) -> Drawing:
    return graph(count, [(number, number + step) for step in (1, 2) for number in range(count - step)])


def charts_in_charts(count: int) -> Drawing:
    """States of states of states, five each, joined from one to the next and across borders."""
    items = [
        Item(f"s{number}", f"s{number}", "state", parent=(number - 1) // 5 if number else -1) for number in range(count)
    ]
    links = [Link(number, number + 1, f"e{number}") for number in range(count - 1)]
    return Drawing("w", tuple(items), tuple(links), has_states=True)


def regions(count: int) -> Drawing:
    items = [Item("p", "p", "regions"), *(Item(f"s{n}", f"s{n}", "state", parent=0) for n in range(count))]
    return Drawing("w", tuple(items), tuple(Link(n, n, "again") for n in range(1, count)), has_states=True)


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest.mark.parametrize("shape", [chain, fan, gathered, ladder, charts_in_charts, regions])
def test_drawing_grows_with_what_is_drawn(shape: Callable[[int], Drawing], format: str) -> None:
    small, large = (steps(lambda: FORMATS[format](shape(count))) for count in (SMALL, GROWTH * SMALL))  # noqa: B023
    assert large <= small * GROWTH * TOLERANCE


@pytest.mark.parametrize("format", ["text", "mermaid", "dot"])
def test_a_dense_chart_costs_what_its_transitions_cost(format: str) -> None:
    def dense(states: int) -> Drawing:
        items = tuple(Item(f"s{n}", f"s{n}", "state") for n in range(states))
        pairs = ((source, target) for source in range(states) for target in range(states))
        return Drawing("w", items, tuple(Link(*pair, "e") for pair in pairs), has_states=True)

    small, large = (steps(lambda: FORMATS[format](dense(states))) for states in (8, 16))  # noqa: B023
    assert large <= small * 4 * TOLERANCE


def switch(count: int) -> dict[str, Any]:
    branches = [{"case": [number, f"值{number}"], "target": f"n{number}"} for number in range(count)]
    first = {"id": "s", "type": "control", "subtype": "switch", "condition": "${x}", "branches": branches}
    return {"nodes": [first, *({"id": f"n{number}", "type": "tool", "tool": "t"} for number in range(count))]}


def race(count: int) -> dict[str, Any]:
    """As many nodes wait for the first of as many branches."""
    ids = [f"n{number}" for number in range(count)]
    first = {"id": "p", "type": "control", "subtype": "parallel", "branches": ids, "wait_all": False}
    waiters = [{"id": f"w{number}", "type": "tool", "tool": "t", "dependencies": ["p"]} for number in range(count)]
    return {"nodes": [first, *({"id": id, "type": "tool", "tool": "t"} for id in ids), *waiters]}


@pytest.mark.parametrize("shape", [switch, race])
def test_reading_a_plan_grows_with_the_plan(shape: Callable[[int], dict[str, Any]]) -> None:
    plans = [compile_or_raise(json.dumps({"workflow": {"id": "w", **shape(count)}})) for count in (30, 120)]
    small, large = (steps(lambda: drawing_of(plan)) for plan in plans)  # noqa: B023
    assert large <= small * 4 * TOLERANCE


def test_many_branches_and_many_that_wait_for_the_first_of_them_meet_in_a_dot() -> None:
    plan = compile_or_raise(json.dumps({"workflow": {"id": "w", **race(30)}}))
    drawing = drawing_of(plan)
    assert len(drawing.links) == 3 * 30  # to the branches, to the dot, and from it
    assert [item.kind for item in drawing.items].count(GATHERED) == 1
    for draw in FORMATS.values():
        assert "first" in draw(drawing)


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest.mark.parametrize("drawing", [fan(ITEMS_MAX + 1), graph(100, [(a, b) for a in range(100) for b in range(a)])])
def test_too_large_a_drawing_becomes_an_outline_and_says_so(drawing: Drawing, format: str) -> None:
    shown = FORMATS[format](bounded(drawing))
    assert f"outline of {len(drawing.items)} items ({len(drawing.items)} tool) and {len(drawing.links)} arrows" in shown
    assert len(bounded(drawing).items) <= OUTLINE_ITEMS_MAX


def test_an_outline_counts_what_is_inside() -> None:
    inner = [Item(f"n{number}", "n", "tool", parent=0) for number in range(ITEMS_MAX)]
    items = (Item("a", "a", "compound"), *inner, Item("b", "b", "final"))
    links = tuple(Link(number, len(items) - 1) for number in range(1, len(items) - 1))
    found = bounded(Drawing("w", items, links, has_states=True))
    assert [(item.title, item.notes) for item in found.items] == [("a", (f"{ITEMS_MAX} inside",)), ("b", ())]
    assert [(link.source, link.target) for link in found.links] == [(0, 1)]


def test_what_a_picture_can_show_is_shown_whole() -> None:
    drawing = chain(ITEMS_MAX)
    assert bounded(drawing) is drawing
    assert len(drawing.links) <= LINKS_MAX


def test_more_arrows_than_can_be_laid_out_make_an_outline_in_svg_alone() -> None:
    """Each passes every row below its source."""
    count = 200
    drawing = graph(
        count, [(number, number + 1) for number in range(count - 1)] + [(n, count - 1) for n in range(count)]
    )
    assert sum(range(count)) > BENDS_MAX
    assert "outline" in FORMATS["svg"](drawing)
    assert "outline" not in FORMATS["text"](drawing)


def test_many_notes_of_a_state_are_counted() -> None:
    drawing = Drawing("w", (Item("s", "s", "state", notes=tuple(f"e{number}" for number in range(1_000))),), ())
    assert bounded(drawing).items[0].notes[NOTES_MAX:] == (f"… {1_000 - NOTES_MAX} more",)


def test_depth_is_no_recursion_into_the_number_of_items() -> None:
    items = [Item(f"s{number}", "s", "compound", parent=number - 1) for number in range(100)]
    drawing = Drawing("w", tuple(items), (Link(99, 0), Link(0, 99)), has_states=True)
    assert len(arrange(drawing, lambda _: (10.0, 10.0)).boxes) == 100
    for draw in FORMATS.values():
        assert draw(drawing)
