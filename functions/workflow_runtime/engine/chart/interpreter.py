"""The interpreter of charts: SCXML's macrosteps over the pure selection of `scxml`.

An external event, a delay that ran out, or the end of something the chart started is taken to completion: its
transitions, then eventless ones and raised events until nothing more follows. Each such macrostep is a value
(`macrosteps.Macrostep`). Graphs and delays of states begin when the macrostep that entered them is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Pending, Purpose
from workflow_runtime.engine.chart import scxml
from workflow_runtime.engine.chart.actions import Undeliverable, perform, send
from workflow_runtime.engine.chart.events import ChartEvent, of_raised, of_run
from workflow_runtime.engine.chart.runs import begin_run
from workflow_runtime.engine.chart.scope import ChartScope
from workflow_runtime.engine.events import RunEnded
from workflow_runtime.engine.macrosteps import Macrostep, Raised
from workflow_runtime.engine.values.durations import seconds_of
from workflow_runtime.engine.values.evaluation import NO_LOCALS
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.events import matches
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.states import ROOT_STATE, Delay, StateKind, TransitionPlan

MICROSTEPS_MAX = 1_000  # then the chart fails with the cycle printed
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

    - ``moves``: states exited and entered, by name
    - ``fresh``: states entered and not left since
    - ``refused``: guards that were false, as text
    """

    __slots__ = ("actions", "fresh", "moves", "refused", "scope", "source", "taken")

    def __init__(self, scope: ChartScope) -> None:
        self.scope = scope
        self.source = ""
        self.moves: list[tuple[str, str]] = []
        self.fresh: dict[int, bool] = {}
        self.taken: list[str] = []
        self.actions: list[str] = []
        self.refused: list[str] = []

    # ---- selection

    def select(self, event: ChartEvent | None) -> list[TransitionPlan]:
        """The enabled transitions for an event; without one, the eventless ones."""
        scope = self.scope
        scope.event = event or scope.event
        try:
            return scxml.select(
                scope.chart,
                scope.machine.configuration,
                partial(self._is_enabled, event),
                scope.machine.history,
            )
        finally:
            scope.overlay = NO_LOCALS

    def _is_enabled(self, event: ChartEvent | None, transition: TransitionPlan) -> bool:
        if event is None:
            heard = not transition.events and transition.after < 0
        elif transition.after >= 0:
            heard = transition.source == event.state and transition.after == event.delay
        else:
            name, events = event.name, transition.events
            heard = name in events or any(matches(descriptor, name) for descriptor in events)
        if not heard or transition.guard is None:
            return heard
        source = self.scope.chart.states[transition.source].name
        self.scope.show(event, transition)
        try:
            if self.scope.evaluate(transition.guard):
                return True
            self.refused.append(f"`{transition.guard.source}` of `{source}` is false")
        except EvaluationError as error:
            self.scope.fail(f"guard of `{source}`: {error}")
            self.refused.append(f"`{transition.guard.source}` of `{source}` failed: {error}")
        return False

    def _merge(self, transitions: list[TransitionPlan], event: ChartEvent) -> None:
        """Make variables of the event's data. What the workflow has set stays its own, also when it is overwritten."""
        if event.runtime:
            return
        merging = [transition.overwrites for transition in transitions if transition.merge]
        for name, value in event.overlay.items() if merging else ():
            if self.scope.may_come_from_event(name, merging):
                self.scope.bring_variable(name, value)

    # ---- one microstep

    def take(self, transitions: list[TransitionPlan], event: ChartEvent | None) -> None:
        """Exit, act, enter."""
        scope, machine, chart = self.scope, self.scope.machine, self.scope.chart
        self.source = self.source or chart.states[transitions[0].source].name
        heard = f"{event.name}: " if event is not None else ""
        self.taken += [heard + chart.way(transition) for transition in transitions]
        if event is not None:
            self._merge(transitions, event)
            scope.show(event, *transitions)
        exiting = scxml.exit_set(chart, machine.configuration, transitions, machine.history)
        machine.history.update(scxml.recorded_history(chart, machine.configuration, exiting))
        self._exit(exiting)
        for transition in transitions:
            if transition.actions:
                perform(scope, transition.actions, self.actions)
        entry = scxml.entry_set(chart, transitions, machine.configuration, machine.history)
        self.enter(entry)
        scope.overlay = NO_LOCALS

    def _exit(self, exiting: Iterable[int]) -> None:
        scope, machine = self.scope, self.scope.machine
        owns_blocks = bool(scope.plan.owned_blocks)
        for state in exiting:
            plan = scope.chart.states[state]
            if plan.on_exit:
                perform(scope, plan.on_exit, self.actions)
            machine.configuration.remove(state)
            self.moves.append(("exited", plan.name))
            self.fresh.pop(state, None)
            if state in machine.pending:
                pending.drop_owned(scope, state)
            if owns_blocks:
                scope.close_runs(state)

    def enter(self, entry: scxml.Entry) -> None:
        """Enter states, outer ones first: their actions, those of defaults, and what final states raise."""
        scope, machine = self.scope, self.scope.machine
        root = entry.defaults.get(ROOT_STATE)
        if root is not None:
            perform(scope, root.actions, self.actions)
        has_defaults = bool(entry.defaults or entry.history_defaults)
        for state in entry.states:
            plan = scope.chart.states[state]
            machine.configuration.append(state)
            self.moves.append(("entered", plan.name))
            self.fresh[state] = True
            if plan.on_enter:
                perform(scope, plan.on_enter, self.actions)
            for default in (entry.defaults.get(state), entry.history_defaults.get(state)) if has_defaults else ():
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
        if states[grandparent].kind is StateKind.PARALLEL and scxml.is_done(
            scope.chart, grandparent, scope.machine.configuration
        ):
            scope.raise_event(f"done.state.{states[grandparent].name}")

    def _output(self, formula: Formula | None) -> Json:
        try:
            return self.scope.evaluate(formula) if formula is not None else None
        except EvaluationError as error:
            self.scope.fail(f"output: {error}")
            return None

    # ---- to completion

    def complete(self) -> None:
        """Eventless transitions and raised events, until nothing more follows. Raises `ChartFailed`."""
        scope, machine = self.scope, self.scope.machine
        microsteps = 0
        while not scope.is_over:
            event = None
            transitions = self.select(None) if scope.chart.has_eventless else []
            while not transitions and machine.internal:
                event = of_raised(machine.internal.pop(0), scope.turn.now)
                transitions = self.select(event)
                if not transitions:
                    _require_handled(scope, event)
            if not transitions:
                break
            microsteps += 1
            if microsteps > MICROSTEPS_MAX:
                raise ChartFailed(ErrorDocument.of("execution_error", self._cycle(), scope.path))
            self.take(transitions, event)

    def begin_entered(self) -> None:
        """Start delays and graphs of the states that were entered and are still active."""
        scope = self.scope
        for state in self.fresh:
            plan = scope.chart.states[state]
            if plan.delays:
                start_delays(scope, state)
            if plan.run >= 0:
                begin_run(scope, plan.run)

    def record(self, event: ChartEvent | None, reason: str = "") -> None:
        """Note the macrostep, and publish which states were left and entered."""
        scope, turn = self.scope, self.scope.turn
        exited = tuple([name for kind, name in self.moves if kind == "exited"])
        entered = tuple([name for kind, name in self.moves if kind == "entered"])
        name = event.name if event is not None else ""
        step = Macrostep(
            scope.path, name, turn.now, self.source, exited, entered, scope.leaves, tuple(self.taken),
            tuple(self.actions), reason, tuple(scope.failures), tuple(scope.doubts),
        )  # fmt: skip
        scope.failures.clear()
        scope.doubts.clear()
        turn.macrosteps.append(step)
        if "state" in turn.plan.events:
            for kind, state in self.moves:
                turn.publish(f"state.{kind}", state=state, machine=scope.path or None, event=name or None)

    def _cycle(self) -> str:
        taken = self.taken
        length = next((back for back in range(1, len(taken)) if taken[-1 - back] == taken[-1]), len(taken))
        shown = [*taken[-length:][:CYCLE_SHOWN_MAX], *(["…"] if length > CYCLE_SHOWN_MAX else [])]
        return f"transitions follow each other without end (more than {MICROSTEPS_MAX:,}): " + "; ".join(shown)


