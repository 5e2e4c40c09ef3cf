"""Node runs in the table: claims, leases, results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.passes import Passes
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import (
    Absent,
    AnyOf,
    Attribute,
    Blobs,
    Change,
    ConditionFailed,
    Equals,
    Item,
    Key,
    Put,
    Table,
)
from workflow_runtime.storage import keys
from workflow_runtime.storage.outbox import Commit, put_with
from workflow_runtime.storage.payloads import get_json, get_payload, is_small, pack, pack_bytes, put_payload
from workflow_runtime.storage.records import STOP, Claim, LateResult, Run, RunStatus, Told, Yielded


class Copied(msgspec.Struct, frozen=True):
    """The runs whose output, and whose inputs, a run has, too."""

    output: Key | None = None
    inputs: Key | None = None


NOTHING_COPIED: Mapping[int, Copied] = {}


class RunStore:
    """Runs are keyed by (execution, path, serial).

    While a run is open, the attribute ``holder`` names its owner, and only writers that name the same one succeed.
    When it ends, the owner moves to the attribute ``owner``: no condition on the holder holds any more, so that a
    recorded result stays (promise P2). A run that is told to stop changes the name: its worker meets that when it
    renews its lease, or records how it ended, and goes on under the new one.

    A worker that goes on with another run in place claims that in the record of the one before, with the same write
    that ends it. That run is then whose record is created first: its result, its worker's renewed claim, that it was
    cancelled, or that its worker was lost.
    """

    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def claim(self, execution_id: str, run: Run, commit: Commit | None = None) -> bool:
        """Create the run's record; False if it exists."""
        try:
            put_with(self._table, Put(self.item(execution_id, run), Absent()), commit)
        except ConditionFailed:
            return False
        return True

    def wait(self, execution_id: str, run: Run) -> bool:
        """Record that a run waits; False if somebody has claimed or closed it."""
        try:
            unclaimed = [Equals("status", status) for status in RunStatus if status.unclaimed]
            self._table.put(self.item(execution_id, run), AnyOf((Absent(), *unclaimed)))
        except ConditionFailed:
            return False
        return True

    def renew(self, execution_id: str, run: Run, lease_until: int) -> int | None:
        """Move the lease on; None when the run is no longer ours. Else until when somebody watches it (epoch ms)."""
        key = keys.run(execution_id, run.path, run.serial)
        try:
            found = self._table.change(key, Change({"lease_until": lease_until}), Equals("holder", run.owner))
        except ConditionFailed:
            return None
        return int(found.attributes.get(keys.WATCHED) or 0)

    def ask_to_stop(self, execution_id: str, run: Run) -> bool:
        """Tell the worker of an open run, as it was read, to stop; False if the run has another owner by now."""
        if run.owner.endswith(STOP):
            return True
        told = replace(run, owner=run.owner + STOP, in_place=False)
        if run.in_place and self.claim(execution_id, told):
            return True
        key = keys.run(execution_id, run.path, run.serial)
        try:
            self._table.update(key, {"holder": run.owner + STOP}, Equals("holder", run.owner))
        except ConditionFailed:
            return False
        return True

    def finish(self, execution_id: str, run: Run, claimed_by: str, commit: Commit | None = None) -> bool:
        """Record the end (or the next owner) of an open run that ``claimed_by`` holds; False when it does not. With a
        ``commit``, it and the record are one transaction, and `EffectRefused` is raised, too."""
        try:
            put_with(self._table, Put(self.item(execution_id, run), Equals("holder", claimed_by)), commit)
        except ConditionFailed:
            return False
        return True

    def note_late(self, execution_id: str, path: str, serial: int, late: LateResult) -> None:
        """Add to a run that has ended what its code came to afterwards."""
        key = keys.run(execution_id, path, serial)
        with suppress(ConditionFailed):  # it was deleted meanwhile
            self._table.update(key, {"late": msgspec.json.encode(late)}, Equals("serial", serial))

    def record(self, execution_id: str, runs: Sequence[Run], copied: Mapping[int, Copied] = NOTHING_COPIED) -> None:
        """Write runs of nodes that the dispatcher ran itself; the same runs again are the same bytes. ``copied``: what
        runs have of others, by their place."""
        wanted = {key for copy in copied.values() for key in (copy.output, copy.inputs) if key is not None}
        found = self._table.get(list(wanted)) if wanted else {}
        items = [self.item(execution_id, run) for run in runs]
        for place, copy in copied.items():
            for name, key in (("output", copy.output), ("inputs", copy.inputs)):
                held = found[key].attributes.get(name) if key in found else None
                if held is not None:
                    items[place].attributes[name] = held
        self._table.put_all(items)

    def copy(self, origin: str, execution_id: str, runs: Sequence[tuple[str, int]]) -> None:
        """Record runs of one execution with another, too; large outputs stay where they are stored."""
        wanted = {keys.run(origin, path, serial): keys.run(execution_id, path, serial) for path, serial in runs}
        found = self._table.get(list(wanted)) if wanted else {}
        if found:
            self._table.put_all([Item(wanted[key], item.attributes) for key, item in found.items()])

    def get(self, execution_id: str, path: str, serial: int) -> Run | None:
        key = keys.run(execution_id, path, serial)
        item = self._table.get([key]).get(key)
        return self.run_of(item) if item is not None else None

    def segment(self, execution_id: str, run: Run) -> list[Run]:
        """A run, and those that its worker has begun in place afterwards, up to the one that is or was at hand."""
        return self.segments(execution_id, [run])[0]

    def segments(self, execution_id: str, runs: Sequence[Run]) -> list[list[Run]]:
        """The same of several, in as many reads as the longest has runs."""
        chains = growing = [[run] for run in runs]
        while growing := [chain for chain in growing if chain[-1].next is not None]:
            claims = [claim for chain in growing if (claim := chain[-1].next) is not None]
            found = self.get_all(execution_id, [(claim.path, claim.serial) for claim in claims])
            for chain, claim in zip(growing, claims, strict=True):
                chain.append(found.get((claim.path, claim.serial)) or claim.run)
        return chains

    def end(self, execution_id: str, run: Run, claimed_by: str, commit: Commit | None = None) -> bool:
        """The same as `finish`, also of a run that was begun in place and may have no record yet."""
        if run.in_place and self.claim(execution_id, run, commit):
            return True
        return self.finish(execution_id, run, claimed_by, commit)

    def ended(self, wanted: Sequence[Key]) -> dict[Key, Item]:
        """Those of these runs that are recorded, of which most have succeeded. What has stays as it is, so that an
        eventually consistent read of it is as good as any, at half the price; what such a read finds otherwise, or
        misses, may be older than the run's end, and is read again."""
        found = self._table.get(wanted, eventually=True) if wanted else {}
        unsure = [key for key in wanted if key not in found or found[key].attributes["status"] != RunStatus.SUCCESS]
        return {**found, **self._table.get(unsure)} if unsure else found

    def get_all(self, execution_id: str, runs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Run]:
        wanted = {keys.run(execution_id, path, serial): (path, serial) for path, serial in runs}
        items = self._table.get(list(wanted))
        return {wanted[key]: self.run_of(item) for key, item in items.items()}

    def list(self, execution_id: str) -> list[Run]:
        """All runs of an execution, by path and serial."""
        return [self.run_of(item) for item in self._table.query(f"EX#{execution_id}", keys.RUN_PREFIX)]

    def list_held(self, execution_id: str, path: str | None = None) -> Sequence[tuple[Run, Attribute]]:
        """Runs of an execution, or of one of its nodes, by path and serial; outputs are not loaded: `output_json` takes
        what is held of them."""
        prefix = keys.RUN_PREFIX if path is None else keys.run(execution_id, path, 0).sort.removesuffix("000000")
        items = self._table.query(f"EX#{execution_id}", prefix)
        return [(self.run_of(item, with_output=False), item.attributes.get("output")) for item in items]

    def page(
        self, execution_id: str, after: str, limit: int, *, with_output: bool = False
    ) -> Sequence[tuple[str, Run]]:
        """Runs behind the sort key ``after`` ("": from the first on), each with its own."""
        items = self._table.query(f"EX#{execution_id}", keys.RUN_PREFIX, after=after, limit=limit)
        return [(item.key.sort, self.run_of(item, with_output=with_output)) for item in items]

    def held_at(self, execution_id: str, runs: Sequence[tuple[str, int]]) -> Sequence[tuple[Run, Attribute]]:
        """The same for runs by path and serial, those that are recorded, in this order."""
        wanted = [keys.run(execution_id, path, serial) for path, serial in runs]
        items = self._table.get(wanted)
        found = [items[key] for key in wanted if key in items]
        return [(self.run_of(item, with_output=False), item.attributes.get("output")) for item in found]

    def output_json(self, held: Attribute) -> bytes:
        """The JSON text of an output that `list_held` found."""
        return get_json(self._blobs, held)

    def order_of(self, item: Item) -> RunNode | None:
        """The order that a failed run kept."""
        held = item.attributes.get("order")
        return msgspec.json.decode(get_json(self._blobs, held), type=RunNode) if held is not None else None

    def inputs_of(self, item: Item) -> Json:
        """What a run that can be undone was given; nothing, if its node has no inputs."""
        held = item.attributes.get("inputs")
        return get_payload(self._blobs, held) if held is not None else {}

    def key(self, execution_id: str, path: str, serial: int) -> Key:
        return keys.run(execution_id, path, serial)

    def item(self, execution_id: str, run: Run) -> Item:
        """The run as an item; a large output is put into the blob store first, under a key of its owner's."""
        attributes: dict[str, Attribute] = {
            "path": run.path,
            "serial": run.serial,
            "status": run.status.value,
            "started_at": run.started_at,
        }
        if run.status.open:
            attributes |= {"holder": run.owner, "lease_until": run.lease_until}
        else:
            attributes |= {"owner": run.owner, "ended_at": run.ended_at}
        if run.output_blob is not None:
            attributes["output"] = run.output_blob
        elif run.status is RunStatus.SUCCESS:
            attributes["output"] = self._held(execution_id, "runs", run, pack(run.output))
        if run.place:
            attributes |= {"limiter": run.limiter, "limiter_key": run.limiter_key, "place": run.place}
        if run.attempt != 1:
            attributes["attempt"] = run.attempt
        if run.error is not None:
            attributes["error"] = msgspec.json.encode(run.error)
        if run.order is not None:
            attributes["order"] = self._held(execution_id, "orders", run, pack_bytes(msgspec.json.encode(run.order)))
        if run.inputs_blob is not None:
            attributes["inputs"] = run.inputs_blob
        elif run.inputs is not None:
            attributes["inputs"] = self._held(execution_id, "inputs", run, pack(run.inputs))
        if run.handled:
            attributes["handled"] = 1
        if run.given:
            attributes["given"] = 1
        if run.fallback_used:
            attributes["fallback_used"] = 1
        if run.fallback_error is not None:
            attributes["fallback_error"] = msgspec.json.encode(run.fallback_error)
        if run.yielded is not None:
            attributes["yielded"] = msgspec.json.encode(run.yielded)
        if run.usage is not None:
            attributes["usage"] = msgspec.json.encode(run.usage)
        if run.asked is not None:
            attributes["asked"] = msgspec.json.encode(run.asked)
        if run.told is not None:
            attributes["told"] = msgspec.json.encode(run.told)
        if run.unresolved:
            attributes["unresolved"] = msgspec.json.encode(run.unresolved)
        if run.warnings:
            attributes["warnings"] = msgspec.json.encode(run.warnings)
        if run.child:
            attributes["child"] = run.child
        if run.passes is not None:
            attributes["passes"] = msgspec.json.encode(run.passes)
        if run.next is not None:
            attributes["next"] = msgspec.json.encode(run.next)
        if run.items is not None:
            attributes["items"] = msgspec.json.encode(run.items)
        return Item(keys.run(execution_id, run.path, run.serial), attributes)

    def _held(self, execution_id: str, kind: str, run: Run, packed: bytes) -> bytes | str:
        """What the run's item holds of a payload."""
        if is_small(packed):
            return packed
        place = f"executions/{execution_id}/{kind}/{keys.safe(run.path)}/{run.serial}.{keys.safe(run.owner)}"
        return put_payload(self._blobs, place, packed)

    def run_of(self, item: Item, *, with_output: bool = True) -> Run:
        values = item.attributes
        return Run(
            path=str(values["path"]),
            serial=int(values["serial"] or 0),
            status=RunStatus(str(values["status"])),
            owner=str(values.get("holder") or values["owner"]),
            output=get_payload(self._blobs, values.get("output")) if with_output else None,
            **{name: _OPTIONAL[name](values[name]) for name in _OPTIONAL.keys() & values.keys()},
        )


# What most records lack, and what makes a run's value of it.
_OPTIONAL: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("attempt", "started_at", "lease_until", "ended_at"), int),
    **dict.fromkeys(("handled", "given", "fallback_used"), bool),
    **dict.fromkeys(("child", "limiter", "limiter_key", "place"), str),
    "error": msgspec.json.Decoder(ErrorDocument).decode,
    "fallback_error": msgspec.json.Decoder(ErrorDocument).decode,
    "usage": msgspec.json.Decoder(dict).decode,
    "asked": msgspec.json.Decoder().decode,
    "told": msgspec.json.Decoder(Told).decode,
    "unresolved": msgspec.json.Decoder(tuple[str, ...]).decode,
    "warnings": msgspec.json.Decoder(tuple[str, ...]).decode,
    "late": msgspec.json.Decoder(LateResult).decode,
    "yielded": msgspec.json.Decoder(Yielded).decode,
    "passes": msgspec.json.Decoder(Passes).decode,
    "items": msgspec.json.Decoder().decode,
    "next": msgspec.json.Decoder(Claim).decode,
}
