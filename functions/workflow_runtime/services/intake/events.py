"""Events in: what comes over the bus reaches the executions that it is for, and starts those that triggers ask for.

An event reaches executions in three ways: its detail names one (`execution_id`), and its plan declares the event; a
trigger with `event` finds those that wait for its correlation key; a trigger without it starts one. Everything here may
happen twice: mails carry the event's id, starts have ids made of it, and an event that started an execution for a key
is noted before it does (`storage.subscriptions.Handover`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import LIFECYCLE_SOURCE
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.identity import keyed_execution_id
from workflow_runtime.engine.values.evaluation import correlation_key, iso_time
from workflow_runtime.errors import ConflictError, InvalidEvent, RequestError, RetryableError
from workflow_runtime.language.expressions import EvaluationError, parse_iso
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.triggers import ScheduleTrigger
from workflow_runtime.ports import Ports
from workflow_runtime.services.catalog.triggers import Occasion, ScheduledStart, Triggers, start_key
from workflow_runtime.services.intake.bus_events import ADDRESS, ADDRESSED, BusEvent, Way, parse_body
from workflow_runtime.services.intake.starts import Starter
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import Mail, mail_body
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.subscriptions import Handover
from workflow_runtime.storage.triggers import ANY_TOPIC, RegisteredTrigger

HOPS_MAX = 10  # executions that may pass an event on, one to the next; more is a loop
REPEATS_SECONDS = 24 * 3600  # how long a repeated event is recognised (promise P6)

logger = logging.getLogger(__name__)

_EXECUTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Taken(msgspec.Struct, frozen=True):
    """Mails to be sent, and why the message must come again, if it must."""

    mails: tuple[Mail, ...] = ()
    fault: Exception | None = None


class Ingest:
    """``count`` takes metrics."""

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        mailer: Mailer,
        triggers: Triggers,
        starter: Starter,
        count: Callable[[str, int], None],
    ) -> None:
        self._ports = ports
        self._mailer = mailer
        self._triggers = triggers
        self._starter = starter
        self._count = count
        self._workflows = stores.workflows
        self._executions = stores.executions
        self._dead_letters = stores.dead_letters
        self._registry = stores.triggers
        self._subscriptions = stores.subscriptions
        self._owners = stores.owners

    def triggers_of(self, topic: str) -> tuple[RegisteredTrigger, ...]:
        return self._registry.of(topic)

    def take(self, body: str, identity: str, triggers: Callable[[str], Iterable[RegisteredTrigger]]) -> Taken:
        """Do what a message asks for, apart from the mails that are returned. ``identity``: the message's id;
        ``triggers``: those registered for a topic. Raises `RetryableError`, `ConflictError`.
        """
        try:
            content = parse_body(body)
        except InvalidEvent as error:
            self._refuse(identity, str(error), body, Metric.EVENTS_REFUSED)
            return Taken()
        if isinstance(content, ScheduledStart):
            self._take_schedule(content, identity, body)
            return Taken()
        if content.source == LIFECYCLE_SOURCE:
            return Taken()  # the rule keeps these out; if they came in, executions could feed on themselves
        if content.hops >= HOPS_MAX:
            fields = {"event_id": content.id, "detail_type": content.detail_type, "hops": content.hops}
            logger.error("an event went from execution to execution too often", extra=fields)
            self._count(Metric.EVENTS_LOOPING, 1)
            return Taken()
        mails = self._addressed(content)
        starts = False
        fault: Exception | None = None
        for registered in (*triggers(content.detail_type), *triggers(ANY_TOPIC)):
            if not _wants(registered, content):
                continue
            starts = starts or not registered.trigger.event
            try:
                mails += self._triggered(content, registered)
            except (EvaluationError, RequestError) as error:
                reason = f"a trigger of workflow {registered.workflow_id}: {error}"
                self._refuse(f"{content.id}:{registered.digest}", reason, body, Metric.TRIGGERS_FAILED)
            except Exception as error:  # the other triggers go on, and what they did is recognised next time
                fault = error
        if not mails and not starts and fault is None:
            self._count(Metric.EVENTS_IGNORED, 1)
        return Taken(tuple({(mail.execution_id, mail.event.event_id): mail for mail in mails}.values()), fault)

    def send(self, mails: Sequence[Mail]) -> None:
        """Put events into their mailboxes. Raises `RetryableError`."""
        for refusal in self._mailer.send_all(mails):
            mail = mails[refusal.index]
            logger.error("a mailbox refused an event", extra={"reason": refusal.reason})
            self._count(Metric.DEAD_LETTERS, 1)
            self._dead_letters.put(mail.execution_id, mail.event.event_id, refusal.reason, mail_body(mail), self._now())

    def _addressed(self, event: BusEvent) -> list[Mail]:
        execution_id = event.detail.get(ADDRESS)
        if not isinstance(execution_id, str) or not _EXECUTION_ID.fullmatch(execution_id):
            return []
        header = self._executions.header(execution_id)
        if header is None or header.status.terminal:
            return []
        if not self._plan_declares(header.plan_hash, event.detail_type):
            logger.info("an execution does not listen to this event", extra={"execution_id": execution_id})
            return []
        data = {name: value for name, value in event.payload.items() if name != ADDRESS}
        return [self._mail(event, execution_id, event.detail_type, data)]

    def _plan_declares(self, plan_hash: str, name: str) -> bool:
        try:
            return self._workflows.plan(plan_hash).declares(name)
        except KeyError as error:
            raise RetryableError(str(error)) from error

    def _triggered(self, event: BusEvent, registered: RegisteredTrigger) -> list[Mail]:
        """Raises `EvaluationError`, `RequestError` for what will never work."""
        if registered.trigger.event:
            return self._routed(event, registered)
        trigger = self._triggers.current(registered.workflow_id, registered.digest)
        if trigger is not None:
            key = start_key(event.occasion, trigger) or f"\0event\0{event.id}\0{registered.digest}"
            self._start(registered.workflow_id, event.occasion.input(trigger), key, event)
        return []

    def _routed(self, event: BusEvent, registered: RegisteredTrigger) -> list[Mail]:
        trigger, workflow_id, route = registered.trigger, registered.workflow_id, registered.digest
        if trigger.correlate is None:
            return []
        key = correlation_key(event.occasion.value(trigger.correlate))
        if key is None:
            return []
        waiting = [found.execution_id for found in self._subscriptions.of(trigger.event, key, workflow_id, route)]
        way = Way(key, route, to_wait=trigger.with_key is None)
        if trigger.start_if_none:
            owner = self._handed_over(event, registered, key, waiting)
            waiting = list(dict.fromkeys((*waiting, *([owner] if owner else []))))
        return [self._mail(event, execution_id, trigger.event, event.payload, way) for execution_id in waiting]

    def _handed_over(
        self, event: BusEvent, registered: RegisteredTrigger, key: str, waiting: Sequence[str]
    ) -> str | None:
        """The execution that owns the key, started if none runs that has it; None: those that wait have the event.

        Where the event goes is noted before anything is done, so that its repeat, after that execution ended, starts
        no other. Two events that come at once make the same id for the execution: one starts it, both go to it.
        """
        workflow_id = registered.workflow_id
        owner, handover = self._owners.look(workflow_id, key, event.id)
        if handover is None:
            decided = self._decide(registered, key, owner, waiting)
            if decided is None:
                return None
            until = self._now() + REPEATS_SECONDS * 1000
            handover = self._owners.hand_over(workflow_id, key, event.id, decided, until)
        if handover.start_key:
            input = event.occasion.input(registered.trigger)
            self._start(workflow_id, input, handover.start_key, event)
            self._owners.take(workflow_id, key, handover.execution_id, handover.over or None)
        return handover.execution_id or None

    def _decide(
        self, registered: RegisteredTrigger, key: str, owner: str | None, waiting: Sequence[str]
    ) -> Handover | None:
        """None: nobody has the key, and this trigger does not start anything any more."""
        running = self._running((*([owner] if owner else []), *waiting))
        if running:
            return Handover(owner if owner in running else "")
        if self._triggers.current(registered.workflow_id, registered.digest) is None:
            return None
        fresh_key = f"\0owner\0{key}\0{owner or ''}"
        return Handover(keyed_execution_id(registered.workflow_id, fresh_key), fresh_key, owner or "")

    def _take_schedule(self, start: ScheduledStart, identity: str, body: str) -> None:
        trigger = self._triggers.current(start.workflow_id, start.trigger)
        if not isinstance(trigger, ScheduleTrigger):
            logger.info("a schedule of an older version", extra={"workflow_id": start.workflow_id})
            return
        try:
            at = parse_iso(start.at)
            occasion = Occasion(f"{start.trigger}:{at}", at, {"scheduled_at": iso_time(at)})
            key = start_key(occasion, trigger) or f"\0schedule\0{start.trigger}\0{at}"
            if trigger.skip_overlap and not self._may_begin(start, keyed_execution_id(start.workflow_id, key)):
                self._count(Metric.SCHEDULES_SKIPPED, 1)
                return
            self._start(start.workflow_id, occasion.input(trigger), key)
        except (EvaluationError, RequestError) as error:
            self._refuse(identity, f"a schedule of workflow {start.workflow_id}: {error}", body, Metric.TRIGGERS_FAILED)

    def _may_begin(self, start: ScheduledStart, execution_id: str) -> bool:
        """Whether no other execution that this schedule started is running.

        The place is taken before the start. If the starter dies in between, the next one takes it over.
        """
        key = f"\0schedule\0{start.trigger}"
        owner = self._owners.of(start.workflow_id, key)
        if owner == execution_id:
            return True
        if owner is not None and self._running([owner]):
            return False
        return self._owners.take(start.workflow_id, key, execution_id, owner) == execution_id

    def _start(self, workflow_id: str, input: Json, key: str, event: BusEvent | None = None) -> None:
        """Raises `RequestError`."""
        hops, correlation_id = (event.hops, event.correlation_id) if event is not None else (0, "")
        self._starter.start_once(workflow_id, input, key, hops=hops, correlation_id=correlation_id)
        self._count(Metric.EXECUTIONS_TRIGGERED, 1)

    def _running(self, execution_ids: Sequence[str]) -> set[str]:
        headers = self._executions.headers(execution_ids)
        return {id for id, header in headers.items() if not header.status.terminal}

    def _mail(self, event: BusEvent, execution_id: str, name: str, data: Json, way: Way = ADDRESSED) -> Mail:
        signal: SignalReceived = event.signal(self._ports.blobs, execution_id, name, data, way)
        return Mail(execution_id, signal)

    def _refuse(self, identity: str, reason: str, body: str, metric: Metric) -> None:
        """Keep a message that can never be taken as a dead letter; acknowledged, it does not come back."""
        logger.error("an event was not taken", extra={"reason": reason})
        self._count(metric, 1)
        self._dead_letters.put("", identity, reason, body, self._now())

    def _now(self) -> int:
        return self._ports.clock.now()


class EventBatch:
    """A batch of the queue `events`: triggers are read once per topic, mails sent together.

    ``records``: as Lambda delivers them.
    """

    def __init__(self, ingest: Ingest, records: Sequence[Mapping[str, Any]]) -> None:
        self._ingest = ingest
        self._registered: dict[str, tuple[RegisteredTrigger, ...]] = {}
        self._failed: dict[str, str] = {}
        mails: list[tuple[str, Mail]] = []
        for record in records:
            message_id = record["messageId"]
            try:
                taken = ingest.take(record["body"], message_id, self._triggers_of)
            except Exception as error:
                taken = Taken(fault=error)
            mails += [(message_id, mail) for mail in taken.mails]
            if taken.fault is not None:
                self._fail(message_id, taken.fault)
        try:
            ingest.send([mail for _, mail in mails])
        except RetryableError as error:
            for message_id, _ in mails:
                self._fail(message_id, error)

    def take(self, message_id: str) -> None:
        """Raises `RetryableError` for a record that must be delivered again."""
        if message_id in self._failed:
            raise RetryableError(self._failed[message_id])

    def _fail(self, message_id: str, error: Exception) -> None:
        unexpected = not isinstance(error, (RetryableError, ConflictError))
        logger.warning(
            "an event is taken again later", exc_info=error if unexpected else None, extra={"reason": str(error)}
        )
        self._failed[message_id] = str(error)

    def _triggers_of(self, topic: str) -> tuple[RegisteredTrigger, ...]:
        if topic not in self._registered:
            self._registered[topic] = self._ingest.triggers_of(topic)
        return self._registered[topic]


def _wants(registered: RegisteredTrigger, event: BusEvent) -> bool:
    """Whether a trigger found by the event's topic takes the event."""
    trigger = registered.trigger
    return (
        (not trigger.topics or event.detail_type in trigger.topics)
        and (not trigger.sources or event.source in trigger.sources)
        and (registered.pattern is None or registered.pattern.matches(event.detail))
    )
