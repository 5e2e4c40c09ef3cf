"""Names to values: carries out the bindings that the compiler resolved, for the dispatcher and for the worker alike.

The caller describes what a formula can see as a `View`; `evaluate` looks up exactly the names the formula
has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.expressions import Scope, render_text
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import Binding, BindingKind, Formula
from workflow_runtime.plan.plan import Plan

MAY_COME_FROM_EVENT = frozenset({BindingKind.SCOPED, BindingKind.INPUT_KEY})
GIVEN = frozenset({BindingKind.LOCAL, BindingKind.LOOP})
NO_LOCALS: Mapping[str, Json] = {}


class NodeValue(msgspec.Struct, frozen=True):
    """What is known of a node that ended: its status, and its output or error document."""

    status: str
    output: Json = None
    error: dict[str, Json] | None = None


NOT_ENDED = NodeValue("waiting")
NOT_RUN = NodeValue("skipped")


def error_value(error: ErrorDocument) -> dict[str, Json]:
    """An error document as formulas see it."""
    value: dict[str, Json] = {"type": error.type, "message": error.message, "node": error.node}
    if error.cause is not None:
        value["cause"] = {"execution_id": error.cause.execution_id, "node": error.cause.node or None}
    return value


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What formulas see.

    - ``nodes``: ended nodes by number (one that is missing reads as null)
    - ``globals``: ``{input, variables, env}``, whole or pruned
    - ``names``: variables of charts, and what a called node is told
    - ``states``: active states of charts
    - ``event``: the event at hand
    - ``overlay``: its data, as far as names of charts may mean it
    - ``previous``: node number or -1
    - ``place``: seeds ``uuid()``, the same for all attempts
    - ``reopened``: how often the execution was reopened after an end
    - ``doubt``: told of each comparison of a text with a number
    """

    plan: Plan
    execution_id: str
    workflow_version: int
    started_at: int
    now: int
    place: str
    nodes: Mapping[int, NodeValue]
    globals: Mapping[str, Json]
    previous: int = -1
    reopened: int = 0
    secrets: Mapping[str, str] = {}
    names: Mapping[str, Json] = {}
    states: frozenset[str] = frozenset()
    event: Json = None
    overlay: Mapping[str, Json] = NO_LOCALS
    doubt: Callable[[str], None] | None = None


def doubt_text(comparison: str) -> str:
    """What people are told of a comparison of a text with a number."""
    return f"`{comparison}` compares a text with a number; convert one of them with number() or string()"


def evaluate(
    formula: Formula,
    view: View,
    locals: Mapping[str, Json] = NO_LOCALS,
    unresolved: list[str] | None = None,
    derived: list[tuple[str, Json]] | None = None,
) -> Json:
    """The formula's value. Paths that led nowhere are added to ``unresolved``, what was made of secrets to ``derived``
    (see `Scope`). Raises `EvaluationError`."""
    names, outputs = _bound(formula, view, locals)
    scope = Scope(
        names,
        now_ms=view.now,
        uuid_seed=f"{view.execution_id}:{view.place}",
        outputs=frozenset(outputs),
        active_states=view.states,
    )
    value = formula.compiled.evaluate(scope)
    if unresolved is not None:
        unresolved += scope.unresolved
    if derived is not None:
        derived += scope.derived
    if scope.doubts and view.doubt is not None:
        for comparison in scope.doubts:
            view.doubt(comparison)
    return value


def reads_null(formula: Formula, view: View) -> bool:
    """Whether something that it reads is null, or not there: it may be still to come."""
    names, _ = _bound(formula, view, NO_LOCALS)
    for reference in formula.compiled.references:
        value = names.get(reference.name)
        for key in reference.path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            return True
    return False


def _bound(formula: Formula, view: View, locals: Mapping[str, Json]) -> tuple[dict[str, Json], set[str]]:
    """The values of its names, and those of them that are outputs of nodes."""
    names: dict[str, Json] = dict(locals)
    outputs: set[str] = set()
    for binding in formula.bindings:
        if binding.kind in GIVEN:
            if binding.name not in names and binding.name in view.names:
                names[binding.name] = view.names[binding.name]
            continue
        if view.overlay and binding.name in view.overlay and binding.kind in MAY_COME_FROM_EVENT:
            names[binding.name] = view.overlay[binding.name]
        else:
            _bind(names, outputs, binding, view)
    return names, outputs


def correlation_key(value: Json) -> str | None:
    """A correlation key as text; null and "" are none."""
    return render_text(value, Scope({})) or None if value is not None else None


def iso_time(epoch_ms: int) -> str:
    """``2026-01-31T12:00:00.000Z``."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bind(names: dict[str, Json], outputs: set[str], binding: Binding, view: View) -> None:
    name = binding.name
    match binding.kind:
        case BindingKind.NODE:
            outputs.add(name)
            node = view.nodes.get(binding.node)
            names[name] = node.output if node is not None else None
        case BindingKind.PREVIOUS:
            outputs.add(name)
            node = view.nodes.get(view.previous)
            names[name] = node.output if node is not None else None
        case BindingKind.NODES:
            document = _document(view.nodes.get(binding.node) or NOT_ENDED)
            names.setdefault(name, {})[view.plan.node(binding.node).id] = document
        case BindingKind.VARIABLE:
            _take(names, name, view.globals["variables"])
        case BindingKind.SCOPED:
            _bind_scoped(names, name, view)
        case BindingKind.VARIABLES:
            names[name] = view.names[name] if name in view.names else view.globals[name]
        case BindingKind.EVENT:
            names[name] = view.event
        case BindingKind.ENV:
            names[name] = view.globals[name]
        case BindingKind.INPUT_KEY:
            _take(names, name, view.globals["input"])
        case BindingKind.INPUT:
            whole = view.globals["input"]
            names[name] = whole["input"] if isinstance(whole, dict) and "input" in whole else whole
        case BindingKind.EXECUTION:
            names[name] = {
                "id": view.execution_id,
                "input": view.globals.get("input"),
                "started_at": iso_time(view.started_at),
                "attempt": view.reopened + 1,
            }
        case BindingKind.WORKFLOW:
            plan = view.plan
            version = plan.workflow_version or view.workflow_version
            names[name] = {"id": plan.workflow_id, "name": plan.workflow_name, "version": version}
        case BindingKind.TIME:
            names[name] = iso_time(view.now)
        case BindingKind.SECRETS:
            names[name] = dict(view.secrets)
        case BindingKind.LOCAL | BindingKind.LOOP:
            pass


def _bind_scoped(names: dict[str, Json], name: str, view: View) -> None:
    if name in view.names:
        names[name] = view.names[name]
        return
    _take(names, name, view.globals.get("input"))
    _take(names, name, view.globals.get("variables"))


def _document(node: NodeValue) -> dict[str, Json]:
    return {"status": node.status, "output": node.output, "error": node.error}


def _take(names: dict[str, Json], name: str, source: Json) -> None:
    """Bind ``name`` if the object has it; otherwise leave it unbound, so that reading it counts as unresolved."""
    if isinstance(source, dict) and name in source:
        names[name] = source[name]
