"""What agents are writing at the moment, for those who watch; and that somebody does.

Only a worker that knows of a watcher writes here. Deltas are for people: nothing is decided by them, and they expire.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from workflow_runtime.ports import Attribute, ConditionFailed, Equals, Item, Present, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.records import Run, RunStatus

LIVE_SECONDS = 3600

Kind = Literal["start", "text", "stop", "call", "arguments", "called", "end"]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a message of a model: of a text its start, some of it, its stop; of a call its start (with the
    ``name`` of the tool), some of its arguments, its end; or the end of the message. ``message``: which of the run's
    messages; ``part``: which of its texts and calls."""

    kind: Kind
    message: int
    text: str = ""
    name: str = ""
    part: int = 0


class Delta(msgspec.Struct, frozen=True):
    """What a run wrote at once. ``seq`` counts its deltas, from 1."""

    path: str
    serial: int
    seq: int
    parts: tuple[Part, ...]


ENDS: dict[Kind, Kind] = {"start": "stop", "call": "called"}
"""How what begins with a piece ends."""


def left_open(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The ends that are missing."""
    open: dict[tuple[int, int], Part] = {}
    for part in parts:
        if part.kind in ENDS:
            open[part.message, part.part] = Part(ENDS[part.kind], part.message, part=part.part)
        elif part.kind in ENDS.values():
            open.pop((part.message, part.part), None)
    return tuple(open.values())


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
