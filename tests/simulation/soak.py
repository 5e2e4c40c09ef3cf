"""Long-lived executions for a very long virtual time: nothing piles up, nothing drifts, nothing is lost.

    python tests/simulation/soak.py [--hours 10000] [--executions 20]

Each execution is a chart with a timer every hour, which leads to a node, and an event from outside every day. At last
every timer fired once, every event was taken once, states are as small as at the start, and no queue holds anything.
Prints one JSON document; a promise that is broken is an exception.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT)]

from workflow_runtime.backends.embedded.backend import open_backend  # noqa: E402
from workflow_runtime.backends.embedded.clock import VirtualClock  # noqa: E402
from workflow_runtime.engine.codec import encode_state  # noqa: E402
from workflow_runtime.runtime.in_process import LocalRuntime  # noqa: E402

START = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_HOURS = 24
GROWTH_BYTES_MAX = 200  # of a state: longer numbers, no more entries
WORKFLOW = b"""
workflow:
  id: soak
  type: state_machine
  initial_state: resting
  final_states: [over]
  variables: {hours: 0, events: 0, worked: 0}
  states:
    - name: resting
      after:
        - {delay: 1h, target: working, actions: [{set_variable: {name: hours, value: "${hours + 1}"}}]}
      transitions:
        - {event: ping, actions: [{set_variable: {name: events, value: "${events + 1}"}}]}
        - {event: stop, target: over}
    - name: working
      run: [{id: a, type: tool, tool: echo, inputs: {x: "${hours}"}}]
      on_done: {target: resting, actions: [{set_variable: {name: worked, value: "${event.data.x}"}}]}
      transitions:
        - {event: ping, actions: [{set_variable: {name: events, value: "${events + 1}"}}]}
    - {name: over, type: final}
"""


class Soak:
    def __init__(self, executions: int) -> None:
        self.clock = VirtualClock(START)
        self.runtime = LocalRuntime(open_backend(None, self.clock), environ={})
        self.services = self.runtime.services
        self.services.catalog.publish(WORKFLOW)
        self.ids = [self.services.starter.start("soak", {}) for _ in range(executions)]
        self.sent = 0
        self.first_bytes = 0  # of a state, after the first day

    async def run(self, hours: int) -> None:
        """Day by day: an event for each, then the day's timers."""
        for begun in range(0, hours, DAY_HOURS):
            for id in self.ids:
                self.services.signalling.send(id, "ping", key=f"ping-{begun}")
                self.services.signalling.send(id, "ping", key=f"ping-{begun}")  # a repeat, which counts for nothing
            self.sent += 1
            until = START + min(begun + DAY_HOURS, hours) * HOUR_MS + HOUR_MS // 2
            await self.runtime.pump.run(lambda: False, moments=[(until, lambda: None)])
            self.first_bytes = self.first_bytes or max(map(self.state_bytes, self.ids))

    async def stop(self) -> None:
        for id in self.ids:
            self.services.signalling.send(id, "stop")
        await self.runtime.pump.run(self.all_ended)

    def all_ended(self) -> bool:
        return all(self.services.documents.status(id).terminal for id in self.ids)

    def state_bytes(self, id: str) -> int:
        stored = self.services.stores.executions.load(id)
        assert stored is not None
        return len(encode_state(stored.state))

    def check(self, hours: int) -> None:
        for id in self.ids:
            document = self.services.documents.document(id)
            expected = {"hours": hours, "events": self.sent, "worked": hours}
            assert document["variables"] == expected, f"{id}: {document['variables']}, not {expected}"
            assert document["status"] == "completed"
            assert self.services.stores.dead_letters.documents(id) == []
        assert self.runtime.backend.poller.next_visible_at() is None, "a queue is not empty"


async def soak(hours: int, executions: int) -> dict[str, Any]:
    begun = time.perf_counter()
    world = Soak(executions)
    await world.run(hours)
    grown = max(map(world.state_bytes, world.ids)) - world.first_bytes
    assert grown <= GROWTH_BYTES_MAX, f"a state has grown by {grown} bytes"
    await world.stop()
    world.check(hours)
    return {
        "virtual_hours": hours,
        "executions": executions,
        "timers": hours * executions,
        "events": world.sent * executions,
        "repeats": world.sent * executions,
        "grown_bytes": grown,
        "seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=10_000)
    parser.add_argument("--executions", type=int, default=20)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(json.dumps(asyncio.run(soak(arguments.hours, arguments.executions)), indent=2))


if __name__ == "__main__":
    main()
