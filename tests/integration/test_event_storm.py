"""A thousand events at one execution, and a few at each of a hundred: every one is taken, once, whether it is sent to
the execution or comes over the bus; in its order where a queue keeps one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.deployment.topology import EVENTS
from workflow_runtime.engine.arrivals import KEPT_MAX
from workflow_runtime.ports import BATCH_MESSAGES_MAX, BusEvent, Message
from workflow_runtime.runtime.in_process import LocalRuntime

COUNTER = b"""
workflow:
  id: counter
  type: state_machine
  initial_state: counting
  final_states: [done]
  variables: {count: 0, last: -1, disorder: 0}
  triggers: [{type: event, topic: ticked, event: tick, correlate: "${detail.key}", with: "${key}"}]
  states:
    - name: counting
      transitions:
        - event: tick
          merge_event_data: false
          actions:
            - set_variable: {name: count, value: "${count + 1}"}
            - set_variable: {name: disorder, value: "${n == last + 1 ? disorder : disorder + 1}"}
            - set_variable: {name: last, value: "${n}"}
        - {event: stop, target: done}
"""


def storm(path: Path | None, executions: int, events: int) -> list[object]:
    """The outputs of executions that were sent so many events each, every tenth twice."""
    with LocalRuntime(open_backend(path)) as runtime:
        services = runtime.services
        services.catalog.publish(COUNTER)
        ids = [services.starter.start("counter", {}) for _ in range(executions)]
        for number in range(events):
            for execution_id in ids:
                for _ in range(2 if number % 10 == 0 else 1):
                    services.signalling.send(execution_id, "tick", {"n": number}, f"tick-{number}")
        for execution_id in ids:
            services.signalling.send(execution_id, "stop", None)

        async def run() -> list[object]:
            for execution_id in ids:
                assert await runtime.run_until_ended(execution_id) == "completed"
            return [services.documents.document(execution_id)["output"] for execution_id in ids]

        return asyncio.run(run())


@pytest.mark.parametrize(("executions", "events"), [(1, 1_000), (100, 10)])
def test_a_storm_of_events_loses_none_and_takes_none_twice(tmp_path: Path, executions: int, events: int) -> None:
    expected = {"count": events, "last": events - 1, "disorder": 0}
    assert storm(tmp_path / "storm.db", executions, events) == [expected] * executions


def bus_storm(runtime: LocalRuntime, executions: int, events: int) -> list[tuple[str, Any]]:
    """Status and number of events taken, of executions that were each sent so many: half of them by their id, half by
    their key, every tenth delivered twice.
    """
    services, ports = runtime.services, runtime.backend.ports
    services.catalog.publish(COUNTER)
    ids = [services.starter.start("counter", {"key": f"键-{number}"}) for number in range(executions)]

    def settle() -> None:
        asyncio.run(runtime.pump.run(lambda: False, settle=True))

    settle()
    waiting: list[BusEvent] = []
    for number in range(events):
        for place, id in enumerate(ids):
            address = {"execution_id": id} if number % 2 else {"key": f"键-{place}"}
            detail = msgspec.json.encode({**address, "n": number}).decode()
            waiting.append(BusEvent("storm", "tick" if number % 2 else "ticked", detail))
    assert [refusal for batch in _batches(waiting) for refusal in ports.bus.publish(batch)] == []
    repeated = [event for event in runtime.backend.bus_events() if event["source"] == "storm"][::10]
    for batch in _batches([Message(msgspec.json.encode(event).decode()) for event in repeated]):
        assert ports.queues.send(EVENTS, batch) == []
    settle()
    for id in ids:
        services.signalling.send(id, "stop", None)
    settle()
    assert ports.table.query("DEAD") == []
    documents = [services.documents.document(id) for id in ids]
    return [(document["status"], document["output"]["count"]) for document in documents]


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), BATCH_MESSAGES_MAX):
        yield items[start : start + BATCH_MESSAGES_MAX]


@pytest.mark.parametrize(("executions", "events"), [(1, 1_000), (100, 10)])
def test_a_storm_over_the_bus_loses_none_and_takes_none_twice(tmp_path: Path, executions: int, events: int) -> None:
    with LocalRuntime(open_backend(tmp_path / "storm.db")) as runtime:
        assert bus_storm(runtime, executions, events) == [("completed", events)] * executions


def test_a_storm_over_simulated_aws_loses_none_and_takes_none_twice() -> None:
    with LocalRuntime(simulated.open_backend()) as runtime:
        assert bus_storm(runtime, 4, 20) == [("completed", 20)] * 4


def test_of_the_events_before_a_wait_the_newest_thousand_are_kept_in_their_order() -> None:
    workflow = b"""
workflow:
  id: late
  nodes:
    - {id: gate, type: control, subtype: wait, event: go}
    - {id: one, type: control, subtype: wait, event: tick, dependencies: [gate]}
    - {id: two, type: control, subtype: wait, event: tick, dependencies: [one]}
    - {id: last, type: control, subtype: wait, event: tick, match: "event.data.n == 1004", dependencies: [two]}
    - {id: all, type: aggregation, strategy: collect, dependencies: [one, two, last]}
"""
    with LocalRuntime(open_backend()) as runtime:
        services = runtime.services
        services.catalog.publish(workflow)
        id = services.starter.start("late", {})
        for number in range(KEPT_MAX + 5):
            services.signalling.send(id, "tick", {"n": number})
        services.signalling.send(id, "go", None)
        assert asyncio.run(runtime.run_until_ended(id)) == "completed"
        output: Any = services.documents.document(id)["output"]
        assert [taken["n"] for taken in output] == [5, 6, KEPT_MAX + 4]
