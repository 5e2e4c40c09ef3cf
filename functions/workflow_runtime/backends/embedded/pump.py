"""The pump plays Lambda's pollers: real SQS events from the queues of `topology` into the real handlers.

Batches, partial failures, visibility and dead letters are as on AWS. Everything runs in one event loop: a handler that
returns a coroutine (`run_node`) overlaps its waiting with others; one that does not (`dispatch`) runs at once.
With a virtual clock, time moves on when nothing can be received and all work in progress only waits. Schedules that
repeat are not waited for, and do not move time: they would never let it stop. What is due of them fires when
something else moves the time; of ticks that were passed over, one.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import TIMERS, EventSource, Function, Topology
from workflow_runtime.ports import BATCH_MESSAGES_MAX, Clock, Poller, ScheduleRunner, SqsRecord

SETTLING_ROUNDS = 5  # of the event loop, so that work that just ended can come to its end before time moves
UNLIMITED = 1_000
PAUSE_SECONDS_MIN = 0.005  # also while a queue has messages that its busy function has no room for
CANCELLED_SECONDS_MAX = 2.0  # real time that cancelled work gets to end
BATCHES_AT_ONCE = 10  # of a worker: as many nodes as one turn of a mailbox takes; some 20 ms until others have theirs
ROUNDS_BETWEEN_CHECKS = 64  # while there is something to do; asking whether it is done costs a read

Handler = Callable[[dict[str, Any], Any], Any]

logger = logging.getLogger(__name__)


class LocalContext:
    """The part of Lambda's context object that handlers and Powertools read."""

    memory_limit_in_mb = 1024
    aws_request_id = "local"

    def __init__(self, function: Function) -> None:
        self.function_name = function.name
        self.invoked_function_arn = f"arn:aws:lambda:local:000000000000:function:{function.name}"
        self._timeout_ms = function.timeout_seconds * 1000

    def get_remaining_time_in_millis(self) -> int:
        return self._timeout_ms


class _Source:
    """A queue feeding a function. ``hot``: it may have something to receive."""

    def __init__(self, function: Function, source: EventSource, handler: Handler) -> None:
        self.queue = source.queue
        self.batch_size = min(source.batch_size, BATCH_MESSAGES_MAX)
        self.batches_at_once = BATCHES_AT_ONCE if function.pool is not None else 1
        self.capacity = source.concurrency_max or UNLIMITED
        self.context = LocalContext(function)
        self.handler = handler
        self.hot = True


