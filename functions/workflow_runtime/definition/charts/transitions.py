"""Transitions of charts: what an event, a condition or time makes of a state, and default entries."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.charts.actions import Actions, recovered_actions
from workflow_runtime.definition.fields import Expression, Kind, word
from workflow_runtime.definition.ids import read_ids
from workflow_runtime.definition.reading import Model, Reading, TextAs, kind_of, problem
from workflow_runtime.definition.timed import DelayOrTemplate, Descriptors, DurationOrTemplate

_SOME_IDS = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}}]}


def _read_targets(value: object) -> tuple[str, ...]:
    if value == []:
        raise problem(rules.REQUIRED, "the list of targets is empty")
    return read_ids(value)


_Targets = Annotated[tuple[str, ...], Kind(_read_targets, _SOME_IDS)]


class InitialDefinition(Model):
    """What is entered by default."""

    noun: ClassVar[str] = "a default entry"
    aliases: ClassVar = {"target": "targets"}
    hidden: ClassVar = frozenset({"targets"})
    preferred: ClassVar = {"targets": "target"}
    recoveries: ClassVar = {"actions": recovered_actions}

    targets: _Targets = Field(description="State or states that are entered.")
    actions: Actions = Field((), description="Actions on the way.")


Initial = Annotated[InitialDefinition, TextAs("target", lists=True)]


def _read_merge(value: object) -> bool | tuple[str, ...]:
    """True, false, or the names of variables that event data may overwrite."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, list):
        hint = "YAML 1.2: only `true` and `false`." if isinstance(value, str) else None
        raise problem(rules.WRONG_KIND, f"expected true, false or a list of names, not {kind_of(value)}", hint)
    return read_ids(value)


_FLAG_OR_NAMES = {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]}
Merge = Annotated[bool | tuple[str, ...] | None, Kind(_read_merge, _FLAG_OR_NAMES)]
"""What becomes of an event's data. By default it becomes variables, except where the workflow has its own of a name."""


class TransitionDefinition(Model):
    """A way out of a state, or a reaction that stays inside when there is no target. Without ``events``: eventless."""

    noun: ClassVar[str] = "a transition"
    aliases: ClassVar = {"target": "targets"}
    hidden: ClassVar = frozenset({"targets", "events", "merge_event_data"})
    preferred: ClassVar = {"events": "event"}
    recoveries: ClassVar = {"actions": recovered_actions}

    events: Descriptors = Field((), description="Event or events: a name, `order.*`, or `*`.")
    condition: Expression | None = Field(None, description="Expression; the transition is taken only when true.")
    targets: _Targets = Field((), description="State or states that are entered; absent: no exit, no entry.")
    type: Annotated[str, word("external", "internal")] = Field(
        "external", description="`internal`: a target inside the source does not exit the source."
    )
    actions: Actions = Field((), description="Actions on the way.")
    merge_event_data: Merge = Field(
        None,
        description="`true`: the event's data may overwrite all variables; a list: those; `false`: it becomes none. "
        "By default what the chart says.",
    )


Reaction = Annotated[TransitionDefinition, TextAs("target", lists=True)]


class EventTransitionDefinition(TransitionDefinition):
    """A transition that an event takes."""

    aliases: ClassVar = {"target": "targets", "event": "events"}
    hidden: ClassVar = frozenset({"targets", "events"})

    events: Descriptors = Field(description="Event or events: a name, `order.*`, or `*`.")


class AlwaysDefinition(TransitionDefinition):
    """A transition that is taken as soon as its condition holds."""

    noun: ClassVar[str] = "a transition of `always`"


class AfterDefinition(TransitionDefinition):
    """A transition that time takes: ``delay`` after entry, and with ``every`` repeatedly after that."""

    noun: ClassVar[str] = "a transition of `after`"

    delay: DelayOrTemplate = Field(None, description="How long after entry; a duration or one `${…}`.")
    every: DurationOrTemplate = Field(None, description="Then again and again; alone, also the first delay.")

    @classmethod
    def with_defaults(cls, fields: dict[str, Any], _reading: Reading) -> dict[str, Any]:
        every = fields.get("every")
        return fields if every is None or fields.get("delay") is not None else {**fields, "delay": every}

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if self.delay is None:
            raise problem(rules.REQUIRED, "`delay` is missing")
        return self
