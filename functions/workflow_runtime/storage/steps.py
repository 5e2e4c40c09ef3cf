"""The step log of agents: every model request and every tool call of a visit, an item each.

The first to record a step decides what it came to; everybody else takes that over. So an attempt that only seemed
lost and the one that followed it share one history, without a lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Absent, AnyOf, Attribute, Blobs, ConditionFailed, Equals, Item, Key, Put, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.outbox import Commit, put_with
from workflow_runtime.storage.payloads import get_payload, pack, put_payload


class Visit(msgspec.Struct, frozen=True):
    """A visit of a node, and the run (``serial``) that works on it."""

    execution_id: str
    path: str
    number: int
    serial: int


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model request, tool call or other recorded operation of an agent.

    - ``name``, ``ordinal``: what was done, and the how-manieth of its kind in its log
    - ``log``: how often the visit had begun anew before
    - ``done``: False of a call that was begun and must not be repeated unasked
    - ``result``: what it came to
    - ``fingerprint``: what it was asked, as far as that tells whether a replay asks the same
    - ``arguments``: of a call that was begun
    - ``usage``: tokens by name, and ``model``; ``milliseconds``: how long it took
    - ``serial``: of the run that recorded it; ``at``: when (epoch ms)
    """

    name: str
    ordinal: int
    log: int = 0
    done: bool = True
    result: Json = None
    fingerprint: Json = None
    arguments: Json = None
    usage: dict[str, Json] | None = None
    milliseconds: int = 0
    serial: int = 0
    at: int = 0

    @property
    def used(self) -> dict[str, Json] | None:
        """What it has used, if it was a request of a model, as runs say it."""
        return {**self.usage, "requests": 1} if self.usage is not None else None


class StepStore:
    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def of_visit(self, visit: Visit) -> list[Step]:
        """All that is recorded of a visit, log by log."""
        prefix = keys.steps(visit.path, visit.number)
        return [self._step(item) for item in self._table.query(f"EX#{visit.execution_id}", prefix)]

    def told(self, execution_id: str, path: str) -> list[tuple[int, Step]]:
        """What there is to tell of all steps of a node, by the numbers of its visits: not what they came to."""
        return [
            (visit, self._step(Item(item.key, _without_content(item.attributes))))
            for visit, item in self._items(execution_id, path)
        ]

    def of_node(self, execution_id: str, path: str) -> list[tuple[int, Step]]:
        """All that is recorded of all visits of a node, by their numbers."""
        return [(visit, self._step(item)) for visit, item in self._items(execution_id, path)]

    def _items(self, execution_id: str, path: str) -> Iterator[tuple[int, Item]]:
        prefix = keys.steps_of(path)
        for item in self._table.query(f"EX#{execution_id}", prefix):
            yield int(item.key.sort.removeprefix(prefix).partition(".")[0]), item

    def record(self, visit: Visit, step: Step, commit: Commit | None = None) -> Step:
        """Record what a step came to. Returns what counts: this, or what somebody recorded before. With a ``commit``,
        it and the record are one transaction, and `EffectRefused` is raised."""
        try:
            put_with(self._table, Put(self._item(visit, step), AnyOf((Absent(), Equals("st", "started")))), commit)
        except ConditionFailed:
            return self.get(visit, step)
        return step

    def begin(self, visit: Visit, step: Step) -> Step:
        """Record that a step begins, before it does. Returns what counts: this, or what somebody recorded before."""
        try:
            self._table.put(self._item(visit, step), Absent())
        except ConditionFailed:
            return self.get(visit, step)
        return step

    def get(self, visit: Visit, step: Step) -> Step:
        """What is recorded of this step, which is there."""
        key = _key(visit, step)
        return self._step(self._table.get([key])[key])

    def _item(self, visit: Visit, step: Step) -> Item:
        attributes: dict[str, Attribute] = {
            "name": step.name,
            "n": step.ordinal,
            "log": step.log,
            "st": "done" if step.done else "started",
            "by": step.serial,
            "at": step.at,
            "ms": step.milliseconds,
        }
        if step.done:
            attributes["r"] = self._payload(visit, step, "result", step.result)
        if step.arguments is not None:
            attributes["args"] = self._payload(visit, step, "arguments", step.arguments)
        if step.fingerprint is not None:
            attributes["fp"] = msgspec.json.encode(step.fingerprint)
        if step.usage is not None:
            attributes["use"] = msgspec.json.encode(step.usage)
        return Item(_key(visit, step), attributes)

    def _payload(self, visit: Visit, step: Step, what: str, value: Json) -> bytes | str:
        """Blobs are immutable, and two runs may record different values of one step: each under its own key."""
        folder = f"executions/{visit.execution_id}/steps/{keys.safe(visit.path)}/{visit.number}.{step.log}"
        place = f"{folder}/{keys.safe(step.name)}.{step.ordinal}.{what}.{step.serial}"
        return put_payload(self._blobs, place, pack(value))

    def _step(self, item: Item) -> Step:
        values = item.attributes
        return Step(
            name=str(values["name"]),
            ordinal=int(values["n"] or 0),
            log=int(values["log"] or 0),
            done=values["st"] == "done",
            result=get_payload(self._blobs, values.get("r")),
            fingerprint=_decoded(values.get("fp")),
            arguments=get_payload(self._blobs, values.get("args")),
            usage=_decoded(values.get("use")),
            milliseconds=int(values["ms"] or 0),
            serial=int(values["by"] or 0),
            at=int(values["at"] or 0),
        )


def _without_content(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {name: value for name, value in attributes.items() if name not in ("r", "args", "fp")}


def _key(visit: Visit, step: Step) -> Key:
    return keys.step(visit.execution_id, visit.path, visit.number, step.log, step.name, step.ordinal)


def _decoded(held: Attribute) -> Any:
    return msgspec.json.decode(held) if isinstance(held, bytes) else None