class Pump:
    """``handlers`` by function name. `notice` must be told when a message is sent (the backends' ``on_send``).

    ``is_within``: it runs in a handler of another pump, which moves virtual time for both.
    """

    def __init__(
        self,
        poller: Poller,
        clock: Clock,
        topology: Topology,
        handlers: Mapping[str, Handler],
        scheduler: ScheduleRunner,
        *,
        is_within: bool = False,
    ) -> None:
        self._is_within = is_within
        self._poller = poller
        self._scheduler = scheduler
        self._clock = clock
        self._sources = [
            _Source(function, source, handlers[function.name])
            for function in topology.functions
            for source in function.sources
        ]
        self._by_queue = {source.queue: source for source in self._sources}
        self.settling = False
        self._moments: deque[tuple[int, Callable[[], None]]] = deque()
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order they began: a set's order is another each time
        self._stirred = asyncio.Event()
        if isinstance(clock, VirtualClock) and not is_within:
            clock.on_rest = lambda: self._stirred.set()

    @property
    def in_progress(self) -> int:
        """Batches of messages that handlers work on."""
        return sum(not task.done() for task in self._tasks)

    @property
    def rests(self) -> bool:
        """Nothing is in progress, and all that the queues hold are timers."""
        return all(task.done() for task in self._tasks) and self._poller.next_visible_at(without=TIMERS) is None

    def notice(self, queue: str) -> None:
        """A message of this queue may be receivable."""
        source = self._by_queue.get(queue)
        if source is not None:
            source.hot = True
            self._stirred.set()

    async def run(
        self, done: Callable[[], bool], *, settle: bool = False, moments: Sequence[tuple[int, Callable[[], None]]] = ()
    ) -> bool:
        """Pump until ``done``; False when nothing more can happen by itself. Raises what a handler raised.

        ``settle`` (`settling` while it runs): timers and schedules are not waited for; work in progress is, and what
        it is retried after. What is due meanwhile comes at its time. ``moments`` (epoch ms of a virtual clock, in
        order, and what is done then): let time pass up to each, whether or not there is anything to wait for and
        whatever is in progress; then settle.
        """
        self.settling = settle and not moments
        self._moments = deque(moments)
        self._stirred = asyncio.Event()  # of this event loop: the last run may have had another one
        try:
            for rounds in count():
                if rounds % ROUNDS_BETWEEN_CHECKS == 0:
                    if done():
                        return True
                    self._fire()
                    await asyncio.sleep(0)  # others share the loop, and a deadline of theirs must not be starved
                if self._poll():
                    if self._tasks:
                        await asyncio.sleep(0)
                elif await self._work_stirs():
                    continue  # asking whether it is done costs a read
                elif done():
                    return True
                elif not await self._wait():
                    return False
            return True
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Work in progress is cancelled: its messages stay in their queues, as when a worker dies. Work that does not
        end for that is left behind after `CANCELLED_SECONDS_MAX`.
        """
        tasks, self._tasks = self._tasks, {}
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=CANCELLED_SECONDS_MAX)
        if left:
            logger.warning(
                "left behind, as they did not stop within %g s: %d attempts", CANCELLED_SECONDS_MAX, len(left)
            )

    def _poll(self) -> bool:
        """Receive from every queue that may have something. True when there was something. Workers take several batches
        at once: nodes that begin together report together.
        """
        received = False
        for source in self._sources:
            for _ in range(source.batches_at_once):
                if not source.hot or source.capacity <= 0:
                    break
                records = self._poller.receive(source.queue, source.batch_size)
                if not records:
                    source.hot = False
                    break
                received = True
                self._invoke(source, records)
        return received

    def _invoke(self, source: _Source, records: list[SqsRecord]) -> None:
        answer = source.handler({"Records": [record.event_record for record in records]}, source.context)
        if not inspect.isawaitable(answer):
            self._acknowledge(source, records, answer)
            return
        source.capacity -= 1
        task = asyncio.ensure_future(self._finish(source, records, answer))
        if inspect.iscoroutine(answer):  # a task that is cancelled before it began leaves it open
            task.add_done_callback(lambda _: answer.close())
        self._tasks[task] = None

    async def _finish(self, source: _Source, records: list[SqsRecord], answer: Any) -> None:
        try:
            self._acknowledge(source, records, await answer)
        finally:
            source.capacity += 1
            source.hot = True
            self._stirred.set()

    def _acknowledge(self, source: _Source, records: list[SqsRecord], answer: Any) -> None:
        failed = {failure["itemIdentifier"] for failure in (answer or {}).get("batchItemFailures", ())}
        self._poller.delete(
            source.queue,
            [record.receipt_handle for record in records if record.event_record["messageId"] not in failed],
        )

    async def _work_stirs(self) -> bool:
        """Nothing to receive: let work in progress go on. True when it sent something or ended, False when it waits."""
        self._collect()
        self._stirred.clear()
        for _ in range(SETTLING_ROUNDS if self._tasks else 0):
            await asyncio.sleep(0)
            if self._stirred.is_set():
                return True
        return False

    async def _wait(self) -> bool:
        """Work in progress waits as well: wait for it, for a message's time, or move virtual time. False when there is
        nothing to wait for.
        """
        next_at = self._fire()
        if next_at is not None and next_at <= self._clock.now():
            return True
        settled = self.settling and not self._tasks and self._poller.next_visible_at(without=TIMERS) is None
        visible_at = None if settled else self._poller.next_visible_at()
        once_at = None if settled else self._scheduler.next_at(recurring=False)
        if isinstance(self._clock, VirtualClock) and not self._is_within:
            return await self._move_time(self._clock, visible_at, once_at)
        if visible_at is None and once_at is None and not self._tasks:
            return False
        times = [time for time in (visible_at, next_at) if time is not None]
        seconds = max((min(times) - self._clock.now()) / 1000, PAUSE_SECONDS_MIN) if times else None
        if isinstance(self._clock, VirtualClock):
            await self._clock.rest(seconds, self._stirred)
            self._heat()
            return True
        try:
            async with asyncio.timeout(seconds):  # unlike `wait_for`, it never loses a cancellation
                await self._stirred.wait()
        except TimeoutError:
            self._heat()
        return True

    def _fire(self) -> int | None:
        """Let the schedules fire that are due; when the next one was due."""
        next_at = self._scheduler.next_at()
        if next_at is not None and next_at <= self._clock.now():
            self._scheduler.fire()
        return next_at

    async def _move_time(self, clock: VirtualClock, visible_at: int | None, once_at: int | None) -> bool:
        if not clock.idle:
            await self._stirred.wait()
            return True
        candidates = (visible_at, once_at, clock.next_wakeup() if self._tasks else None)
        times = [time for time in candidates if time is not None and time > clock.now()]
        if self._moments and (not times or min(times) > self._moments[0][0]):
            time, act = self._moments.popleft()
            clock.advance_to(time)
            act()
            self.settling = not self._moments
            self._heat()
            return True
        if not times:
            if self._tasks:
                await self._stirred.wait()
            return bool(self._tasks)
        recurring_at = self._scheduler.next_at(ticks=False)
        clock.advance_to(min(times if recurring_at is None else [*times, recurring_at]))
        self._heat()
        await asyncio.sleep(0)
        return True

    def _heat(self) -> None:
        for source in self._sources:
            source.hot = True

    def _collect(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()
