"""Stage *triggers*: what starts executions, and what brings events of the bus to those that wait for them; tools.

Formulas over an event read nothing but that event; the `with` of a trigger reads the execution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.check.filters import check_filters
from workflow_runtime.compiler.collect.formulas import ReadSite, Site, SiteKind, read_site
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.collect.states import transitions_of
from workflow_runtime.compiler.names.schemas import declared_keys
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition import triggers as written
from workflow_runtime.definition.nodes.wait import WaitNode
from workflow_runtime.definition.recovery import Gaps
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.language.expressions import compile_template
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.schedules import ScheduleError, cron_expression, rate_expression
from workflow_runtime.plan.exposure import TOLD_BYTES_MAX
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.triggers import EventTrigger, ScheduleTrigger, Trigger, WebhookTrigger


def trigger_sites(definition: WorkflowDefinition, report: Report) -> list[ReadSite]:
    """Every template of the triggers, with the names that each reads."""
    return [read_site(site, report) for site in _sites(definition)]


def check_triggers(definition: WorkflowDefinition, gaps: Gaps, sources: Sources, report: Report) -> None:
    """Schedules that cannot be expressed, filters that are not patterns, secrets without a name, input that is
    refused, events that nothing takes, tools of which nobody knows what they take.
    """
    _check_exposure(definition, gaps, report)
    declared, is_open = declared_keys(definition.input_schema)
    heard = _heard(sources)
    for event in definition.event_schemas if heard is not None else ():
        if heard is not None and not _is_heard(event, heard):
            hint = report.suggest(event, frozenset(name for name in heard if "*" not in name))
            report.add(
                rules.UNKNOWN_EVENT, f"no transition and no wait takes `{event}`", ("event_schemas", event), hint
            )
    hooks: set[tuple[str, str]] = set()
    for position, trigger in enumerate(definition.triggers):
        place: DocumentPath = ("triggers", position)
        if isinstance(trigger, written.WebhookTrigger):
            _check_hook(trigger, hooks, place, report)
        match trigger:
            case written.EventTrigger():
                check_filters(definition, trigger, place, report)
                _check_event(trigger, heard, place, report)
            case written.ScheduleTrigger():
                try:
                    _expression(trigger)
                except ScheduleError as error:
                    field = "cron" if trigger.cron is not None else "rate"
                    report.add(rules.BAD_SCHEDULE, error.message, (*place, field), error.hint)
            case written.WebhookTrigger() if trigger.auth_required and trigger.secret is None:
                message = "the webhook requires signatures but has no `secret`: it refuses every request"
                report.add(rules.NO_SECRET, message, (*place, "type"))
            case written.WebhookTrigger() if trigger.secret is not None and _secret(trigger.secret) is None:
                report.add(rules.UNNAMED_SECRET, "which secret this is must be known beforehand", (*place, "secret"))
            case _:
                pass
        if not is_open and _starts(trigger):
            _check_input(trigger, definition.input_schema, declared, place, report)


def plan_triggers(
    definition: WorkflowDefinition, sources: Sources, formulas: Mapping[DocumentPath, Formula]
) -> tuple[tuple[Trigger, ...], dict[tuple[int, int], int]]:
    """The triggers, those of waits last; and by graph and node the number of each wait's."""
    found: list[Trigger] = []
    for position, trigger in enumerate(definition.triggers):
        found += _plan(trigger, ("triggers", position), formulas)
    numbers = {}
    for graph in sources.graphs:
        for position, node in enumerate(graph.nodes):
            if isinstance(node, WaitNode) and node.event is not None and node.correlate is not None:
                numbers[graph.number, position] = len(found)
                key = formulas[graph.at(position, "correlate")]
                found.append(EventTrigger(topics=(node.event,), event=node.event, correlate=key))
    return tuple(found), numbers


def _check_exposure(definition: WorkflowDefinition, gaps: Gaps, report: Report) -> None:
    """A tool takes an object whose parts are known."""
    if not definition.expose or "input_schema" in gaps.fields:
        return
    schema = definition.input_schema
    if not isinstance(schema, dict):
        report.add(rules.NO_TOOL_SCHEMA, "`expose: mcp` needs an `input_schema`", ("expose",))
        return
    types = schema.get("type", "object")
    if "object" not in (types if isinstance(types, list) else [types]):
        message = f"what a tool takes is an object, not {types!r}"
        report.add(rules.NO_TOOL_SCHEMA, message, ("input_schema", "type"))
    told = len(msgspec.json.encode([definition.description, schema, definition.output_schema]))
    if told > TOLD_BYTES_MAX:
        message = f"description and schemas have {told:,} bytes; models are told at most {TOLD_BYTES_MAX:,} of a tool"
        report.add(rules.LONG_TOOL, message, ("expose",))


def _sites(definition: WorkflowDefinition) -> Iterator[Site]:
    for position, trigger in enumerate(definition.triggers):
        for field in ("input", "key", "correlate"):
            value = getattr(trigger, field, None)
            if value is not None:
                yield Site(kind=SiteKind.EVENT, path=("triggers", position, field), value=value)
        if isinstance(trigger, written.EventTrigger) and trigger.with_value is not None:
            yield Site(kind=SiteKind.KEY, path=("triggers", position, "with_value"), value=trigger.with_value)


