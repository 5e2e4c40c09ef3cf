"""What agents are writing at the moment, for those who watch; and that somebody does.

Only a worker that knows of a watcher writes here. Deltas are for people: nothing is decided by them, and they expire.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from workflow_runtime.ports import Attribute, ConditionFailed, Equals, Item, Present, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.records import Run, RunStatus

LIVE_SECONDS = 3600

Kind = Literal["text", "call", "arguments", "end"]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a message of a model: some text, a call of a tool (by its ``name``), some of its arguments, or its
    end. ``message``: which of the run's messages; ``call``: which of its calls."""

    kind: Kind
    message: int
    text: str = ""
    name: str = ""
    call: int = 0


class Delta(msgspec.Struct, frozen=True):
    """What a run wrote at once. ``seq`` counts its deltas, from 1."""

    path: str
    serial: int
    seq: int
    parts: tuple[Part, ...]


_parts = msgspec.json.Decoder(tuple[Part, ...])


class LiveStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def watch(self, execution_id: str, until: int, runs: Sequence[Run] = ()) -> None:
        """Somebody watches until then (epoch ms): runs that begin learn it from the header, and the agents' ``runs``
        that are under way when they renew their leases."""
        with suppress(ConditionFailed):
            header = keys.execution(execution_id, keys.HEADER)
            self._table.update(header, {keys.WATCHED: until}, Present("status"))
        for run in runs:
            with suppress(ConditionFailed):
                key = keys.run(execution_id, run.path, run.serial)
                self._table.update(key, {keys.WATCHED: until}, Equals("status", RunStatus.RUNNING))

    def write(self, execution_id: str, delta: Delta, at: int) -> None:
        """``at``: now (epoch ms)."""
        attributes: dict[str, Attribute] = {
            "path": delta.path,
            "serial": delta.serial,
            "seq": delta.seq,
            "parts": msgspec.json.encode(delta.parts),
            keys.EXPIRES: at // 1000 + LIVE_SECONDS,
        }
        self._table.put(Item(keys.live(execution_id, delta.path, delta.serial, delta.seq), attributes))

    def of(self, execution_id: str) -> list[Delta]:
        """All that is there, run by run, in order."""
        return [_delta(item) for item in self._table.query(keys.live_of(execution_id))]


def _delta(item: Item) -> Delta:
    values = item.attributes
    data = values["parts"]
    assert isinstance(data, bytes), "`write` wrote bytes"
    return Delta(str(values["path"]), int(values["serial"] or 0), int(values["seq"] or 0), _parts.decode(data))
