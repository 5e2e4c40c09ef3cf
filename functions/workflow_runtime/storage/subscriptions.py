"""Who waits for which event, and under which correlation key; and the one running execution of a key.

Subscriptions are put before the commit that waits and deleted after the one that does not any more, so they are a
superset: an execution that gets an event which it does not wait for ignores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

import msgspec

from workflow_runtime.ports import Absent, Attribute, ConditionFailed, Equals, Item, Table
from workflow_runtime.storage import keys

Subscription: TypeAlias = tuple[str, str, str]
"""An event, its correlation key, and the digest of the trigger that brings it."""


class Subscriber(msgspec.Struct, frozen=True):
    """An execution that waits for an event."""

    execution_id: str
    workflow_id: str


class SubscriptionStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, execution_id: str, workflow_id: str, subscriptions: Sequence[Subscription]) -> None:
        """The execution waits for these; again, if it did already."""
        self._table.put_all(
            [
                Item(
                    keys.subscription(event, key, workflow_id, execution_id, route),
                    {"execution": execution_id, "workflow": workflow_id, "route": route},
                )
                for event, key, route in subscriptions
            ]
        )

    def delete(self, execution_id: str, workflow_id: str, subscriptions: Sequence[Subscription]) -> None:
        """It does not wait for these any more; fine if it did not."""
        self._table.delete_all(
            [keys.subscription(event, key, workflow_id, execution_id, route) for event, key, route in subscriptions]
        )

    def of(
        self, event: str, key: str, workflow_id: str | None = None, route: str | None = None
    ) -> tuple[Subscriber, ...]:
        """Those who wait, of one workflow or of all, by one trigger or by any; consistently read, each once.

        An item without a route was stored before subscriptions had one: its execution decides.
        """
        prefix = "" if workflow_id is None else f"{keys.safe(workflow_id)}#EX#"
        values = (item.attributes for item in self._table.query(keys.subscriptions(event, key), prefix))
        found = (
            Subscriber(str(value["execution"]), str(value["workflow"]))
            for value in values
            if route is None or value.get("route", "") in ("", route)
        )
        return tuple(dict.fromkeys(found))


class Handover(msgspec.Struct, frozen=True):
    """What became of an event that starts an execution unless one has its key: the execution that it went to (``""``:
    to those that waited for it); and, if it was started for that, under which ``start_key`` and in place of which
    owner (``""``: of nobody).
    """

    execution_id: str
    start_key: str = ""
    over: str = ""


class OwnerStore:
    """Per workflow and key, the newest execution that was started for it; it may have ended."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, workflow_id: str, key: str) -> str | None:
        place = keys.owner(workflow_id, key)
        item = self._table.get([place]).get(place)
        return str(item.attributes["execution"]) if item is not None else None

    def look(self, workflow_id: str, key: str, event_id: str) -> tuple[str | None, Handover | None]:
        """The owner, and what became of this event if it was here before."""
        place, mark = keys.owner(workflow_id, key), keys.handed_over(workflow_id, key, event_id)
        items = self._table.get([place, mark])
        owner = str(items[place].attributes["execution"]) if place in items else None
        return owner, _handover(items[mark]) if mark in items else None

    def hand_over(self, workflow_id: str, key: str, event_id: str, handover: Handover, until: int) -> Handover:
        """Note where the event goes, for its repeats (until epoch ms); what stands afterwards: the first note wins."""
        mark = keys.handed_over(workflow_id, key, event_id)
        attributes: dict[str, Attribute] = {
            "execution": handover.execution_id,
            "start_key": handover.start_key,
            "over": handover.over,
            keys.EXPIRES: until // 1000,
        }
        with suppress(ConditionFailed):
            self._table.put(Item(mark, attributes), Absent())
            return handover
        return _handover(self._table.get([mark])[mark])

    def take(self, workflow_id: str, key: str, execution_id: str, over: str | None) -> str:
        """Make an execution the owner in place of ``over`` (None: of nobody). The owner that stands afterwards: of
        several who try one wins, and who repeats a write that had succeeded unseen finds itself.
        """
        place = keys.owner(workflow_id, key)
        condition = Absent() if over is None else Equals("execution", over)
        with suppress(ConditionFailed):
            self._table.put(Item(place, {"execution": execution_id, "workflow": workflow_id}), condition)
            return execution_id
        return self.of(workflow_id, key) or execution_id


def _handover(item: Item) -> Handover:
    values = item.attributes
    return Handover(str(values["execution"]), str(values["start_key"]), str(values["over"]))
