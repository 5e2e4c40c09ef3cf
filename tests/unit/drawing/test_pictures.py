"""Nothing in a picture lies on anything else: measured in the SVG of every shipped workflow and of generated ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.drawing.pictures import Measured, generated

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.drawing import drawing_of, svg

PROJECT = Path(__file__).parents[3]
WORKFLOWS = [
    *(PROJECT / "definitions/workflows").glob("*.yaml"),
    *(PROJECT / "tests/golden").glob("*.yaml"),
    *(PROJECT / "tests/golden/machine").glob("*.yaml"),
]
SEEDS = range(200)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_arrow_crosses_a_box_or_a_text_and_no_texts_meet(path: Path) -> None:
    drawing = drawing_of(compile_or_raise(path.read_bytes()))
    assert list(Measured(drawing, svg.draw(drawing)).faults()) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_holds_for_whatever_may_be_drawn(seed: int) -> None:
    drawing = generated(seed)
    assert list(Measured(drawing, svg.draw(drawing)).faults()) == []
