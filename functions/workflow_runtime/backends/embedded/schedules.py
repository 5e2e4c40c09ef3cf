"""`ports.Schedules` and `ports.ScheduleRunner` embedded: schedules in SQLite, fired into the embedded queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.backends.limits import check_schedule, scheduled_body
from workflow_runtime.deployment.topology import Topology
from workflow_runtime.language.schedules import next_time
from workflow_runtime.ports import MINUTE_MS, Clock, Message, Queues, Schedule

_PUT = "INSERT OR REPLACE INTO schedules VALUES (?, ?, ?, ?, ?, ?, ?)"
_CREATE = "INSERT OR IGNORE INTO schedules VALUES (?, ?, ?, ?, ?, ?, ?)"
_DUE = """
SELECT name, queue, body, expression, timezone, next_at FROM schedules WHERE next_at <= ? ORDER BY next_at, name
"""
_DELETE = "DELETE FROM schedules WHERE name = ?"
_DELETE_FIRED = "DELETE FROM schedules WHERE name = ? AND next_at = ?"
_MOVE = "UPDATE schedules SET next_at = ? WHERE name = ? AND next_at = ?"
_NEXT = "SELECT min(next_at) FROM schedules WHERE kind IN ({})"


ONCE, RECURRING, TICK = "once", "recurring", "tick"


class EmbeddedSchedules:
    """See `ports.Schedules` and `ports.ScheduleRunner`.

    A message is sent before its schedule moves on: a crash in between fires twice, as EventBridge Scheduler may too.
    Occurrences of a recurring schedule that were missed, because nothing ran or virtual time jumped, fire once.
    ``on_change`` is called with the queue's name when a schedule was put; ``on_tick`` before a tick is sent.
    """

    def __init__(self, database: Database, clock: Clock, topology: Topology, queues: Queues) -> None:
        self._database = database
        self._clock = clock
        self._queues = queues
        self.on_change: Callable[[str], None] = _nothing
        self.on_tick: Callable[[], None] = lambda: None
        self._names = {queue.name for queue in topology.queues}
        self._ticks = {tick.schedule_name for tick in topology.ticks}
        for tick in topology.ticks:
            self.put(Schedule(tick.schedule_name, tick.queue, "{}", expression=tick.expression))

    def put(self, schedule: Schedule) -> None:
        self._write(_PUT, schedule)

    def create(self, schedule: Schedule) -> None:
        self._write(_CREATE, schedule)

    def _write(self, statement: str, schedule: Schedule) -> None:
        check_schedule(schedule, self._names)
        if schedule.expression:
            next_at = next_time(schedule.expression, schedule.timezone, self._clock.now())
        else:
            next_at = schedule.at - schedule.at % MINUTE_MS
        with self._database.lock:
            if next_at is None:
                self._database.write(_DELETE, (schedule.name,))
                return
            kind = TICK if schedule.name in self._ticks else RECURRING if schedule.expression else ONCE
            row = (schedule.name, kind, schedule.queue, schedule.body, schedule.expression, schedule.timezone, next_at)
            self._database.write(statement, row)
        self.on_change(schedule.queue)

    def delete(self, names: Sequence[str]) -> None:
        if names:
            with self._database.lock:
                self._database.write_all((_DELETE, [(name,) for name in names]))

    def next_at(self, *, recurring: bool = True, ticks: bool = True) -> int | None:
        kinds = [ONCE, *([RECURRING] if recurring else []), *([TICK] if recurring and ticks else [])]
        with self._database.lock:
            time: int | None = self._database.read_one(_NEXT.format(",".join("?" * len(kinds))), kinds)[0]
        return time

    def fire(self) -> None:
        now = self._clock.now()
        with self._database.lock:
            due = self._database.read(_DUE, (now,))
        for name, queue, body, expression, timezone, at in due:
            if name in self._ticks:
                self.on_tick()
            self._queues.send(queue, [Message(scheduled_body(body, at))])
            following = self._following(expression, timezone, at, now) if expression else None
            with self._database.lock:
                if following is None:
                    self._database.write(_DELETE_FIRED, (name, at))
                else:
                    self._database.write(_MOVE, (following, name, at))

    def _following(self, expression: str, timezone: str, at: int, now: int) -> int | None:
        following = next_time(expression, timezone, at)
        return following if following is None or following > now else next_time(expression, timezone, now)


def _nothing(queue: str) -> None:
    """Nobody waits for schedules."""
