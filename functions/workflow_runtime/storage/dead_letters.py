"""Dead letters: what could not be taken or sent, and why; by execution, and all of them in the order they were sent."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Attribute, Blobs, ConditionFailed, Item, Key, Present, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import get_payload, pack, put_payload

NOT_ADDRESSED = "unaddressed"  # in names of objects: it names no execution


class Letter(msgspec.Struct, frozen=True):
    """A dead letter. ``execution_id`` "": it names none. ``at``: when it was given up; ``sent``: its place in the order
    of sending; ``redriven_at``: when it was brought back (epoch ms, 0: not yet). ``held``: what the item holds.
    """

    execution_id: str
    identity: str
    reason: str
    at: int
    sent: str
    redriven_at: int
    key: Key
    held: Attribute

    @property
    def position(self) -> str:
        return f"{self.sent}#{self.key.sort}"


class LetterStore:
    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def put(self, execution_id: str, identity: str, reason: str, body: str, at: int, sent: str = "") -> None:
        """Keep a letter; ``execution_id`` "": it names none. ``sent``: see `sending_order`."""
        key = keys.dead(execution_id, identity) if execution_id else keys.unaddressed_dead(identity)
        packed = pack({"reason": reason, "body": body})
        place = f"executions/{execution_id or NOT_ADDRESSED}/dead/{hashlib.sha256(packed).hexdigest()[:40]}"
        sent = sent or sending_order(at, 0)
        attributes: dict[str, Attribute] = {
            "letter": put_payload(self._blobs, place, packed),
            "at": at,
            "sent": sent,
            "reason": reason[:REASON_CHARS_MAX],
        }
        self._table.put(Item(key, attributes, keys.dead_listing(sent, execution_id, key.sort)))

    def has(self, execution_id: str, identity: str) -> bool:
        key = keys.dead(execution_id, identity)
        return key in self._table.get([key])

    def documents(self, execution_id: str) -> list[dict[str, Json]]:
        """All of an execution: ``{reason, body}`` each."""
        items = self._table.query(f"EX#{execution_id}", keys.DEAD_PREFIX)
        return [get_payload(self._blobs, item.attributes["letter"]) for item in items]

    def list(self, execution_id: str | None, limit: int, after: str | None) -> tuple[list[Letter], str | None]:
        """The next letters of an execution, or of all, in the order of sending; and where the next page begins."""
        if execution_id is None:
            found = self._table.query_index(keys.DEAD_LETTERS, after=after, descending=False, limit=limit + 1)
            places = [item.index.sort for item in found if item.index is not None]
            more = places[limit - 1] if len(found) > limit else None
            return [self._letter(item) for item in found[:limit]], more
        items = self._table.query(f"EX#{execution_id}", keys.DEAD_PREFIX)
        letters = sorted(map(self._letter, items), key=lambda letter: letter.position)
        left = [letter for letter in letters if after is None or letter.position > after]
        return left[:limit], left[limit - 1].position if len(left) > limit else None

    def body(self, letter: Letter) -> str:
        """The message as it was."""
        return str(get_payload(self._blobs, letter.held)["body"])

    def mark(self, letter: Letter, at: int) -> None:
        """It was brought back then (epoch ms)."""
        with suppress(ConditionFailed):  # expired meanwhile
            self._table.update(letter.key, {"redriven_at": at}, Present("letter"))

    def _letter(self, item: Item) -> Letter:
        values, (partition, sort) = item.attributes, item.key
        reason = values.get("reason")
        if reason is None:  # a letter of an earlier version
            reason = get_payload(self._blobs, values["letter"])["reason"]
        execution_id = partition.removeprefix("EX#") if partition.startswith("EX#") else ""
        at = int(values["at"] or 0)
        return Letter(
            execution_id=execution_id,
            identity=sort.removeprefix(keys.DEAD_PREFIX) if execution_id else sort,
            reason=str(reason),
            at=at,
            sent=str(values.get("sent") or sending_order(at, 0)),
            redriven_at=int(values.get("redriven_at") or 0),
            key=item.key,
            held=values["letter"],
        )


REASON_CHARS_MAX = 500  # of what lists show; the letter has all of it


def sending_order(sent_at: int, sequence_number: int) -> str:
    """A message's place among those of its group: when it was sent (epoch ms), and its number in a FIFO queue."""
    return f"{sent_at:015d}#{sequence_number:039d}"
