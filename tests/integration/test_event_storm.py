"""A thousand events at one execution, and a few at each of a hundred: every one is taken, once, in its order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from workflow_runtime.local.backend import open_backend
from workflow_runtime.local_runtime import LocalRuntime

COUNTER = b"""
workflow:
  id: counter
  type: state_machine
  initial_state: counting
  final_states: [done]
  variables: {count: 0, last: -1, disorder: 0}
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
