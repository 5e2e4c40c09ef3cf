"""The interpreter of charts: SCXML's macrosteps over the pure selection of `statechart`.

An external event, a delay that ran out, or the end of something the chart started is taken to completion: its
transitions, then eventless ones and raised events until nothing more follows. Each such macrostep is a value
(`macrosteps.Macrostep`). Graphs and delays of states begin when the macrostep that entered them is over.
"""

from __future__ import annotations

from collections.abc import Iterable

from workflow_runtime.engine import closing, statechart
from workflow_runtime.engine.actions import Undeliverable, perform, seconds_of, send
from workflow_runtime.engine.machine_scope import Happening, MachineScope, of_raised
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.names import NO_LOCALS
from workflow_runtime.engine.runs import begin_run
from workflow_runtime.engine.state import Raised
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.events import matches
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.states import ROOT_STATE, Delay, StateKind, TransitionPlan

MICROSTEPS_MAX = 1_000  # language §4; then the chart fails with the cycle printed
CYCLE_SHOWN_MAX = 8
UNPROMPTED_MAX = 10_000  # macrosteps that nothing from outside has prompted: no worker, timer or event
REPEAT_SECONDS_MIN = 1  # of `every`: a computed one of zero would never end


class ChartFailed(Exception):
    """The chart cannot go on: an error that no transition takes, or transitions without end."""

    def __init__(self, error: ErrorDocument) -> None:
        super().__init__(error.message)
        self.error = error


