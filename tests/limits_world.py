"""A runtime on a virtual clock, in which nodes take as long as a test says, and calls of ports are counted and fail."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.errors import RetryableError
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond, ModelRequest, Spent
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.plan.limiters import Budget
from workflow_runtime.ports import SqsRecord
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.storage import keys
from workflow_runtime.storage.limiters import LimiterName

START = 1_700_000_000_000
WRITES = ("put", "update", "change")


def _succeeds(_call: NodeCall) -> BaseException | None:
    return None


def _lasting(seconds: float) -> Callable[[NodeCall], float]:
    return lambda _call: seconds


class Asked:
    """A request of a model that a node makes: what it is estimated at, and what it uses. A token of input costs one
    micro-dollar, one of output two; ``price``: 0 if nobody knows that."""

    def __init__(self, most: tuple[int, int], used: tuple[int, int], price: int = 1, model: str = "m") -> None:
        self.request = ModelRequest(model, *most, lambda given, written: price * (given + 2 * written) or None)
        self.used = used

    @property
    def spent(self) -> Spent:
        return Spent(*self.used, self.request.price(*self.used))


class Begun:
    """A node run that has begun: when (ms since the start), of which execution, and the fences it was given."""

    def __init__(self, at: int, call: NodeCall) -> None:
        self.at = at
        self.path = call.path
        self.execution_id = call.execution_id
        self.fences = call.limit_fences


class Worker:
    """Runs every node in ``seconds``, and notes what goes on at once."""

    abandoned = 0

    def __init__(self, clock: VirtualClock, seconds: Callable[[NodeCall], float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self.begun: list[Begun] = []
        self.open = 0
        self.most = 0
        self.raises: Callable[[NodeCall], BaseException | None] = _succeeds
        self.asks: Sequence[Asked] = ()
        self.of_visit: Budget | None = None
        self.paid: list[tuple[int, NodeCall, Asked]] = []

    def limiters(self, _target: str) -> Sequence[str]:
        return ()

    def budget(self, _target: str) -> Budget | None:
        return self.of_visit

    def beyond(self, _target: str) -> Beyond:
        return NOTHING_BEYOND

    async def invoke(self, call: NodeCall) -> NodeResult:
        self.begun.append(Begun(self._clock.now() - START, call))
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            for asked in self.asks if call.gate is not None else ():
                assert call.gate is not None
                permit = await call.gate.reserve(asked.request)
                self.paid.append((self._clock.now() - START, call, asked))
                await self._clock.sleep(self._seconds(call))
                await call.gate.settle(permit, asked.spent)
            if call.gate is None or not self.asks:
                await self._clock.sleep(self._seconds(call))
            error = self.raises(call)
            if error is not None:
                raise error
            return NodeResult({"at": self._clock.now() - START})
        finally:
            self.open -= 1

    @property
    def starts(self) -> list[int]:
        return [one.at for one in self.begun]

    def most_in(self, milliseconds: int) -> int:
        """The most starts in any time of this length."""
        starts = sorted(self.starts)
        return max(sum(1 for other in starts if at <= other < at + milliseconds) for at in starts)


class Calls:
    """A port whose calls are counted, and fail once in a while: before they are carried out, or after."""

    def __init__(self, port: Any, name: str, world: LimitsWorld) -> None:
        self._port = port
        self._name = name
        self._world = world

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._port, name)
        if not callable(function):
            return function

        def call(*args: Any, **kwargs: Any) -> Any:
            world = self._world
            key = f"{self._name}.{name}"
            world.calls[key] += 1
            if self._name == "table" and name in ("put_all", "delete_all"):
                world.calls["writes"] += len(args[0])
            elif self._name == "table" and name in WRITES:
                world.calls["writes"] += 1
            if name == "query":
                world.calls[f"queried {args[0]}"] += 1
            if name == "send":
                world.calls[f"sent {args[0]}"] += len(args[1])
            if world.fails(key):
                if world.random.random() < 0.5:
                    raise RetryableError(f"{key} failed before")
                function(*args, **kwargs)
                raise RetryableError(f"{key} failed after")
            return function(*args, **kwargs)

        return call


class Invocations:
    """The receiving side of queues, on which batches that a function is invoked with are counted."""

    def __init__(self, poller: Any, calls: Counter[str]) -> None:
        self._poller = poller
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def receive(self, queue: str, maximum: int) -> list[SqsRecord]:
        records: list[SqsRecord] = self._poller.receive(queue, maximum)
        self._calls["invocations"] += bool(records)
        self._calls[f"invocations by {queue}"] += bool(records)
        return records


class LimitsWorld:
    """``seconds``: how long a node takes; ``failures``: of a thousand calls, from a seed."""

    def __init__(self, seconds: Callable[[NodeCall], float] | float = 1.0, *, failures: int = 0, seed: int = 0) -> None:
        self.clock = VirtualClock(START)
        self.random = random.Random(seed)
        self.failures = 0
        self.fails_this: Callable[[str], bool] = lambda _call: False
        self._is_calm = False
        self.calls: Counter[str] = Counter()
        lasting = seconds if callable(seconds) else _lasting(seconds)
        self.worker = Worker(self.clock, lasting)
        backend = open_backend(clock=self.clock)
        ports = backend.ports
        backend.ports = replace(
            ports, table=Calls(ports.table, "table", self), queues=Calls(ports.queues, "queues", self)
        )
        backend.poller = Invocations(backend.poller, self.calls)
        ids = random.Random(seed)  # so that the seed says everything
        self.runtime = LocalRuntime(
            backend, wrap=lambda _invoker: self.worker, new_id=lambda: f"{ids.getrandbits(128):032x}"
        )
        self.failures = failures

    @property
    def services(self) -> Any:
        return self.runtime.services

    @property
    def now(self) -> int:
        return self.clock.now() - START

    def fails(self, call: str) -> bool:
        if self._is_calm:
            return False
        return self.fails_this(call) or (bool(self.failures) and self.random.randrange(1000) < self.failures)

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Nothing fails that is asked from outside."""
        self._is_calm = True
        try:
            yield
        finally:
            self._is_calm = False

    def publish(self, *sources: str) -> None:
        with self.calm():
            for source in sources:
                self.services.catalog.publish(source.encode())

    def start(self, workflow: str, **input: Any) -> str:
        with self.calm():
            return str(self.services.starter.start(workflow, input))

    def play(self, *moments: tuple[int, Callable[[], object]]) -> None:
        """Let everything happen, and do something at these times (ms since the start), in order, until the last."""
        reached: list[int] = []

        def moment(at: int, action: Callable[[], object]) -> tuple[int, Callable[[], None]]:
            def act() -> None:
                action()
                reached.append(at)

            return START + at, act

        made = [moment(*one) for one in moments]
        asyncio.run(self.runtime.pump.run(lambda: len(reached) == len(made), moments=made))

    def run(self, execution: str) -> str:
        asyncio.run(self.runtime.pump.run(lambda: self._has_ended(execution)))
        return str(self.document(execution)["status"])

    def _has_ended(self, execution: str) -> bool:
        with self.calm():
            return bool(self.services.documents.status(execution).terminal)

    def ask(self, operation: str, execution: str) -> None:
        self.services.control.ask(operation, execution)

    def document(self, execution: str) -> dict[str, Any]:
        with self.calm():
            document: dict[str, Any] = self.services.documents.document(execution)
        return document

    def gauge(self, name: str, key: str = "") -> dict[str, Any]:
        return dict(self.services.stores.limiters.gauge(LimiterName(name, key)))

    def balance(self, execution: str) -> dict[str, Any]:
        """The account of an execution."""
        return dict(self.services.stores.budgets.balance(keys.budget(execution)))

    def drawn(self, name: str, key: str = "") -> tuple[int, int]:
        """What is drawn of a limiter's budget in this window: micro-dollars, tokens."""
        self.services.looks.read()
        limiter = self.services.looks.limiters[name]
        _, used, _ = self.services.budgets.spent(LimiterName(name, key), limiter)
        return tuple(used)

    def waiting(self, name: str, key: str = "") -> list[Any]:
        return list(self.services.stores.limiters.line(LimiterName(name, key), 1000))


