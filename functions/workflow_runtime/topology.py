"""The deployed shape of the runtime, once, as data: queues, functions, what feeds and what may touch what.

CDK, the local runner, the docs and the tests are renderings of it. A function's handler string is what Lambda gets.
"""

from __future__ import annotations

import msgspec

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
    """A queue feeding a function. ``concurrency_max``: batches at once (0: no limit of ours; AWS: at least 2)."""

    queue: str
    batch_size: int
    concurrency_max: int = 0


class Function(msgspec.Struct, frozen=True):
    """A Lambda. ``pool``: the worker pool it serves, for `run_node`. ``sends``: the queues it may send to. ``http``: it
    answers
    the HTTP API."""

    name: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    sources: tuple[EventSource, ...]
    sends: tuple[str, ...] = ()
    publishes: bool = False
    pool: str | None = None
    http: bool = False


class Topology(msgspec.Struct, frozen=True, dict=True):
    queues: tuple[Queue, ...]
    functions: tuple[Function, ...]

    def queue(self, name: str) -> Queue:
        return next(queue for queue in self.queues if queue.name == name)

    def function(self, name: str) -> Function:
        return next(function for function in self.functions if function.name == name)


DISPATCH = "dispatch.fifo"
DEAD_LETTERS = "dead-letters"
DEAD_LETTERS_FIFO = "dead-letters.fifo"
POOLS = ("agent", "tool")

API_TIMEOUT_SECONDS = 29  # API Gateway gives up after 30
DISPATCH_TIMEOUT_SECONDS = 15  # short: a stuck batch is retried soon
NODE_TIMEOUT_SECONDS = 900  # Lambda's longest
NODE_RECEIVES_MAX = 5  # AWS advises at least 5; a claim absorbs the repeats


def node_queue(pool: str) -> str:
    """The queue of a worker pool."""
    return f"node-{pool}"


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
        Queue(DEAD_LETTERS, visibility_seconds=180),
        Queue(DEAD_LETTERS_FIFO, visibility_seconds=180, fifo=True),
    ),
    functions=(
        Function(
            "api",
            "handlers.api.handler",
            timeout_seconds=API_TIMEOUT_SECONDS,
            memory_mb=1024,
            sources=(),
            sends=(DISPATCH,),
            http=True,
        ),
        Function(
            "dispatch",
            "handlers.dispatch.handler",
            timeout_seconds=DISPATCH_TIMEOUT_SECONDS,
            memory_mb=1024,
            sources=(EventSource(DISPATCH, batch_size=10),),
            sends=(DISPATCH, *(node_queue(pool) for pool in POOLS)),
            publishes=True,
        ),
        Function(
            "run_node_agent",
            "handlers.run_node.handler",
            timeout_seconds=NODE_TIMEOUT_SECONDS,
            memory_mb=1024,
            sources=(EventSource(node_queue("agent"), batch_size=1, concurrency_max=100),),
            sends=(DISPATCH, node_queue("agent")),
            pool="agent",
        ),
        Function(
            "run_node_tool",
            "handlers.run_node.handler",
            timeout_seconds=NODE_TIMEOUT_SECONDS,
            memory_mb=512,
            sources=(EventSource(node_queue("tool"), batch_size=10, concurrency_max=100),),
            sends=(DISPATCH, node_queue("tool")),
            publishes=True,
            pool="tool",
        ),
    ),
)
