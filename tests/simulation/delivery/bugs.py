"""Bugs, each planted between the services and their ports: what the harness must find, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from workflow_runtime.errors import InvalidEvent
from workflow_runtime.ports import (
    Absent,
    AnyOf,
    Attribute,
    Change,
    Condition,
    ConditionFailed,
    Equals,
    Item,
    Key,
    Message,
    Missing,
    Ports,
)
from workflow_runtime.services.limits import arithmetic
from workflow_runtime.services.messages import parse_order
from workflow_runtime.services.work.attempt import LEASE_SECONDS
from workflow_runtime.storage import keys

COMPENSATE = "~compensate"  # at the end of the path of what undoes a node
HELD = "HELD#"  # what the sort keys of held events begin with
SUBSCRIPTIONS = "SUB#"  # and the partitions of subscriptions
HOUR_SECONDS = 3600

Bug = Callable[[Ports], Ports]


def no_bug(ports: Ports) -> Ports:
    return ports


class Tampered:
    """A port of which a bug changes some calls."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


class Unconditional(Tampered):
    """Writes of some items, by the beginning of their sort key, forget their condition."""

    def __init__(self, table: Any, prefix: str, *, only: type[Condition] | None = None) -> None:
        super().__init__(table)
        self._prefix = prefix
        self._only = only

    def put(self, item: Item, condition: Condition | None = None) -> None:
        forgets = item.key.sort.startswith(self._prefix) and (self._only is None or isinstance(condition, self._only))
        self._port.put(item, None if forgets else condition)

    def update(
        self, key: Key, changes: Mapping[str, Attribute], condition: Condition, *rest: Any, **named: Any
    ) -> None:
        if key.sort.startswith(self._prefix):
            for item in self._port.get([key]).values():
                self._port.put(replace(item, attributes={**item.attributes, **changes}))
        else:
            self._port.update(key, changes, condition, *rest, **named)


def without_condition(prefix: str, only: type[Condition] | None = None) -> Bug:
    return lambda ports: replace(ports, table=Unconditional(ports.table, prefix, only=only))


class Forgetful(Tampered):
    """A state is taken for published whether it was or not, so what a dead dispatcher left undone is never done."""

    def query(self, partition: str, prefix: str = "", **options: Any) -> list[Item]:
        found: list[Item] = self._port.query(partition, prefix, **options)
        if prefix == keys.JOURNAL_PREFIX and found and found[0].key.sort == keys.STATE and options.get("limit") == 2:
            version = int(found[0].attributes["v"] or 0)
            execution_id = partition.removeprefix("EX#")
            return [found[0], Item(keys.journal(execution_id, version), found[0].attributes)]
        return found


def redelivery_dropped(ports: Ports) -> Ports:
    return replace(ports, table=Forgetful(ports.table))


