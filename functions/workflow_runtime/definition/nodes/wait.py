"""The wait node: for a while, until a time, or for an event."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import Expression, Value, raise_all
from workflow_runtime.definition.ids import Reference
from workflow_runtime.definition.nodes.control import ControlNode
from workflow_runtime.definition.nodes.registry import control_type
from workflow_runtime.definition.reading import problem
from workflow_runtime.definition.timed import DelayOrTemplate, DurationOrTemplate, EventName, Time

_WITH_EVENT = {"match": "match", "correlate": "correlate", "with_value": "with", "timeout": "timeout"} | {
    "on_timeout": "on_timeout"
}


@control_type("wait")
class WaitNode(ControlNode):
    """Waits for a while, until a time, or for an event. ``on_timeout``: fail, continue, or a node's id."""

    noun: ClassVar[str] = "a wait"
    aliases: ClassVar = {**ControlNode.aliases, "duration": "seconds", "with": "with_value"}
    hidden: ClassVar = frozenset({"with_value"})

    seconds: DelayOrTemplate = Field(None, description="How long; a duration or one `${…}`.")
    at: Time | None = Field(None, description="Until when; an ISO 8601 time or one `${…}`.")
    event: EventName | None = Field(None, description="Name of the event to wait for.")
    match: Expression | None = Field(None, description="Expression over `${event}`; other events are not taken.")
    correlate: Value = Field(None, description="Template over an event of the bus: the key to look for.")
    with_value: Value = Field(None, description="Template over this execution: its key.")
    timeout: DurationOrTemplate = Field(None, description="How long to wait for the event; by default forever.")
    on_timeout: Reference = Field("fail", description="`fail`, `continue`, or the id of a node that runs then.")

    @classmethod
    def fitting(cls, defaults: Mapping[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        own = super().fitting(defaults, fields)
        return own if "event" in fields else {name: item for name, item in own.items() if name not in _WITH_EVENT}

    @model_validator(mode="after")
    def _sense(self) -> Self:
        given = [name for name in ("seconds", "at", "event") if getattr(self, name) is not None]
        if len(given) != 1:
            found = "has none" if not given else "has " + ", ".join(f"`{name}`" for name in given)
            raise problem(rules.COMBINATION, f"a wait needs one of `seconds`, `at` and `event`; this one {found}")
        if self.event is None:
            stray = [name for name in _WITH_EVENT if name in self.model_fields_set]
            texts = {name: f"`{_WITH_EVENT[name]}` only goes with `event`" for name in stray}
            raise_all([problem(rules.COMBINATION, text, at=(name,)) for name, text in texts.items()])
            return self
        if (self.correlate is None) != (self.with_value is None):
            has, lacks = ("correlate", "with") if self.with_value is None else ("with", "correlate")
            raise problem(rules.REQUIRED, f"`{has}` needs `{lacks}`, the other side of the comparison")
        if "on_timeout" in self.model_fields_set and self.timeout is None:
            hint = "Add `timeout`, or remove `on_timeout`."
            raise problem(rules.COMBINATION, "without a `timeout` it is never too late", hint, ("on_timeout",))
        return self
