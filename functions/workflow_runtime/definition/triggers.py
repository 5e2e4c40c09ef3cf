"""What starts executions from outside: events, schedules, webhooks, the API."""

import re
import zoneinfo
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import (
    Flag,
    Kind,
    Literal,
    Object,
    Texts,
    Value,
    read_literal,
    word,
)
from workflow_runtime.definition.reading import Model, Reading, as_entries, kind_of, problem
from workflow_runtime.definition.timed import EventName
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.templates import is_one_template
from workflow_runtime.language.texts import quoted


class TriggerDefinition(Model):
    """Common to all triggers."""

    noun: ClassVar[str] = "a trigger"
    has_config: ClassVar[bool] = True

    type: Annotated[str, word("event", "schedule", "webhook", "api")] = Field(description="Kind of trigger.")
    input: Value = Field(
        None, description="Template of the execution's input over the payload; by default `{trigger: payload}`."
    )
    key: Value = Field(None, description="Template; the same key starts one execution only.")


class EventTrigger(TriggerDefinition):
    """An EventBridge event starts an execution or, with ``event``, is sent to those that wait for it."""

    noun: ClassVar[str] = "an event trigger"
    aliases: ClassVar = {"with": "with_value"}
    hidden: ClassVar = frozenset({"with_value"})

    topic: Texts = Field((), description="Detail-type of the event.")
    source: Texts = Field((), description="Source of the event.")
    filters: Object | None = Field(None, description="Match in the event's detail; a list means any of.")
    event: EventName | None = Field(None, description="Event sent to running executions instead of starting one.")
    correlate: Value = Field(None, description="Template over the event: the key to look for.")
    with_value: Value = Field(None, description="Template over the execution: its key.")
    start_if_none: Flag = Field(False, description="Start an execution when none has the key.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.topic and not self.source:
            raise problem(rules.REQUIRED, "an event trigger needs a `topic` or a `source`")
        given = [name for name in ("correlate", "with_value") if getattr(self, name) is not None]
        if self.event is not None and len(given) < 2:
            raise problem(rules.REQUIRED, "a trigger with `event` needs `correlate` and `with`")
        if self.event is None and (given or self.start_if_none):
            raise problem(rules.COMBINATION, "`correlate`, `with` and `start_if_none` need `event`")
        return self


def read_rate(value: object) -> str:
    """An interval or a duration, as text; a number is seconds."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else read_literal(value).strip()


def read_timezone(value: object) -> str:
    text = read_literal(value)
    zones = zoneinfo.available_timezones()
    if zones and text not in zones:
        hint = "For example `Asia/Shanghai` or `UTC`."
        raise problem(rules.UNKNOWN_WORD, f"{quoted(text)} is not a time zone", hint)
    return text


class ScheduleTrigger(TriggerDefinition):
    """EventBridge Scheduler starts executions. Whether it can keep the schedule is the compiler's question."""

    noun: ClassVar[str] = "a schedule trigger"

    cron: Literal | None = Field(None, description="Cron expression.")
    rate: Annotated[str, Kind(read_rate, {"type": ["string", "number"]})] | None = Field(None, description="Interval.")
    timezone: Annotated[str, Kind(read_timezone, {"type": "string"})] = Field("UTC", description="IANA time zone.")
    overlap: Annotated[str, word("allow", "skip")] = Field("allow", description="`skip`: not while one still runs.")

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if (self.cron is None) == (self.rate is None):
            raise problem(rules.COMBINATION, "a schedule trigger needs one of `cron` and `rate`")
        return self


def read_secret(value: object) -> str:
    if not isinstance(value, str) or not is_one_template(value) or not re.match(r"\s*\$\{\s*secrets\b", value):
        text = "a secret is a reference, never the secret itself"
        raise problem(rules.NOT_ONE_TEMPLATE, text, "Write `${secrets.NAME}`.")
    return value.strip()


class WebhookTrigger(TriggerDefinition):
    """An HTTP route with an HMAC signature starts executions."""

    noun: ClassVar[str] = "a webhook trigger"

    endpoint: Literal = Field(description="Path of the route.")
    method: Annotated[str, word("POST", "PUT", "GET", synonyms={"post": "POST", "put": "PUT", "get": "GET"})] = Field(
        "POST", description="HTTP method."
    )
    auth_required: Flag = Field(True, description="Refuse requests without a valid signature; without a `secret`, all.")
    secret: Annotated[str, Kind(read_secret, {"type": "string", "pattern": r"\$\{\s*secrets"})] | None = Field(
        None, description="`${secrets.NAME}`: the key of the signature."
    )


class ApiTrigger(TriggerDefinition):
    """Started through the API."""

    noun: ClassVar[str] = "an api trigger"


TRIGGERS: dict[str, type[TriggerDefinition]] = {
    "event": EventTrigger,
    "schedule": ScheduleTrigger,
    "webhook": WebhookTrigger,
    "api": ApiTrigger,
}


def read_trigger(value: Any) -> TriggerDefinition:
    """The trigger of the class that its ``type`` names."""
    if isinstance(value, TriggerDefinition):
        return value
    if not isinstance(value, dict):
        raise problem(rules.WRONG_KIND, f"a trigger is a mapping, not {kind_of(value)}", "For example `{type: api}`.")
    kind = value.get("type")
    if kind is None:
        raise problem(rules.REQUIRED, "the trigger has no `type`", f"One of {', '.join(TRIGGERS)}.")
    if not isinstance(kind, str) or kind not in TRIGGERS:
        shown = f"{quoted(kind)}" if isinstance(kind, str) else kind_of(kind)
        hint = did_you_mean(str(kind), TRIGGERS)
        raise problem(rules.UNKNOWN_TYPE, f"{shown} is not a type of trigger", hint, ("type",))
    return TRIGGERS[kind].model_validate(value)


def recovered_triggers(value: Any, reading: Reading) -> tuple[TriggerDefinition, ...]:
    """A best effort at triggers, each at its place: what cannot be read does nothing."""
    found: list[TriggerDefinition] = []
    for item in as_entries(value):
        try:
            found.append(read_trigger(item))
        except (ValidationError, PydanticCustomError):
            found.append(ApiTrigger.recovered({"type": "api"}, reading))
    return tuple(found)


Trigger = Annotated[TriggerDefinition, BeforeValidator(read_trigger), WithJsonSchema({})]
