"""The outbox: what goes to queues and buses, written in one transaction with the record of what brought it about, and
sent afterwards.

An item is found by its own key right after the record, and by the sweep in an index of those that were not sent by
then. Once it is sent it stands in no index, and keeps who it was for, not what it said.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

import msgspec

from workflow_runtime.ports import (
    Attribute,
    Blobs,
    ConditionFailed,
    Equals,
    Item,
    Key,
    Outgoing,
    Put,
    QueueMessage,
    Table,
    TableWrite,
)
from workflow_runtime.storage import keys
from workflow_runtime.storage.due import shard_of
from workflow_runtime.storage.payloads import get_json, pack_bytes, put_payload

FIRST_MS = 60_000  # after its record: longer than a worker takes to send it
LATER_MS_MAX = 3_600_000
LETTERS = "outbox:"  # begins the identities of dead letters about what was refused for good
OPEN, SENT, REFUSED = "open", "sent", "refused"


class Commit(msgspec.Struct, frozen=True):
    """What is written in one transaction with a record: items of the ``outbox``, a ``write`` of another table."""

    outbox: tuple[Item, ...] = ()
    write: TableWrite | None = None


class Entry(msgspec.Struct, frozen=True):
    """Of an outbox. ``pool``: the worker pool that sends it; ``at``: when the sweep looks at it again (epoch ms);
    ``tries``: how often it did."""

    execution_id: str
    id: str
    pool: str
    at: int
    tries: int
    status: str
    held: Attribute


_effects = msgspec.json.Decoder(Outgoing)


def put_with(table: Table, put: Put, commit: Commit | None) -> None:
    """Write a record, alone or in one transaction. Raises as `Table.put` and `Table.transact`."""
    if commit is None:
        table.put(put.item, put.condition)
    else:
        table.transact((put, *map(Put, commit.outbox)), commit.write)


class OutboxStore:
    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def item(self, execution_id: str, pool: str, effect: Outgoing, now: int) -> Item:
        """What is written with the record; a large message is put into the blob store first."""
        packed = pack_bytes(msgspec.json.encode(effect))
        digest = hashlib.sha256(packed).hexdigest()[:40]
        place = f"executions/{execution_id}/outbox/{digest}"
        entry = Entry(execution_id, effect.id, pool, now + FIRST_MS, 0, OPEN, put_payload(self._blobs, place, packed))
        return _item(entry)

    def get(self, execution_id: str, id: str) -> Entry | None:
        """The entry, whatever became of it."""
        key = keys.outbox(execution_id, id)
        item = self._table.get([key]).get(key)
        return _entry(item) if item is not None else None

    def open_of(self, execution_id: str) -> list[Entry]:
        """Those of an execution that are to be sent."""
        items = self._table.query(f"EX#{execution_id}", keys.OUTBOX_PREFIX)
        return [entry for entry in map(_entry, items) if entry.status == OPEN]

    def effect(self, entry: Entry) -> Outgoing:
        """What is to be sent."""
        effect: Outgoing = _effects.decode(get_json(self._blobs, entry.held))
        return effect

    def end(self, entry: Entry, effect: Outgoing, now: int) -> None:
        """It was sent."""
        to = effect.queue if isinstance(effect, QueueMessage) else effect.bus
        attributes: dict[str, Attribute] = {"id": entry.id, "st": SENT, "to": to, "sent_at": now, "pool": entry.pool}
        with suppress(ConditionFailed):  # somebody else has sent it, too
            self._table.put(Item(keys.outbox(entry.execution_id, entry.id), attributes), Equals("st", entry.status))

    def refuse(self, entry: Entry, reason: str) -> None:
        """It is refused for good: nobody looks at it again unless people have it sent again."""
        attributes = {**_item(entry).attributes, "st": REFUSED, "reason": reason}
        with suppress(ConditionFailed):
            self._table.put(Item(keys.outbox(entry.execution_id, entry.id), attributes), Equals("st", OPEN))

    def reopen(self, execution_id: str, id: str, now: int) -> None:
        """Have the sweep look at once at what was refused, and at its regular times again."""
        entry = self.get(execution_id, id)
        if entry is not None and entry.status == REFUSED:
            item = _item(msgspec.structs.replace(entry, status=OPEN, at=now, tries=0))
            with suppress(ConditionFailed):
                self._table.put(item, Equals("st", REFUSED))

    def due(self, shard: int, until: int, limit: int) -> list[Entry]:
        """Those of a shard that the sweep is to look at, the oldest first."""
        items = self._table.query_index(
            keys.outbox_shard(shard),
            before=f"{until + 1:015d}",
            descending=False,
            limit=limit,
        )
        return [_entry(item) for item in items]

    def postpone(self, entry: Entry, now: int) -> None:
        """Have the sweep look at it again later."""
        wait = min(FIRST_MS << min(entry.tries + 1, 10), LATER_MS_MAX)
        item = _item(msgspec.structs.replace(entry, at=now + wait, tries=entry.tries + 1))
        with suppress(ConditionFailed):  # it was sent meanwhile
            self._table.update(
                item.key, {"at": item.attributes["at"], "tries": entry.tries + 1}, Equals("st", OPEN), item.index
            )


def _item(entry: Entry) -> Item:
    index = Key(keys.outbox_shard(shard_of(entry.execution_id)), f"{entry.at:015d}#{entry.execution_id}#{entry.id}")
    attributes: dict[str, Attribute] = {
        "id": entry.id,
        "st": entry.status,
        "pool": entry.pool,
        "at": entry.at,
        "tries": entry.tries,
        "effect": entry.held,
    }
    return Item(keys.outbox(entry.execution_id, entry.id), attributes, index)


def _entry(item: Item) -> Entry:
    values = item.attributes
    return Entry(
        execution_id=item.key.partition.removeprefix("EX#"),
        id=str(values["id"]),
        pool=str(values["pool"]),
        at=int(values.get("at") or 0),
        tries=int(values.get("tries") or 0),
        status=str(values["st"]),
        held=values.get("effect"),
    )
