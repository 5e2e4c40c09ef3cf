"""An event that the bus refuses after all, though the engine found nothing wrong with it: its chart is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.services.replaying import assert_replays

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.ports import Bus, BusEvent, Refusal
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.storage.dead_letters import LetterStore

SOURCE = """
workflow:
  id: publishing
  type: state_machine
  initial_state: open
  states:
    - name: open
      on_enter: [{publish_event: {topic: good}}, {publish_event: {topic: bad, payload: {n: 1}}}]
      transitions:
        - event: error.communication
          target: told
          actions: [{set_variable: {name: why, value: "${event.data.message}"}}]
    - {name: told, type: final}
  outputs: {why: "${why}"}
"""


class PickyBus:
    """A bus that refuses events named ``bad``."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def publish(self, events: Sequence[BusEvent]) -> list[Refusal]:
        bad = [index for index, event in enumerate(events) if event.detail_type == "bad"]
        assert self._bus.publish([event for event in events if event.detail_type != "bad"]) == []
        return [Refusal(index, "it does not like the name") for index in bad]


@pytest.fixture
def runtime() -> Iterator[LocalRuntime]:
    backend = open_backend(clock=VirtualClock(1_767_225_600_000))
    backend.ports = replace(backend.ports, bus=PickyBus(backend.ports.bus))
    with LocalRuntime(backend, Path("definitions")) as runtime:
        runtime.services.catalog.publish(SOURCE.encode())
        yield runtime


def test_the_chart_that_published_it_is_told(runtime: LocalRuntime) -> None:
    execution_id = runtime.services.starter.start("publishing")
    assert asyncio.run(runtime.run_until_ended(execution_id)) == "completed"
    document = runtime.services.documents.document(execution_id)
    assert document["output"] == {"why": "publish_event: the bus refused `bad`: it does not like the name"}
    assert "good" in [event["detail-type"] for event in runtime.backend.bus_events()]


def test_it_is_kept_as_a_dead_letter_and_stands_in_the_history(runtime: LocalRuntime) -> None:
    execution_id = runtime.services.starter.start("publishing")
    asyncio.run(runtime.run_until_ended(execution_id))
    ports = runtime.ports
    [letter] = LetterStore(ports.table, ports.blobs).documents(execution_id)
    assert "does not like" in str(letter["reason"])
    entries = runtime.services.documents.history(execution_id, 0, 100).entries
    [failure] = [event for entry in entries for event in entry.events if type(event).__name__ == "SendFailed"]
    assert "does not like" in failure.message
    assert_replays(runtime.services, execution_id)