class Hasty(Tampered):
    """Commits are written after what they order was sent."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self.pending: tuple[Item, Condition | None] | None = None

    def put(self, item: Item, condition: Condition | None = None) -> None:
        if item.key.sort == keys.STATE:
            self.pending = item, condition
        else:
            self.commit()
            self._port.put(item, condition)

    def commit(self) -> None:
        if self.pending is not None:
            (item, condition), self.pending = self.pending, None
            self._port.put(item, condition)


class SendsFirst(Tampered):
    def __init__(self, queues: Any, table: Hasty) -> None:
        super().__init__(queues)
        self._table = table

    def send(self, queue: str, messages: Sequence[Message]) -> Any:
        answer = self._port.send(queue, messages)
        self._table.commit()
        return answer


def sends_before_the_commit(ports: Ports) -> Ports:
    table = Hasty(ports.table)
    queues: Any = SendsFirst(ports.queues, table)
    return replace(ports, table=table, queues=queues)


class Reviving(Tampered):
    """Whoever finds an expired lease runs the node again, under the same serial."""

    def __init__(self, table: Any, now: Callable[[], int]) -> None:
        super().__init__(table)
        self._now = now

    def put(self, item: Item, condition: Condition | None = None) -> None:
        try:
            self._port.put(item, condition)
        except ConditionFailed:
            found = self._port.get([item.key]).get(item.key)
            is_claim = item.key.sort.startswith(keys.RUN_PREFIX) and isinstance(condition, Absent)
            if not is_claim or found is None or not _expired(found, self._now()):
                raise
            self._port.put(item)


def _expired(run: Item, now: int) -> bool:
    return run.attributes["status"] == "running" and int(run.attributes.get("lease_until") or 0) < now


def expired_lease_run_again(ports: Ports) -> Ports:
    return replace(ports, table=Reviving(ports.table, ports.clock.now))


class Tangled(Tampered):
    """The mark that a commit is published is written before it is."""

    def put(self, item: Item, condition: Condition | None = None) -> None:
        self._port.put(item, condition)
        if item.key.sort == keys.STATE:
            execution_id = item.key.partition.removeprefix("EX#")
            version = int(item.attributes["v"] or 0)
            self._port.put(Item(keys.journal(execution_id, version), {"entry": item.attributes["last"]}))


def marked_before_published(ports: Ports) -> Ports:
    return replace(ports, table=Tangled(ports.table))


class Insistent(Tampered):
    """Whoever finds that a compensation was claimed, or has run, claims it all the same."""

    def put(self, item: Item, condition: Condition | None = None) -> None:
        is_claim = item.key.sort.startswith(keys.RUN_PREFIX) and isinstance(condition, Absent)
        undoes = str(item.attributes.get("path", "")).endswith(COMPENSATE)
        self._port.put(item, None if is_claim and undoes else condition)


def compensation_run_twice(ports: Ports) -> Ports:
    return replace(ports, table=Insistent(ports.table))


class LosesRetries(Tampered):
    """An order that grants another attempt reaches no queue."""

    def send(self, queue: str, messages: Sequence[Message]) -> Any:
        kept = [message for message in messages if not _grants_another_attempt(message)]
        return self._port.send(queue, kept) if kept else []


def _grants_another_attempt(message: Message) -> bool:
    with suppress(InvalidEvent):
        return parse_order(message.body).command.attempt > 1
    return False


def retry_loses_its_order(ports: Ports) -> Ports:
    return replace(ports, queues=LosesRetries(ports.queues))


BUGS: Mapping[str, Bug] = {
    "a claim without its condition": without_condition(keys.RUN_PREFIX, only=Absent),
    "a record without its condition": without_condition(keys.RUN_PREFIX),
    "a commit without its condition": without_condition(keys.STATE),
    "a header without its condition": without_condition(keys.HEADER),
    "a redelivery dropped instead of published again": redelivery_dropped,
    "sends before the commit": sends_before_the_commit,
    "an expired lease run again under its serial": expired_lease_run_again,
    "marked as published before it is": marked_before_published,
    "a compensation run twice": compensation_run_twice,
    "a retry that loses its order": retry_loses_its_order,
}


# -- bugs that a directed schedule finds


class NewestFirst(Tampered):
    """The sweep looks first after what became due last."""

    def query_index(self, partition: str, prefix: str = "", **options: Any) -> Any:
        if partition.startswith("DUE#"):
            options |= {"descending": True, "after": None}
        return self._port.query_index(partition, prefix, **options)


def newest_first_sweep(ports: Ports) -> Ports:
    return replace(ports, table=NewestFirst(ports.table))


class Pumpless(Tampered):
    """Who joins a line does not see to it that it has a pump."""

    def change(self, key: Key, change: Change, condition: Condition | None = None) -> Item:
        begins_pump = isinstance(condition, AnyOf) and Missing(arithmetic.PUMP) in condition.conditions
        changed: Item = self._port.change(key, change, Equals(arithmetic.PUMP, -1) if begins_pump else condition)
        return changed


def line_without_pump(ports: Ports) -> Ports:
    return replace(ports, table=Pumpless(ports.table))


class Suspicious(Tampered):
    """Whoever is told that his condition does not hold takes what he finds for somebody else's, though it may be what
    he has just written himself: only the answer to that was lost."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self._refused: set[Key] = set()

    def put(self, item: Item, condition: Condition | None = None) -> None:
        try:
            self._port.put(item, condition)
        except ConditionFailed:
            if self._port.get([item.key]).get(item.key) == item:
                self._refused.add(item.key)
            raise

    def get(self, wanted: Sequence[Key], **named: Any) -> dict[Key, Item]:
        found: dict[Key, Item] = self._port.get(wanted, **named)
        for key in self._refused & found.keys():
            self._refused.remove(key)
            names = found[key].attributes.keys() & {"commit", "holder", "owner"}
            others = dict.fromkeys(names, "somebody else")
            found = {**found, key: replace(found[key], attributes={**found[key].attributes, **others})}
        return found


def lost_response_taken_for_a_lost_race(ports: Ports) -> Ports:
    return replace(ports, table=Suspicious(ports.table))


class Sluggish(Tampered):
    """An order under way stays invisible for as long as an attempt may take at most, not for as long as its lease."""

    def set_visibility(self, queue: str, seconds: Mapping[str, int]) -> None:
        longer = {receipt: HOUR_SECONDS if time > LEASE_SECONDS else time for receipt, time in seconds.items()}
        self._port.set_visibility(queue, longer)


def visibility_longer_than_the_lease(ports: Ports) -> Ports:
    return replace(ports, queues=Sluggish(ports.queues))


class SubscribesLate(Tampered):
    """What a commit waits for is written once the commit stands."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self._late: list[Item] = []

    def put_all(self, items: Sequence[Item]) -> None:
        late = [item for item in items if item.key.partition.startswith(SUBSCRIPTIONS)]
        self._late += late
        if len(late) < len(items):
            self._port.put_all([item for item in items if item not in late])

    def put(self, item: Item, condition: Condition | None = None) -> None:
        self._port.put(item, condition)
        if item.key.sort == keys.STATE and self._late:
            late, self._late = self._late, []
            self._port.put_all(late)


def subscriptions_after_the_commit(ports: Ports) -> Ports:
    return replace(ports, table=SubscribesLate(ports.table))


class Stacked(Tampered):
    """Of the events that were held, the last comes back first."""

    def get(self, wanted: Sequence[Key], **named: Any) -> dict[Key, Item]:
        found: dict[Key, Item] = self._port.get(wanted, **named)
        held = [key for key in wanted if key.sort.startswith(HELD) and key in found]
        turned = {key: replace(found[other], key=key) for key, other in zip(held, reversed(held), strict=True)}
        return {**found, **turned}


def held_events_out_of_order(ports: Ports) -> Ports:
    return replace(ports, table=Stacked(ports.table))


class KeepsNoProgress(Tampered):
    """How far the publishing of a commit has come is not noted."""

    def put(self, item: Item, condition: Condition | None = None) -> None:
        if item.key.sort != keys.PROGRESS:
            self._port.put(item, condition)


def publishing_that_restarts(ports: Ports) -> Ports:
    return replace(ports, table=KeepsNoProgress(ports.table))


step_without_its_condition = without_condition(keys.STEP_PREFIX)


def unknown_events_buried(body: str) -> str:
    """What a dispatcher reads that takes any event which it does not know for no event at all."""
    return body.replace('"event":{', '"no_event":{') if "from_the_future" in body else body