def start(scope: ChartScope) -> None:
    """Enter the initial states. Raises `ChartFailed`."""
    step = Step(scope)
    step.enter(scxml.initial_entry(scope.chart))
    _finish(step, None)


def resume(scope: ChartScope) -> None:
    """Go on in the states that were active when it ended; their delays begin anew. Raises `ValuesMissing`."""
    scope.is_closed = False
    scope.is_over = scxml.is_done(scope.chart, ROOT_STATE, scope.machine.configuration)
    for state in () if scope.is_over else scope.machine.configuration:
        start_delays(scope, state)
    scope.scopes.mark(scope)


def take(scope: ChartScope, event: ChartEvent) -> str:
    """Take an event to completion. Returns why nothing was taken, or "". Raises `ChartFailed`, `ValuesMissing`."""
    step = Step(scope)
    transitions = step.select(event)
    if not transitions:
        scope.event = None
        return _reason(scope, event, step)
    step.take(transitions, event)
    _finish(step, event)
    return ""


def take_raised(scope: ChartScope) -> bool:
    """Take the first raised event that waits, if there is one. Raises `ChartFailed`, `ValuesMissing`."""
    if scope.is_over or not scope.machine.internal:
        return False
    event = of_raised(scope.machine.internal.pop(0), scope.turn.now)
    count_unprompted(scope, event.name)
    if take(scope, event):
        _require_handled(scope, event)
    return True


