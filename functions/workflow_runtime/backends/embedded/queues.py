"""`ports.Queues` and `ports.Poller` embedded: messages in SQLite, their order and visibility in `mailboxes`.

Every change is written first and remembered after, so a failed write leaves both as they were. Sending, deleting, being
received and becoming a dead letter are written; visibility is not: opening a database makes every message that was in
flight visible again, which is what its holder's death calls for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import md5
from itertools import count

import msgspec

from workflow_runtime.backends.embedded.database import Database
from workflow_runtime.backends.embedded.mailboxes import FifoMailbox, Mailbox, StoredMessage, mailbox_of
from workflow_runtime.backends.limits import check_visibility, message_refusal
from workflow_runtime.deployment.topology import Topology
from workflow_runtime.ports import BATCH_MESSAGES_MAX, Clock, Message, Refusal, SqsRecord

BODY_CHARACTERS_IN_MEMORY_MAX = 8192  # longer bodies stay in the database until they are received
IDS_PER_BOOT_BITS = 40  # message numbers: the boot, then a count; they only grow
MILLISECONDS = 1000

_INSERT = """
INSERT INTO messages (id, queue, body, group_id, deduplication_id, sent_at, visible_at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_RECEIVED = "UPDATE messages SET receives = ?, first_received_at = ? WHERE id = ?"
_DEAD = "UPDATE messages SET queue = ?, dead_letter_source = ?, receives = 0, first_received_at = 0 WHERE id = ?"
_DELETE = "DELETE FROM messages WHERE id = ?"
_BODY = "SELECT body FROM messages WHERE id = ?"
_LOAD = """
SELECT queue, id, CASE WHEN length(body) > ? THEN NULL ELSE body END, group_id, deduplication_id, sent_at,
       CASE WHEN receives > 0 THEN 0 ELSE visible_at END, receives, first_received_at, dead_letter_source
FROM messages ORDER BY id
"""


class QueueDepth(msgspec.Struct, frozen=True):
    """A queue at one moment.

    ``ready``: messages that may be received.
    ``messages``: all, those under way and delayed ones included.
    ``oldest_ms``: how long ago the oldest that is ready was sent; 0: none is.
    """

    queue: str
    ready: int
    messages: int
    oldest_ms: int


class EmbeddedQueues:
    """See `ports.Queues` and `ports.Poller`.

    ``on_change`` is called with a queue's name when one of its messages may have become receivable, in that thread.
    ``next_visible_at`` looks at the queues that feed a function: what nobody polls (dead letters) wakes nobody.
    """

    def __init__(self, database: Database, clock: Clock, topology: Topology) -> None:
        self._database = database
        self._clock = clock
        self._topology = topology
        self._numbers = count((database.boot << IDS_PER_BOOT_BITS) + 1)
        self.on_change: Callable[[str], None] = _nothing
        self._load()
        database.on_lost.append(self._reload)

    def _reload(self) -> None:
        """Writes were lost that the mailboxes know of. What was in flight is delivered again."""
        self._load()
        for name in self._mailboxes:
            self.on_change(name)

    def _load(self) -> None:
        queues, functions = self._topology.queues, self._topology.functions
        self._mailboxes = {queue.name: mailbox_of(queue) for queue in queues}
        polled = {source.queue for function in functions for source in function.sources}
        self._polled = [self._mailboxes[queue.name] for queue in queues if queue.name in polled]
        now = self._clock.now()
        for name, *columns in self._database.read(_LOAD, (BODY_CHARACTERS_IN_MEMORY_MAX,)):
            if name in self._mailboxes:  # a queue that a later topology dropped keeps its messages in the file
                self._mailboxes[name].add(StoredMessage(*columns), now)

    def depths(self) -> list[QueueDepth]:
        """Of all queues."""
        with self._database.lock:
            now = self._clock.now()
            return [_depth(name, mailbox, now) for name, mailbox in self._mailboxes.items()]

    def send(self, queue: str, messages: Sequence[Message]) -> list[Refusal]:
        mailbox = self._mailbox(queue)
        refusals: list[Refusal] = []
        with self._database.lock:
            now = self._clock.now()
            rows = self._rows(mailbox, messages, now, refusals)
            if not rows:
                return refusals
            if len(rows) == 1:
                self._database.write(_INSERT, rows[0])
            else:
                self._database.write_all((_INSERT, rows))
            for id, _, body, group, deduplication_id, sent_at, visible_at in rows:
                kept = body if len(body) <= BODY_CHARACTERS_IN_MEMORY_MAX else None
                mailbox.add(StoredMessage(id, kept, group, deduplication_id, sent_at, visible_at), now)
        self.on_change(queue)
        return refusals

    def _rows(
        self, mailbox: Mailbox, messages: Sequence[Message], now: int, refusals: list[Refusal]
    ) -> list[tuple[int, str, str, str | None, str | None, int, int]]:
        """The rows of what is to be sent: without what is refused and without duplicates, which SQS drops."""
        rows = []
        fresh: set[str | None] = set()
        for index, message in enumerate(messages):
            reason = message_refusal(mailbox.queue, message)
            if reason is not None:
                refusals.append(Refusal(index, reason))
                continue
            deduplication_id = message.deduplication_id
            if isinstance(mailbox, FifoMailbox):
                assert deduplication_id is not None
                if deduplication_id in fresh or mailbox.has_seen(deduplication_id, now):
                    continue
                fresh.add(deduplication_id)
            visible_at = now + round(message.delay_seconds * MILLISECONDS) if message.delay_seconds else 0
            name = mailbox.queue.name
            rows.append((next(self._numbers), name, message.body, message.group, deduplication_id, now, visible_at))
        return rows

    def set_visibility(self, queue: str, seconds: Mapping[str, int]) -> None:
        for each in seconds.values():
            check_visibility(each)
        mailbox = self._mailbox(queue)
        with self._database.lock:
            now = self._clock.now()
            for receipt_handle, each in seconds.items():
                message = mailbox.receipts.get(receipt_handle)
                if message is not None and message.hidden and message.visible_at > now:
                    mailbox.hide(message, now + each * MILLISECONDS)
        self.on_change(queue)

    def receive(self, queue: str, maximum: int) -> list[SqsRecord]:
        if not 1 <= maximum <= BATCH_MESSAGES_MAX:
            raise ValueError(f"a receive is of 1 to {BATCH_MESSAGES_MAX} messages, not {maximum}")
        if not self._mailbox(queue).messages:
            return []
        with self._database.lock:
            self._database.settle()  # what was sent may be lost, and is not there then
            mailbox = self._mailbox(queue)
            now = self._clock.now()
            batch: list[StoredMessage] = []
            dead: list[StoredMessage] = []
            limit = mailbox.queue.receives_max if mailbox.queue.dead_letters is not None else 0
            for message in mailbox.candidates(maximum, now):
                (dead if limit and message.receives >= limit else batch).append(message)
            if dead or len(batch) > 1:
                self._write_received(mailbox, batch, dead, now)
            elif batch:
                first = batch[0]
                received = (first.receives + 1, first.first_received_at or now, first.id)
                self._database.write(_RECEIVED, received)
            until = now + mailbox.queue.visibility_seconds * MILLISECONDS
            for message in dead:
                self._move_to_dead_letters(mailbox, message, now)
            return [self._received(mailbox, message, now, until) for message in batch]

    def _write_received(
        self, mailbox: Mailbox, batch: list[StoredMessage], dead: list[StoredMessage], now: int
    ) -> None:
        name, dead_letters = mailbox.queue.name, mailbox.queue.dead_letters
        self._database.write_all(
            (_RECEIVED, [(message.receives + 1, message.first_received_at or now, message.id) for message in batch]),
            (_DEAD, [(dead_letters, name, message.id) for message in dead]),
        )

    def _move_to_dead_letters(self, mailbox: Mailbox, message: StoredMessage, now: int) -> None:
        assert mailbox.queue.dead_letters is not None
        mailbox.remove(message)
        message.dead_letter_source = mailbox.queue.name
        message.receives = message.first_received_at = message.visible_at = 0
        message.receipt = None
        self._mailboxes[mailbox.queue.dead_letters].add(message, now)
        self.on_change(mailbox.queue.dead_letters)

    def _received(self, mailbox: Mailbox, message: StoredMessage, now: int, until: int) -> SqsRecord:
        message.receives += 1
        message.first_received_at = message.first_received_at or now
        if message.receipt is not None:
            mailbox.receipts.pop(message.receipt, None)
        message.receipt = f"{message.id}.{message.receives}"
        mailbox.receipts[message.receipt] = message
        mailbox.hide(message, until)
        body = message.body
        if body is None:
            body = self._database.read_one(_BODY, (message.id,))[0]
        return SqsRecord(message.receipt, self._event_record(mailbox.queue.name, message, body))

    def _event_record(self, queue: str, message: StoredMessage, body: str) -> dict[str, object]:
        """As the user guide of Lambda shows it ("Using Lambda with Amazon SQS")."""
        attributes = {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(message.sent_at),
            "SenderId": "local",
            "ApproximateFirstReceiveTimestamp": str(message.first_received_at),
        }
        if message.group is not None:
            attributes["MessageGroupId"] = message.group
        if message.deduplication_id is not None:
            attributes["SequenceNumber"] = f"{message.id:020d}"
            attributes["MessageDeduplicationId"] = message.deduplication_id
        if message.dead_letter_source is not None:
            attributes["DeadLetterQueueSourceArn"] = _arn(message.dead_letter_source)
        number = f"{message.id:016x}"
        return {
            "messageId": f"{self._database.database_id}-{number[:4]}-{number[4:]}",  # as long as a UUID
            "receiptHandle": message.receipt,
            "body": body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": md5(body.encode(), usedforsecurity=False).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": _arn(queue),
            "awsRegion": "local",
        }

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None:
        mailbox = self._mailbox(queue)
        with self._database.lock:
            if isinstance(mailbox, FifoMailbox):
                mailbox.next_visible_at(self._clock.now())  # expired receipts are void
            found = [mailbox.receipts[handle] for handle in set(receipt_handles) if handle in mailbox.receipts]
            if len(found) == 1:
                self._database.write(_DELETE, (found[0].id,))
            elif found:
                self._database.write_all((_DELETE, [(message.id,) for message in found]))
            for message in found:
                mailbox.remove(message)

    def next_visible_at(self, *, without: str = "") -> int | None:
        with self._database.lock:
            now = self._clock.now()
            looked_at = (mailbox for mailbox in self._polled if mailbox.queue.name != without)
            times = [time for mailbox in looked_at if (time := mailbox.next_visible_at(now)) is not None]
        return min(times, default=None)

    def _mailbox(self, queue: str) -> Mailbox:
        mailbox = self._mailboxes.get(queue)
        if mailbox is None:
            raise ValueError(f"there is no queue {queue}")
        return mailbox


def _arn(queue: str) -> str:
    return f"arn:aws:sqs:local:000000000000:{queue}"


def _nothing(queue: str) -> None:
    """Nobody waits for messages."""


def _depth(name: str, mailbox: Mailbox, now: int) -> QueueDepth:
    messages = mailbox.messages.values()
    ready = [message.sent_at for message in messages if not message.hidden and message.visible_at <= now]
    return QueueDepth(name, len(ready), len(messages), max(0, now - min(ready, default=now)))
