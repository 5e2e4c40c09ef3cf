"""Ten starts a second and a hundred thousand executions that stay open: a lost order is found within five minutes.

A tenth of everything: of the starts, of the executions, and of the speed; `SWEEP_SCALE=1` takes the whole.
"""

from __future__ import annotations

import os
from typing import Any

from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import DISPATCH, SWEEP, TOPOLOGY, node_queue
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.handlers import dispatch
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.upkeep.sweep import shard_in
from workflow_runtime.storage.due import SECONDS_MAX, SHARDS, Due
from workflow_runtime.storage.headers import header_item
from workflow_runtime.storage.records import Header

START = 1_700_000_000_000
SCALE = float(os.environ.get("SWEEP_SCALE", "0.1"))
OPEN = round(100_000 * SCALE)
STARTS_PER_SECOND = round(10 * SCALE)
CALL_MS = round(8 / SHARDS / SCALE)  # the shards are swept at the same time, here one after the other
FOUND_SECONDS_MAX = 300
WORK = b"workflow: {id: w, nodes: [{id: a, type: tool, tool: echo}]}"


class Timed:
    """A port whose calls take time."""

    def __init__(self, port: Any, clock: VirtualClock) -> None:
        self._port = port
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._clock.advance_to(self._clock.now() + CALL_MS)
            return method(*arguments, **named)

        return call


def running(execution_id: str, since: int) -> Header:
    return Header(
        execution_id=execution_id,
        workflow_id="w",
        workflow_version=1,
        plan_hash="p",
        status=ExecutionStatus.RUNNING,
        started_at=since,
    )


class City:
    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.backend = open_backend(None, self.clock)
        raw = self.backend.ports
        self.calm = Runtime(raw, dict, secrets=EnvironmentSecrets({}))
        timed = replace(raw, table=Timed(raw.table, self.clock), queues=Timed(raw.queues, self.clock))
        self.slow = Runtime(timed, dict, secrets=EnvironmentSecrets({}))
        self._made = 0

    def open(self, count: int, spread_seconds: int = 0) -> None:
        """Executions that stay open, begun now or looked after every hour by now, as evenly as it gets."""
        now = self.clock.now()
        long_ago = now - 10 * SECONDS_MAX * 1000
        headers = []
        for number in range(count):
            execution_id = f"ex-{self._made}"
            self._made += 1
            since = long_ago + number * spread_seconds * 1000 // count if spread_seconds else now
            headers.append(running(execution_id, since))
            self.calm.stores.due.put(Due.first(execution_id, since).next(now))
        self.backend.ports.table.put_all([header_item(header) for header in headers])

    def receive(self, queue: str) -> list[Any]:
        records = self.backend.poller.receive(queue, 10)
        self.backend.poller.delete(queue, [record.receipt_handle for record in records])
        return [record.event_record for record in records]

    def minute(self) -> None:
        """A tick, and what the shards then ask for, as far as the minute goes."""
        end = self.clock.now() + 60_000
        self.open(60 * STARTS_PER_SECOND)
        self.calm.sweep.request()
        while self.clock.now() < end and (records := self.receive(SWEEP)):
            for record in records:
                shard = shard_in(record["body"])
                assert shard is not None
                self.slow.sweep.sweep(shard)
        while self.receive(DISPATCH):
            pass
        self.clock.advance_to(max(end, self.clock.now()))

    def lose_an_order(self) -> None:
        self.calm.starter.start("w")
        function = TOPOLOGY.function("dispatch")
        dispatch.create(self.calm, function)({"Records": self.receive(DISPATCH)}, LocalContext(function))
        assert len(self.receive(node_queue("tool"))) == 1


def test_an_order_that_gets_lost_among_very_many_executions_is_found_within_five_minutes() -> None:
    city = City()
    city.calm.catalog.publish(WORK)
    city.open(OPEN, spread_seconds=SECONDS_MAX)
    for _ in range(3):
        city.minute()
    city.lose_an_order()
    lost_at = city.clock.now()
    while not city.receive(node_queue("tool")):
        city.minute()
        assert city.clock.now() - lost_at <= FOUND_SECONDS_MAX * 1000, "it is not found in time"
    city.backend.close()
