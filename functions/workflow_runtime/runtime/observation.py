"""Seeing what a runtime writes, and stopping what it receives: ports wrapped, nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from workflow_runtime.deployment.metrics import AttemptEnded
from workflow_runtime.ports import (
    Attribute,
    Condition,
    Item,
    Key,
    Poller,
    Put,
    ScheduleRunner,
    SqsRecord,
    Table,
    TableWrite,
)

EXECUTION_PREFIX = "EX#"

Written = Callable[[str, str, Mapping[str, Any]], None]


class Observer(Protocol):
    """Told of every write to an execution's items, of every count of `deployment.metrics`, and of every attempt that
    ended; in whatever thread, so it must be quick and must not raise.
    """

    def wrote(self, execution_id: str, sort: str, attributes: Mapping[str, Any]) -> None:
        """``sort``: which item (see `storage.keys`); ``attributes``: the item's, or the changed ones of an update."""

    def counted(self, name: str, value: int) -> None:
        """``name``: a `Metric`."""

    def attempt_ended(self, ended: AttemptEnded) -> None: ...


class Silence:
    """Observes nothing; a base for observers that look at a part only."""

    def wrote(self, execution_id: str, sort: str, attributes: Mapping[str, Any]) -> None: ...

    def counted(self, name: str, value: int) -> None: ...

    def attempt_ended(self, ended: AttemptEnded) -> None: ...


class Observers:
    """Several, each told of everything."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def wrote(self, execution_id: str, sort: str, attributes: Mapping[str, Any]) -> None:
        for observer in self._observers:
            observer.wrote(execution_id, sort, attributes)

    def counted(self, name: str, value: int) -> None:
        for observer in self._observers:
            observer.counted(name, value)

    def attempt_ended(self, ended: AttemptEnded) -> None:
        for observer in self._observers:
            observer.attempt_ended(ended)


class ObservedTable:
    """`ports.Table` that calls ``written`` after every write that went through."""

    def __init__(self, table: Table, written: Written) -> None:
        self._table = table
        self._written = written
        self.get = table.get
        self.delete = table.delete
        self.change = table.change  # of what is shared by executions: nobody observes that
        self.delete_all = table.delete_all
        self.query = table.query
        self.query_index = table.query_index

    def put(self, item: Item, condition: Condition | None = None) -> None:
        self._table.put(item, condition)
        self._notice(item.key, item.attributes)

    def put_all(self, items: Sequence[Item]) -> None:
        self._table.put_all(items)
        for item in items:
            self._notice(item.key, item.attributes)

    def transact(self, puts: Sequence[Put], write: TableWrite | None = None) -> None:
        self._table.transact(puts, write)
        for put in puts:
            self._notice(put.item.key, put.item.attributes)

    def update(
        self,
        key: Key,
        changes: Mapping[str, Attribute],
        condition: Condition,
        index: Key | None = None,
        listing: Key | None = None,
    ) -> None:
        self._table.update(key, changes, condition, index, listing)
        self._notice(key, changes)

    def _notice(self, key: Key, attributes: Mapping[str, Any]) -> None:
        if key.partition.startswith(EXECUTION_PREFIX):
            self._written(key.partition.removeprefix(EXECUTION_PREFIX), key.sort, attributes)


class GatedPoller:
    """`ports.Poller` that receives nothing more once ``closed``: then work under way comes to its end."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self.closed = False

    def receive(self, queue: str, maximum: int) -> list[SqsRecord]:
        return [] if self.closed else self._poller.receive(queue, maximum)

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None:
        self._poller.delete(queue, receipt_handles)

    def next_visible_at(self, *, without: str = "") -> int | None:
        return None if self.closed else self._poller.next_visible_at(without=without)


class GatedScheduler:
    """`ports.ScheduleRunner` that fires nothing more once the ``gate`` is closed."""

    def __init__(self, scheduler: ScheduleRunner, gate: GatedPoller) -> None:
        self._scheduler = scheduler
        self._gate = gate

    def next_at(self, *, recurring: bool = True, ticks: bool = True) -> int | None:
        return None if self._gate.closed else self._scheduler.next_at(recurring=recurring, ticks=ticks)

    def fire(self) -> None:
        if not self._gate.closed:
            self._scheduler.fire()
