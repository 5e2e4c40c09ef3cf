"""The texts of drawings: what a node runs or waits for, when an edge is taken, what moves a state.

Each is shortened where it is made: from here on, no text is longer than a label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice

from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import LABEL_COLUMNS, columns, preview, shorten
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, LoopSpec, NodeType, SubWorkflowSpec, SwitchCase, ToolSpec, WaitSpec
from workflow_runtime.plan.states import Delay, StatePlan, TransitionPlan

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "m"), (1.0, "s"))
_TEMPLATE = re.compile(r"\$\{([^{}]*)\}?")
_SOURCE_CHARS_MAX = 4 * LABEL_COLUMNS
"""As much of a text as a label may show."""
_VALUES = LABEL_COLUMNS // 4
"""Of many values of one case, more than a label has room for."""


def kind_of(node: NodePlan) -> str:
    """Agent, tool, aggregation, state_machine, or a control node's subtype."""
    return node.type.value if node.type is not NodeType.CONTROL else str(type(node.spec).__struct_config__.tag)


def detail_of(node: NodePlan) -> str:
    """What a node runs, waits for, or is repeated for."""
    match node.spec:
        case AgentSpec(agent=target) | ToolSpec(tool=target):
            return shorten(str(target.source) if isinstance(target, Formula) else target)
        case SubWorkflowSpec(workflow=target, version=version):
            number = f" (version {version})" if version else ""
            return shorten((str(target.source) if isinstance(target, Formula) else target) + number)
        case WaitSpec() as wait:
            return shorten(_wait(wait))
        case LoopSpec() as loop:
            return shorten(_loop(loop))
    return ""


def undo_of(plan: Plan, node: NodePlan) -> str:
    """What undoes a node: another one, or what the compensation that is defined in it runs."""
    if node.compensate < 0:
        return ""
    undo = plan.blocks[node.compensate].nodes[0]
    return detail_of(undo) if undo.id.endswith(f"{node.id}~compensate") else shorten(undo.name or undo.id)


def _loop(loop: LoopSpec) -> str:
    if loop.items is not None:
        listed = loop.items.source
        address = listed["s3"] if loop.reads_file and isinstance(listed, dict) else None
        return f"for each of {_without_marks(address) if address is not None else _plain(loop.items)}"
    if loop.times is not None:
        return f"{loop.times if isinstance(loop.times, int) else _plain(loop.times)} times"
    if loop.condition is not None:
        return f"while {_plain(loop.condition)}"
    return f"until {_plain(loop.until)}" if loop.until is not None else ""


def _wait(wait: WaitSpec) -> str:
    if wait.event:
        limit = f", at most {_duration(wait.timeout)}" if wait.timeout is not None else ""
        return f"for {wait.event}{limit}"
    if wait.until is not None:
        return f"until {_plain(wait.until)}"
    return _duration(wait.seconds) if wait.seconds is not None else ""


def case_text(case: SwitchCase) -> str:
    """What selects the targets of a case."""
    if case.when is not None:
        return shorten(str(case.when.source))
    if case.values is None:
        return "default"
    shown = (value[:_SOURCE_CHARS_MAX] if isinstance(value, str) else preview(value) for value in case.values[:_VALUES])
    return shorten(" | ".join(shown) + (" | …" if len(case.values) > _VALUES else ""))


def edge_label(gate: str, condition: Formula | None) -> str:
    """``gate``: what its switch or condition selects it by, ``""`` if nothing does."""
    when = f"if {str(condition.source)[:_SOURCE_CHARS_MAX]}" if condition is not None else ""
    return shorten(" ".join(part for part in (gate, when) if part))


def transition_label(state: StatePlan, transition: TransitionPlan, schemas: Mapping[str, Json]) -> str:
    """``event (field, field?) [guard]``, as in UML; the fields only if there is room for all.

    ``schemas``: of the data of events, by event.
    """
    guard = f" [{_plain(transition.guard)}]" if transition.guard is not None else ""
    if transition.after >= 0:
        return shorten(_delay(state.delays[transition.after]) + guard)
    own = {f"done.run.{state.name}": "done", f"done.state.{state.name}": "done", f"error.run.{state.name}": "error"}
    events = [(own.get(name, name), schemas.get(name)) for name in transition.events[:LABEL_COLUMNS]]
    typed = ", ".join(name + _fields(schema) for name, schema in events) + guard
    return shorten(
        (typed if columns(typed) <= LABEL_COLUMNS else ", ".join(name for name, _ in events) + guard).strip()
    )


def internal_note(state: StatePlan, transition: TransitionPlan, schemas: Mapping[str, Json]) -> str:
    """What a transition without targets does: ``event (field) [guard] / actions``."""
    done = ", ".join(str(action.__struct_config__.tag) for action in transition.actions[:LABEL_COLUMNS])
    return shorten(" / ".join(part for part in (transition_label(state, transition, schemas), done) if part))


def _fields(schema: Json) -> str:
    """The fields that a schema of objects names, in parentheses, with a ``?`` those that may be left out."""
    if not isinstance(schema, dict) or not (properties := schema.get("properties")):
        return ""
    required = schema.get("required", ())
    shown = (name[:_SOURCE_CHARS_MAX] + ("" if name in required else "?") for name in islice(properties, LABEL_COLUMNS))
    return f" ({', '.join(shown)})"


def _delay(delay: Delay) -> str:
    first = f"after {_duration(delay.delay)}"
    return first if delay.every is None else f"{first}, every {_duration(delay.every)}"


def _duration(value: float | Formula) -> str:
    if isinstance(value, Formula):
        return _plain(value)
    for seconds, unit in _UNITS:
        if value >= seconds and value % seconds == 0:
            return f"{value / seconds:g}{unit}"
    return f"{value:g}s"


def _plain(formula: Formula) -> str:
    """The beginning of a formula's text, without the marks around its names."""
    return _without_marks(str(formula.source))


def _without_marks(text: str) -> str:
    return _TEMPLATE.sub(r"\1", text[:_SOURCE_CHARS_MAX])
