"""Runs express executions: the whole of one in one invocation, on memory, recorded once at its end.

The engine, the dispatcher, the workers and their protocol are the same as ever. Their ports are routed: what belongs to
the execution itself stays in memory (its items, its mailbox, its orders, its timers); what belongs to all (workflows,
limiters, other executions, the bus, large values) is where it always is. Express executions that it awaits run within
it in the same way.

At least once: two invocations that run one execution at the same time both do its work, and the first to record it
decides. Nothing of it is visible before that.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.pump import Pump
from workflow_runtime.deployment.topology import DISPATCH, INVOCATION_TOPOLOGY, LIMITS
from workflow_runtime.errors import ErrorDocument, InvalidEvent, RetryableError
from workflow_runtime.plan.express import EXPRESS_SECONDS_MAX
from workflow_runtime.ports import (
    Absent,
    Attribute,
    Change,
    Condition,
    ConditionFailed,
    Item,
    Key,
    Message,
    Ports,
    Put,
    Queues,
    Refusal,
    Table,
    TableWrite,
)
from workflow_runtime.runtime.making import handler_of, import_handlers
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.express import ExpressOrder, ExpressStart, start_in
from workflow_runtime.services.standstill import stands_still, standstill
from workflow_runtime.storage import keys
from workflow_runtime.storage.express import pack_items
from workflow_runtime.storage.headers import RECORD
from workflow_runtime.storage.listing import place_in_workflow
from workflow_runtime.storage.records import Header, StoredState

RECORD_INLINE_BYTES_MAX = 8 * 1024  # packed; beyond, storing it apart costs less than the write units it would take
GRACE_SECONDS = 15.0  # after its time limit, for an execution to be undone and to end

logger = logging.getLogger(__name__)


class ExpressRunner:
    """Runs executions with the agents and tools, the settings and the ports of ``runtime``."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def prepare(self) -> None:
        """Import and make what every execution needs; else the first one waits for it."""
        import_handlers(INVOCATION_TOPOLOGY)
        _ = self._runtime.invokers

    async def run(self, order: ExpressOrder) -> None:
        """Run an execution to its end and record it, unless it has ended. Raises `RetryableError`;
        `InvalidEvent` for one that there is not."""
        ports = self._runtime.ports
        with ports.clock.working():
            start = await ports.offload(self._start, order)
            if start is None:
                return
            with open_backend(None, ports.clock, INVOCATION_TOPOLOGY) as memory:
                await self._run(start, memory)
                record = _record(ports, memory, start.header)
            if not await ports.offload(self._runtime.stores.executions.record_express, record):
                logger.info("it was recorded before", extra={"execution_id": order.execution_id})

    def _start(self, order: ExpressOrder) -> ExpressStart | None:
        """What is to run; None: nothing, as the execution has ended, or is none of these."""
        executions = self._runtime.stores.executions
        start = start_in(self._runtime.ports, order)
        if start is not None:
            return start
        known = executions.header(order.execution_id)
        if known is None:
            raise InvalidEvent(f"there is no execution {order.execution_id}")
        if known.status.terminal or not known.express:
            return None
        if not known.begun and not executions.begin_express(order.execution_id):
            return None
        return ExpressStart(known, executions.globals(order.execution_id))

    async def _run(self, start: ExpressStart, memory: Backend) -> None:
        execution_id = start.header.execution_id
        inner = self._runtime.within(_routed(self._runtime.ports, memory, execution_id))
        inner.stores.executions.create(replace(start.header, express=False), start.data)
        inner.mailer.poke(execution_id)
        handlers = {
            function.name: handler_of(function, inner) for function in INVOCATION_TOPOLOGY.functions if function.sources
        }
        clock = self._runtime.ports.clock
        pump = Pump(memory.poller, clock, INVOCATION_TOPOLOGY, handlers, memory.scheduler, is_within=True)
        memory.on_send = pump.notice
        course = Course(inner, execution_id, clock.now() + round((EXPRESS_SECONDS_MAX + GRACE_SECONDS) * 1000))
        with suppress(TimeoutError):
            await clock.within(
                EXPRESS_SECONDS_MAX + GRACE_SECONDS,
                pump.run(lambda: course.has_ended() or (pump.rests and course.stands_still())),
            )
        if not course.has_ended() and course.break_off():
            with suppress(TimeoutError):
                await clock.within(GRACE_SECONDS, pump.run(course.has_ended))
        if not course.has_ended():
            raise RetryableError(f"the express execution {execution_id} did not come to its end")
        inner.outbox.deliver_all(execution_id)  # what could not be sent at once is lost with the memory


class Course:
    """How far an execution has come that runs in memory. ``end`` (epoch ms): of its time in this invocation."""

    def __init__(self, inner: Runtime, execution_id: str, end: int) -> None:
        self._inner = inner
        self._execution_id = execution_id
        self._end = end

    def has_ended(self) -> bool:
        """With everything said that there is to say of the end."""
        stored = self._load()
        return stored is not None and stored.published and stored.state.status.terminal

    def stands_still(self) -> bool:
        """Whether nothing can move it in time, if nothing is under way."""
        stored = self._load()
        return stored is not None and stored.published and stands_still(stored.state, self._end)

    def break_off(self) -> bool:
        """Have it fail: at once, undoing what it has to, if it stands still; or else because its time is over, in which
        not even that was done. False: it has not begun."""
        stored = self._load()
        if stored is None:
            return False
        if stands_still(stored.state, self._end):
            plan = self._inner.stores.workflows.plan(stored.state.plan_hash)
            error = standstill(plan, stored.state, self._inner.stores.runs)
        else:
            seconds = EXPRESS_SECONDS_MAX + GRACE_SECONDS
            error = ErrorDocument.of("timeout", f"the execution has not come to its end within {seconds:g} s")
        return self._inner.dispatcher.abort(self._execution_id, error)

    def _load(self) -> StoredState | None:
        return self._inner.stores.executions.load(self._execution_id)


