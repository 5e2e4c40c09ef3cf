"""The guide's examples of approvals and callbacks do what the guide says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workflow_runtime.testing import WorkflowTester

ROOT = Path(__file__).parents[2]
GUIDES = ("definitions/README.md", "definitions/README.zh-CN.md")


def example(guide: str, id: str) -> str:
    """The workflow of this id in a guide."""
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", (ROOT / guide).read_text("utf-8"), re.DOTALL)
    return next(block for block in blocks if f"  id: {id}\n" in block)


@pytest.mark.parametrize("guide", GUIDES)
def test_two_of_three_approve_and_the_changed_data_goes_on(guide: str) -> None:
    with WorkflowTester.embedded() as tester:
        execution_id = tester.start(example(guide, "publish_article"), {"title": "Tea"})
        tester.approve(execution_id, "check", by="bob", data={"copies": 80})
        assert tester.result(execution_id).status == "running"
        tester.approve(execution_id, "check", by="ann")
        assert tester.result(execution_id).nodes["print"]["output"] == {"title": "Tea", "copies": 80}


def test_the_chief_is_asked_after_a_day_and_a_rejection_is_told_to_the_author() -> None:
    with WorkflowTester.embedded() as tester:
        execution_id = tester.start(example(GUIDES[0], "publish_article"), {"title": "Tea"})
        tester.advance(days=1)
        tester.reject(execution_id, "check", by="chief", comment="not now")
        nodes = tester.result(execution_id).nodes
        assert nodes["tell_author"]["output"] == {"why": "chief rejected it: not now"}
        assert nodes["print"]["status"] == "skipped"


@pytest.mark.parametrize("guide", GUIDES)
def test_a_film_is_shown_when_somebody_has_rendered_it(guide: str) -> None:
    with WorkflowTester.embedded() as tester:
        execution_id = tester.start(example(guide, "render_film"), {"film": "Tea"})
        tester.advance(minutes=9)
        tester.heartbeat_task(execution_id, "render")
        tester.advance(minutes=9)
        tester.complete_task(execution_id, "render", {"url": "https://films/tea"})
        assert tester.result(execution_id).nodes["show"]["output"] == {"url": "https://films/tea"}


def test_a_film_that_nobody_renders_is_tried_again() -> None:
    with WorkflowTester.embedded() as tester:
        execution_id = tester.start(example(GUIDES[0], "render_film"), {"film": "Tea"})
        tester.advance(minutes=11)
        tester.complete_task(execution_id, "render", {"url": "https://films/tea"})
        assert tester.result(execution_id).nodes["render"]["attempts"] == 2
