"""Nothing in a picture lies on anything else: measured in the SVG of every shipped workflow and of generated ones."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.seeds import for_seeds
from tests.unit.drawing.pictures import TOGETHER, Measured, generated

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.drawing import drawing_of, svg
from workflow_runtime.drawing.geometry import Box
from workflow_runtime.drawing.ports import CORNER, End, spread
from workflow_runtime.drawing.room import BEND_GAP

PROJECT = Path(__file__).parents[3]
WORKFLOWS = [
    *(PROJECT / "definitions/workflows").glob("*.yaml"),
    *(PROJECT / "tests/golden").glob("*.yaml"),
    *(PROJECT / "tests/golden/machine").glob("*.yaml"),
]
SEEDS = (*range(60), 1624)  # the last: an arrow passes a border at the very corner


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_arrow_crosses_a_box_or_a_text_and_no_texts_meet(path: Path) -> None:
    drawing = drawing_of(compile_or_raise(path.read_bytes()))
    assert list(Measured(drawing, svg.draw(drawing)).faults()) == []


@for_seeds(SEEDS)
def test_the_same_holds_for_whatever_may_be_drawn(seed: int) -> None:
    drawing = generated(seed)
    assert list(Measured(drawing, svg.draw(drawing)).faults()) == []


@given(
    places=st.lists(st.integers(0, 10), max_size=6, unique=True),
    free=st.lists(st.integers(-50, 250).map(float), min_size=1, max_size=8),
)
def test_ends_at_one_side_of_a_container_are_apart(places: list[int], free: list[float]) -> None:
    """Fixed ends are where an arrow passes the border on its way inside, as far apart as arrows inside are."""
    fixed = [CORNER + place * BEND_GAP for place in places]
    ends = [End([place], 0, place, fixed=True) for place in fixed] + [End([0.0], 0, x, fixed=False) for x in free]
    spread(Box(160 + 2 * CORNER, 40.0), ends)
    placed = sorted(end.way[0] for end in ends)
    assert all(right - left > TOGETHER for left, right in pairwise(placed))
    assert all(CORNER <= x <= 160 + CORNER for x in placed)
    assert [end.way[0] for end in ends if end.fixed] == fixed
