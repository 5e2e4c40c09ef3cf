"""The ports on AWS, put together from settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.config import Config

from workflow_runtime.backends.aws.blobs import S3Blobs
from workflow_runtime.backends.aws.bus import EventBridgeBus
from workflow_runtime.backends.aws.files import S3Files
from workflow_runtime.backends.aws.outlets import AwsOutlets
from workflow_runtime.backends.aws.queues import SqsQueues
from workflow_runtime.backends.aws.schedules import EventBridgeSchedules
from workflow_runtime.backends.aws.sessions import create_session
from workflow_runtime.backends.aws.table import DynamoDbTable
from workflow_runtime.backends.aws.tracing import Trace, no_trace
from workflow_runtime.backends.clock import RealClock
from workflow_runtime.deployment.settings import Settings
from workflow_runtime.deployment.topology import TOPOLOGY, Topology
from workflow_runtime.ports import Clock, Ports, in_turn

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sqs import SQSClient

# Short, so that a lost connection costs a dispatcher (15 s in all) little; all calls here answer well within a second.
CONNECT_SECONDS_MAX = 2
READ_SECONDS_MAX = 5
SDK_ATTEMPTS_MAX = 3
CONNECTIONS_MAX = 32  # threads that a worker's event loop offloads calls to
TOGETHER_MAX = 16  # calls that a dispatcher makes at once: more would only wait for its share of a processor

CLIENT_CONFIG = Config(
    connect_timeout=CONNECT_SECONDS_MAX,
    read_timeout=READ_SECONDS_MAX,
    retries={"mode": "standard", "total_max_attempts": SDK_ATTEMPTS_MAX},
    tcp_keepalive=True,
    max_pool_connections=CONNECTIONS_MAX,
)


class Clients(msgspec.Struct, frozen=True):
    """The clients that the ports need; they are safe to share between threads. ``scheduler`` is made when it is
    first called for: few invocations put a schedule, and a client costs a cold start some milliseconds.
    """

    dynamodb: DynamoDBClient
    s3: S3Client
    sqs: SQSClient
    events: EventBridgeClient
    scheduler: Callable[[], EventBridgeSchedulerClient]


def create_clients(session: Session | None = None) -> Clients:
    """Clients of the environment's region and credentials, or of ``session``."""
    made_by = session or create_session()

    def client(service: str) -> Any:  # botocore types none of its clients; `Clients` does
        return made_by.create_client(service, config=CLIENT_CONFIG)

    return Clients(
        dynamodb=client("dynamodb"),
        s3=client("s3"),
        sqs=client("sqs"),
        events=client("events"),
        scheduler=_made_once(lambda: client("scheduler")),
    )


def _made_once(make: Callable[[], EventBridgeSchedulerClient]) -> Callable[[], EventBridgeSchedulerClient]:
    """By the first of any number of threads: a session is not safe to share between them, unlike its clients."""
    lock, made = Lock(), cache(make)

    def client() -> EventBridgeSchedulerClient:
        with lock:
            return made()

    return client


@cache
def _threads() -> ThreadPoolExecutor:
    """Made when first needed: few commits order much at once."""
    return ThreadPoolExecutor(TOGETHER_MAX, thread_name_prefix="together")


def in_threads(calls: Sequence[Callable[[], None]]) -> None:
    """See `ports.Together`. The calls see the caller's context variables.

    They may make calls together themselves, in the same threads. A caller makes those itself that no thread has begun,
    so it waits for calls under way alone, of which the innermost wait for nobody: it cannot come to a standstill.
    """
    if len(calls) < 2:
        in_turn(calls)
        return
    futures = [_threads().submit(copy_context().run, call) for call in calls]
    failures: dict[int, BaseException] = {}
    for place in reversed(range(len(calls))):
        if futures[place].cancel():
            try:
                calls[place]()
            except Exception as error:
                failures[place] = error
    for place, future in enumerate(futures):
        if not future.cancelled() and (raised := future.exception()) is not None:
            failures[place] = raised
    if failures:
        raise failures[min(failures)]


def build_ports(
    settings: Settings,
    clients: Clients | None = None,
    clock: Clock | None = None,
    topology: Topology = TOPOLOGY,
    trace: Trace = no_trace,
) -> Ports:
    """The ports of a deployed function; what they send carries ``trace``. Costs no AWS call; creating the clients takes
    about 50 ms, so build once.
    """
    clients, clock = clients or create_clients(), clock or RealClock()
    return Ports(
        table=DynamoDbTable(clients.dynamodb, settings.table_name),
        blobs=S3Blobs(clients.s3, settings.bucket_name),
        queues=SqsQueues(clients.sqs, settings.queue_urls, topology, trace=trace),
        bus=EventBridgeBus(clients.events, settings.bus_name, trace=trace),
        schedules=EventBridgeSchedules(
            clients.scheduler, settings.schedule_group, settings.schedule_role_arn, settings.queue_arns, clock
        ),
        files=S3Files(clients.s3, settings.item_files),
        outlets=AwsOutlets(clients.sqs, clients.events, settings.queue_urls.values(), settings.bus_name),
        clock=clock,
        offload=asyncio.to_thread,
        together=in_threads,
    )
