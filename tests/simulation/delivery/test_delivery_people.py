"""An approval and a task token under faults: what is said counts once, whoever crashes when it is said, and whatever
else happens at the same time.

``DELIVERY_EVERY_FAULT=1`` tries every kind of fault at every call; otherwise crashes at one in 8.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, Plan, at_every_call
from tests.simulation.delivery.world import World, world

from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.invokers.invocation import NodeCall

STEP = 8
DAY = 86_400_000


class Story:
    """What people and other systems do in a world."""

    def __init__(self, disturbed: World) -> None:
        self.world = disturbed
        self.tokens: list[str] = []
        disturbed.behaviours["render"] = self._hand_out

    def _hand_out(self, call: NodeCall) -> object:
        self.tokens.append(str(call.inputs["token"]))
        return {}

    def is_asked(self) -> bool:
        return bool(self.world.calm.approval_views.of_execution(self.world.execution_id))

    def waits_for_token(self) -> bool:
        return self.world.document()["node_executions"].get("render", {}).get("waiting_on") == "callback"

    def say(self, what: Callable[[], object]) -> str:
        """Say something again and again until there is an answer, as a caller would; why it was refused."""
        while True:
            try:
                what()
            except (Crash, RetryableError):
                continue
            except RequestError as error:
                return error.message
            return ""

    def approve(self) -> str:
        id = f"{self.world.execution_id}.1"
        return self.say(lambda: self.world.runtime.approvals.answer(id, True, by="ann", key="k"))

    def complete(self, output: object) -> str:
        return self.say(lambda: self.world.runtime.tasks.complete(self.tokens[-1], output))

    def node(self, id: str) -> dict[str, object]:
        found: dict[str, object] = self.world.document()["node_executions"][id]
        return found


def said_in_time(story: Story) -> None:
    story.world.live_until(story.is_asked)
    assert story.approve() == ""
    story.world.live_until(story.waits_for_token)
    assert story.complete({"x": 7}) == ""
    story.world.drain()
    assert story.world.document()["output"] == {"x": 7}
    assert len(story.node("check")["output"]["answers"]) == 1  # type: ignore[index,call-overload]


def said_as_the_time_is_over(story: Story) -> None:
    """Whichever comes first counts; who comes too late is told so, or the journal says why it had no effect."""
    story.world.live_until(story.is_asked)
    story.world.clock.time += DAY
    story.approve()
    story.world.live_until(story.waits_for_token)
    story.world.clock.time += DAY
    story.complete({"x": 7})
    story.world.drain()
    document = story.world.document()
    assert document["status"] in ("completed", "failed")
    if document["status"] == "completed":
        assert document["output"] == {"x": 7}
    else:
        assert document["error"]["type"] == "timeout"


def said_twice(story: Story) -> None:
    """Two who have the token say different things: one of them is heard."""
    story.world.live_until(story.is_asked)
    story.approve()
    story.world.live_until(story.waits_for_token)
    first, second = story.complete({"x": 1}), story.complete({"x": 2})
    assert first == ""
    story.world.drain()
    assert story.world.document()["output"] == {"x": 1}
    assert second.startswith("the task token counts no more: it was completed at ")


def said_while_the_code_runs(story: Story) -> None:
    def render(call: NodeCall) -> object:
        story.tokens.append(str(call.inputs["token"]))
        if len(story.tokens) == 1:
            story.world.calm.tasks.complete(story.tokens[0], {"x": 5})
        return {}

    story.world.behaviours["render"] = render
    story.world.live_until(story.is_asked)
    story.approve()
    story.world.live_until(lambda: False)
    story.world.drain()
    assert story.world.document()["output"] == {"x": 5}


def cancelled_as_it_is_said(story: Story) -> None:
    story.world.live_until(story.is_asked)
    story.approve()
    story.world.live_until(story.waits_for_token)
    execution_id = story.world.execution_id
    story.say(lambda: story.world.runtime.control.ask("cancel", execution_id, "stop", key="c"))
    story.complete({"x": 7})
    story.world.drain()
    assert story.world.document()["status"] in ("cancelled", "completed")
    assert story.complete({"x": 8}) != ""


STORIES = {
    story.__name__: story
    for story in (
        said_in_time,
        said_as_the_time_is_over,
        said_twice,
        said_while_the_code_runs,
        cancelled_as_it_is_said,
    )
}


def tell(seed: int, faults: Plan, story: str) -> None:
    with world("people", seed, faults) as disturbed:
        told = Story(disturbed)
        disturbed.start()
        STORIES[story](told)
        disturbed.check_end()


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p2_p5_p8_what_is_said_counts_once_whatever_crashes(story: str, fault: Fault) -> None:
    at_every_call(tell, fault, story, step=STEP)
