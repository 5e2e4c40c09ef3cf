"""Executions in the table: header, input, state, journal."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import takewhile

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import ReplaceVariables, RunNode, SetStatus
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import (
    Absent,
    AllOf,
    AnyOf,
    Attribute,
    Below,
    Blobs,
    Condition,
    ConditionFailed,
    Equals,
    Item,
    Table,
)
from workflow_runtime.storage import keys
from workflow_runtime.storage.due import Due, DueStore
from workflow_runtime.storage.headers import (
    BEGUN,
    CLOSED,
    RECORD,
    STORED,
    header_changes,
    header_item,
    header_of,
    outputs_key,
)
from workflow_runtime.storage.listing import place_among_all, place_in_workflow
from workflow_runtime.storage.payloads import (
    get_json,
    get_payload,
    is_large,
    pack,
    pack_bytes,
    put_payload,
    unpack,
    unpack_bytes,
)
from workflow_runtime.storage.records import Globals, Header, StoredState, Tags

STATE_INLINE_BYTES_MAX = 200 * 1024  # half an item: the commit's journal entry needs the rest
ENTRY_INLINE_BYTES_MAX = 100 * 1024  # of a journal entry; both together stay below 350 KB
STATE_BYTES_MAX = 4 * 1024 * 1024  # compressed; an execution this large should be split into child executions

ENTRIES_PAGE = 100  # journal entries read at once

_entries = msgspec.json.Decoder(JournalEntry)


class _Input(msgspec.Struct):
    """Of `Globals`, the input only, and that not decoded."""

    input: msgspec.Raw


_inputs = msgspec.json.Decoder(_Input)


class StateTooLarge(Exception):
    """The state has outgrown what one execution may hold."""


class ExecutionStore:
    """Reads and writes of one execution; every method is one or two port calls."""

    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs
        self._due = DueStore(table)
        self._newest: tuple[JournalEntry, bytes] | None = None
        self._encoded: tuple[ExecutionState, bytes] | None = None

    def create(self, header: Header, data: Globals) -> Header:
        """Create an execution by a conditional write of its header; the header that stands afterwards, ours or an
        earlier one.

        Of two starts with one id, the first to write its input decides input, variables and plan, even if it died
        before its header. With another input nothing is created: the answer has the first one's ``input_hash``.
        """
        held = self._put_named(f"executions/{header.execution_id}/input", pack(msgspec.to_builtins(data)))
        return self._create(header, held)

    def record_express(self, item: Item) -> bool:
        """Put the record of an express execution in the place of its header. False when it has ended before."""
        try:
            self._table.put(item, AnyOf((Absent(), _is_open(STORED, BEGUN))))
        except ConditionFailed:
            return False
        return True

    def begin_express(self, execution_id: str) -> bool:
        """Note that an invocation begins with an express execution that is stored: from now on only that ends it. False
        when it has ended, or is about to end without one."""
        return self._move_express(execution_id, BEGUN, _is_open(STORED, BEGUN))

    def close_express(self, execution_id: str, *, begun: bool = False) -> bool:
        """Note that an express execution ends without a record, before that is committed: no invocation begins any
        more. False when one has begun, or it has ended. ``begun``: also if one has begun, whose record is refused."""
        return self._move_express(execution_id, CLOSED, _is_open(STORED, CLOSED, *([BEGUN] if begun else [])))

    def _move_express(self, execution_id: str, to: int, condition: Condition) -> bool:
        try:
            self._table.update(keys.execution(execution_id, keys.HEADER), {RECORD: to}, condition)
        except ConditionFailed:
            return False
        return True

    def create_beside(self, header: Header, origin: str, replaced: int) -> Header:
        """The same with the input and variables (of this number) of another execution, which may lie where they are."""
        key = keys.input(origin, replaced)
        return self._create(header, self._table.get([key])[key].attributes["data"])

    def _create(self, header: Header, held: Attribute) -> Header:
        key = keys.execution(header.execution_id, keys.INPUT)
        attributes: dict[str, Attribute] = {
            "data": held,
            "hash": header.input_hash,
            "plan": header.plan_hash,
            "version": header.workflow_version,
        }
        try:
            self._table.put(Item(key, attributes, listing=place_among_all(header)), Absent())
        except ConditionFailed:
            first = self._table.get([key])[key].attributes
            if first["hash"] != header.input_hash:
                return replace(header, input_hash=str(first["hash"]))
            header = replace(header, plan_hash=str(first["plan"]), workflow_version=int(first["version"] or 0))
        self._due.put(Due.first(header.execution_id, header.started_at))  # before: never without it
        try:
            self._table.put(header_item(header), Absent())
        except ConditionFailed:
            return self.header(header.execution_id) or header
        return header

    def header(self, execution_id: str) -> Header | None:
        key = keys.execution(execution_id, keys.HEADER)
        item = self._table.get([key]).get(key)
        return header_of(execution_id, item) if item is not None else None

    def headers(self, execution_ids: Sequence[str]) -> dict[str, Header]:
        """Those that exist."""
        wanted = {keys.execution(execution_id, keys.HEADER): execution_id for execution_id in execution_ids}
        return {wanted[key]: header_of(wanted[key], item) for key, item in self._table.get(list(wanted)).items()}

    def globals(self, execution_id: str, replaced: int = 0) -> Globals:
        """Input, variables and env of an execution that exists; ``replaced``: the number of its variables."""
        key = keys.input(execution_id, replaced)
        return self.globals_of(self._table.get([key])[key])

    def replace_variables(self, execution_id: str, command: ReplaceVariables) -> None:
        """Write variables that are read from now on beside those of before, which orders under way still read."""
        variables = command.variables
        if command.blob is not None:
            variables = unpack(self.get_blob(command.blob))
        before = self.globals(execution_id, command.before)
        data = replace(before, variables={**before.variables, **variables})
        place = f"executions/{execution_id}/input/{command.attempt}"
        held = self._put_named(place, pack(msgspec.to_builtins(data)))
        self._table.put(Item(keys.input(execution_id, command.attempt), {"data": held}))

    def order_of(self, execution_id: str, path: str, serial: int) -> RunNode | None:
        """An order by its run, from the journal: looked for from its end back."""
        newest = self.newest_entries(execution_id, 1)
        for top in range(newest[0].version if newest else 0, 0, -ENTRIES_PAGE):
            for entry in self.entries(execution_id, range(max(top - ENTRIES_PAGE, 0) + 1, top + 1)):
                for command in entry.commands:
                    if isinstance(command, RunNode) and (command.path, command.serial) == (path, serial):
                        return command
        return None

    def globals_of(self, item: Item) -> Globals:
        return msgspec.convert(get_payload(self._blobs, item.attributes["data"]), Globals)

    def output(self, execution_id: str, item: Item) -> Json:
        """The output that a header item holds or points at."""
        return get_payload(self._blobs, self._held_output(execution_id, item))

    def input_json(self, item: Item) -> bytes:
        """The JSON text of the input that an input item holds."""
        return bytes(_inputs.decode(get_json(self._blobs, item.attributes["data"])).input)

    def output_json(self, execution_id: str, item: Item) -> bytes:
        """The JSON text of the output that a header item holds or points at."""
        return get_json(self._blobs, self._held_output(execution_id, item))

    def _held_output(self, execution_id: str, item: Item) -> Attribute:
        run = item.attributes.get("output_run")
        return self._output_of(execution_id, run) if isinstance(run, str) else item.attributes.get("output")

    def _output_of(self, execution_id: str, run: str) -> Attribute:
        key = keys.execution(execution_id, run)
        return self._table.get([key])[key].attributes.get("output")

    def output_to_send(self, execution_id: str, ended: SetStatus | None) -> tuple[Json, str | None]:
        """The output of an execution that ends, or (None) had ended before, as a message holds it: the value, or the
        blob that holds it."""
        if ended is not None and ended.output_run is None:
            return ended.output, ended.blob
        if ended is not None and ended.output_run is not None:
            held = self._output_of(execution_id, outputs_key(ended.output_run))
        else:
            header = keys.execution(execution_id, keys.HEADER)
            held = self._held_output(execution_id, self._table.get([header])[header])
        if isinstance(held, str) or held is None:
            return None, held
        packed = bytes(held)  # a record holds bytes or a key
        data = unpack_bytes(packed)
        if not is_large(data, packed):
            return msgspec.json.decode(data), None
        key = f"executions/{execution_id}/outputs/sent.{hashlib.sha256(packed).hexdigest()[:40]}"
        self._blobs.put(key, packed)
        return None, key

    def put_blob(self, key: str, packed: bytes) -> None:
        """Store a large output ahead of the commit that will point at it."""
        self._blobs.put(key, packed)

    def get_blob(self, key: str) -> bytes:
        """What `put_blob` stored."""
        return self._blobs.get(key)

    def load(self, execution_id: str) -> StoredState | None:
        """State and newest journal entry in one consistent query; None before the first commit."""
        items = self._table.query(f"EX#{execution_id}", keys.JOURNAL_PREFIX, descending=True, limit=2)
        if not items or items[0].key.sort != keys.STATE:
            return None
        attributes = items[0].attributes
        state = decode_state(self._body(attributes["state"]))
        last = _entries.decode(self._body(attributes["last"]))
        published = len(items) > 1 and items[1].key == keys.journal(execution_id, state.version)
        correlation_id = str(attributes.get("correlation") or execution_id)
        tags = Tags(correlation_id, int(attributes.get("due_since") or state.started_at))
        return StoredState(state, last, published, tags)

    def commit(self, state: ExecutionState, last: JournalEntry, tags: Tags | None = None) -> bool:
        """Put the state at its version if the version before is still the stored one. False when another commit came
        first.

        A lost response makes our own write look like somebody else's; the commit id tells. Raises `StateTooLarge`.
        """
        key = keys.execution(state.execution_id, keys.STATE)
        place = f"executions/{state.execution_id}/state/{last.commit_id}"
        attributes: dict[str, Attribute] = {
            "v": state.version,
            "commit": last.commit_id,
            "state": self._held(pack_bytes(self.stored_form(state)), f"{place}.state"),
            "last": self._held(self._packed(last), f"{place}.last", ENTRY_INLINE_BYTES_MAX),
        }
        if tags is not None and tags.correlation_id != state.execution_id:
            attributes["correlation"] = tags.correlation_id
        if tags is not None and tags.due_since != state.started_at:
            attributes["due_since"] = tags.due_since
        condition = Absent() if state.version == 1 else Equals("v", state.version - 1)
        try:
            self._table.put(Item(key, attributes), condition)
        except ConditionFailed:
            stored = self._table.get([key]).get(key)
            return stored is not None and stored.attributes["commit"] == last.commit_id
        return True

    def stored_form(self, state: ExecutionState) -> bytes:
        """The state as `decode_state` reads it; remembered, as whoever commits it may keep it."""
        encoded = self._encoded
        if encoded is None or encoded[0] is not state:
            encoded = self._encoded = (state, encode_state(state))
        return encoded[1]

    def mark_published(self, execution_id: str, entry: JournalEntry) -> None:
        """Write the journal entry: everything its commit ordered has been sent."""
        place = f"executions/{execution_id}/journal/{entry.version}"
        held = self._held(self._packed(entry), place, ENTRY_INLINE_BYTES_MAX)
        self._table.put(Item(keys.journal(execution_id, entry.version), {"entry": held}))

    def keep_progress(self, execution_id: str, commit_id: str, done: Collection[int]) -> None:
        """Note which commands of a commit have been carried out, by their places, while others are still to be."""
        item = keys.execution(execution_id, keys.PROGRESS)
        self._table.put(Item(item, {"commit": commit_id, "done": msgspec.json.encode(sorted(done))}))

    def progress(self, execution_id: str, commit_id: str) -> set[int]:
        """What was noted of a commit."""
        key = keys.execution(execution_id, keys.PROGRESS)
        item = self._table.get([key]).get(key)
        if item is None or item.attributes["commit"] != commit_id:
            return set()
        return set(msgspec.json.decode(bytes(item.attributes["done"]), type=list[int]))  # type: ignore[arg-type]

    def journal(self, execution_id: str) -> list[JournalEntry]:
        items = self._table.query(f"EX#{execution_id}", keys.JOURNAL_PREFIX)
        return [_entries.decode(self._body(item.attributes["entry"])) for item in items if item.key.sort != keys.STATE]

    def newest_entries(self, execution_id: str, count: int) -> list[JournalEntry]:
        """The last ``count`` published entries, newest first."""
        items = self._table.query(f"EX#{execution_id}", keys.JOURNAL_PREFIX, descending=True, limit=count + 1)
        entries = [item for item in items if item.key.sort != keys.STATE][:count]
        return [_entries.decode(self._body(item.attributes["entry"])) for item in entries]

    def entries(self, execution_id: str, versions: Sequence[int]) -> Sequence[JournalEntry]:
        """The published journal entries of these ascending versions, up to the first that is missing."""
        wanted = [keys.journal(execution_id, version) for version in versions]
        items = self._table.get(wanted)
        present = takewhile(lambda key: key in items, wanted)
        return [_entries.decode(self._body(items[key].attributes["entry"])) for key in present]

    def set_status(self, header: Header, commands: Sequence[SetStatus], version: int) -> None:
        """Write what these came to, in their order, over an older status; a newer one stays (then a slower dispatcher
        is late, and all is well)."""
        changes: dict[str, Attribute] = {"v": version}
        for command in commands:
            changes |= header_changes(command)
            if command.reopened:
                self._due.put(Due.first(header.execution_id, command.at))
        key, listing = keys.execution(header.execution_id, keys.HEADER), place_in_workflow(header)
        with suppress(ConditionFailed):
            self._table.update(key, changes, Below("v", version), listing=listing)

    def note_lag(self, execution_id: str, until: int) -> None:
        """Its mailbox has more than it can take in time; so it is believed until then (epoch ms)."""
        key = keys.execution(execution_id, keys.HEADER)
        with suppress(ConditionFailed):  # it takes no events any more
            self._table.update(key, {"lags_until": until}, Equals("status", ExecutionStatus.RUNNING))

    def note_renewal(self, header: Header, at: int, place: str) -> None:
        """All of it was renewed by then (epoch ms), or up to a ``place``; unless it has moved on."""
        key = keys.execution(header.execution_id, keys.HEADER)
        changes: dict[str, Attribute] = {"renewed_to": place} if place else {"renewed_at": at, "renewed_to": ""}
        with suppress(ConditionFailed):
            self._table.update(key, changes, Equals("v", header.state_version))

    def _put_named(self, place: str, packed: bytes) -> bytes | str:
        """A payload, a large one under the hash of its bytes: who comes again with others must not overwrite it."""
        return put_payload(self._blobs, f"{place}/{hashlib.sha256(packed).hexdigest()[:40]}", packed)

    def _packed(self, entry: JournalEntry) -> bytes:
        """The stored form of an entry; remembered, as each is written with its commit and again when published."""
        newest = self._newest
        if newest is None or newest[0] is not entry:
            newest = self._newest = (entry, pack_bytes(msgspec.json.encode(entry)))
        return newest[1]

    def _held(self, packed: bytes, key: str, inline_max: int = STATE_INLINE_BYTES_MAX) -> bytes | str:
        if len(packed) > STATE_BYTES_MAX:
            raise StateTooLarge(f"{len(packed)} bytes compressed, at most {STATE_BYTES_MAX}")
        if len(packed) <= inline_max:
            return packed
        self._blobs.put(key, packed)
        return key

    def _body(self, held: Attribute) -> bytes:
        return unpack_bytes(self._blobs.get(held) if isinstance(held, str) else held)  # type: ignore[arg-type]


def _is_open(*so_far: int) -> Condition:
    """Of an express execution: it has not ended, and is as far as one of these."""
    is_so_far = AnyOf(tuple(Equals(RECORD, each) for each in so_far))
    return AllOf((Equals("status", ExecutionStatus.PENDING.value), is_so_far))
