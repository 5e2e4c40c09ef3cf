"""What must hold after every write, checked where the write arrives."""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from workflow_runtime.backends.limits import item_bytes
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.engine.codec import decode_state
from workflow_runtime.engine.lifecycle import OPEN_MARKS, ExecutionStatus, Mark
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.plan.addresses import TOP_CHART
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Attribute, Condition, Item, Key, Message, Put, Refusal, TableWrite
from workflow_runtime.services.messages import parse_delivery, parse_order
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import unpack_bytes

CANARY = "c4n4ry-的-秘密"
ITEM_BYTES_MAX = 350 * 1024
ATTEMPTS_MAX = 3  # one, and two for lost workers
_ENDED = ("success", "failed", "cancelled")
_RANKS = {"pending": 0, "running": 1, "suspended": 1, "compensating": 2, "completed": 3, "failed": 3, "cancelled": 3}
_ENDED_RANK = 3


class Violation(BaseException):
    """A promise was broken. No handler of errors may take that for a fault to try again after."""


def require(holds: object, what: str) -> None:
    if not holds:
        raise Violation(what)


def check_silent(data: Any, where: str) -> None:
    """A secret stands in no text, however it is packed."""
    if isinstance(data, bytes):
        try:
            data = unpack_bytes(data).decode()
        except (UnicodeDecodeError, zlib.error):
            return
    if isinstance(data, str):
        require(CANARY not in data and CANARY.encode("unicode_escape").decode() not in data, f"a secret in {where}")


