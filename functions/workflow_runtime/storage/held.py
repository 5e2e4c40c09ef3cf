"""Events that are held while their execution is suspended: an item each, by its number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from workflow_runtime.engine.events import EventReturned, HeldEvent
from workflow_runtime.ports import Blobs, Item, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import get_json, pack_bytes, put_payload

_encoder = msgspec.json.Encoder()
_events: msgspec.json.Decoder[HeldEvent] = msgspec.json.Decoder(HeldEvent)


class HeldStore:
    """Writing an event again changes nothing: a number is never used for another one."""

    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def put(self, execution_id: str, events: Iterable[tuple[int, HeldEvent]]) -> None:
        self._table.put_all([self._item(execution_id, number, event) for number, event in events])

    def get(self, execution_id: str, numbers: Sequence[int]) -> list[EventReturned]:
        """The events held under these numbers, as they come back. One that is not there is a fault: `KeyError`."""
        wanted = {number: keys.held_event(execution_id, number) for number in numbers}
        items = self._table.get(list(wanted.values()))
        return [self._returned(number, items[key]) for number, key in wanted.items()]

    def delete(self, execution_id: str, numbers: Iterable[int]) -> None:
        self._table.delete_all([keys.held_event(execution_id, number) for number in numbers])

    def _item(self, execution_id: str, number: int, event: HeldEvent) -> Item:
        place = f"executions/{execution_id}/held/{number}"
        held = put_payload(self._blobs, place, pack_bytes(_encoder.encode(event)))
        return Item(keys.held_event(execution_id, number), {"event": held})

    def _returned(self, number: int, item: Item) -> EventReturned:
        event = _events.decode(get_json(self._blobs, item.attributes["event"]))
        return EventReturned(f"held:{number}", event.at, number, event)
