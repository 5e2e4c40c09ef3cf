"""Ended executions as records that another deployment takes over: all that is stored of one, items and large values.

``awr export --all`` reads them page by page, ``awr import`` sends them on. An execution is there only once its header
is, which comes last; until then, and again after it, every record may be sent again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RequestError
from workflow_runtime.plan.plan import decode_plan, encode_plan
from workflow_runtime.ports import Absent, Attribute, ConditionFailed, Item, Key, Ports
from workflow_runtime.storage import keys
from workflow_runtime.storage.headers import RECORD, header_of
from workflow_runtime.storage.listing import place_among_all, place_in_workflow
from workflow_runtime.storage.records import Header
from workflow_runtime.storage.retention import SHORT_LIVED, is_object_of_other, objects_of
from workflow_runtime.storage.stores import Stores

RECORDS_SCHEMA = 1
"""Number of the records' layout; those with a higher one were made by a newer version and are refused."""

PAGE_ITEMS = 50
PAGE_BYTES_MAX = 2 * 1024 * 1024  # of what is packed; an answer of the API takes twice as much, in base64
VALUE_BYTES_MAX = 3 * 1024 * 1024  # packed; a larger one does not fit an answer
LAST = (keys.INPUT, keys.HEADER)  # sort keys that wait for the others
KEPT_INDEXES = (keys.ENDED_APPROVALS, keys.DEAD_LETTERS)  # in which something of an ended execution stands


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of: an item by its ``sort`` key; a large value by its ``blob`` key; a ``plan``. Bytes are in base64.

    ``values``: the item's attributes but for those of bytes, which are in ``data``, as the value or the plan are, under
    the name "". ``index``: the item's place in the index.
    """

    sort: str = ""
    blob: str = ""
    plan: str = ""
    values: dict[str, str | int | bool | None] = {}
    data: dict[str, str] = {}
    index: tuple[str, str] | None = None


class RecordPage(msgspec.Struct, frozen=True):
    """``next``: the place at which another page begins; None: this is the last one."""

    records: list[Record]
    next: str | None


class Moving:
    """Raises `RequestError`: ``not_found``, ``conflict`` (it has not ended), ``too_large`` (a value that does not fit
    an answer), ``invalid_request`` (records that are none)."""

    def __init__(self, ports: Ports, stores: Stores) -> None:
        self._ports = ports
        self._table = stores.table
        self._blobs = ports.blobs
        self._executions = stores.executions
        self._workflows = stores.workflows

    def page(self, execution_id: str, place: str = "") -> RecordPage:
        """Records from a place on: the plan, then the items, then the large values, then input and header."""
        header = self._ended(execution_id)
        kind, _, after = place.partition(":")
        match kind:
            case "":
                plan = encode_plan(self._workflows.plan(header.plan_hash))
                return RecordPage([Record(plan=header.plan_hash, data={"": _text(plan)})], "item:")
            case "item":
                return self._item_page(execution_id, after)
            case "blob":
                return self._blob_page(execution_id, after)
            case "last":
                found = self._table.query(_partition(execution_id), keys.INPUT)
                found.append(self._table.get([keys.execution(execution_id, keys.HEADER)]).popitem()[1])
                return RecordPage([record for item in found for record in self._of_item(execution_id, item)], None)
        raise RequestError("invalid_request", f"{place!r} is not a place in an execution")

    def _ended(self, execution_id: str) -> Header:
        header = self._executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        if not header.status.terminal:
            raise RequestError("conflict", f"execution {execution_id!r} is {header.status}: it ends where it began")
        return header

    def _item_page(self, execution_id: str, after: str) -> RecordPage:
        items = self._table.query(_partition(execution_id), after=after, limit=PAGE_ITEMS)
        records = [record for item in items if _moves(item) for record in self._of_item(execution_id, item)]
        return RecordPage(records, f"item:{items[-1].key.sort}" if len(items) == PAGE_ITEMS else "blob:")

    def _of_item(self, execution_id: str, item: Item) -> list[Record]:
        """The item, with the large values of other executions that it refers to, which become this one's own."""
        values: dict[str, str | int | bool | None] = {}
        data: dict[str, str] = {}
        records: list[Record] = []
        for name, value in item.attributes.items():
            if name == keys.EXPIRES:
                continue  # it is kept anew where it comes to
            if isinstance(value, bytes):
                data[name] = _text(value)
            elif isinstance(value, str) and is_object_of_other(value, execution_id):
                own = f"{objects_of(execution_id)}moved/{hashlib.sha256(value.encode()).hexdigest()[:40]}"
                with suppress(KeyError):  # deleted with the execution whose it was
                    records.append(self._value(value, own))
                values[name] = own
            else:
                values[name] = value
        index = item.index if item.index is not None and item.index.partition in KEPT_INDEXES else None
        return [*records, Record(sort=item.key.sort, values=values, data=data, index=index)]

    def _blob_page(self, execution_id: str, after: str) -> RecordPage:
        records: list[Record] = []
        size = 0
        for key in self._blobs.list(objects_of(execution_id), after, PAGE_ITEMS):
            record = self._value(key, key)
            size += len(record.data[""])
            if records and size > PAGE_BYTES_MAX:
                return RecordPage(records, f"blob:{records[-1].blob}")
            records.append(record)
        return RecordPage(records, f"blob:{records[-1].blob}" if len(records) == PAGE_ITEMS else "last:")

    def _value(self, key: str, own: str) -> Record:
        data = self._blobs.get(key)
        if len(data) > VALUE_BYTES_MAX:
            raise RequestError("too_large", f"a value of {len(data):,} bytes; at most {VALUE_BYTES_MAX:,} are moved")
        return Record(blob=own, data={"": _text(data)})

    def take(self, execution_id: str, records: Sequence[Record]) -> bool:
        """Write what an execution is made of; its header makes it one. False: it is there already, and stays."""
        there = self._executions.header(execution_id)
        if there is not None:
            if not there.status.terminal:
                raise RequestError("conflict", f"execution {execution_id!r} runs here")
            return False
        items: list[Item] = []
        for record in records:
            if record.plan:
                self._keep_plan(record)
            elif record.blob:
                self._put_value(execution_id, record)
            else:
                items.append(self._item(execution_id, record))
        last = [item for item in items if item.key.sort == keys.HEADER]
        self._put([item for item in items if item.key.sort != keys.HEADER])
        for item in last:
            self._put_header(execution_id, item)
        return True

    def _keep_plan(self, record: Record) -> None:
        try:
            plan = decode_plan(_bytes(record.data.get("", "")))
        except msgspec.DecodeError as error:
            raise RequestError("invalid_request", f"a plan that this version cannot read: {error}") from None
        if plan.hash != record.plan:
            raise RequestError("invalid_request", f"a plan that is not {record.plan!r}")
        try:
            self._workflows.plan(plan.hash)  # never written over: versions are published with it
        except KeyError:
            self._workflows.keep(plan)

    def _put_value(self, execution_id: str, record: Record) -> None:
        if not record.blob.startswith(objects_of(execution_id)):
            raise RequestError("invalid_request", f"{record.blob!r} is not a value of execution {execution_id!r}")
        self._blobs.put(record.blob, _bytes(record.data.get("", "")))

    def _item(self, execution_id: str, record: Record) -> Item:
        if not record.sort or (not _moves_by(record.sort) and not record.sort.startswith(LAST)):
            raise RequestError("invalid_request", f"{record.sort!r} is not a part of an ended execution")
        attributes: dict[str, Attribute] = {**record.values}
        attributes |= {name: _bytes(text) for name, text in record.data.items()}
        index = Key(*record.index) if record.index is not None and record.index[0] in KEPT_INDEXES else None
        return Item(keys.execution(execution_id, record.sort), attributes, index)

    def _put_header(self, execution_id: str, item: Item) -> None:
        """With its places in the lists, as the items that have them are written with a start."""
        try:
            header = header_of(execution_id, item)
            self._workflows.plan(header.plan_hash)
        except (KeyError, ValueError, TypeError, msgspec.DecodeError) as error:
            raise RequestError("invalid_request", f"a header that this version cannot read: {error}") from None
        if not ExecutionStatus(header.status).terminal:
            raise RequestError("invalid_request", "the header of an execution that has not ended")
        key = keys.execution(execution_id, keys.INPUT)
        held = self._table.get([key]).get(key)
        if held is not None:
            self._put([Item(key, held.attributes, listing=place_among_all(header))])
        elif RECORD not in item.attributes:  # as that of an express execution, which is all that there is of it
            raise RequestError("invalid_request", "a header without an input")
        with suppress(ConditionFailed):  # somebody else was as far
            self._table.put(Item(item.key, item.attributes, listing=place_in_workflow(header)), Absent())

    def _put(self, items: Sequence[Item]) -> None:
        try:
            self._table.put_all(items)
        except ValueError as error:
            raise RequestError("invalid_request", f"a record that is none: {error}") from None


def _moves(item: Item) -> bool:
    return bool(item.attributes) and _moves_by(item.key.sort)


def _moves_by(sort: str) -> bool:
    """Whether it goes with the others, not last, and not at all because it has a time of its own."""
    return not sort.startswith((*SHORT_LIVED, *LAST))


def _partition(execution_id: str) -> str:
    return keys.execution(execution_id, keys.HEADER).partition


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError("invalid_request", "data that is not base64") from None
