"""Who is next in a queue: the order and visibility of messages, in memory.

The database holds what must outlive the process (the messages and how often each was received). Everything else follows
from it: one process owns the database, so what is in flight, hidden or ready needs no query. Nothing here does I/O.

A message is either *hidden* (delayed or in flight, until ``visible_at``) or visible. In a FIFO queue a group is *ready*
when it has messages and none of them is hidden.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from itertools import count, islice

from workflow_runtime.deployment.topology import Queue

DEDUPLICATION_MILLISECONDS = 5 * 60 * 1000  # SQS FIFO
STALE_ENTRIES_MAX = 64  # below that, sweeping the heap of hidden messages is not worth it


class StoredMessage:
    """A message in a queue. ``body`` is None when it is long and has to be read; ``receipt`` is the latest one."""

    __slots__ = (
        "body",
        "dead_letter_source",
        "deduplication_id",
        "first_received_at",
        "group",
        "hidden",
        "id",
        "receipt",
        "receives",
        "sent_at",
        "visible_at",
    )

    def __init__(
        self,
        id: int,
        body: str | None,
        group: str | None,
        deduplication_id: str | None,
        sent_at: int,
        visible_at: int,
        receives: int = 0,
        first_received_at: int = 0,
        dead_letter_source: str | None = None,
    ) -> None:
        self.id = id
        self.body = body
        self.group = group
        self.deduplication_id = deduplication_id
        self.sent_at = sent_at
        self.visible_at = visible_at
        self.receives = receives
        self.first_received_at = first_received_at
        self.dead_letter_source = dead_letter_source
        self.hidden = False
        self.receipt: str | None = None


class Mailbox:
    """A standard queue: visible messages in the order in which they became visible."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.messages: dict[int, StoredMessage] = {}
        self.receipts: dict[str, StoredMessage] = {}
        self._hidden: list[tuple[int, int, StoredMessage]] = []
        self._stale = 0  # entries of `_hidden` that no longer say when their message becomes visible
        self._tickets = count()
        self._ready: OrderedDict[int, StoredMessage] = OrderedDict()

    def add(self, message: StoredMessage, now: int) -> None:
        """Take a new message, visible or delayed."""
        self.messages[message.id] = message
        if message.visible_at > now:
            self._push(message, message.visible_at)
        else:
            self._ready[message.id] = message

    def candidates(self, maximum: int, now: int) -> list[StoredMessage]:
        """The messages to deliver next; they stay as they are until `hide` or `remove`."""
        self._surface_due(now)
        return list(islice(self._ready.values(), maximum))

    def hide(self, message: StoredMessage, until: int) -> None:
        """Make a message invisible until a time (epoch ms), whether it is visible now or not."""
        if message.hidden:
            self._stale += 1
        else:
            self._ready.pop(message.id)
        self._push(message, until)

    def remove(self, message: StoredMessage) -> None:
        del self.messages[message.id]
        if message.receipt is not None:
            self.receipts.pop(message.receipt, None)
        if message.hidden:
            self._forget_hidden(message)
        else:
            self._ready.pop(message.id)

    def next_visible_at(self, now: int) -> int | None:
        """When the next message becomes receivable; a time in the past when one is; None when there is none."""
        if not self.messages:
            return None
        self._surface_due(now)
        first = self._first_ready()
        if first is not None:
            return min(first.visible_at, now)
        self._drop_stale()
        return self._hidden[0][0] if self._hidden else None

    def _first_ready(self) -> StoredMessage | None:
        return next(iter(self._ready.values()), None)

    def _surface(self, message: StoredMessage) -> None:
        self._ready[message.id] = message

    def _push(self, message: StoredMessage, until: int) -> None:
        message.visible_at = until
        message.hidden = True
        heapq.heappush(self._hidden, (until, next(self._tickets), message))

    def _surface_due(self, now: int) -> None:
        while self._hidden and self._hidden[0][0] <= now:
            until, _, message = heapq.heappop(self._hidden)
            if message.hidden and message.visible_at == until:
                message.hidden = False
                self._surface(message)
            else:
                self._stale -= 1

    def _forget_hidden(self, message: StoredMessage) -> None:
        """Long visibility timeouts would pile up the entries of deleted messages: sweep when most of them are stale."""
        message.hidden = False
        self._stale += 1
        if self._stale > STALE_ENTRIES_MAX and self._stale > len(self._hidden) // 2:
            self._hidden = [entry for entry in self._hidden if entry[2].hidden and entry[2].visible_at == entry[0]]
            heapq.heapify(self._hidden)
            self._stale = 0

    def _drop_stale(self) -> None:
        while self._hidden and not (self._hidden[0][2].hidden and self._hidden[0][2].visible_at == self._hidden[0][0]):
            heapq.heappop(self._hidden)
            self._stale -= 1


