"""Events of a runtime for programs: `EventBus.subscribe` calls handlers with them, `publish` puts events on its bus."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from workflow_runtime.deployment.topology import LIFECYCLE_SOURCE
from workflow_runtime.frontends.client.connection import Connection
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.events import matches

EXECUTION_EVENTS = "workflow.execution.events"
"""The topic of everything that the runtime tells of executions: ``execution.*``, ``state.*``, ``node.*``."""

WAITING_EVENTS_MAX = 10_000  # for a slow handler; then the oldest are dropped, with a warning

Event: TypeAlias = dict[str, Json]
"""An event as EventBridge delivers it: ``detail-type``, ``source``, ``time``, ``detail`` …"""

Handler: TypeAlias = Callable[[Event], Awaitable[None] | None]

logger = logging.getLogger(__name__)


class Wanted(msgspec.Struct, frozen=True):
    """Which events a handler gets."""

    topic: str
    execution_id: str | None = None
    workflow_id: str | None = None

    def includes(self, event: Mapping[str, Any]) -> bool:
        if self.topic == EXECUTION_EVENTS:
            if event["source"] != LIFECYCLE_SOURCE:
                return False
        elif not matches(self.topic, str(event["detail-type"])):
            return False
        for name, wanted in (("execution_id", self.execution_id), ("workflow_id", self.workflow_id)):
            if wanted is not None and _origin(event, name) != wanted:
                return False
        return True


def _origin(event: Mapping[str, Any], name: str) -> Json:
    """The execution or workflow that an event is of: in its detail, or, of an author's event, in the runtime's mark."""
    detail = event["detail"]
    mark = detail.get("workflow_runtime")
    return mark.get(name) if isinstance(mark, dict) else detail.get(name)


class Subscription:
    """A handler that is called with events, one after the other, until `cancel`."""

    def __init__(self, wanted: Wanted, handler: Handler) -> None:
        self._wanted = wanted
        self._handler = handler
        self._queue: asyncio.Queue[Event] = asyncio.Queue(WAITING_EVENTS_MAX)
        self._stop: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, connection: Connection) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._stop = connection.listen(self._wanted.execution_id, self._wanted.workflow_id, self._offer)

    def cancel(self) -> None:
        """No more events; doing it twice is fine."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _offer(self, event: Event) -> None:
        if not self._wanted.includes(event):
            return
        if self._queue.full():
            logger.warning("a handler of %s is too slow: an event is dropped", self._wanted.topic)
            self._queue.get_nowait()
        self._queue.put_nowait(event)

    async def _run(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                answer = self._handler(event)
                if inspect.isawaitable(answer):
                    await answer
            except Exception:
                logger.exception("a handler of %s failed", self._wanted.topic)


class EventBus:
    """The events of an engine's runtime::

        subscription = engine.event_bus.subscribe("workflow.execution.events", print)
        await engine.event_bus.publish("order.paid", {"order_id": "o-1"})
        engine.event_bus.unsubscribe(subscription)

    Locally these are the events of the embedded bus. Remotely they are read from the histories of the executions there,
    by looking again and again: each once, a second or two late, as long as somebody is subscribed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subscriptions: dict[Subscription, None] = {}

    def subscribe(
        self, topic: str, handler: Handler, *, execution_id: str | None = None, workflow_id: str | None = None
    ) -> Subscription:
        """Call ``handler`` (a function, or a coroutine function) with every event of a topic from now on.

        ``topic``: ``workflow.execution.events``, or the detail-type of events: ``execution.completed``, ``state.*``,
        ``*``. ``execution_id``, ``workflow_id``: only events of this execution or workflow. What a handler raises is
        logged. Remote engines with an ``execution_id`` begin at the execution's start.
        """
        subscription = Subscription(Wanted(topic, execution_id, workflow_id), handler)
        subscription.start(self._connection)
        self._subscriptions[subscription] = None
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; doing it twice is fine."""
        subscription.cancel()
        self._subscriptions.pop(subscription, None)

    async def publish(self, detail_type: str, detail: Mapping[str, Json], *, source: str = "sdk") -> None:
        """Put an event on the runtime's bus, where triggers and waits hear it; of a remote runtime, `awr dev` only: a
        deployed one has an EventBridge bus, which takes events itself. Raises `InvalidInput` for what no bus takes.
        """
        await self._connection.publish_event(source, detail_type, dict(detail))

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in list(self._subscriptions):
            self.unsubscribe(subscription)
