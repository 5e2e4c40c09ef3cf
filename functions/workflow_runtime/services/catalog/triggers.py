"""Triggers of published workflows: kept in step with the versions, and evaluated over what sets them off.

Before a version is stored, its triggers are registered; after it, those that only older versions have are retired. In
between and after a crash there are too many, never too few: a start asks the newest version's plan for the trigger
(`Triggers.current`). A trigger that routes events outlives its version by as long as an execution may run.

Publishers of one workflow may meet. Each registers again once its version is stored, and each looks at the newest
version again once it has retired something, and registers that one's again if it is another. So whatever of the two
comes last, the newest version's triggers stand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from workflow_runtime.deployment.topology import EVENTS
from workflow_runtime.engine.values.evaluation import correlation_key
from workflow_runtime.errors import RequestError
from workflow_runtime.language.expressions import Scope
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.triggers import EventTrigger, ScheduleTrigger, Trigger, WebhookTrigger, digest
from workflow_runtime.ports import SCHEDULED_TIME, Ports, Schedule
from workflow_runtime.storage.stores import Stores

ROUNDS_MAX = 3  # against others who publish the same workflow at the same moment
SPARE_SECONDS = 24 * 3600  # that a trigger which starts nothing any more stays registered
EXECUTION_SECONDS_MAX = 400 * 24 * 3600  # an execution's longest life: so long its events are routed


class ScheduledStart(msgspec.Struct, frozen=True):
    """What a schedule sends. ``trigger``: digest; ``at``: the time it was due, ISO 8601."""

    workflow_id: str
    trigger: str
    at: str


class Occasion(msgspec.Struct, frozen=True):
    """What a trigger's formulas are evaluated over. ``names`` hide the payload's own keys; ``at``: its time (epoch ms);
    ``id`` makes repeats recognisable.
    """

    id: str
    at: int
    payload: Json
    names: Mapping[str, Json] = {}

    def value(self, formula: Formula) -> Json:
        """Raises `EvaluationError`."""
        own = self.payload if isinstance(self.payload, dict) else {}
        return formula.compiled.evaluate(
            Scope({**own, "trigger": self.payload, **self.names}, now_ms=self.at, uuid_seed=self.id)
        )

    def input(self, trigger: Trigger) -> Json:
        """The input of an execution that the trigger starts. Raises `EvaluationError`."""
        return {"trigger": self.payload} if trigger.input is None else self.value(trigger.input)


class Triggers:
    def __init__(self, ports: Ports, stores: Stores) -> None:
        self._ports = ports
        self._workflows = stores.workflows
        self._store = stores.triggers

    def announce(self, plan: Plan, *, scheduled: bool = True) -> None:
        """Register a plan's triggers, before it becomes a version; ``scheduled``: create its schedules too.

        Raises `RequestError` (``invalid_definition``) for schedules that the scheduler refuses.
        """
        self._store.put(plan.workflow_id, [trigger for trigger in plan.triggers if isinstance(trigger, EventTrigger)])
        for trigger in plan.triggers if scheduled else ():
            if isinstance(trigger, ScheduleTrigger):
                self._put_schedule(plan.workflow_id, trigger)

    def settle(self, workflow_id: str, before: Plan) -> None:
        """Retire those triggers of ``before`` that the newest version has not, or all if none is published."""
        for _ in range(ROUNDS_MAX):
            newest = self._newest(workflow_id)
            kept = newest.triggers if newest is not None else ()
            gone = [trigger for trigger in before.triggers if trigger not in kept]
            if not gone:
                return
            self._retire(workflow_id, gone)
            latest = self._newest(workflow_id)
            if latest == newest:
                return
            if latest is not None:  # published meanwhile: what was retired may be its own
                self.announce(latest)

    def current(self, workflow_id: str, name: str) -> Trigger | None:
        """The trigger with this digest, if the newest published version has it."""
        newest = self._newest(workflow_id)
        found = newest.triggers if newest is not None else ()
        return next((trigger for trigger in found if digest(trigger) == name), None)

    def webhook(self, workflow_id: str, endpoint: str, method: str) -> WebhookTrigger | None:
        """The webhook of the newest published version."""
        newest = self._newest(workflow_id)
        for trigger in newest.triggers if newest is not None else ():
            if isinstance(trigger, WebhookTrigger) and _hook(trigger) == (endpoint.strip("/"), method):
                return trigger
        return None

    def _newest(self, workflow_id: str) -> Plan | None:
        version = self._workflows.latest(workflow_id)
        return self._workflows.plan(version.plan_hash) if version is not None else None

    def _retire(self, workflow_id: str, triggers: Sequence[Trigger]) -> None:
        now = self._ports.clock.now()
        for trigger in triggers:
            if isinstance(trigger, EventTrigger):
                seconds = EXECUTION_SECONDS_MAX if trigger.event else SPARE_SECONDS
                self._store.expire(workflow_id, trigger, now + seconds * 1000)
        schedules = [digest(trigger) for trigger in triggers if isinstance(trigger, ScheduleTrigger)]
        if schedules:
            self._store.unmark_schedules(workflow_id, schedules)
            self._ports.schedules.delete([schedule_name(workflow_id, name) for name in schedules])

    def _put_schedule(self, workflow_id: str, trigger: ScheduleTrigger) -> None:
        """One that stands is left alone: putting a rate again would begin its first interval again."""
        name = digest(trigger)
        if self._store.has_schedule(workflow_id, name):
            return
        body = msgspec.json.encode({"schedule": ScheduledStart(workflow_id, name, SCHEDULED_TIME)}).decode()
        schedule = Schedule(
            schedule_name(workflow_id, name),
            EVENTS,
            body,
            expression=trigger.expression,
            timezone=trigger.timezone,
        )
        try:
            self._ports.schedules.put(schedule)
        except ValueError as error:
            raise RequestError("invalid_definition", f"the schedule {trigger.expression}: {error}") from error
        self._store.mark_schedule(workflow_id, name)


def schedule_name(workflow_id: str, name: str) -> str:
    """Of a trigger's schedule: ASCII and 48 characters, whatever the workflow's id is."""
    return "trigger-" + hashlib.sha256(f"{workflow_id}\0{name}".encode()).hexdigest()[:40]


def start_key(occasion: Occasion, trigger: Trigger) -> str | None:
    """What makes the start idempotent by the author's `key`; None where it is missing or empty. Raises
    `EvaluationError`."""
    key = correlation_key(occasion.value(trigger.key)) if trigger.key is not None else None
    return f"\0key\0{key}" if key is not None else None  # no key that a caller of the API can send


def _hook(trigger: WebhookTrigger) -> tuple[str, str]:
    return trigger.endpoint.strip("/"), trigger.method
