"""The deployed shape of the runtime, once, as data: queues, functions, what feeds and what may touch what.

CDK, the local runner, the docs and the tests are renderings of it. A function's handler string is what Lambda gets.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

TableCall: TypeAlias = Literal[
    "get", "put", "update", "change", "put_all", "transact", "delete", "delete_all", "query", "query_index"
]
"""A method of `ports.Table`."""
BlobCall: TypeAlias = Literal["get", "put", "renew"]
"""A method of `ports.Blobs`; ``renew`` goes with its ``list``."""

ScheduleCall: TypeAlias = Literal["put", "create", "delete"]
"""A method of `ports.Schedules`."""

FUNCTION_TIMEOUT_TO_VISIBILITY = 6  # AWS: a queue's visibility timeout is at least six times its function's timeout


class Queue(msgspec.Struct, frozen=True):
    """An SQS queue. ``dead_letters``: the queue that takes a message received more than ``receives_max`` times."""

    name: str
    visibility_seconds: int
    fifo: bool = False
    dead_letters: str | None = None
    receives_max: int = 0
    retention_seconds: int = 14 * 24 * 3600


class EventSource(msgspec.Struct, frozen=True):
    """A queue feeding a function. ``concurrency_max``: batches at once (0: no limit of ours; AWS: at least 2).
    ``hides``: the function decides for some messages when they are seen again.
    """

    queue: str
    batch_size: int
    concurrency_max: int = 0
    hides: bool = False


class Rule(msgspec.Struct, frozen=True):
    """A rule on the runtime's own bus: events that match ``pattern`` go to ``queue``."""

    name: str
    pattern: dict[str, list[object]]
    queue: str


class Tick(msgspec.Struct, frozen=True):
    """A schedule of the runtime itself: every ``minutes`` an empty message goes to ``queue``."""

    name: str
    minutes: int
    queue: str

    @property
    def schedule_name(self) -> str:
        return f"tick-{self.name}"

    @property
    def expression(self) -> str:
        """As EventBridge Scheduler writes it."""
        return f"rate({self.minutes} minute{'s' if self.minutes != 1 else ''})"


class Function(msgspec.Struct, frozen=True):
    """A Lambda. ``pool``: the worker pool it serves, for `run_node`, or `EXPRESS_POOL`. ``sends``: the queues it may
    send to. ``http``: it answers the HTTP API. ``table``, ``blobs``, ``schedules``: what it calls of these ports;
    schedules send to the queue `TIMERS` or `EVENTS`. ``limits``: what it calls of the table for items of limiters,
    which ``table`` is not for. ``secrets``: it reads the deployment's secrets. ``open_routes``: routes of the HTTP API
    whose requests prove themselves, so that no authorizer does. ``lists``: it reads lists of executions, which are an
    index of their own. ``invokes``: functions that it calls and waits for. ``snap_start``: somebody waits while it
    starts.
    """

    name: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    sources: tuple[EventSource, ...]
    sends: tuple[str, ...] = ()
    publishes: bool = False
    pool: str | None = None
    http: bool = False
    schedules: tuple[ScheduleCall, ...] = ()
    table: tuple[TableCall, ...] = ()
    limits: tuple[TableCall, ...] = ()
    blobs: tuple[BlobCall, ...] = ()
    secrets: bool = False
    open_routes: tuple[str, ...] = ()
    lists: bool = False
    invokes: tuple[str, ...] = ()
    snap_start: bool = False


class Topology(msgspec.Struct, frozen=True, dict=True):
    queues: tuple[Queue, ...]
    functions: tuple[Function, ...]
    rules: tuple[Rule, ...] = ()
    ticks: tuple[Tick, ...] = ()

    @property
    def pools(self) -> tuple[str, ...]:
        """Those that nodes may choose."""
        return tuple(function.pool for function in self.functions if function.pool not in (None, EXPRESS_POOL))

    @property
    def is_express(self) -> bool:
        """Whether express workflows can run."""
        return any(function.pool == EXPRESS_POOL for function in self.functions)

    def queue(self, name: str) -> Queue:
        return next(queue for queue in self.queues if queue.name == name)

    def function(self, name: str) -> Function:
        return next(function for function in self.functions if function.name == name)


