"""`ports.Bus` embedded: events go to subscribers in this process, among them the rules of `topology`. The last ones are
kept to be looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

from workflow_runtime.backends.limits import event_refusal
from workflow_runtime.deployment.topology import Topology
from workflow_runtime.language.patterns import compile_pattern
from workflow_runtime.ports import BusEvent, Clock, Message, Queues, Refusal

RECENT_EVENTS_MAX = 1000  # for tests and for people watching; nothing relies on them

Subscriber = Callable[[dict[str, Any]], None]

_MILLISECONDS = 1000


class EmbeddedBus:
    """See `ports.Bus`. Subscribers are called while publishing, with the event as EventBridge delivers it."""

    def __init__(self, clock: Clock, database_id: str, boot: int) -> None:
        self._clock = clock
        self._id_prefix = f"{database_id}-{boot & 0xFFFF:04x}-"
        self._numbers = count(1)
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT_EVENTS_MAX)
        self._subscribers: list[Subscriber] = []

    def publish(self, events: Sequence[BusEvent]) -> list[Refusal]:
        refusals = []
        for index, event in enumerate(events):
            reason = event_refusal(event)
            if reason is not None:
                refusals.append(Refusal(index, reason))
                continue
            delivered = self._delivered(event)
            self._recent.append(delivered)
            for subscriber in tuple(self._subscribers):
                subscriber(delivered)
        return refusals

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call ``callback`` with every event from now on; returns what ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def follow_rules(self, queues: Queues, topology: Topology) -> None:
        """From now on, send events that match a rule's pattern to its queue, as EventBridge does."""
        rules = [(compile_pattern(rule.pattern), rule.queue) for rule in topology.rules]

        def route(event: dict[str, Any]) -> None:
            for pattern, queue in rules:
                if pattern.matches(event):
                    queues.send(queue, [Message(msgspec.json.encode(event).decode())])

        self.subscribe(route)

    def recent(self) -> list[dict[str, Any]]:
        """The last events (at most `RECENT_EVENTS_MAX`), oldest first."""
        return list(self._recent)

    def _delivered(self, event: BusEvent) -> dict[str, Any]:
        time = datetime.fromtimestamp(self._clock.now() // _MILLISECONDS, UTC)
        return {
            "version": "0",
            "id": f"{self._id_prefix}{next(self._numbers):012x}",
            "detail-type": event.detail_type,
            "source": event.source,
            "account": "000000000000",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": "local",
            "resources": [],
            "detail": msgspec.json.decode(event.detail),
        }
