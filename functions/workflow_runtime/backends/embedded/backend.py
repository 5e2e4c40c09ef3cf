"""Opens the embedded backend: one database, every port on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from workflow_runtime.backends.embedded.blobs import EmbeddedBlobs
from workflow_runtime.backends.embedded.bus import EmbeddedBus
from workflow_runtime.backends.embedded.clock import RealClock
from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.backends.embedded.others import EmbeddedOutlets, OtherTables
from workflow_runtime.backends.embedded.queues import EmbeddedQueues, QueueDepth
from workflow_runtime.backends.embedded.schedules import EmbeddedSchedules
from workflow_runtime.backends.embedded.table import EmbeddedTable
from workflow_runtime.backends.folder_files import FolderFiles
from workflow_runtime.deployment.topology import WHOLE_TOPOLOGY, Topology
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import MINUTE_MS, BusMessage, Clock, Poller, Ports, QueueMessage, ScheduleRunner

GAP_MS = 5 * MINUTE_MS  # between ticks of every minute
STEADY_MS = 60 * MINUTE_MS  # by then the sweep has renewed what lives

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def run_at_once(
    function: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """`ports.Offload` embedded: a port call takes microseconds, less than handing it to a thread."""
    return function(*args, **kwargs)


class Expiry:
    """Deletes what has expired, as DynamoDB and S3 do by themselves; ``tick`` comes every minute.

    Nothing is deleted until ticks have come for a while without a gap: a file that nobody had open, or a machine that
    slept, may hold executions that live and were not renewed in time, which the sweep does first.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._since = self._last = clock.now()

    def tick(self) -> None:
        now = self._clock.now()
        if now - self._last > GAP_MS:
            self._since = now
        self._last = now
        if now - self._since >= STEADY_MS:
            self._since = now
            self._database.expire(now // 1000)


class Backend:
    """An open embedded backend; `close` it, or use it as a context manager, to let the next process have the file.

    ``database``: what the ports stand on, for callers that look behind them.
    """

    def __init__(self, database: Database, clock: Clock, topology: Topology) -> None:
        self.database = database
        self._queues = EmbeddedQueues(database, clock, topology)
        self._schedules = EmbeddedSchedules(database, clock, topology, self._queues)
        if isinstance(clock, RealClock):  # virtual time jumps, and nothing that lives is renewed meanwhile
            self._schedules.on_tick = Expiry(database, clock).tick
        self.poller: Poller = self._queues
        self.scheduler: ScheduleRunner = self._schedules
        self.bus = EmbeddedBus(clock, database.database_id, database.boot)
        self.bus.follow_rules(self._queues, topology)
        self.outlets = EmbeddedOutlets(database, clock)
        self.ports = Ports(
            table=EmbeddedTable(database),
            blobs=EmbeddedBlobs(database, clock),
            queues=self._queues,
            bus=self.bus,
            schedules=self._schedules,
            files=FolderFiles(None),
            outlets=self.outlets,
            clock=clock,
            offload=run_at_once if database.is_in_memory else database.join,
            grouped=database.group,
            boot=f"boot-{database.boot}",
        )

    @property
    def on_send(self) -> Callable[[str], None]:
        """Called with a queue's name, in the caller's thread, when a message of it may have become receivable, or a
        schedule will send one.
        """
        return self._queues.on_change

    @on_send.setter
    def on_send(self, hook: Callable[[str], None]) -> None:
        self._queues.on_change = self._schedules.on_change = hook

    def bus_events(self) -> list[dict[str, Any]]:
        """The last events published, oldest first, as EventBridge delivers them."""
        return self.bus.recent()

    def items_of(self, table: str) -> list[dict[str, Json]]:
        """The items of another table, as tools have written them."""
        return OtherTables(self.database).items(table)

    def messages_to(self, queue: str) -> list[QueueMessage]:
        """What tools have sent to another queue, in order."""
        return self.outlets.messages(queue)

    def events_on(self, bus: str) -> list[BusMessage]:
        """What tools have published on another bus, in order."""
        return self.outlets.events(bus)

    def queue_depths(self) -> list[QueueDepth]:
        return self._queues.depths()

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_backend(path: Path | None = None, clock: Clock | None = None, topology: Topology = WHOLE_TOPOLOGY) -> Backend:
    """Open the database at ``path`` (created when missing; None: in memory).

    Messages that were in flight become visible at once, with their receive counts. Raises `database.DatabaseLocked` (a
    `RequestError`) while another process has the file open, and `RequestError` for a file of another version.
    """
    database = Database(path)
    try:
        return Backend(database, clock or RealClock(), topology)
    except BaseException:
        database.close()
        raise