class Step:
    """A macrostep under way: what it did so far.

    ``moves``: states exited and entered, by name; ``fresh``: states entered and not left since. ``refused``: guards
    that were false, as text.
    """

    __slots__ = ("actions", "fresh", "moves", "refused", "scope", "source", "taken")

    def __init__(self, scope: MachineScope) -> None:
        self.scope = scope
        self.source = ""
        self.moves: list[tuple[str, str]] = []
        self.fresh: dict[int, bool] = {}
        self.taken: list[str] = []
        self.actions: list[str] = []
        self.refused: list[str] = []

    # ---- selection

    def select(self, happening: Happening | None) -> list[TransitionPlan]:
        """The enabled transitions for an event; without one, the eventless ones."""
        scope = self.scope
        scope.happening = happening or scope.happening
        scope.overlay = happening.overlay if happening is not None else NO_LOCALS
        try:
            return statechart.select(
                scope.chart,
                scope.machine.configuration,
                lambda transition: self._is_enabled(transition, happening),
                scope.machine.history,
            )
        finally:
            scope.overlay = NO_LOCALS

    def _is_enabled(self, transition: TransitionPlan, happening: Happening | None) -> bool:
        if happening is None:
            heard = not transition.events and transition.after < 0
        elif transition.after >= 0:
            heard = transition.source == happening.state and transition.after == happening.delay
        else:
            heard = any(matches(event, happening.name) for event in transition.events)
        if not heard or transition.guard is None:
            return heard
        source = self.scope.chart.states[transition.source].name
        try:
            if self.scope.evaluate(transition.guard):
                return True
            self.refused.append(f"`{transition.guard.source}` of `{source}` is false")
        except EvaluationError as error:
            self.scope.raise_event("error.execution", _error(f"guard of `{source}`: {error}"))
            self.refused.append(f"`{transition.guard.source}` of `{source}` failed: {error}")
        return False

    # ---- one microstep

    def take(self, transitions: list[TransitionPlan], happening: Happening | None) -> None:
        """Exit, act, enter."""
        scope, machine, chart = self.scope, self.scope.machine, self.scope.chart
        self.source = self.source or chart.states[transitions[0].source].name
        self.taken += [self._text(transition, happening) for transition in transitions]
        merged = False
        if happening is not None and not happening.runtime and isinstance(happening.data, dict):
            merged = any(transition.merge for transition in transitions)
            if merged:
                machine.variables.update(happening.data)
        scope.overlay = happening.overlay if happening is not None and not merged else NO_LOCALS
        exiting = statechart.exit_set(chart, machine.configuration, transitions, machine.history)
        machine.history.update(statechart.recorded_history(chart, machine.configuration, exiting))
        self._exit(exiting)
        for transition in transitions:
            perform(scope, transition.actions, self.actions)
        entry = statechart.entry_set(chart, transitions, machine.configuration, machine.history)
        self.enter(entry)
        scope.overlay = NO_LOCALS

    def _exit(self, exiting: Iterable[int]) -> None:
        scope, machine = self.scope, self.scope.machine
        for state in exiting:
            plan = scope.chart.states[state]
            perform(scope, plan.on_exit, self.actions)
            machine.configuration.remove(state)
            self.moves.append(("exited", plan.name))
            self.fresh.pop(state, None)
            for timer in [timer for timer, (owner, _) in machine.delays.items() if owner == state]:
                del machine.delays[timer]
                scope.turn.cancel_timer(timer)
            for block in [block for block in machine.runs if scope.turn.plan.blocks[block].state == state]:
                closing.close_run(scope, block)

    def enter(self, entry: statechart.Entry) -> None:
        """Enter states, outer ones first: their actions, those of defaults, and what final states raise."""
        scope, machine = self.scope, self.scope.machine
        root = entry.defaults.get(ROOT_STATE)
        if root is not None:
            perform(scope, root.actions, self.actions)
        for state in entry.states:
            plan = scope.chart.states[state]
            machine.configuration.append(state)
            self.moves.append(("entered", plan.name))
            self.fresh[state] = True
            perform(scope, plan.on_enter, self.actions)
            for default in (entry.defaults.get(state), entry.history_defaults.get(state)):
                if default is not None:
                    perform(scope, default.actions, self.actions)
            if plan.kind is StateKind.FINAL:
                self._reached(state)
        machine.configuration.sort()

    def _reached(self, final: int) -> None:
        """A final state was entered: its parent is done, and a parallel grandparent if all its regions are."""
        scope, states = self.scope, self.scope.chart.states
        parent = states[final].parent
        if parent == ROOT_STATE:
            scope.is_over = True
            return
        output = states[final].output
        scope.raise_event(f"done.state.{states[parent].name}", self._output(output))
        grandparent = states[parent].parent
        if states[grandparent].kind is StateKind.PARALLEL and statechart.is_done(
            scope.chart, grandparent, scope.machine.configuration
        ):
            scope.raise_event(f"done.state.{states[grandparent].name}")

    def _output(self, formula: Formula | None) -> Json:
        try:
            return self.scope.evaluate(formula) if formula is not None else None
        except EvaluationError as error:
            self.scope.raise_event("error.execution", _error(f"output: {error}"))
            return None

    # ---- to completion

    def complete(self) -> None:
        """Eventless transitions and raised events, until nothing more follows. Raises `ChartFailed`."""
        scope, machine = self.scope, self.scope.machine
        microsteps = 0
        while not scope.is_over:
            happening = None
            transitions = self.select(None) if scope.chart.has_eventless else []
            while not transitions and machine.internal:
                happening = of_raised(machine.internal.pop(0), scope.turn.now)
                transitions = self.select(happening)
                if not transitions:
                    _require_handled(scope, happening)
            if not transitions:
                break
            microsteps += 1
            if microsteps > MICROSTEPS_MAX:
                raise ChartFailed(ErrorDocument.of("execution_error", self._cycle(), scope.path))
            self.take(transitions, happening)

    def begin_entered(self) -> None:
        """Start delays and graphs of the states that were entered and are still active."""
        scope = self.scope
        for state in self.fresh:
            plan = scope.chart.states[state]
            for number, delay in enumerate(plan.delays):
                start_delay(scope, state, number, delay.delay)
            if plan.run >= 0:
                begin_run(scope, plan.run)

    def record(self, happening: Happening | None, reason: str = "") -> None:
        """Note the macrostep, and publish which states were left and entered."""
        scope, turn = self.scope, self.scope.turn
        exited, entered = (
            tuple(name for kind, name in self.moves if kind == wanted) for wanted in ("exited", "entered")
        )
        event = happening.name if happening is not None else ""
        step = Macrostep(
            scope.path, event, turn.now, self.source, exited, entered, scope.leaves, tuple(self.taken),
            tuple(self.actions), reason,
        )  # fmt: skip
        turn.macrosteps.append(step)
        if "state" in turn.plan.events:
            for kind, name in self.moves:
                turn.publish(f"state.{kind}", state=name, machine=scope.path or None, event=event or None)

    def _text(self, transition: TransitionPlan, happening: Happening | None) -> str:
        states = self.scope.chart.states
        event = f"{happening.name}: " if happening is not None else ""
        targets = ", ".join(states[target].name for target in transition.targets)
        return f"{event}{states[transition.source].name}" + (f" -> {targets}" if targets else "")

    def _cycle(self) -> str:
        taken = self.taken
        length = next((back for back in range(1, len(taken)) if taken[-1 - back] == taken[-1]), len(taken))
        shown = [*taken[-length:][:CYCLE_SHOWN_MAX], *(["…"] if length > CYCLE_SHOWN_MAX else [])]
        return f"transitions follow each other without end (more than {MICROSTEPS_MAX:,}): " + "; ".join(shown)


