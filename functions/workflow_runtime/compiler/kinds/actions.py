"""The actions of charts, by family: what they say, whom they tell, what they repeat and start."""

from __future__ import annotations

from workflow_runtime.compiler.kinds.kind import ActionKind, ActionParts, expression, template
from workflow_runtime.definition.charts.actions import (
    ActionDefinition,
    AgentActionDefinition,
    CancelSendActionDefinition,
    ForEachActionDefinition,
    IfActionDefinition,
    LogActionDefinition,
    PublishActionDefinition,
    RaiseActionDefinition,
    SendActionDefinition,
    SetVariableActionDefinition,
    StartWorkflowActionDefinition,
    ToolActionDefinition,
)
from workflow_runtime.plan.actions import (
    CallAction,
    CancelSendAction,
    ForEachAction,
    IfAction,
    LogAction,
    PublishAction,
    RaiseAction,
    SendAction,
    SetVariableAction,
    StartWorkflowAction,
)


def _log(action: LogActionDefinition, parts: ActionParts) -> LogAction:
    return LogAction(parts.required("message"), action.level, action.required)


def _set_variable(action: SetVariableActionDefinition, parts: ActionParts) -> SetVariableAction:
    return SetVariableAction(action.name, parts.required("value"), action.required)


def _publish(action: PublishActionDefinition, parts: ActionParts) -> PublishAction:
    return PublishAction(parts.required("topic"), parts.formula("payload"), action.required)


def _raise(action: RaiseActionDefinition, parts: ActionParts) -> RaiseAction:
    return RaiseAction(parts.required("event"), parts.formula("data"), action.required)


def _send(action: SendActionDefinition, parts: ActionParts) -> SendAction:
    return SendAction(
        parts.required("event"),
        id=parts.formula("id"),
        data=parts.formula("data"),
        delay=parts.formula("delay"),
        to=parts.formula("to"),
        correlate=parts.formula("correlate"),
        required=action.required,
    )


def _cancel_send(action: CancelSendActionDefinition, parts: ActionParts) -> CancelSendAction:
    return CancelSendAction(parts.required("id"), action.required)


def _if(action: IfActionDefinition, parts: ActionParts) -> IfAction:
    return IfAction(parts.required("condition"), parts.actions("then"), parts.actions("otherwise"), action.required)


def _for_each(action: ForEachActionDefinition, parts: ActionParts) -> ForEachAction:
    return ForEachAction(parts.required("items"), action.as_name, action.index, parts.actions("do"), action.required)


def _names_of_item(action: ForEachActionDefinition) -> frozenset[str]:
    return frozenset({action.as_name, action.index})


def _start_workflow(action: StartWorkflowActionDefinition, parts: ActionParts) -> StartWorkflowAction:
    return StartWorkflowAction(
        parts.required("workflow_id"), parts.formula("input"), action.result_event or "", action.required
    )


def _call(action: AgentActionDefinition | ToolActionDefinition, parts: ActionParts) -> CallAction:
    return CallAction(parts.call, parts.formula("inputs") if action.inputs else None, action.required)


CALL = ActionKind(formulas=(template("inputs"),), build=_call)
"""Its agent or tool, prompt and output are those of the node that it is short for."""

KINDS: dict[type[ActionDefinition], ActionKind] = {
    LogActionDefinition: ActionKind(formulas=(template("message"),), build=_log),
    SetVariableActionDefinition: ActionKind(formulas=(template("value"),), build=_set_variable),
    PublishActionDefinition: ActionKind(formulas=(template("topic"), template("payload")), build=_publish),
    RaiseActionDefinition: ActionKind(formulas=(template("event"), template("data")), build=_raise),
    SendActionDefinition: ActionKind(
        formulas=tuple(map(template, ("id", "event", "data", "delay", "to", "correlate"))), build=_send
    ),
    CancelSendActionDefinition: ActionKind(formulas=(template("id"),), build=_cancel_send),
    IfActionDefinition: ActionKind(formulas=(expression("condition"),), blocks=("then", "otherwise"), build=_if),
    ForEachActionDefinition: ActionKind(
        formulas=(template("items"),), blocks=("do",), gives=_names_of_item, build=_for_each
    ),
    StartWorkflowActionDefinition: ActionKind(
        formulas=(template("workflow_id"), template("input")), build=_start_workflow
    ),
    AgentActionDefinition: CALL,
    ToolActionDefinition: CALL,
}
