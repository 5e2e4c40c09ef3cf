"""What a caller's key promises: one effect, and one event only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.errors import RequestError
from workflow_runtime.runtime.in_process import LocalRuntime

START = 1_700_000_000_000
CHART = b"""
workflow:
  id: door
  type: state_machine
  initial_state: shut
  final_states: [gone]
  variables: {touched: 0}
  states:
    - name: shut
      transitions:
        - {event: touch, actions: [{set_variable: {name: touched, value: "${touched + 1}"}}]}
        - {event: end, target: gone}
"""


class Door:
    """An execution that counts how often it was touched."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.runtime = LocalRuntime(open_backend(clock=self.clock))
        self.runtime.services.catalog.publish(CHART)
        self.execution_id = self.runtime.services.starter.start("door")
        self.settle()

    def settle(self) -> None:
        asyncio.run(self.runtime.settle(self.execution_id))

    def send(self, name: str, data: Any = None, key: str | None = None) -> dict[str, Any] | None:
        """What the event did."""
        signalling = self.runtime.services.signalling
        sent = signalling.send(self.execution_id, name, data, key, watched=True)
        self.settle()
        return signalling.result(sent)

    def document(self) -> dict[str, Any]:
        return self.runtime.services.documents.document(self.execution_id)


@pytest.fixture
def door() -> Iterator[Door]:
    opened = Door()
    yield opened
    opened.runtime.close()


@pytest.mark.parametrize(("name", "data"), [("end", None), ("touch", {"n": 2}), ("touch", {"n": 1.0}), ("touch", None)])
def test_a_key_that_was_used_for_another_event_is_a_conflict(door: Door, name: str, data: Any) -> None:
    door.send("touch", {"n": 1}, "键")
    with pytest.raises(RequestError) as caught:
        door.send(name, data, "键")
    assert caught.value.code == "conflict"
    assert door.document()["status"] == "running"
    assert door.document()["variables"]["touched"] == 1


def test_the_same_event_again_has_no_second_effect_and_tells_of_the_first(door: Door) -> None:
    first = door.send("touch", {"a": 1, "b": [2]}, "k")
    assert door.send("touch", {"b": [2], "a": 1}, "k") == first
    assert door.document()["variables"]["touched"] == 1


def test_keys_of_executions_are_their_own(door: Door) -> None:
    door.send("touch", {}, "k")
    door.execution_id = door.runtime.services.starter.start("door")
    door.settle()
    door.send("end", {}, "k")
    assert door.document()["status"] == "completed"


def test_a_conflict_stays_one_after_the_end(door: Door) -> None:
    door.send("end", {}, "k")
    assert door.send("end", {}, "k") is not None
    with pytest.raises(RequestError) as caught:
        door.send("touch", {}, "k")
    assert caught.value.code == "conflict"