def start(scope: MachineScope) -> None:
    """Enter the initial states. Raises `ChartFailed`."""
    step = Step(scope)
    step.enter(statechart.initial_entry(scope.chart))
    _finish(step, None)


def take(scope: MachineScope, happening: Happening) -> str:
    """Take an event to completion. Returns why nothing was taken, or "". Raises `ChartFailed`, `ValuesMissing`."""
    step = Step(scope)
    transitions = step.select(happening)
    if not transitions:
        scope.happening = None
        return _reason(scope, happening, step)
    step.take(transitions, happening)
    _finish(step, happening)
    return ""


def take_raised(scope: MachineScope) -> bool:
    """Take the first raised event that waits, if there is one. Raises `ChartFailed`, `ValuesMissing`."""
    if scope.is_over or not scope.machine.internal:
        return False
    happening = of_raised(scope.machine.internal.pop(0), scope.turn.now)
    count_unprompted(scope, happening.name)
    if take(scope, happening):
        _require_handled(scope, happening)
    return True


def count_unprompted(scope: MachineScope, event: str) -> None:
    """A chart whose events only follow from each other is stopped. Raises `ChartFailed`."""
    state = scope.turn.state
    state.unprompted += 1
    if state.unprompted > UNPROMPTED_MAX:
        message = f"events follow each other without end (more than {UNPROMPTED_MAX:,}): the last is `{event}`"
        raise ChartFailed(ErrorDocument.of("execution_error", message, scope.path))


def delay_over(scope: MachineScope, timer: str) -> None:
    """A delay of a state ran out: its transition is tried, and with ``every`` it starts again."""
    state, number = scope.machine.delays.pop(timer)
    plan = scope.chart.states[state]
    delay: Delay = plan.delays[number]
    scope.machine.internal.append(Raised("timeout", {"state": plan.name}, True, state, number))
    if delay.every is not None:
        start_delay(scope, state, number, delay.every, REPEAT_SECONDS_MIN)


def send_over(scope: MachineScope, timer: str) -> None:
    """A delayed `send` is due."""
    try:
        send(scope, scope.machine.sends.pop(timer))
    except Undeliverable as error:
        scope.raise_event("error.communication", _error(f"send: {error}"))


def start_delay(scope: MachineScope, state: int, number: int, delay: float | Formula, least: float = 0) -> None:
    """Start a delay of an active state; one that cannot be evaluated raises `error.execution`."""
    try:
        seconds = seconds_of(scope.evaluate(delay)) if isinstance(delay, Formula) else delay
    except EvaluationError as error:
        name = scope.chart.states[state].name
        scope.raise_event("error.execution", _error(f"delay of `{name}`: {error}"))
        return
    timer = scope.turn.start_timer(scope.turn.now + round(max(seconds, least) * 1000))
    scope.machine.delays[timer] = (state, number)


def _finish(step: Step, happening: Happening | None) -> None:
    scope = step.scope
    step.complete()
    if scope.is_over:
        for state in reversed(scope.machine.configuration):
            perform(scope, scope.chart.states[state].on_exit, step.actions)
    else:
        step.begin_entered()
    scope.happening = None
    step.record(happening)


def _require_handled(scope: MachineScope, happening: Happening) -> None:
    """An error that no transition takes ends the chart, unless it says otherwise."""
    if happening.name.startswith("error.") and scope.chart.on_unhandled_error == "fail":
        data = happening.data if isinstance(happening.data, dict) else {}
        kind, message = data.get("type") or "execution_error", data.get("message") or happening.name
        raise ChartFailed(ErrorDocument.of(str(kind), str(message), str(data.get("node") or scope.path)))


def _reason(scope: MachineScope, happening: Happening, step: Step) -> str:
    if step.refused:
        return "; ".join(step.refused)
    return f"no transition for `{happening.name}` in {', '.join(scope.leaves)}"


def _error(message: str) -> dict[str, Json]:
    return {"type": "execution_error", "message": message, "node": None}
