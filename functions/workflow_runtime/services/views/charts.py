"""What people see of charts: active states, variables, what they would listen to now, and their transitions so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.records import Globals, StoredState

if TYPE_CHECKING:
    from workflow_runtime.engine.preview import Preview, Prospect

TRANSITIONS_SHOWN_MAX = 100  # the history has them all
KEPT_SHOWN_MAX = 100  # the newest events that wait for a wait
ENTRIES_READ_MAX = 200  # commits in which these are looked for


class ChartParts(msgspec.Struct, frozen=True):
    """The parts of an execution document that are about events; empty where a workflow listens to none.

    ``machines``: nested charts by path. ``variables`` None: no chart at the top has any.
    """

    current_states: list[str] = []
    variables: dict[str, Json] | None = None
    machines: dict[str, Json] = {}
    transitions: list[dict[str, Json]] = []
    available_events: list[dict[str, Json]] = []
    kept_events: list[dict[str, Json]] = []
    timers: list[dict[str, Json]] = []

    def json(self) -> dict[str, Json]:
        """Without the variables, for which there may be others to show."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "variables"}


def listens(plan: Plan) -> bool:
    """Whether events or time may move an execution of this plan other than through its nodes."""
    return bool(plan.charts) or plan.has_waits or bool(plan.approvals)


def chart_parts(
    executions: ExecutionStore,
    plan: Plan,
    stored: StoredState | None,
    now: int,
    globals: Callable[[], Globals],
) -> ChartParts:
    """One read of the journal's end, if the plan has charts. ``globals`` is asked for when guards read them."""
    if stored is None or not listens(plan):
        return ChartParts()
    state = stored.state
    entries = executions.newest_entries(state.execution_id, ENTRIES_READ_MAX) if plan.charts else []
    steps = [(entry.version, step) for entry in reversed(entries) for step in entry.macrosteps]
    ahead = look_ahead(plan, state, now, globals)
    parts = ahead_parts(plan, ahead, state.kept)
    parts["machines"] = _ended_machines(steps) | parts["machines"]
    return ChartParts(
        variables=next((chart.variables for chart in ahead.charts if not chart.path), None),
        transitions=[transition_json(version, step) for version, step in steps[-TRANSITIONS_SHOWN_MAX:]],
        **parts,
    )


def ahead_parts(plan: Plan, ahead: Preview, kept: Sequence[SignalReceived]) -> dict[str, Any]:
    """Those of the parts that are about what comes next. ``kept``: events that came before their wait."""
    charts = {chart.path: chart for chart in ahead.charts}
    top = charts.pop("", None)
    return {
        "current_states": list(top.states) if top is not None else [],
        "machines": {
            path: {"current_states": list(chart.states), "variables": chart.variables} for path, chart in charts.items()
        },
        "available_events": [prospect_json(plan, prospect) for prospect in ahead.prospects],
        "kept_events": [
            {"event": early.name, "id": early.id, "at": iso_time(early.at), "source": early.source or None}
            for early in kept[-KEPT_SHOWN_MAX:]
        ],
        "timers": [
            {"at": iso_time(timer.due), "kind": timer.kind, "source": timer.source, "machine": timer.machine}
            for timer in ahead.timers
        ],
    }


def look_ahead(plan: Plan, state: ExecutionState, now: int, globals: Callable[[], Globals]) -> Preview:
    """What is ahead, with input, variables and env if its guards read them."""
    from workflow_runtime.engine.preview import preview  # with it comes the engine

    ahead = preview(plan, state, now)
    if not ahead.needs_globals:
        return ahead
    return preview(plan, state, now, msgspec.to_builtins(globals()))


def _ended_machines(steps: Iterable[tuple[int, Macrostep]]) -> dict[str, Json]:
    """Nested charts as they last were; those that are active take their places."""
    return {
        step.machine: {"current_states": list(step.configuration), "variables": None}
        for _, step in steps
        if step.machine
    }


def transition_json(version: int, step: Macrostep) -> dict[str, Json]:
    """A macrostep as people read it. ``version``: of its commit."""
    return {
        "event": step.event or None,
        "source": step.source or None,
        "exited": list(step.exited),
        "entered": list(step.entered),
        "configuration": list(step.configuration),
        "at": iso_time(step.at),
        "reason": step.reason or None,
        "failures": list(step.failures),
        "warnings": list(step.warnings),
        "machine": step.machine,
        "version": version,
    }


def prospect_json(plan: Plan, prospect: Prospect) -> dict[str, Json]:
    return {
        "event": prospect.event,
        "schema": plan.event_schemas.get(prospect.event),
        "source": prospect.source,
        "target": list(prospect.targets),
        "condition": prospect.condition,
        "enabled": prospect.enabled,
        "why": prospect.why or None,
        "machine": prospect.machine,
    }


def transitions_of(entries: Iterable[JournalEntry]) -> list[dict[str, Json]]:
    """The transitions of journal entries, in order."""
    return [transition_json(entry.version, step) for entry in entries for step in entry.macrosteps]
