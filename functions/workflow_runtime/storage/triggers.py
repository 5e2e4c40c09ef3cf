"""The event triggers of published workflows, found by topic; and which schedules stand.

An index, not the truth: it holds at least what the published versions have (see `services.triggering`). What a trigger
may start is decided by the newest version's plan.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from workflow_runtime.language.caching import cached_by_bytes
from workflow_runtime.language.patterns import Pattern, PatternError, compile_pattern
from workflow_runtime.plan.triggers import EventTrigger, digest
from workflow_runtime.ports import ConditionFailed, Equals, Item, Key, Table
from workflow_runtime.storage import keys

ANY_TOPIC = "*"
COMPILED_BYTES_MAX = 32 * 1024 * 1024  # triggers kept ready in a warm process
TRIGGER_BYTES = 2048  # of one; a pattern takes about 30 bytes per byte of its JSON besides

logger = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(EventTrigger)


class RegisteredTrigger(msgspec.Struct, frozen=True):
    """An event trigger of a workflow, ready to match. ``pattern``: of the detail; None takes any."""

    workflow_id: str
    digest: str
    trigger: EventTrigger
    pattern: Pattern | None


class TriggerStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, workflow_id: str, triggers: Sequence[EventTrigger]) -> None:
        """Store these for each of their topics; ones that stand already stay or, if about to expire, stay for good."""
        items = {item.key: item for trigger in triggers for item in _items(workflow_id, trigger)}
        if items:
            self._table.put_all(list(items.values()))

    def expire(self, workflow_id: str, trigger: EventTrigger, at: int) -> None:
        """Have one deleted after ``at`` (epoch ms), unless it is put again."""
        for item in _items(workflow_id, trigger):
            with suppress(ConditionFailed):
                self._table.update(item.key, {keys.EXPIRES: at // 1000}, Equals("workflow", workflow_id))

    def of(self, topic: str) -> tuple[RegisteredTrigger, ...]:
        """Those that name this topic (`ANY_TOPIC`: that name none), consistently read."""
        found = (_registered(item) for item in self._table.query(keys.triggers(topic)))
        return tuple(trigger for trigger in found if trigger is not None)

    def has_schedule(self, workflow_id: str, name: str) -> bool:
        key = keys.schedule(workflow_id, name)
        return key in self._table.get([key])

    def mark_schedule(self, workflow_id: str, name: str) -> None:
        """The schedule of the trigger with this digest stands."""
        self._table.put(Item(keys.schedule(workflow_id, name), {"workflow": workflow_id}))

    def unmark_schedules(self, workflow_id: str, names: Sequence[str]) -> None:
        self._table.delete_all([keys.schedule(workflow_id, name) for name in names])


def _items(workflow_id: str, trigger: EventTrigger) -> list[Item]:
    name = digest(trigger)
    sort = f"{keys.safe(workflow_id)}#{name}"
    data = _encoder.encode(trigger)
    return [
        Item(Key(keys.triggers(topic), sort), {"workflow": workflow_id, "digest": name, "trigger": data})
        for topic in dict.fromkeys(trigger.topics or (ANY_TOPIC,))
    ]


def _registered(item: Item) -> RegisteredTrigger | None:
    """None for one that this deployment cannot read, as a newer one may have written: the others must go on."""
    values = item.attributes
    workflow_id, name, data = str(values["workflow"]), str(values["digest"]), values["trigger"]
    try:
        assert isinstance(data, bytes)
        trigger, pattern = _compiled(data)
    except (msgspec.ValidationError, PatternError) as error:
        logger.error("a trigger is unreadable", extra={"workflow_id": workflow_id, "reason": str(error)})
        return None
    return RegisteredTrigger(workflow_id, name, trigger, pattern)


def _bytes_of(data: bytes, _: tuple[EventTrigger, Pattern | None]) -> int:
    return TRIGGER_BYTES + 30 * len(data)


@cached_by_bytes(COMPILED_BYTES_MAX, _bytes_of)
def _compiled(data: bytes) -> tuple[EventTrigger, Pattern | None]:
    trigger = _decoder.decode(data)
    return trigger, compile_pattern(trigger.filters) if trigger.filters is not None else None