class _Group:
    """The messages of a FIFO group in order, and how many of them are in flight."""

    __slots__ = ("in_flight", "messages", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: OrderedDict[int, StoredMessage] = OrderedDict()
        self.in_flight = 0


class FifoMailbox(Mailbox):
    """A FIFO queue: groups take turns in the order in which they became ready; within a group, messages keep theirs."""

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._groups: dict[str, _Group] = {}
        self._ready_groups: OrderedDict[str, _Group] = OrderedDict()
        self._seen: dict[str, int] = {}
        self._seen_order: deque[tuple[int, str]] = deque()

    def has_seen(self, deduplication_id: str, now: int) -> bool:
        """Whether a message with this id was sent within the deduplication window."""
        while self._seen_order and self._seen_order[0][0] <= now:
            self._seen.pop(self._seen_order.popleft()[1], None)
        return deduplication_id in self._seen

    def add(self, message: StoredMessage, now: int) -> None:
        assert message.group is not None
        assert message.deduplication_id is not None
        self.messages[message.id] = message
        forgotten_at = message.sent_at + DEDUPLICATION_MILLISECONDS
        if message.dead_letter_source is None and forgotten_at > now and message.deduplication_id not in self._seen:
            self._seen[message.deduplication_id] = forgotten_at
            self._seen_order.append((forgotten_at, message.deduplication_id))
        group = self._groups.get(message.group)
        if group is None:
            group = self._groups[message.group] = _Group(message.group)
        group.messages[message.id] = message
        if not group.in_flight:
            self._ready_groups[group.name] = group  # a group that is ready keeps its turn

    def candidates(self, maximum: int, now: int) -> list[StoredMessage]:
        self._surface_due(now)
        found: list[StoredMessage] = []
        for group in self._ready_groups.values():
            found.extend(islice(group.messages.values(), maximum - len(found)))
            if len(found) >= maximum:
                break
        return found

    def hide(self, message: StoredMessage, until: int) -> None:
        if message.hidden:
            self._stale += 1
        else:
            group = self._group(message)
            group.in_flight += 1
            self._ready_groups.pop(group.name, None)
        self._push(message, until)

    def remove(self, message: StoredMessage) -> None:
        del self.messages[message.id]
        if message.receipt is not None:
            self.receipts.pop(message.receipt, None)
        group = self._group(message)
        del group.messages[message.id]
        if message.hidden:
            self._forget_hidden(message)
            self._land(group)
        if not group.messages:
            del self._groups[group.name]
            self._ready_groups.pop(group.name, None)

    def _first_ready(self) -> StoredMessage | None:
        group = next(iter(self._ready_groups.values()), None)
        return None if group is None else next(iter(group.messages.values()))

    def _surface(self, message: StoredMessage) -> None:
        if message.receipt is not None:  # SQS: an expired receipt no longer deletes from a FIFO queue
            self.receipts.pop(message.receipt, None)
        self._land(self._group(message))

    def _land(self, group: _Group) -> None:
        group.in_flight -= 1
        if not group.in_flight and group.messages:
            self._ready_groups[group.name] = group

    def _group(self, message: StoredMessage) -> _Group:
        assert message.group is not None
        return self._groups[message.group]


def mailbox_of(queue: Queue) -> Mailbox:
    return FifoMailbox(queue) if queue.fifo else Mailbox(queue)
