"""Faults at the port calls of requests to skip, to undo, and to go on from a failure that a person decides on: what
they lead to is the same, and done once.

Crashes at one in 30 calls, or more (`faults`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, Plan, at_every_call
from tests.simulation.delivery.test_delivery_cancels import STEP
from tests.simulation.delivery.world import World, world

from workflow_runtime.errors import RetryableError

Story = Callable[[World], None]


def ask(disturbed: World, operation: str, key: str = "key", **said: Any) -> None:
    """Ask again and again until there is an answer, as a caller would; then let come to its end what may."""
    while True:
        try:
            assert disturbed.runtime.control.ask(operation, disturbed.execution_id, "why not", key, said=said).changed
        except (Crash, RetryableError):
            continue
        break
    disturbed.drain()


def without_the_failed_node(disturbed: World) -> None:
    ask(disturbed, "skip", node="bad")
    assert disturbed.document()["status"] == "completed"


def with_an_output_for_the_failed_node(disturbed: World) -> None:
    ask(disturbed, "skip", node="bad", output={"x": "given"})
    assert disturbed.document()["status"] == "completed"
    assert disturbed.document()["node_executions"]["bad"]["given"]


def undone_again_and_again(disturbed: World) -> None:
    """What was undone stays undone; what could not be, is tried each time."""
    ask(disturbed, "compensate")
    ask(disturbed, "compensate", "again")
    assert (disturbed.document()["status"], disturbed.document()["attempt"]) == ("failed", 3)


def retried_and_given(disturbed: World) -> None:
    ask(disturbed, "retry")
    assert disturbed.document()["suspension"]["escalated"]["node"] == "bad"
    ask(disturbed, "skip", "again", node="bad", output={"x": 7})
    assert disturbed.document()["status"] == "completed"


def left_to_its_course(disturbed: World) -> None:
    ask(disturbed, "resume")
    assert disturbed.document()["status"] == "failed"


STORIES: tuple[tuple[str, Story], ...] = (
    ("failing", without_the_failed_node),
    ("failing", with_an_output_for_the_failed_node),
    ("undo", undone_again_and_again),
    ("escalating", retried_and_given),
    ("escalating", left_to_its_course),
)


def told(seed: int, faults: Plan, name: str, story: Story) -> str:
    """What is left in the end, after faults from the request on; of a failure that is escalated, from the start on."""
    with world(name, seed, faults if name == "escalating" else None) as disturbed:
        disturbed.start()
        disturbed.drain()
        disturbed.faults = faults
        story(disturbed)
        disturbed.check_end()
        document = disturbed.document()
        nodes = {path: (entry["status"], entry["output"]) for path, entry in document["node_executions"].items()}
        undone = [(entry["path"], entry["status"]) for entry in document["compensations"]]
        parts = [document["status"], document["output"], document["attempt"], document["compensation"], nodes, undone]
        return msgspec.json.encode(parts).decode()


@pytest.mark.parametrize(("name", "story"), STORIES, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p2_p3_p5_p8_p9_a_fault_at_any_call_changes_nothing_of_what_a_request_leads_to(
    name: str, story: Story, fault: Fault
) -> None:
    at_every_call(told, fault, name, story, step=STEP)
