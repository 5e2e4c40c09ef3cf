"""The AWS backend on moto, in this process: for tests and `--backend moto`. Real time only; nothing outlives it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from botocore import UNSIGNED
from botocore.config import Config
from msgspec.structs import replace

from workflow_runtime.backends.aws.backend import Clients, build_ports, create_clients
from workflow_runtime.backends.aws.sessions import create_session
from workflow_runtime.backends.clock import RealClock
from workflow_runtime.backends.simulated_aws.others import OtherOutlets, OtherTables
from workflow_runtime.backends.simulated_aws.poller import SimulatedPoller
from workflow_runtime.backends.simulated_aws.provision import create_resources, queue_arn
from workflow_runtime.backends.simulated_aws.schedule_runner import SimulatedScheduleRunner
from workflow_runtime.deployment.settings import Settings
from workflow_runtime.deployment.topology import WHOLE_TOPOLOGY, Topology
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import (
    BATCH_MESSAGES_MAX,
    Bus,
    BusEvent,
    BusMessage,
    Clock,
    Message,
    Poller,
    QueueMessage,
    Queues,
    Refusal,
    Schedule,
    ScheduleRunner,
    Schedules,
    Table,
    in_turn,
)

if TYPE_CHECKING:
    from botocore.session import Session

REGION = "eu-central-1"
RECENT_EVENTS_MAX = 1000  # of `bus_events`

_EVENTS_QUEUE = "bus-events"
_RULE = "everything"
# Without one, moto puts an event together from eight JSONPaths, each of which it parses anew.
_WHOLE_EVENT = {"InputPathsMap": {"id": "$.id"}, "InputTemplate": "<aws.events.event.json>"}


class Backend:
    """An open simulated backend, with the attributes of the embedded one; it holds moto until `close`.

    ``clients``: boto3's, for what the ports do not offer.
    """

    def __init__(self, simulation: Any, clients: Clients, settings: Settings, clock: Clock, topology: Topology) -> None:
        self._simulation = simulation
        self.clients = clients
        self.settings = settings
        self.on_send: Callable[[str], None] = _nothing
        ports = build_ports(settings, clients, clock, topology)
        queues, schedules = _NoticedQueues(ports.queues, self), _NoticedSchedules(ports.schedules, self)
        bus = _NoticedBus(ports.bus, self, [rule.queue for rule in topology.rules])
        self._tables = OtherTables(ports.table, clients)
        self._outlets = OtherOutlets(ports.outlets, clients)
        self.ports = replace(
            ports,
            table=_OneCallAtATime(self._tables),
            queues=queues,
            bus=bus,
            schedules=schedules,
            outlets=self._outlets,
            together=in_turn,
        )
        polled = [source.queue for function in topology.functions for source in function.sources]
        self.poller: Poller = SimulatedPoller(settings.queue_arns, clock, polled)
        self.scheduler: ScheduleRunner = SimulatedScheduleRunner(
            clients.scheduler(),
            clients.sqs,
            settings.schedule_group,
            clock,
            [tick.schedule_name for tick in topology.ticks],
        )
        self._caught = SimulatedPoller({_EVENTS_QUEUE: _catch_events(clients, settings)}, clock)
        self._events: list[dict[str, Any]] = []

    def bus_events(self) -> list[dict[str, Any]]:
        """The last events published (at most `RECENT_EVENTS_MAX`), oldest first, as EventBridge delivers them."""
        while records := self._caught.receive(_EVENTS_QUEUE, BATCH_MESSAGES_MAX):
            for record in records:
                event = json.loads(str(record.event_record["body"]))
                del event["ingestion-time"]  # which moto adds
                self._events.append(event)
            self._caught.delete(_EVENTS_QUEUE, [record.receipt_handle for record in records])
        del self._events[:-RECENT_EVENTS_MAX]
        return list(self._events)

    def items_of(self, table: str) -> list[dict[str, Json]]:
        """The items of another table, as tools have written them."""
        return self._tables.items(table)

    def messages_to(self, queue: str) -> list[QueueMessage]:
        """What tools have sent to another queue, in order."""
        return [message for message in self._outlets.messages if message.queue == queue]

    def events_on(self, bus: str) -> list[BusMessage]:
        """What tools have published on another bus, in order."""
        return [event for event in self._outlets.events if event.bus == bus]

    def close(self) -> None:
        """Stop the simulation; doing it twice is fine."""
        simulation, self._simulation = self._simulation, None
        if simulation is not None:
            simulation.stop()

    def __enter__(self) -> Backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _OneCallAtATime:
    """A table whose calls are atomic, as those of DynamoDB are. moto reads, decides and writes without a lock: of two
    threads, both could find a condition met.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._lock = Lock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._table, name)

        def call(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                return method(*arguments, **named)

        return call


class _NoticedQueues:
    """Queues that tell the backend's hook what changed."""

    def __init__(self, queues: Queues, backend: Backend) -> None:
        self._queues = queues
        self._backend = backend

    def send(self, queue: str, messages: Sequence[Message]) -> list[Refusal]:
        refusals = self._queues.send(queue, messages)
        if len(refusals) < len(messages):
            self._backend.on_send(queue)
        return refusals

    def set_visibility(self, queue: str, seconds: Mapping[str, int]) -> None:
        self._queues.set_visibility(queue, seconds)
        self._backend.on_send(queue)


class _NoticedBus:
    """A bus that tells the backend's hook that its rules may have sent something."""

    def __init__(self, bus: Bus, backend: Backend, queues: Sequence[str]) -> None:
        self._bus = bus
        self._backend = backend
        self._queues = queues

    def publish(self, events: Sequence[BusEvent]) -> list[Refusal]:
        refusals = self._bus.publish(events)
        for queue in self._queues:
            self._backend.on_send(queue)
        return refusals


class _NoticedSchedules:
    """Schedules that tell the backend's hook that there is a new one."""

    def __init__(self, schedules: Schedules, backend: Backend) -> None:
        self._schedules = schedules
        self._backend = backend

    def put(self, schedule: Schedule) -> None:
        self._schedules.put(schedule)
        self._backend.on_send(schedule.queue)

    def create(self, schedule: Schedule) -> None:
        self._schedules.create(schedule)
        self._backend.on_send(schedule.queue)

    def delete(self, names: Sequence[str]) -> None:
        self._schedules.delete(names)


def open_backend(clock: Clock | None = None, topology: Topology = WHOLE_TOPOLOGY) -> Backend:
    """Start moto for this process and create the runtime's resources in it.

    Every AWS client created before `close` talks to moto, none to AWS; credentials are made up.
    """
    from moto import mock_aws  # only here: moto is an optional dependency and slow to import

    simulation = mock_aws()
    simulation.start()
    try:
        clients = create_clients(session())
        settings = create_resources(topology, clients)
        return Backend(simulation, clients, settings, clock or RealClock(), topology)
    except BaseException:
        simulation.stop()
        raise


@cache
def session() -> Session:
    """One for all openings: it keeps the parsed service models, which take longer than all the rest.

    Nobody checks signatures, but S3 wants to see one. Without the others, and without what botocore tells of itself, a
    call takes a quarter less time; moto reads the region from the user agent then.
    """
    session = create_session()
    session.register("choose-signer", _signature)
    session.set_default_client_config(Config(user_agent=f"simulated region/{REGION}"))
    session.set_credentials("simulated", "simulated")
    session.set_config_variable("region", REGION)
    return session


def _signature(**call: Any) -> Any:
    """For botocore's event `choose-signer`; None: what the service asks for."""
    return None if call["signing_name"] == "s3" else UNSIGNED


def _catch_events(clients: Clients, settings: Settings) -> str:
    """A queue that gets every event of the bus; returns its ARN."""
    arn = queue_arn(clients, clients.sqs.create_queue(QueueName=_EVENTS_QUEUE)["QueueUrl"])
    pattern = json.dumps({"source": [{"prefix": ""}]})
    clients.events.put_rule(Name=_RULE, EventBusName=settings.bus_name, EventPattern=pattern)
    target: Any = {"Id": _EVENTS_QUEUE, "Arn": arn, "InputTransformer": _WHOLE_EVENT}
    clients.events.put_targets(Rule=_RULE, EventBusName=settings.bus_name, Targets=[target])
    return arn


def _nothing(queue: str) -> None:
    """Nobody waits for messages."""