DISPATCH = "dispatch.fifo"
EVENTS = "events"
TIMERS = "timers"
SWEEP = "sweep"
LIMITS = "limits"
DEAD_LETTERS = "dead-letters"
DEAD_LETTERS_FIFO = "dead-letters.fifo"
POOLS = ("agent", "tool")
SPARE_POOL = "tool"
EXPRESS_POOL = "express"  # as workflows say; a deployment has it when it names it

API_TIMEOUT_SECONDS = 29  # API Gateway gives up after 30
DISPATCH_TIMEOUT_SECONDS = 15  # short: a stuck batch is retried soon
NODE_TIMEOUT_SECONDS = 900  # Lambda's longest
EXPRESS_FUNCTION = "run_express"
EXPRESS_TIMEOUT_SECONDS = 90  # an execution may take 60, and then has to end and to be recorded
PLUMBING_TIMEOUT_SECONDS = 30  # of the functions that only route: events, timers, dead letters, sweep
PLUMBING_VISIBILITY_SECONDS = PLUMBING_TIMEOUT_SECONDS * FUNCTION_TIMEOUT_TO_VISIBILITY
PLUMBING_RECEIVES_MAX = 20
CUSTOM_SOURCE = "workflow-runtime.author"  # of the events that workflows publish
LIFECYCLE_SOURCE = "workflow-runtime"  # of the runtime's own lifecycle events, which never come back in
NODE_RECEIVES_MAX = 5  # AWS advises at least 5; a claim absorbs the repeats


def node_queue(pool: str) -> str:
    """The queue of a worker pool."""
    return f"node-{pool}"


EXPRESS = node_queue(EXPRESS_POOL)


def serving_queue(pool: str, pools: Collection[str] = POOLS) -> str:
    """The queue of a worker pool; the tool pool's, if there is no such pool: on one machine, or when it was removed."""
    return node_queue(pool if pool in pools else SPARE_POOL)


def with_pools(topology: Topology, names: Sequence[str]) -> Topology:
    """``topology`` with further worker pools, each a queue and a function like those of the tool pool, and fed by the
    same functions. `EXPRESS_POOL` is one of its own kind, see `with_express`.
    """
    if EXPRESS_POOL in names:
        topology = with_express(topology)
    names = [name for name in names if name not in topology.pools and name != EXPRESS_POOL]
    model = node_queue(SPARE_POOL)
    (worker,) = (function for function in topology.functions if function.pool == SPARE_POOL)
    added = tuple(map(node_queue, names))

    def feeding(function: Function) -> Function:
        sends = model in function.sends and function.pool is None
        return replace(function, sends=(*function.sends, *added)) if sends else function

    return replace(
        topology,
        queues=(*topology.queues, *(replace(topology.queue(model), name=queue) for queue in added)),
        functions=(*map(feeding, topology.functions), *(_serving(worker, name) for name in names)),
    )


def _serving(worker: Function, pool: str) -> Function:
    """A worker like this one, for another pool."""
    renamed = {node_queue(SPARE_POOL): node_queue(pool)}
    return replace(
        worker,
        name=f"run_node_{pool}",
        pool=pool,
        sources=tuple(replace(source, queue=renamed.get(source.queue, source.queue)) for source in worker.sources),
        sends=tuple(renamed.get(queue, queue) for queue in worker.sends),
    )


