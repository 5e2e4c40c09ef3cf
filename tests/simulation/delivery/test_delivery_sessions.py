"""Visits that share a session, under faults: whatever call of a port a worker dies at, each of them that succeeded is
remembered once, and each was told all that was remembered before it.

``DELIVERY_EVERY_FAULT=1`` tries every kind of fault at every call; otherwise crashes at one in 20.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from tests.simulation.delivery.faults import FAULTS, Fault, NoFaults, Plan, at_every_call
from tests.simulation.delivery.world import World, world

from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.ports import Key

STEP = 20
AGENT = {"id": "a", "model": "openai:x", "session": "one"}


class Story:
    """Three nodes whose agent has one session: two at once, and one after them."""

    def __init__(self, disturbed: World, folder: Path) -> None:
        self.world = disturbed
        self.told: dict[str, list[str]] = {}
        (folder / "a.yaml").write_text(repr(AGENT))
        agents = AgentInvoker(AgentRegistry.load(folder), lambda _: FunctionModel(self.model))
        for path in ("a", "b", "c"):
            disturbed.behaviours[path] = agents.invoke

    async def model(self, messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        """In the event loop: time stands still meanwhile."""
        said = [part.content for message in messages for part in message.parts if isinstance(part, UserPromptPart)]
        names = [json.loads(str(text))["x"] for text in said]
        self.told[names[-1]] = names[:-1]
        return ModelResponse(parts=[TextPart(names[-1])])

    @property
    def head(self) -> dict[str, Any]:
        key = Key("SESSION#a##one", "HEAD")
        return dict(self.world.raw.table.get([key])[key].attributes)


def tale(seed: int, faults: Plan) -> object:
    with world("talk", seed, faults) as disturbed, tempfile.TemporaryDirectory() as folder:
        story = Story(disturbed, Path(folder))
        disturbed.start()
        disturbed.live_until(lambda: False)
        disturbed.drain()
        disturbed.check_end()
        document: Any = disturbed.document()
        first, second = sorted("ab", key=lambda name: len(story.told[name]))
        assert story.told[first] == []
        assert story.told[second] == [first]
        assert story.told["c"] == [first, second]
        settled = story.head["turns"] if "holder" not in story.head else story.head["turns"] + 1
        return document["status"], settled


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_at_any_call_of_visits_of_one_session_loses_and_doubles_nothing(fault: Fault) -> None:
    at_every_call(tale, fault, step=STEP)


def test_visits_of_one_session_come_one_after_the_other() -> None:
    assert tale(0, NoFaults()) == ("completed", 3)