def fan(workflow: str, count: int, fields: str, head: str = "", what: str = "type: tool, tool: echo") -> str:
    """A workflow of so many nodes beside each other, each with these fields."""
    nodes = "".join(f"    - {{id: n{index}, {what}, {fields}}}\n" for index in range(count))
    return f"workflow:\n  id: {workflow}\n{head}  nodes:\n{nodes}"


WRITES_OF_ANY_NODE = 4  # if its end is a commit of its own
REQUESTS_OF_ANY_NODE = 3 + 3 / 10  # its result's own, its order's among ten: sent, received, deleted


def many_in_line(failures: int, seed: int, count: int) -> LimitsWorld:
    """So many nodes of three seconds, ordered at once, for 60 a minute and 6 at once; until all have ended."""
    world = LimitsWorld(3.0, failures=failures, seed=seed)
    world.publish(fan("w", count, "limiter: code", "  limits: {code: {requests: 60/min, concurrency: 6}}\n"))
    execution = world.start("w")
    world.calls.clear()
    assert world.run(execution) == "completed"
    return world


def costs_of_waiting(world: LimitsWorld, count: int) -> dict[str, float]:
    """What one of so many nodes took: writes and requests to SQS beside those of any node; reads; invocations of all
    functions but of the sweep, whose ticks come whether anybody waits or not. A request may be of ten messages; each
    batch that a function is invoked with was received by one and is deleted by another."""
    calls = world.calls
    reads = calls["table.get"] + calls["table.query"]
    invocations = calls["invocations"] - calls["invocations by sweep"]
    writes = calls["writes"] - WRITES_OF_ANY_NODE * count
    requests = calls["queues.send"] + 2 * invocations - REQUESTS_OF_ANY_NODE * count
    found = {"writes": writes, "reads": reads, "SQS requests": requests, "invocations": invocations}
    return {name: value / count for name, value in found.items()}