TOPOLOGY = Topology(
    queues=(
        Queue(
            DISPATCH,
            visibility_seconds=DISPATCH_TIMEOUT_SECONDS * FUNCTION_TIMEOUT_TO_VISIBILITY,
            fifo=True,
            dead_letters=DEAD_LETTERS_FIFO,
            receives_max=100,
        ),
        *(
            Queue(
                node_queue(pool),
                visibility_seconds=NODE_TIMEOUT_SECONDS * FUNCTION_TIMEOUT_TO_VISIBILITY,
                dead_letters=DEAD_LETTERS,
                receives_max=NODE_RECEIVES_MAX,
            )
            for pool in POOLS
        ),
        *(
            Queue(
                name,
                visibility_seconds=PLUMBING_VISIBILITY_SECONDS,
                dead_letters=DEAD_LETTERS,
                receives_max=PLUMBING_RECEIVES_MAX,
            )
            for name in (EVENTS, TIMERS, SWEEP, LIMITS)
        ),
        Queue(DEAD_LETTERS, visibility_seconds=PLUMBING_VISIBILITY_SECONDS),
        Queue(DEAD_LETTERS_FIFO, visibility_seconds=PLUMBING_VISIBILITY_SECONDS, fifo=True),
    ),
    functions=(
        Function(
            "api",
            "workflow_runtime.handlers.api.handler",
            timeout_seconds=API_TIMEOUT_SECONDS,
            memory_mb=1024,
            sources=(),
            sends=(DISPATCH, TIMERS, LIMITS),
            http=True,
            schedules=("put", "delete"),
            table=("get", "put", "update", "change", "put_all", "delete_all", "query", "query_index"),
            limits=("get", "change", "query"),
            lists=True,
            blobs=("get", "put"),
            secrets=True,
            open_routes=(
                *(f"{method} /hooks/{{workflow}}/{{endpoint+}}" for method in ("POST", "PUT", "GET")),
                "POST /tasks/{action}",
                "GET /.well-known/oauth-protected-resource",
                "GET /.well-known/oauth-protected-resource/mcp",
            ),
            snap_start=True,
        ),
        Function(
            "dispatch",
            "workflow_runtime.handlers.dispatch.handler",
            timeout_seconds=DISPATCH_TIMEOUT_SECONDS,
            memory_mb=1024,
            sources=(EventSource(DISPATCH, batch_size=10, hides=True),),
            sends=(DISPATCH, TIMERS, LIMITS, *(node_queue(pool) for pool in POOLS)),
            publishes=True,
            schedules=("create", "delete"),
            table=("get", "put", "update", "change", "put_all", "delete", "delete_all", "query"),
            limits=("get", "put", "change", "put_all", "delete_all", "query"),
            blobs=("get", "put"),
            snap_start=True,
        ),
        Function(
            "run_node_agent",
            "workflow_runtime.handlers.run_node.handler",
            timeout_seconds=NODE_TIMEOUT_SECONDS,
            memory_mb=1024,
            sources=(EventSource(node_queue("agent"), batch_size=1, concurrency_max=100, hides=True),),
            sends=(DISPATCH, LIMITS, node_queue("agent")),
            publishes=True,
            pool="agent",
            table=("get", "put", "update", "change", "transact", "query"),
            limits=("get", "put", "change", "put_all", "delete_all", "query"),
            blobs=("get", "put"),
            secrets=True,
        ),
        Function(
            "run_node_tool",
            "workflow_runtime.handlers.run_node.handler",
            timeout_seconds=NODE_TIMEOUT_SECONDS,
            memory_mb=512,
            sources=(EventSource(node_queue("tool"), batch_size=10, concurrency_max=100, hides=True),),
            sends=(DISPATCH, LIMITS, node_queue("tool")),
            publishes=True,
            pool="tool",
            table=("get", "put", "update", "change", "transact", "query"),
            limits=("get", "put", "change", "put_all", "delete_all", "query"),
            blobs=("get", "put"),
            secrets=True,
        ),
        Function(
            "ingest_event",
            "workflow_runtime.handlers.ingest_event.handler",
            timeout_seconds=PLUMBING_TIMEOUT_SECONDS,
            memory_mb=512,
            sources=(EventSource(EVENTS, batch_size=10, concurrency_max=50),),
            sends=(DISPATCH,),
            table=("get", "put", "query"),
            blobs=("put",),
        ),
        Function(
            "deliver_timer",
            "workflow_runtime.handlers.deliver_timer.handler",
            timeout_seconds=PLUMBING_TIMEOUT_SECONDS,
            memory_mb=256,
            sources=(EventSource(TIMERS, batch_size=10, concurrency_max=50),),
            sends=(DISPATCH, TIMERS),
            table=("put",),
            blobs=("put",),
        ),
        Function(
            "limit_pump",
            "workflow_runtime.handlers.limit_pump.handler",
            timeout_seconds=PLUMBING_TIMEOUT_SECONDS,
            memory_mb=256,
            sources=(EventSource(LIMITS, batch_size=1, concurrency_max=50, hides=True),),
            sends=(DISPATCH, LIMITS, *(node_queue(pool) for pool in POOLS)),
            table=("get",),
            limits=("get", "change", "delete_all", "query"),
            blobs=("get",),
        ),
        Function(
            "dead_letter",
            "workflow_runtime.handlers.dead_letter.handler",
            timeout_seconds=PLUMBING_TIMEOUT_SECONDS,
            memory_mb=256,
            sources=(EventSource(DEAD_LETTERS, batch_size=10), EventSource(DEAD_LETTERS_FIFO, batch_size=10)),
            sends=(DISPATCH, TIMERS),
            table=("get", "put"),
            blobs=("get", "put"),
        ),
        Function(
            "sweep",
            "workflow_runtime.handlers.sweep.handler",
            timeout_seconds=PLUMBING_TIMEOUT_SECONDS,
            memory_mb=512,
            sources=(EventSource(SWEEP, batch_size=1),),
            sends=(DISPATCH, SWEEP, LIMITS, *(node_queue(pool) for pool in POOLS)),
            table=("get", "update", "change", "delete", "delete_all", "query", "query_index"),
            limits=("get", "change"),
            blobs=("get", "renew"),
        ),
    ),
    rules=(Rule("ingest", {"source": [{"anything-but": LIFECYCLE_SOURCE}]}, EVENTS),),
    ticks=(Tick("sweep", 1, SWEEP),),
)