def take_end(scope: ChartScope, ended: RunEnded) -> None:
    """Take the end of a graph that it ran. Raises `ChartFailed`, `ValuesMissing`."""
    event = of_run(ended, scope.turn.now)
    count_unprompted(scope, event.name)
    if take(scope, event):
        _require_handled(scope, event)


def count_unprompted(scope: ChartScope, event: str) -> None:
    """A chart whose events only follow from each other is stopped. Raises `ChartFailed`."""
    state = scope.turn.state
    state.unprompted += 1
    if state.unprompted > UNPROMPTED_MAX:
        message = f"events follow each other without end (more than {UNPROMPTED_MAX:,}): the last is `{event}`"
        raise ChartFailed(ErrorDocument.of("execution_error", message, scope.path))


def timer_fired(scope: ChartScope, entry: Pending) -> None:
    """A delay of a state ran out, or a delayed `send` is due."""
    if entry.purpose is Purpose.DELAY:
        _delay_over(scope, entry.owner, entry.number)
        return
    assert entry.sent is not None
    try:
        send(scope, entry.sent)
    except Undeliverable as error:
        scope.fail(f"send: {error}", kind="error.communication")


def _delay_over(scope: ChartScope, state: int, number: int) -> None:
    """The transition of a delay is tried, and with ``every`` the delay starts again."""
    plan = scope.chart.states[state]
    delay: Delay = plan.delays[number]
    scope.add(Raised("timeout", {"state": plan.name}, True, state, number))
    if delay.every is not None:
        start_delay(scope, state, number, delay.every, REPEAT_SECONDS_MIN)


def start_delays(scope: ChartScope, state: int) -> None:
    """Start the delays of an active state."""
    for number, delay in enumerate(scope.chart.states[state].delays):
        start_delay(scope, state, number, delay.delay)


def start_delay(scope: ChartScope, state: int, number: int, delay: float | Formula, least: float = 0) -> None:
    """Start a delay of an active state; one that cannot be evaluated raises `error.execution`."""
    try:
        seconds = seconds_of(scope.evaluate(delay)) if isinstance(delay, Formula) else delay
    except EvaluationError as error:
        name = scope.chart.states[state].name
        scope.fail(f"delay of `{name}`: {error}")
        return
    due = scope.turn.now + round(max(seconds, least) * 1000)
    pending.start_timer(scope, state, Purpose.DELAY, due, number=number)


def _finish(step: Step, event: ChartEvent | None) -> None:
    scope = step.scope
    scope.scopes.mark(scope)
    step.complete()
    if scope.is_over:
        for state in reversed(scope.machine.configuration):
            perform(scope, scope.chart.states[state].on_exit, step.actions)
    else:
        step.begin_entered()
    scope.event = None
    step.record(event)


def _require_handled(scope: ChartScope, event: ChartEvent) -> None:
    """An error that no transition takes ends the chart, unless it says otherwise."""
    if event.name.startswith("error.") and scope.chart.on_unhandled_error == "fail":
        data = event.data if isinstance(event.data, dict) else {}
        kind, message = data.get("type") or "execution_error", data.get("message") or event.name
        raise ChartFailed(ErrorDocument.of(str(kind), str(message), str(data.get("node") or scope.path)))


def _reason(scope: ChartScope, event: ChartEvent, step: Step) -> str:
    if step.refused:
        reasons = [*step.refused, *scope.doubts]
        scope.failures.clear()  # they stand in the reason
        scope.doubts.clear()
        return "; ".join(reasons)
    return no_transition(scope, event.name)


def no_transition(scope: ChartScope, event: str) -> str:
    """Why a chart without a transition for an event does not take it."""
    return f"no transition for `{event}` in {', '.join(scope.leaves)}"
