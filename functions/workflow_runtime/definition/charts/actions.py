"""What a chart does on its way: actions of states and transitions.

An action may be written ``{type: log, params: {message: …}}``, ``{type: log, message: …}``, ``{log: {message: …}}`` or,
where one field says most, ``{log: …}``; the other fields may stand beside it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import (
    Duration,
    Expression,
    Flag,
    Inputs,
    Kind,
    ListOrTemplate,
    Schema,
    Text,
    Value,
    word,
)
from workflow_runtime.definition.ids import DynamicId, Id, Ids, check_allow, read_id
from workflow_runtime.definition.policies import RetryPolicies
from workflow_runtime.definition.reading import Many, Model, Reading, as_entries, kind_of, problem, recovered_entry
from workflow_runtime.definition.timed import DelayOrTemplate, EventName, EventTemplate, SomeText
from workflow_runtime.language.suggestions import did_you_mean, nearest
from workflow_runtime.language.texts import quoted


class ActionDefinition(Model):
    """Something a chart does. ``kind``: its name; ``short``: the field that ``{kind: value}`` is short for."""

    noun: ClassVar[str] = "an action"
    kind: ClassVar[str] = ""
    short: ClassVar[str] = ""

    required: Flag = Field(True, description="`false`: a failure of this action is ignored.")

    @classmethod
    def parts(cls, value: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
        if "type" in value:
            flat = {key: item for key, item in value.items() if key not in ("type", "params")}
            nested = value.get("params")
            return [((), flat), *([(("params",), nested)] if nested is not None else [])]
        flat = {key: item for key, item in value.items() if key != cls.kind}
        inner = value.get(cls.kind)
        if inner is None:
            return [((), flat)]
        if isinstance(inner, dict) or not cls.short:
            return [((), flat), ((cls.kind,), inner)]
        return [((), {cls.short: inner}), ((), flat)]


class LogActionDefinition(ActionDefinition):
    """Writes a line to the log."""

    noun: ClassVar[str] = "the action `log`"
    kind: ClassVar[str] = "log"
    short: ClassVar[str] = "message"

    message: Text = Field(description="Text (template).")
    level: Annotated[str, word("debug", "info", "warning", "error")] = Field("info", description="Level of the line.")


class PublishActionDefinition(ActionDefinition):
    """Puts an event on the bus."""

    noun: ClassVar[str] = "the action `publish_event`"
    kind: ClassVar[str] = "publish_event"
    short: ClassVar[str] = "topic"

    topic: SomeText = Field(description="The event's detail-type (template).")
    payload: Value = Field(None, description="The event's detail (template).")


class SetVariableActionDefinition(ActionDefinition):
    """Sets a variable of the chart; creates it if need be."""

    noun: ClassVar[str] = "the action `set_variable`"
    kind: ClassVar[str] = "set_variable"
    keeps_null: ClassVar = frozenset({"value"})

    name: Id = Field(description="Name of the variable.")
    value: Value = Field(description="Its new value (template).")


class RaiseActionDefinition(ActionDefinition):
    """Raises an internal event: this chart takes it before any from outside."""

    noun: ClassVar[str] = "the action `raise`"
    kind: ClassVar[str] = "raise"
    short: ClassVar[str] = "event"

    event: EventTemplate = Field(description="Name of the event (template).")
    data: Value = Field(None, description="Its data (template).")


def read_receiver(value: object) -> str:
    """A template of an execution's id, ``parent``, or the path of a nested machine."""
    if isinstance(value, str) and value.strip():
        return value
    text = f"`to` is an execution's id, `parent`, a nested machine's path or {{correlate: key}}, not {kind_of(value)}"
    raise problem(rules.WRONG_KIND, text)


_CORRELATED = {"type": "object", "properties": {"correlate": {}}, "required": ["correlate"]}


