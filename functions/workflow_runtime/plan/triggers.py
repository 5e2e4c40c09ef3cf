"""Triggers: what starts executions from outside, or carries events of the bus to those that wait for them."""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import Formula


class EventTrigger(msgspec.Struct, frozen=True, omit_defaults=True, tag="event"):
    """An event of the bus. Without ``event`` it starts executions; with it, the event goes to the running executions of
    the workflow whose ``with_key`` equals ``correlate``, and with ``start_if_none`` starts one if there is none.

    ``input``, ``key`` and ``correlate`` are evaluated over the bus event (`services.ingest`), ``with_key`` over the
    execution. A wait with ``correlate`` appears here too: without a start.
    """

    topics: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    filters: Json = None
    input: Formula | None = None
    key: Formula | None = None
    event: str = ""
    correlate: Formula | None = None
    with_key: Formula | None = None
    start_if_none: bool = False


class ScheduleTrigger(msgspec.Struct, frozen=True, omit_defaults=True, tag="schedule"):
    """``expression`` in EventBridge Scheduler's form: ``cron(…)`` with six fields, or ``rate(…)``."""

    expression: str
    timezone: str = "UTC"
    input: Formula | None = None
    key: Formula | None = None
    skip_overlap: bool = False


class WebhookTrigger(msgspec.Struct, frozen=True, omit_defaults=True, tag="webhook"):
    """``secret``: the name of the secret that signs requests; None: unsigned requests are taken; ``""``: a signature is
    demanded but no secret is named, so every request is refused."""

    endpoint: str
    method: str = "POST"
    secret: str | None = None
    input: Formula | None = None
    key: Formula | None = None


Trigger: TypeAlias = EventTrigger | ScheduleTrigger | WebhookTrigger

_encoder = msgspec.json.Encoder(order="deterministic")


def digest(trigger: Trigger) -> str:
    """The trigger's name within its workflow: 40 hex digits of what it says. Equal triggers of several versions share
    it, so that it names the route of an event from the bus to the executions that asked for it."""
    return hashlib.sha256(_encoder.encode(trigger)).hexdigest()[:40]