class WatchedTable:
    """The table; every item written is checked against the one before. Of what is read eventually, every third item is
    not there yet. ``violations``: what has been broken; whoever was told may have taken it for an error of a node."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._read = 0
        self.violations: list[Violation] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def get(self, keys: Sequence[Key], *, eventually: bool = False) -> dict[Key, Item]:
        found: dict[Key, Item] = self._table.get(keys)
        if eventually:
            numbered = enumerate(found.items(), self._read)
            self._read += len(found)
            return {key: item for number, (key, item) in numbered if number % 3}
        return found

    def put(self, item: Item, condition: Condition | None = None) -> None:
        before = self._table.get([item.key]).get(item.key)
        self._table.put(item, condition)
        self._check(before, item)

    def put_all(self, items: Sequence[Item]) -> None:
        before = self._table.get([item.key for item in items])
        self._table.put_all(items)
        for item in items:
            self._check(before.get(item.key), item)

    def transact(self, puts: Sequence[Put], write: TableWrite | None = None) -> None:
        before = self._table.get([put.item.key for put in puts])
        self._table.transact(puts, write)
        for put in puts:
            self._check(before.get(put.item.key), put.item)

    def update(
        self, key: Key, changes: Mapping[str, Attribute], condition: Condition, *places: Any, **named: Any
    ) -> None:
        before = self._table.get([key]).get(key)
        self._table.update(key, changes, condition, *places, **named)
        self._check(before, self._table.get([key])[key])

    def _check(self, before: Item | None, after: Item) -> None:
        try:
            _check_item(before, after)
        except Violation as violation:
            self.violations.append(violation)
            raise


def _check_item(before: Item | None, after: Item) -> None:
    where = f"item {after.key.partition} {after.key.sort}"
    require(item_bytes(after) <= ITEM_BYTES_MAX, f"{where} has {item_bytes(after)} bytes")
    for value in after.attributes.values():
        check_silent(value, where)
    if after.key.sort == keys.STATE:
        _check_state(before, after)
    elif before is None:
        return
    elif after.key.sort.startswith(keys.RUN_PREFIX):
        _check_run(before, after)
    elif after.key.sort == keys.HEADER:
        _check_header(before, after)
    elif after.key.sort.startswith(keys.STEP_PREFIX):
        done = before.attributes["st"] == "done"
        require(not done or _kept(before) == _kept(after), f"{where} was done, and is written again")
    elif after.key.sort == keys.INPUT or after.key.sort.startswith(keys.JOURNAL_PREFIX):
        require(_kept(before) == _kept(after), f"{where} was written twice, differently")


def _kept(item: Item) -> dict[str, Attribute]:
    """All but the time that it expires."""
    return {name: value for name, value in item.attributes.items() if name != keys.EXPIRES}


def state_of(item: Item) -> ExecutionState:
    body = item.attributes["state"]
    assert isinstance(body, bytes)
    return decode_state(unpack_bytes(body))


def _check_state(before: Item | None, after: Item) -> None:
    new = state_of(after)
    require(new.version == after.attributes["v"], "the state and its item have different versions")
    if before is None:
        require(new.version == 1, f"the first commit is version {new.version}")
        return
    old = state_of(before)
    require(new.version == old.version + 1, f"version {old.version} was followed by {new.version}")
    require(new.plan_hash == old.plan_hash, "P10: the plan changed under a running execution")
    require(new.now >= old.now, "the engine's time went back")
    if new.attempt != old.attempt:
        with_parent = old.parent is not None  # it may end, and go on because that does, in one commit
        require(
            (old.status.terminal or with_parent) and new.attempt == old.attempt + 1,
            "it was reopened, and had not ended",
        )
        return
    if old.status.terminal:
        require(new.status is old.status, f"P9: {old.status.value} became {new.status.value}")
    graph, later = old.graph(), new.graph()
    for node, (mark_before, mark) in enumerate(zip(graph.marks, later.marks, strict=True)):
        settled = mark_before not in OPEN_MARKS and graph.visit(node) == later.visit(node)
        require(not settled or mark == mark_before, "a node that had ended changed its status")


def _check_run(before: Item, after: Item) -> None:
    old, new = before.attributes, after.attributes
    if old["status"] in _ENDED:
        for name in ("status", "owner", "output", "error", "ended_at"):
            require(old.get(name) == new.get(name), f"P2: a second result of {after.key.sort}: {old} then {new}")


def _check_header(before: Item, after: Item) -> None:
    old, new = before.attributes, after.attributes
    if old.get("attempt") != new.get("attempt"):
        has_ended = _RANKS[str(old["status"])] == _ENDED_RANK
        require(has_ended or "parent" in old, "the header was reopened, and had not ended")
        return
    ranks = _RANKS[str(old["status"])], _RANKS[str(new["status"])]
    require(ranks[0] <= ranks[1], f"the header went from {old['status']} back to {new['status']}")
    if ranks[0] == _ENDED_RANK:
        require(old == new, "P9: the header of an ended execution changed")
    require(old["plan"] == new["plan"], "P10: the header's plan changed")


class WatchedQueues:
    """The queues; an order may only be sent once its commit stands, and a secret never. ``sender`` names the function
    that sends ("" for people), which may send to the queues that the topology says."""

    def __init__(self, queues: Any, table: Any, plans: Mapping[str, Plan], sender: Callable[[], str]) -> None:
        self._sender = sender
        self._queues = queues
        self._table = table
        self._plans = plans
        self.refuse = 0  # so many of the next orders are refused for good

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queues, name)

    def send(self, queue: str, messages: Sequence[Message]) -> list[Refusal]:
        functions = {function.name: function.sends for function in TOPOLOGY.functions}
        sender = self._sender()
        require(queue in functions.get(sender, (queue,)), f"{sender} sends to {queue}, which it may not")
        for message in messages:
            check_silent(message.body, f"a message to {queue}")
            if queue.startswith("node-"):
                self._check_committed(message)
        if queue.startswith("node-") and self.refuse:
            self.refuse -= 1
            self._queues.send(queue, messages[1:])
            return [Refusal(0, "refused for good")]
        refusals: list[Refusal] = self._queues.send(queue, messages)
        return refusals

    def _check_committed(self, message: Message) -> None:
        with suppress(InvalidEvent):
            delivery = parse_delivery(message.body)
            found = self._table.query(f"EX#{delivery.execution_id}", keys.OUTBOX_PREFIX)
            require(delivery.outbox in [item.attributes["id"] for item in found], "a delivery of what is not there")
            return
        order = parse_order(message.body)
        key = keys.execution(order.execution_id, keys.STATE)
        item = self._table.get([key]).get(key)
        require(item is not None, "an order without a commit")
        state = state_of(item)
        plan = self._plans[order.plan_hash]
        place = plan.locate(order.command.path)
        assert place is not None
        if place.scope in state.scopes:
            graph = state.graph(place.scope)
            marked = graph.marks[place.node] != Mark.WAITING
            ordered = marked and graph.serial(place.node) >= order.command.serial
        elif order.command.undoes is not None:
            ordered = any(fate.serial >= order.command.serial for fate in state.fates.values())
        elif "[" in place.scope:  # the pass has ended since, and with it this run has
            run = keys.run(order.execution_id, order.command.path, order.command.serial)
            ordered = run in self._table.get([run])
        else:  # the state that runs it was left since
            chart = state.chart() if TOP_CHART in state.scopes else None
            ordered = chart is not None and chart.next_serials.get(place.block, 0) > order.command.serial
        require(ordered, f"{order.command.path} #{order.command.serial} was sent before it was committed")


class WatchedBus:
    def __init__(self, bus: Any) -> None:
        self._bus = bus

    def publish(self, events: Sequence[Any]) -> Any:
        for event in events:
            check_silent(event.detail, "a bus event")
        return self._bus.publish(events)


class WatchedLog(logging.Handler):
    """Log lines as they would be printed, extra fields included."""

    def emit(self, record: logging.LogRecord) -> None:
        check_silent(f"{record.getMessage()} {record.__dict__} {record.exc_info or ''}", "a log line")


class Effects:
    """How often the code of a node ran, by execution, path and attempt."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self._serials: set[tuple[str, int]] = set()

    def note(self, call: NodeCall) -> None:
        serial = call.idempotency_key, call.serial
        require(serial not in self._serials, f"P3: run {call.serial} of {call.idempotency_key} began twice")
        require(call.attempt <= ATTEMPTS_MAX, f"P3: {call.path} was granted attempt {call.attempt}")
        self._serials.add(serial)
        self.counts[call.execution_id, call.path, call.attempt] += 1


TERMINAL = frozenset(status.value for status in ExecutionStatus if status.terminal)