class SendActionDefinition(ActionDefinition):
    """Sends an event, perhaps later. ``to`` and ``correlate`` say to whom; with neither, to this execution itself."""

    noun: ClassVar[str] = "the action `send`"
    kind: ClassVar[str] = "send"
    short: ClassVar[str] = "event"
    hidden: ClassVar = frozenset({"correlate"})

    id: SomeText | None = Field(None, description="Name for `cancel_send` (template).")
    event: EventTemplate = Field(description="Name of the event (template).")
    data: Value = Field(None, description="Its data (template).")
    delay: DelayOrTemplate = Field(None, description="Delay before it is sent; a duration or one `${…}`.")
    to: Annotated[str | None, Kind(read_receiver, {"anyOf": [{"type": "string", "minLength": 1}, _CORRELATED]})] = (
        Field(
            None, description="Execution id, `parent`, path of a nested machine (template), or `{correlate: template}`."
        )
    )
    correlate: Value = Field(None, description="Key of the executions that wait for the event (template).")

    @classmethod
    def canonical(cls, value: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        fields, problems = super().canonical(value)
        to = fields.get("to")
        if isinstance(to, dict) and set(to) == {"correlate"} and to["correlate"] is not None:
            fields = {name: item for name, item in fields.items() if name != "to"} | {"correlate": to["correlate"]}
        return fields, problems


class CancelSendActionDefinition(ActionDefinition):
    """Takes back a `send` that has not been delivered."""

    noun: ClassVar[str] = "the action `cancel_send`"
    kind: ClassVar[str] = "cancel_send"
    short: ClassVar[str] = "id"

    id: SomeText = Field(description="The `id` of the send (template).")


class StartWorkflowActionDefinition(ActionDefinition):
    """Starts another workflow, which runs independently."""

    noun: ClassVar[str] = "the action `start_workflow`"
    kind: ClassVar[str] = "start_workflow"
    short: ClassVar[str] = "workflow_id"

    workflow_id: DynamicId = Field(description="Id of the workflow, or one `${…}`.")
    input: Value = Field(None, description="Its input (template).")
    result_event: EventName | None = Field(None, description="Event that comes back when it ends.")


class CallActionDefinition(ActionDefinition):
    """Runs an agent or a tool: short for a `run` node. ``target``: its id, or one ``${…}`` with ``allow``."""

    result: Id | None = Field(None, description="Variable that the result becomes.")
    inputs: Inputs = Field({}, description="Named templates.")
    timeout: Duration | None = Field(None, description="Time limit of each attempt.")
    max_wait: Duration | None = Field(None, description="How long an attempt may wait for a worker.")
    retry_policy: RetryPolicies = Field((), description="Attempts after the first.")
    allow: Ids = Field((), description="What a computed id may be.")

    @property
    def target(self) -> str:
        return str(getattr(self, self.kind))

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        check_allow(self.target, self.allow, self.kind)
        return self


class AgentActionDefinition(CallActionDefinition):
    """Runs an agent."""

    noun: ClassVar[str] = "the action `agent`"
    kind: ClassVar[str] = "agent"
    short: ClassVar[str] = "agent"
    aliases: ClassVar = {"agent_id": "agent"}

    agent: DynamicId = Field(description="Id of the agent, or one `${…}` with `allow`.")
    prompt: Text | None = Field(None, description="Template of the user message; by default the inputs as JSON.")
    output_schema: Schema = Field(None, description="JSON Schema of the structured output.")


class ToolActionDefinition(CallActionDefinition):
    """Runs a tool."""

    noun: ClassVar[str] = "the action `tool`"
    kind: ClassVar[str] = "tool"
    short: ClassVar[str] = "tool"
    aliases: ClassVar = {"tool_id": "tool"}

    tool: DynamicId = Field(description="Id of the tool, or one `${…}` with `allow`.")


Action = Annotated[
    ActionDefinition,
    BeforeValidator(lambda value, info: read_action(value, info)),
    WithJsonSchema({"x-ref": "Action"}),
]
Actions = Annotated[tuple[Action, ...], Many(single=True)]


def recovered_actions(value: Any, reading: Reading) -> tuple[Model, ...]:
    """The best effort at actions: every one stays at its place; of one that cannot be told, nothing is known."""
    return tuple(recovered_entry(_meant_class(entry), entry, reading) for entry in as_entries(value))


def _meant_class(value: Any) -> type[ActionDefinition]:
    try:
        return action_class(value) if isinstance(value, dict) else ActionDefinition
    except PydanticCustomError:
        return ActionDefinition


class IfActionDefinition(ActionDefinition):
    """Takes the actions of `then` or of `else`."""

    noun: ClassVar[str] = "the action `if`"
    kind: ClassVar[str] = "if"
    short: ClassVar[str] = "condition"
    aliases: ClassVar = {"else": "otherwise"}
    hidden: ClassVar = frozenset({"otherwise"})
    recoveries: ClassVar = {"then": recovered_actions, "otherwise": recovered_actions}

    condition: Expression = Field(description="Expression.")
    then: Actions = Field((), description="Actions when it is true.")
    otherwise: Actions = Field((), description="Actions when it is false.")

    @model_validator(mode="after")
    def _some_action(self) -> Self:
        if not self.then and not self.otherwise:
            raise problem(rules.REQUIRED, "the action `if` needs `then` or `else`")
        return self


def _read_local_name(value: object) -> str:
    """A name for the item or its index: an id, or one of the names that are reserved for just that."""
    return str(value) if value in ("item", "index") else read_id(value)


_LocalName = Annotated[str, Kind(_read_local_name, {"type": "string", "minLength": 1})]


class ForEachActionDefinition(ActionDefinition):
    """Takes actions for every item of a list."""

    noun: ClassVar[str] = "the action `for_each`"
    kind: ClassVar[str] = "for_each"
    short: ClassVar[str] = "items"
    aliases: ClassVar = {"as": "as_name"}
    hidden: ClassVar = frozenset({"as_name"})
    recoveries: ClassVar = {"do": recovered_actions}

    items: ListOrTemplate = Field(description="The list, or one `${…}`.")
    as_name: _LocalName = Field("item", description="What the item is called.")
    index: _LocalName = Field("index", description="What its place in the list is called.")
    do: Actions = Field(description="What is done for each item.")

    @model_validator(mode="after")
    def _sense(self) -> Self:
        if not self.do:
            raise problem(rules.REQUIRED, "there is nothing to do for the items", at=("do",))
        if self.as_name == self.index:
            text = f"the item and its index are both called `{self.index}`"
            raise problem(rules.COMBINATION, text, at=("index",))
        return self


ACTIONS: dict[str, type[ActionDefinition]] = {
    model.kind: model
    for model in (
        LogActionDefinition,
        PublishActionDefinition,
        SetVariableActionDefinition,
        RaiseActionDefinition,
        SendActionDefinition,
        CancelSendActionDefinition,
        IfActionDefinition,
        ForEachActionDefinition,
        StartWorkflowActionDefinition,
        AgentActionDefinition,
        ToolActionDefinition,
    )
}


def action_class(value: Mapping[str, Any]) -> type[ActionDefinition]:
    """The model for a written action. Raises the finding for one that names none, or several."""
    kind = value.get("type")
    if kind is not None:
        if not isinstance(kind, str) or kind not in ACTIONS:
            shown = f"{quoted(kind)}" if isinstance(kind, str) else kind_of(kind)
            hint = did_you_mean(str(kind), ACTIONS)
            raise problem(rules.UNKNOWN_ACTION, f"{shown} is not an action", hint, ("type",))
        return ACTIONS[kind]
    kinds = [key for key in value if key in ACTIONS]
    if len(kinds) > 1:
        names = " and ".join(f"`{name}`" for name in kinds)
        text = f"an action is one thing, this one is {names}"
        raise problem(rules.COMBINATION, text, "Make each an entry of the list.", (kinds[1],))
    if not kinds:
        slip = next((key for key in value if nearest(key, ACTIONS)), None)
        if slip is not None:
            raise problem(
                rules.UNKNOWN_ACTION, f"{quoted(slip)} is not an action", did_you_mean(slip, ACTIONS), (slip,)
            )
        raise problem(rules.REQUIRED, "the action does not say what it does", f"One of {', '.join(ACTIONS)}.")
    return ACTIONS[kinds[0]]


def read_action(value: Any, info: ValidationInfo) -> ActionDefinition:
    """The action of the class that it names."""
    if isinstance(value, ActionDefinition):
        return value
    if isinstance(info.context, Reading) and info.context.problems > info.context.limit:
        return ActionDefinition.model_construct()
    if not isinstance(value, dict):
        hint = "For example `- log: a text` or `- {type: log, message: a text}`."
        raise problem(rules.WRONG_KIND, f"an action must be a mapping, not {kind_of(value)}", hint)
    return action_class(value).model_validate(value, context=info.context)
