"""Recorded express executions: one item holds the header and, packed, all else that a standard execution would have.

`RecordedTable` shows them as if each of those items stood in the table, so that documents, histories and drawings read
them like any other. It costs no call: a view reads the header first, and with it comes everything.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock

import msgspec

from workflow_runtime.ports import Attribute, Blobs, Item, Key, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.headers import RECORD
from workflow_runtime.storage.payloads import unpacked

EXECUTIONS_KEPT_MAX = 16  # not by bytes: what is not kept would be missing from the view that reads it in a few calls
_FORMAT = b"\x01"  # begins a record; one with other words needs another
_COMPRESSION = 9  # once an execution, and each KB that it saves is a write unit

_WORDS = b"".join(
    (
        b'{"event":"node_failed","event_id":"run:#1","at":17,"path":"","serial":1,"error":{"type":"execution_error",',
        b'"message":"","node":""}}{"command":"record_node","path":"","serial":1,"status":"failed","at":17,"output":null}',
        b'{"command":"cancel_timer","timer":"t1","due":17},{"command":"set_status","status":"completed","at":17,',
        b'"output":{"text":""}}],"attempt":1,{"version":1,"commit_id":"","now":17,"events":[{"event":"execution_started",',
        b'"event_id":"start","at":17},{"event":"poked","event_id":"poke:","at":17}],"commands":[{"command":"set_status",',
        b'"status":"running","at":17},{"command":"start_timer","timer":"t1","due":17},{"execution_id":"ex-01a2",',
        b'"plan_hash":"","workflow_version":1,"scopes":{"":{"is":"graph","marks":"c3Nzc3Nzc3Nzcw==","open_count":0,',
        b'"pending":{"-1":["t1"]}}},"schema":2,"version":1,"status":"completed","now":17,"started_at":17,"ended_at":17,',
        b'"made":1,"alarms":[]}\xa5INPUT\x84\xa4dataj{"input":{},"variables":{},"env":{}}\xa4hash\xa4plan\xa7version',
        b"\xa6commit\xa5state\xa4last\xa6status\xa7success\xa5owner\xd9!/\xa4path\xa6serial\x01\xaastarted_at\xa8ended_at",
        b'\xa6output\xa8RUN##000001"events":[{"event":"node_succeeded","event_id":"run:#1","at":17,"path":"","serial":1,',
        b'"values_bytes":1011,"values":{},"has_values":true}],"commands":[{"command":"run_node","path":"","serial":1,',
        b'"pool":"tool","at":17,"reads":[[1,1,""]]}]}\xaeJ#000000000001\x81\xa5entry\xc5\x01j{"version":1,"commit_id":"',
    )
)
"""What most records say, which need not be in each: the compressor refers to it. It is never changed."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


def pack_items(items: Iterable[Item]) -> bytes:
    """The items of one partition, which expire together. What is compressed in them is not any more: all together they
    compress better."""
    rows = [
        (item.key.sort, {name: _plain(value) for name, value in item.attributes.items() if name != keys.EXPIRES})
        for item in items
    ]
    compressor = zlib.compressobj(_COMPRESSION, zdict=_WORDS)
    return _FORMAT + compressor.compress(_encoder.encode(rows)) + compressor.flush()


def unpack_items(partition: str, data: bytes) -> dict[str, Item]:
    """What `pack_items` packed, by sort key, in the order of these."""
    if not data.startswith(_FORMAT):
        raise ValueError(f"an express execution recorded in an unknown format: {data[:1]!r}")
    decompressor = zlib.decompressobj(zdict=_WORDS)
    rows: list[tuple[str, dict[str, Attribute]]] = _decoder.decode(decompressor.decompress(data[len(_FORMAT) :]))
    return {sort: Item(Key(partition, sort), attributes) for sort, attributes in sorted(rows, key=_sort_key)}


def _sort_key(row: tuple[str, dict[str, Attribute]]) -> bytes:
    return row[0].encode()


def _plain(value: Attribute) -> Attribute:
    return unpacked(value) if isinstance(value, bytes) else value


class RecordedTable:
    """A table in which recorded express executions have all their items; ``blobs`` has those that are large."""

    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs
        self._lock = Lock()
        self._kept: OrderedDict[str, dict[str, Item]] = OrderedDict()
        self.put = table.put
        self.put_all = table.put_all
        self.transact = table.transact
        self.update = table.update
        self.change = table.change
        self.delete = table.delete
        self.delete_all = table.delete_all
        self.query_index = table.query_index

    def get(self, wanted: Sequence[Key], *, eventually: bool = False) -> dict[Key, Item]:
        known = self._kept
        missing = [key for key in wanted if key.partition not in known or key.sort == keys.HEADER]
        found = self._table.get(missing, eventually=eventually) if missing else {}
        for key, item in found.items():
            if key.sort == keys.HEADER and isinstance(item.attributes.get(RECORD), (bytes, str)):
                self._keep(item)
        for key in wanted:
            inner = known.get(key.partition)
            if inner is not None and key.sort in inner and key not in found:
                found[key] = inner[key.sort]
        return found

    def query(
        self, partition: str, prefix: str = "", *, descending: bool = False, limit: int | None = None, after: str = ""
    ) -> list[Item]:
        inner = self._kept.get(partition)
        if inner is None:
            return self._table.query(partition, prefix, descending=descending, limit=limit, after=after)
        if prefix == keys.DEAD_PREFIX:  # an order that its queue gives up may become one after the record
            later = {item.key.sort: item for item in self._table.query(partition, prefix)}
            inner = dict(sorted({**inner, **later}.items()))
        found = [item for sort, item in inner.items() if sort.startswith(prefix) and sort.encode() > after.encode()]
        return (found[::-1] if descending else found)[:limit]

    def _keep(self, header: Item) -> None:
        held = header.attributes[RECORD]
        assert isinstance(held, (bytes, str))
        data = self._blobs.get(held) if isinstance(held, str) else held
        with self._lock:
            self._kept[header.key.partition] = unpack_items(header.key.partition, data)
            self._kept.move_to_end(header.key.partition)
            while len(self._kept) > EXECUTIONS_KEPT_MAX:
                self._kept.popitem(last=False)
