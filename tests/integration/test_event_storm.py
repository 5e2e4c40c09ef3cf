"""A storm of events on the bus: whoever they are for gets all of them, each once (promise P6)."""

from __future__ import annotations

import asyncio
import json

import pytest

from workflow_runtime.local.backend import open_backend
from workflow_runtime.local.clock import VirtualClock
from workflow_runtime.local_runtime import LocalRuntime
from workflow_runtime.ports import BusEvent

EVENTS = 1000
COUNTER = """
workflow:
  id: 计数
  type: state_machine
  variables: {n: 0}
  triggers:
    - type: event
      topic: tick
      event: tick
      correlate: "${detail.k}"
      with: "${k}"
      start_if_none: true
      input: {k: "${detail.k}"}
  initial_state: counting
  states:
    - name: counting
      transitions: [{event: tick, actions: [{set_variable: {name: n, value: "${n + 1}"}}]}]
"""


@pytest.mark.parametrize("executions", [1, 100])
def test_a_thousand_events_reach_the_executions_that_they_start_and_are_for(executions: int) -> None:
    with LocalRuntime(open_backend(None, VirtualClock(1_700_000_000_000))) as runtime:
        runtime.services.catalog.publish(COUNTER.encode())
        details = [json.dumps({"k": f"键-{number % executions}"}) for number in range(EVENTS)]
        runtime.backend.ports.bus.publish([BusEvent("s", "tick", detail) for detail in details])
        asyncio.run(runtime.pump.run(lambda: False))
        store = runtime.services.dispatcher._executions
        headers = store.list("计数", "running", EVENTS)
        assert len(headers) == executions
        for header in headers:
            stored = store.load(header.execution_id)
            assert stored is not None
            assert stored.state.machine is not None
            assert stored.state.machine.variables["n"] == EVENTS // executions