def with_express(topology: Topology) -> Topology:
    """``topology`` where express workflows can run: in a function of their own, which the API invokes and waits for;
    starts that nobody waits for, or that had to wait themselves, come by its queue.
    """
    if topology.is_express:
        return topology
    queue = Queue(
        EXPRESS,
        visibility_seconds=EXPRESS_TIMEOUT_SECONDS * FUNCTION_TIMEOUT_TO_VISIBILITY,
        dead_letters=DEAD_LETTERS,
        receives_max=NODE_RECEIVES_MAX,
    )
    runs = Function(
        EXPRESS_FUNCTION,
        "workflow_runtime.handlers.run_express.handler",
        timeout_seconds=EXPRESS_TIMEOUT_SECONDS,
        memory_mb=1024,
        sources=(EventSource(EXPRESS, batch_size=1, concurrency_max=100),),
        sends=(DISPATCH, LIMITS),
        publishes=True,
        pool=EXPRESS_POOL,
        table=("get", "put", "update", "change", "put_all", "transact", "delete", "delete_all", "query"),
        limits=("get", "put", "change", "put_all", "delete_all", "query"),
        blobs=("get", "put"),
        secrets=True,
        snap_start=True,
    )

    def feeding(function: Function) -> Function:
        if function.http:
            return replace(function, invokes=(EXPRESS_FUNCTION,))
        starts = any(source.queue == DISPATCH for source in function.sources)
        return replace(function, sends=(*function.sends, EXPRESS)) if starts else function

    return replace(topology, queues=(*topology.queues, queue), functions=(*map(feeding, topology.functions), runs))


WHOLE_TOPOLOGY = with_express(TOPOLOGY)
"""With all that a deployment may have: what one machine has."""
INVOCATION_FUNCTIONS = ("dispatch", "run_node_agent", "run_node_tool", "deliver_timer", EXPRESS_FUNCTION)
INVOCATION_TOPOLOGY = Topology(
    queues=tuple(queue for queue in WHOLE_TOPOLOGY.queues if queue.name not in (EVENTS, SWEEP, LIMITS)),
    functions=tuple(function for function in WHOLE_TOPOLOGY.functions if function.name in INVOCATION_FUNCTIONS),
)
"""What runs inside one invocation of `EXPRESS_FUNCTION`, on memory; express executions that one awaits, too."""