def _check_event(
    trigger: written.EventTrigger, heard: frozenset[str] | None, place: DocumentPath, report: Report
) -> None:
    if trigger.event is not None and heard is not None and not _is_heard(trigger.event, heard):
        message = f"no transition and no wait takes `{trigger.event}`"
        hint = report.suggest(trigger.event, frozenset(name for name in heard if "*" not in name))
        report.add(rules.UNHEARD, message, (*place, "event"), hint)


def _check_hook(
    trigger: written.WebhookTrigger, taken: set[tuple[str, str]], place: DocumentPath, report: Report
) -> None:
    """No two webhooks take the same requests."""
    hook = trigger.endpoint.strip("/"), trigger.method
    if hook in taken:
        message = f"another webhook takes {trigger.method} at `{trigger.endpoint}` already"
        report.add(rules.SAME_WEBHOOK, message, (*place, "endpoint"))
    taken.add(hook)


def _heard(sources: Sources) -> frozenset[str] | None:
    """What transitions and waits listen to; None when not all of them could be read."""
    if any(graph.gaps != Gaps() for graph in sources.graphs) or not all(chart.is_whole for chart in sources.charts):
        return None
    found = {node.event for node in sources.nodes if isinstance(node, WaitNode) and node.event is not None}
    for chart in sources.charts:
        for state in chart.states:
            for transition in transitions_of(state.definition, state.place) if state.definition is not None else ():
                found.update(transition.events)
    return frozenset(found)


def _is_heard(event: str, heard: frozenset[str]) -> bool:
    parts = event.split(".")
    return (
        event in heard or "*" in heard or any(f"{'.'.join(parts[:end])}.*" in heard for end in range(1, len(parts) + 1))
    )


def _starts(trigger: written.TriggerDefinition) -> bool:
    if isinstance(trigger, written.EventTrigger):
        return trigger.event is None or trigger.start_if_none
    return isinstance(trigger, written.ScheduleTrigger | written.WebhookTrigger)


def _check_input(
    trigger: written.TriggerDefinition, schema: Json, declared: frozenset[str], place: DocumentPath, report: Report
) -> None:
    """Whether the input that a trigger gives has what the schema asks for, as far as its keys tell."""
    if trigger.input is not None and not isinstance(trigger.input, dict):
        return
    given = {"trigger"} if trigger.input is None else set(trigger.input)
    required = schema.get("required", ()) if isinstance(schema, dict) else ()
    lacking = [name for name in required if isinstance(name, str) and name not in given]
    at = (*place, "type") if trigger.input is None else (*place, "input")
    if lacking:
        message = f"`input_schema` asks for `{lacking[0]}`, which this trigger's input lacks"
        hint = "Give the trigger an `input`; without one it is `{trigger: payload}`." if trigger.input is None else None
        report.add(rules.TRIGGER_INPUT, message, at, hint)
    elif trigger.input is not None:
        for name in trigger.input:
            if name not in declared:
                message = f"`input_schema` does not declare `{name}`"
                report.add(rules.TRIGGER_INPUT, message, (*at, name), report.suggest(name, sorted(declared)))


def _plan(
    trigger: written.TriggerDefinition, place: DocumentPath, formulas: Mapping[DocumentPath, Formula]
) -> Iterator[Trigger]:
    input, key = formulas.get((*place, "input")), formulas.get((*place, "key"))
    match trigger:
        case written.EventTrigger():
            yield EventTrigger(
                topics=tuple(map(normalized, trigger.topic)),
                sources=trigger.source,
                filters=trigger.filters,
                input=input,
                key=key,
                event=trigger.event or "",
                correlate=formulas.get((*place, "correlate")),
                with_key=formulas.get((*place, "with_value")),
                start_if_none=trigger.start_if_none,
            )
        case written.ScheduleTrigger():
            yield ScheduleTrigger(_expression(trigger), trigger.timezone, input, key, trigger.overlap == "skip")
        case written.WebhookTrigger():
            name = "" if trigger.secret is None else _secret(trigger.secret)
            secret = name if trigger.auth_required else None
            yield WebhookTrigger(trigger.endpoint, trigger.method, secret, input, key)
        case _:
            pass


def _expression(trigger: written.ScheduleTrigger) -> str:
    if trigger.cron is not None:
        return cron_expression(trigger.cron, trigger.timezone)
    return rate_expression(trigger.rate or "")


def _secret(reference: str) -> str | None:
    """NAME of ``${secrets.NAME}``."""
    found = compile_template(reference).references
    if len(found) != 1 or found[0].name != "secrets" or len(found[0].path) != 1:
        return None
    name = found[0].path[0]
    plain = {f"secrets.{name}", f'secrets["{name}"]', f"secrets['{name}']"}
    return name if reference.strip()[2:-1].strip() in plain else None
