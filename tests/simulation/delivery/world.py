"""A world in which the real services run: in-memory backend, a clock that only the schedule moves, faults on every
port.

Everything that happens follows from the seed and the fault plan; nothing reads the machine's time or randomness.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from random import Random
from typing import Any, cast

from msgspec.structs import replace
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.actors import Actor
from tests.simulation.delivery.bugs import Bug, no_bug
from tests.simulation.delivery.faults import Crash, Fault, FaultyPort, NoFaults, Plan
from tests.simulation.delivery.invariants import (
    CANARY,
    TERMINAL,
    Effects,
    WatchedBus,
    WatchedLog,
    WatchedQueues,
    WatchedTable,
    require,
    state_of,
)
from tests.simulation.delivery.stale import StaleIndex

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.topology import (
    DEAD_LETTERS,
    DEAD_LETTERS_FIFO,
    DISPATCH,
    LIMITS,
    SWEEP,
    TIMERS,
    TOPOLOGY,
    node_queue,
)
from workflow_runtime.engine.advance import new_execution
from workflow_runtime.engine.commands import RecordNode, RunNode
from workflow_runtime.engine.replay import replay
from workflow_runtime.errors import NodeError, RequestError, RetryableError
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.plan.addresses import static_path
from workflow_runtime.plan.calls import CALL, call_plan
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.parts import part_plan
from workflow_runtime.plan.plan import Plan as CompiledPlan
from workflow_runtime.plan.policies import CallTerms
from workflow_runtime.plan.specs import LoopSpec, NodeType, ToolSpec
from workflow_runtime.ports import Ports, SqsRecord, in_turn
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.dispatch.mailbox import MailboxBatch
from workflow_runtime.services.dispatch.reads import Knowledge
from workflow_runtime.services.messages import parse_timer
from workflow_runtime.services.upkeep.sweep import shard_in
from workflow_runtime.services.work.queue import Worker
from workflow_runtime.storage import keys
from workflow_runtime.storage.due import SHARDS
from workflow_runtime.storage.stores import Stores

START = 1_700_000_000_000
CALLS = ("once:pay", "tool:look")  # of agents, that are nodes
DISPATCH_FUNCTION = "dispatch"
QUEUES = {
    DISPATCH: DISPATCH_FUNCTION,
    node_queue("tool"): "run_node_tool",
    node_queue("agent"): "run_node_agent",
    DEAD_LETTERS: "dead_letter",
    DEAD_LETTERS_FIFO: "dead_letter",
    TIMERS: "deliver_timer",
    LIMITS: "limit_pump",
    SWEEP: "sweep",
}
SWEEPS_MAX = 20  # without finding anything to do any more, before an execution counts as stuck
_loops: list[asyncio.AbstractEventLoop] = []


class SimClock:
    """Time that the schedule moves. A sleeper gives its turn away until its time has come; each turn costs it
    ``turn_ms`` at most.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.time = START
        self.turn_ms = 1000

    def now(self) -> int:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + int(seconds * 1000)
        while self.time < until:
            self._world.point()
            self.time += min(self.turn_ms, until - self.time) if self.time < until else 0
            await asyncio.sleep(0)

    async def within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        until = self.time + int(seconds * 1000)
        task = asyncio.ensure_future(work)
        while not task.done():
            if self.time >= until:
                task.cancel()
                raise TimeoutError
            await asyncio.sleep(0)
        return task.result()

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._after(seconds, work))

    async def _after(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self.sleep(seconds)
        await work()

    def working(self) -> Any:
        return nullcontext()


class Skewed:
    """The clock of another machine, ahead by so many ``ms``, or behind."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self.ms = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    def now(self) -> int:
        return self._clock.now() + self.ms


class Secrets:
    def get(self, _: str) -> str:
        return CANARY


class World:
    """``seed`` decides everything that ``faults`` does not. Interleaved, invocations take turns at every port call.

    ``others``: further workflows, which it may start. ``planted``: a bug, between the services and their ports.
    ``runtime``: the process that runs the functions; one or two others, by the seed, are ``dispatching``, too, so that
    what each knows may be out of date, and one of them takes orders. ``operator``: yet another one, through which
    switches are set. ``called``: by which functions which calls were made, in order. ``skew_ms_max``: by how much the
    clocks of others may differ, once they do.
    """

    skew_ms_max = 2_000

    def __init__(
        self,
        name: str,
        seed: int = 0,
        faults: Plan | None = None,
        others: tuple[str, ...] = (),
        planted: Bug = no_bug,
    ) -> None:
        self.name = name
        self.random = Random(seed)
        self.lags = Random(f"lags {seed}")
        self.lag_max = 0  # writes by which the table's index may be behind
        self.faults: Plan = faults or NoFaults()
        self.clock = SimClock(self)
        self.effects = Effects()
        self.current: Actor | None = None
        self.called: list[tuple[str, str]] = []
        self.suffered: Counter[Fault] = Counter()
        self.actors: list[Actor] = []
        self.history: list[tuple[str, SqsRecord]] = []
        self.sweeps = 0
        self.dawdle = 0  # turns that a node's code may take
        self.hides = False  # whether orders under way are kept invisible, which costs time
        self.behaviours: dict[str, Callable[[NodeCall], Any]] = {}
        self.sent: set[int] = set()
        self.wild_until = 0  # when faults and jumps of time were over
        self.begun: list[tuple[int, str]] = []  # when which node's code was called
        self.backend = open_backend(None, self.clock, TOPOLOGY)
        raw = self.backend.ports
        self.raw = raw
        self.poller = self.backend.poller
        self.plan = scenarios.plan(name)
        self.plans = {each: scenarios.plan(each) for each in (name, *others)}
        self.table = StaleIndex(WatchedTable(raw.table), lambda: self.lags.randint(0, self.lag_max))
        self.queues = WatchedQueues(
            raw.queues, raw.table, {plan.hash: plan for plan in _all_plans(self.plans.values())}, self._sender
        )
        ids = (f"{number:016x}" * 2 for number in count(1))
        ports = Ports(
            table=self._faulty(self.table),
            blobs=self._faulty(raw.blobs),
            queues=self._faulty(self.queues),
            bus=self._faulty(WatchedBus(raw.bus)),
            schedules=self._faulty(raw.schedules),
            files=raw.files,
            outlets=self._faulty(raw.outlets),
            clock=self.clock,
            offload=_offload,
            boot="",
        )
        ports = planted(ports)
        self.runtime = Runtime(ports, self._invokers, secrets=Secrets(), new_id=lambda: next(ids))
        self._clocks = [Skewed(self.clock) for _ in range(1 + seed % 2)]
        self.dispatching = [
            self.runtime,
            *(
                Runtime(replace(ports, clock=clock), self._invokers, secrets=Secrets(), new_id=lambda: next(ids))
                for clock in self._clocks
            ),
        ]
        self._turns = Random(seed)
        self._workers_turns = Random(f"workers {seed}")
        self._skews = Random(f"skews {seed}")
        self.operator = Runtime(ports, self._invokers, secrets=Secrets(), new_id=lambda: next(ids))
        self.calm = Runtime(raw, self._invokers, secrets=Secrets(), new_id=lambda: next(ids))
        for each, plan in self.plans.items():
            self.calm.stores.workflows.publish(plan, scenarios.source(each), START)
            self.calm.stores.limiters.declare_own(plan.limits.own, ())
        self._workers = {
            queue: [_worker(runtime, function) for runtime in self.dispatching[:2]]
            for queue, function in QUEUES.items()
            if queue.startswith("node-")
        }
        self.execution_id = ""

    def skew(self) -> None:
        """From now on, the clocks of other processes are wrong."""
        for clock in self._clocks:
            clock.ms = self._skews.randint(-self.skew_ms_max, self.skew_ms_max)

    def _faulty(self, port: Any) -> Any:
        return FaultyPort(port, self.point, self._suffer, self._die)

    def _sender(self) -> str:
        return self.current.name if self.current is not None else ""

    def _suffer(self, method: str) -> Any:
        if self.current is not None and self.current.dead:
            raise Crash
        self.called.append((self._sender(), method))
        fault = self.faults.next(method)
        if fault is not None:
            self.suffered[fault] += 1
        return fault

    def _die(self) -> None:
        if self.current is not None:
            self.current.dead = True
        raise Crash

    def point(self) -> None:
        """A place where others may go first."""
        actor = self.current
        if actor is not None:
            if actor.dead:
                raise Crash
            actor.wait_for_turn()

    # -- what happens in it

    def start(self, **options: Any) -> str:
        """Start the workflow, again and again until the caller gets an answer."""
        while not self.execution_id:
            try:
                self.execution_id = self.runtime.starter.start(self.name, scenarios.INPUT, start_key="key", **options)
            except (Crash, RetryableError):
                continue
        return self.execution_id

    def invocation(self, queue: str, records: Sequence[SqsRecord]) -> Actor:
        """What Lambda would do with a batch: run the function, then delete what it did not return as failed."""
        take = {
            DISPATCH: self._take_mail,
            DEAD_LETTERS: self._take_letters,
            DEAD_LETTERS_FIFO: self._take_letters,
            TIMERS: self._take_timers,
            LIMITS: self._take_pumps,
            SWEEP: self._take_sweeps,
        }
        return Actor(QUEUES[queue], lambda: take.get(queue, self._take_orders)(queue, records))

    def sweeping(self) -> Actor:
        """An invocation of the sweep."""

        def sweep() -> None:
            with suppress(RetryableError):
                self.runtime.freezes.look_after()
                for shard in range(SHARDS):
                    self.runtime.sweep.sweep(shard)

        return Actor("sweep", sweep)

    def switching(self, scope: str, *, freezes: bool) -> Actor:
        """Somebody freezes or thaws."""

        def switch() -> None:
            with suppress(RetryableError, RequestError):  # nothing was ever frozen
                self.operator.freezes.freeze(scope) if freezes else self.operator.freezes.thaw(scope)

        return Actor("operator", switch)

    def asking(self, operation: str, key: str) -> Actor:
        """Somebody asks something of the execution."""

        def ask() -> None:
            with suppress(RetryableError, RequestError):  # it has ended meanwhile
                self.operator.control.ask(operation, self.execution_id, key=key)

        return Actor("operator", ask)

    def sending(self, number: int) -> Actor:
        """Somebody sends the execution the event of this number. Those that were accepted are in `sent`."""

        def send() -> None:
            with suppress(RetryableError, RequestError):  # it has ended meanwhile
                self.runtime.signalling.send(self.execution_id, "put", {"n": number}, f"n{number}")
                self.sent.add(number)

        return Actor("sender", send)

    def lose(self, queue: str) -> None:
        """Messages of a queue vanish, which no queue does; whatever would need that to happen is covered by it."""
        self.poller.delete(queue, [record.receipt_handle for record in self.receive(queue)])

    def sweep_until_ended(self) -> bool:
        """When nothing is left to deliver: let time pass for the next sweep. False when the execution has ended, or
        stands still."""
        if self.calm.documents.status(self.execution_id) in (*TERMINAL, "suspended"):
            return False
        self.sweeps += 1
        require(self.sweeps <= SWEEPS_MAX, "P8: the sweep does not find what the execution waits for")
        self.clock.time += 3600 * 1000
        self.run_at_once(self.sweeping())
        return True

    def run_at_once(self, actor: Actor) -> None:
        self.current = actor
        try:
            actor.run()
        finally:
            self.current = None

    def turn(self, actor: Actor) -> None:
        """Let an invocation go on to its next port call."""
        self.current = actor
        try:
            actor.step()
        finally:
            self.current = None

    def drain(self, rounds_max: int = 10_000) -> None:
        """Without interleaving: deliver everything there is, moving time on when nothing is visible."""
        for _ in range(rounds_max):
            if not self.drain_once():
                due = self.poller.next_visible_at()
                if due is None and not self.sweep_until_ended():
                    return
                self.clock.time = max(self.clock.time, due or 0)
        raise AssertionError("the world does not come to rest")

    def live_until(self, ready: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Without interleaving: let everything happen until then, or until the execution has ended; ``meanwhile`` is
        what people do whenever nothing is visible. The sweep comes when nothing is left to deliver."""
        for _ in range(1_000):
            if ready() or self.document()["status"] in TERMINAL:
                return
            if self.drain_once():
                continue
            meanwhile()
            due = self.poller.next_visible_at()
            if due is None:
                self.clock.time += 200_000  # beyond leases and the sweep's distance
                self.run_at_once(self.sweeping())
            else:
                self.clock.time = max(self.clock.time, due)
        raise AssertionError("it never comes to that")

    def drain_once(self) -> bool:
        """One batch of every queue. False when nothing was visible."""
        delivered = [self.deliver(queue) for queue in QUEUES]
        return any(delivered)

    def deliver(self, queue: str) -> bool:
        """Deliver one batch, if something is visible; whether there was anything."""
        records = self.receive(queue)
        if records:
            self.run_at_once(self.invocation(queue, records))
        return bool(records)

    def receive(self, queue: str) -> list[SqsRecord]:
        batch_size = TOPOLOGY.function(QUEUES[queue]).sources[0].batch_size
        records = self.poller.receive(queue, batch_size)
        self.history += [(queue, record) for record in records]
        return records

    def _take_mail(self, queue: str, records: Sequence[SqsRecord]) -> None:
        dispatcher = self._turns.choice(self.dispatching).dispatcher
        batch = MailboxBatch(dispatcher, [record.event_record for record in records], in_turn)
        taken: list[str] = []
        failed: set[Any] = set()
        for record in records:
            attributes: Any = record.event_record["attributes"]
            group = attributes["MessageGroupId"]
            if group not in failed and batch.take(str(record.event_record["messageId"])):
                taken.append(record.receipt_handle)
            else:
                failed.add(group)
        self.raw.queues.set_visibility(queue, batch.postponed)
        self.point()
        self.poller.delete(queue, taken)

    def _take_orders(self, queue: str, records: Sequence[SqsRecord]) -> None:
        taken: list[str] = []

        worker = self._workers_turns.choice(self._workers[queue])
        batch = worker.batch([record.event_record for record in records])

        async def take(record: SqsRecord) -> None:
            try:
                await batch.take(record.event_record)
                taken.append(record.receipt_handle)
            except RetryableError:
                return

        async def take_all() -> None:
            hiding = [asyncio.ensure_future(batch.keep_hidden())] if self.hides else []
            try:
                await asyncio.gather(*map(take, records))
            finally:
                for task in hiding:
                    task.cancel()

        with _event_loop() as loop:
            loop.run_until_complete(take_all())
        self.point()
        self.poller.delete(queue, taken)

    def _take_letters(self, queue: str, records: Sequence[SqsRecord]) -> None:
        taken: list[str] = []
        for record in records:
            with suppress(RetryableError):
                self.runtime.dead_letters.take(record.event_record)
                taken.append(record.receipt_handle)
        self.point()
        self.poller.delete(queue, taken)

    def _take_timers(self, queue: str, records: Sequence[SqsRecord]) -> None:
        taken: list[str] = []
        for record in records:
            with suppress(RetryableError):
                self.runtime.timers.deliver(parse_timer(str(record.event_record["body"])))
                taken.append(record.receipt_handle)
        self.point()
        self.poller.delete(queue, taken)

    def _take_sweeps(self, queue: str, records: Sequence[SqsRecord]) -> None:
        """What a sweep has left to others, when its time was over."""
        with suppress(RetryableError):
            for record in records:
                shard = shard_in(str(record.event_record["body"]))
                require(shard is not None, "only sweeps ask for one")
                self.runtime.sweep.sweep(cast("int", shard))
            self.point()
            self.poller.delete(queue, [record.receipt_handle for record in records])

    def _take_pumps(self, queue: str, records: Sequence[SqsRecord]) -> None:
        taken: list[str] = []
        for record in records:
            with suppress(RetryableError):
                self.runtime.pump.take(str(record.event_record["body"]))
                taken.append(record.receipt_handle)
        self.point()
        self.poller.delete(queue, taken)

    # -- agents and tools

    def _invokers(self) -> dict[NodeType, Any]:
        return {NodeType.TOOL: self, NodeType.AGENT: self}

    abandoned = 0

    def limiters(self, _: str) -> tuple[str, ...]:
        return ()

    def budget(self, _: str) -> None:
        return None

    def beyond(self, _target: str) -> Beyond:
        return NOTHING_BEYOND

    async def invoke(self, call: NodeCall) -> NodeResult:
        self.effects.note(call)
        self.begun.append((self.clock.time, call.path))
        self._check_inputs_are_recorded(call)
        for _ in range(self.random.randint(0, self.dawdle)):
            self.point()
            await asyncio.sleep(0)
        behaviour = self.behaviours.get(call.path)
        if behaviour is not None:
            value = behaviour(call)
            value = await value if asyncio.iscoroutine(value) else value
            return value if isinstance(value, NodeResult) else NodeResult(value)
        if call.target == "fail":
            raise NodeError("broken", "as it should")
        if call.target == "leak":
            raise KeyError(f"{CANARY} in an error text")
        return NodeResult(call.inputs)

    def _check_inputs_are_recorded(self, call: NodeCall) -> None:
        plan = self.plans[call.workflow_id]
        if call.path == CALL and CALL not in plan.numbers:  # of an agent, in an execution that has no workflow
            return
        number = plan.numbers[static_path(call.path)]
        node, (block, _) = plan.node(number), plan.place(number)
        items = self.raw.table.query(f"EX#{call.execution_id}", keys.RUN_PREFIX)
        recorded = {item.attributes["path"] for item in items if item.attributes["status"] == "success"}
        for index in node.inputs.nodes if node.inputs is not None else ():
            beside = plan.place(index)[0] == block
            source = call.path.removesuffix(node.id) + plan.node(index).id if beside else plan.path(index)
            require(source in recorded, f"P4: {call.path} started before the result of {source} was recorded")
        require(None not in call.inputs.values(), f"P4: {call.path} started without an input: {call.inputs}")

    # -- looking at it

    def outcome(self) -> str:
        return scenarios.outcome(self.name, self.document())

    def document(self) -> dict[str, Any]:
        return self.calm.documents.document(self.execution_id)

    def lost_for_good(self) -> bool:
        """Whether some node's worker was lost as often as the policy allows: then the execution may rightly fail, and
        with it one that started it."""
        ids = {self.execution_id, *(execution_id for execution_id, _, _ in self.effects.counts)}
        runs = [run for id in ids for run in Stores(self.raw).runs.list(id)]
        return any(run.serial == 3 and run.error is not None and run.error.type == "worker_lost" for run in runs)

    def dead_letters(self) -> int:
        """How many were recorded of this execution, or of none."""
        return len(self.raw.table.query(f"EX#{self.execution_id}", "DEAD#")) + len(self.raw.table.query("DEAD"))

    def check_end(self, dead_letters: int = 0) -> None:
        """After a fault-free tail: ended, nothing left anywhere, and the journal tells the whole story."""
        for violation in self.table.violations:
            raise violation
        require(self.document()["status"] in TERMINAL, f"P8: the execution is {self.document()['status']} forever")
        require(self.poller.next_visible_at() is None, "a queue is not empty")
        letters = self.dead_letters()
        require(letters == dead_letters, f"P6: {letters} dead letters, expected {dead_letters}")
        stores = Stores(self.raw)
        store = stores.executions
        stored = store.load(self.execution_id)
        assert stored is not None
        require(stored.published, "the last commit was never published")
        journal = store.journal(self.execution_id)
        versions = [entry.version for entry in journal]
        require(versions == list(range(1, stored.state.version + 1)), f"the journal has versions {versions}")
        knowledge = Knowledge(self.raw.table, stores)
        header = store.header(self.execution_id)
        assert header is not None
        fresh = new_execution(
            self.plan, self.execution_id, header.workflow_version, header.started_at, header.parent, header.hops
        )
        fetch = lambda needs: knowledge.fetch(self.plan, self.execution_id, needs, _nothing_known())  # noqa: E731
        require(replay(self.plan, fresh, journal, fetch) == stored.state, "replay gives another state")
        orders = [
            (command.path, command.serial)
            for entry in journal
            for command in entry.commands
            if isinstance(command, RunNode) or (isinstance(command, RecordNode) and not self._is_yielded(command.path))
        ]
        require(len(orders) == len(set(orders)), f"P5: ordered twice: {orders}")
        item = self.raw.table.get([keys.execution(self.execution_id, keys.STATE)])
        require(state_of(next(iter(item.values()))).status.value == header.status, "header and state disagree")

    def _is_yielded(self, path: str) -> bool:
        """Whether a worker runs the node and the dispatcher records what somebody else makes of it."""
        node = node_of(self.plan, path)
        if node is None:
            return False
        return node.callback is not None or (isinstance(node.spec, ToolSpec) and node.spec.tool == "ask")

    def close(self) -> None:
        self.backend.close()


def _worker(runtime: Runtime, function: str) -> Worker:
    made = TOPOLOGY.function(function)
    return Worker(runtime.node_runner(made.timeout_seconds), runtime.ports, made, runtime.dead_letters)


def _all_plans(plans: Iterable[CompiledPlan]) -> Iterator[CompiledPlan]:
    """Those of workflows, and of executions that run passes of their loops, or calls of their agents."""
    for plan in plans:
        yield from (call_plan(plan.workflow_id, call, CallTerms(), express=False) for call in CALLS)
        yield plan
        for number, node in ((block.first + i, node) for block in plan.blocks for i, node in enumerate(block.nodes)):
            if isinstance(node.spec, LoopSpec) and node.spec.is_distributed:
                yield part_plan(plan, number)


def _nothing_known() -> Any:
    from workflow_runtime.engine.advance import NOTHING_KNOWN

    return NOTHING_KNOWN


async def _offload(function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
    """A thread on AWS: others may run meanwhile."""
    await asyncio.sleep(0)
    return function(*args, **named)


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One that nobody else uses; tasks left over by a crashed invocation are nobody's business."""
    loop = _loops.pop() if _loops else asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    yield loop
    _loops.append(loop)


@contextmanager
def world(
    name: str,
    seed: int = 0,
    faults: Plan | None = None,
    others: tuple[str, ...] = (),
    planted: Bug = no_bug,
) -> Iterator[World]:
    """A world, and an eye on its log."""
    log = WatchedLog()
    logger = logging.getLogger("workflow_runtime")
    logger.addHandler(log)
    propagates, level = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.INFO)
    simulated = World(name, seed, faults, others, planted)
    try:
        yield simulated
    except BaseException as error:
        error.add_note(f"workflow {name}, seed {seed}")
        raise
    finally:
        logger.removeHandler(log)
        logger.propagate = propagates
        logger.setLevel(level)
        simulated.close()