def _record(ports: Ports, memory: Backend, start: Header) -> Item:
    """The header, with all else that the execution has written."""
    execution_id = start.execution_id
    items = memory.ports.table.query(keys.execution(execution_id, "").partition)
    [header] = (item for item in items if item.key.sort == keys.HEADER)
    packed = pack_items(item for item in items if item.key.sort not in (keys.HEADER, keys.DUE, keys.PROGRESS))
    held: Attribute = packed
    if len(packed) > RECORD_INLINE_BYTES_MAX:
        held = f"executions/{execution_id}/express/record.{hashlib.sha256(packed).hexdigest()[:40]}"
        ports.blobs.put(held, packed)
    return replace(header, attributes={**header.attributes, RECORD: held}, listing=place_in_workflow(start))


def _routed(ports: Ports, memory: Backend, execution_id: str) -> Ports:
    own = memory.ports
    return replace(
        ports,
        table=RoutedTable(own.table, ports.table, keys.execution(execution_id, "").partition),
        queues=RoutedQueues(own.queues, ports.queues, execution_id),
        schedules=own.schedules,
        offload=own.offload,
    )


class RoutedTable:
    """One execution's partition is in memory, all others where they always are. What is written into it stands in none
    of the shared indexes: nothing looks for it there.
    """

    def __init__(self, own: Table, shared: Table, partition: str) -> None:
        self._own = own
        self._shared = shared
        self._partition = partition
        self.query_index = shared.query_index

    def _of(self, partition: str) -> Table:
        return self._own if partition == self._partition else self._shared

    def get(self, keys: Sequence[Key], *, eventually: bool = False) -> dict[Key, Item]:
        own = [key for key in keys if key.partition == self._partition]
        others = [key for key in keys if key.partition != self._partition]
        shared = self._shared.get(others, eventually=eventually) if others else {}
        return {**(self._own.get(own) if own else {}), **shared}

    def put(self, item: Item, condition: Condition | None = None) -> None:
        self._of(item.key.partition).put(item, condition)

    def transact(self, puts: Sequence[Put], write: TableWrite | None = None) -> None:
        """Records are in memory, so a write of another table is marked where it is, in its transaction: an invocation
        that does the execution's work again does not write again."""
        record = puts[0].item
        if record.key.partition != self._partition:
            self._shared.transact(puts, write)
            return
        if write is not None:
            mark = Item(keys.committed(record.key), {keys.EXPIRES: record.attributes[keys.EXPIRES]})
            with suppress(ConditionFailed):
                self._shared.transact([Put(mark, Absent())], write)
        self._own.transact(puts)

    def put_all(self, items: Sequence[Item]) -> None:
        for table, mine in ((self._own, True), (self._shared, False)):
            found = [item for item in items if (item.key.partition == self._partition) is mine]
            if found:
                table.put_all(found)

    def update(
        self,
        key: Key,
        changes: Mapping[str, Attribute],
        condition: Condition,
        index: Key | None = None,
        listing: Key | None = None,
    ) -> None:
        self._of(key.partition).update(key, changes, condition, index, listing)

    def change(self, key: Key, change: Change, condition: Condition | None = None) -> Item:
        return self._of(key.partition).change(key, change, condition)

    def delete(self, key: Key, condition: Condition) -> None:
        self._of(key.partition).delete(key, condition)

    def delete_all(self, wanted: Sequence[Key]) -> None:
        for table, mine in ((self._own, True), (self._shared, False)):
            found = [key for key in wanted if (key.partition == self._partition) is mine]
            if found:
                table.delete_all(found)

    def query(
        self, partition: str, prefix: str = "", *, descending: bool = False, limit: int | None = None, after: str = ""
    ) -> list[Item]:
        return self._of(partition).query(partition, prefix, descending=descending, limit=limit, after=after)


class RoutedQueues:
    """An execution's mailbox, its orders, its timers and what it awaits are in memory; the mailboxes of others and the
    pumps of limiters are where they always are.
    """

    def __init__(self, own: Queues, shared: Queues, execution_id: str) -> None:
        self._own = own
        self._shared = shared
        self._execution_id = execution_id

    def send(self, queue: str, messages: Sequence[Message]) -> list[Refusal]:
        if queue == LIMITS:
            return self._shared.send(queue, messages)
        if queue != DISPATCH:
            return self._own.send(queue, messages)
        mine = [message.group == self._execution_id for message in messages]
        if all(mine):
            return self._own.send(queue, messages)
        refusals: list[Refusal] = []
        for queues, wanted in ((self._own, True), (self._shared, False)):
            places = [place for place, own in enumerate(mine) if own is wanted]
            found = queues.send(queue, [messages[place] for place in places])
            refusals += [replace(refusal, index=places[refusal.index]) for refusal in found]
        return refusals

    def set_visibility(self, queue: str, seconds: Mapping[str, int]) -> None:
        self._own.set_visibility(queue, seconds)
