"""What holds for every order of events at every chart: repeats change nothing, the journal leads to the state."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.seeds import for_seeds
from tests.unit.engine.driver import Driver

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.chart.scxml import is_done
from workflow_runtime.engine.events import Event, SignalReceived, TimerFired
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.states import ROOT_STATE, StateKind

GOLDEN = Path(__file__).parents[2] / "golden/machine"
SHIPPED = Path(__file__).parents[3] / "definitions/workflows"
CHARTS = sorted(
    [*GOLDEN.glob("*.yaml"), *(path for path in SHIPPED.glob("*.yaml") if "states:" in path.read_text("utf-8"))]
)
SEEDS = range(6)
STEPS = 40
VALUES = (0, 1, "card", None, [1], {"n": 1})


def walk(plan: Plan, chance: random.Random) -> Driver:
    """An execution to which things happen at random: events, results, failures, repeats, and time."""
    driver = Driver(plan, {"n": 1})
    driver.start()
    names = sorted(event.removesuffix(".*") for event in plan.declared_events if event != "*")
    while len(driver.journal) < STEPS and driver.status == "running":
        match chance.randrange(8):
            case 0 | 1 | 2:
                data = {chance.choice(("n", "payment_method", "tracking_no")): chance.choice(VALUES)}
                driver.send(chance.choice(names), data)
            case 3 | 4 if driver.ordered:
                driver.succeed(chance.choice(list(driver.ordered)), {"n": 1, "steps": ["x"], "text": "t"})
            case 5 if driver.ordered:
                driver.fail(chance.choice(list(driver.ordered)))
            case 6:
                driver.elapse(chance.choice((1, 60, 3600, 86400)))
            case _:
                driver.take(chance.choice(driver.sent))  # delivered again
    return driver


def legal(chart: ChartPlan, configuration: list[int]) -> bool:
    """Whether these states can be active together, and all that must be is."""
    active = {ROOT_STATE, *configuration}
    for state in active:
        plan, children = chart.states[state], [n for n in chart.tree.children[state] if n in active]
        if state and plan.parent not in active:
            return False
        if plan.kind is StateKind.PARALLEL and len(children) != len(chart.tree.children[state]):
            return False
        if plan.kind is StateKind.COMPOUND and len(children) != 1:
            return False
    return True


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem)
@for_seeds(SEEDS)
def test_whatever_happens_the_configuration_is_legal_and_the_journal_leads_to_the_state(path: Path, seed: int) -> None:
    plan = compile_or_raise(path.read_bytes())
    driver = walk(plan, random.Random(f"{path.stem}{seed}"))
    state = driver.state
    assert legal(plan.charts[0], state.chart().configuration)
    assert driver.replayed() == state
    if state.status == "completed":
        assert is_done(plan.charts[0], ROOT_STATE, state.chart().configuration)
    if state.status.terminal:
        assert not state.timers
        assert {TOP_GRAPH, TOP_CHART} <= state.scopes.keys()
        assert state.status != "completed" or len(state.scopes) == 2  # else the graphs that ran may go on one day
        assert not any(scope.open_count for _, scope in state.all_scopes() if isinstance(scope, GraphState))
        assert not driver.timers
    else:
        assert set(driver.timers) == set(state.timers)
        assert state.in_flight == len(driver.ordered)


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem)
@for_seeds(SEEDS)
def test_repeats_and_batches_make_no_difference(path: Path, seed: int) -> None:
    """The same events one by one, in one batch each twice: the same configuration, variables and end."""
    plan = compile_or_raise(path.read_bytes())
    chance = random.Random(seed)
    names = sorted(event.removesuffix(".*") for event in plan.declared_events if event != "*")
    one, other = Driver(plan, {}).start(), Driver(plan, {}).start()
    events: list[Event] = [
        SignalReceived(f"signal:{number}", one.now, chance.choice(names), {"n": number}, id=str(number))
        for number in range(12)
    ]
    at = one.now + 1000
    for event in events:
        one.take(event, at=at)
    other.take(*(event for event in events for _ in range(2)), at=at)
    assert one.macrosteps == other.macrosteps
    assert one.state.status == other.state.status
    assert one.state.chart().configuration == other.state.chart().configuration
    assert one.state.chart().variables == other.state.chart().variables
    assert set(one.ordered) == set(other.ordered)


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem)
def test_timers_that_never_were_change_nothing(path: Path) -> None:
    plan = compile_or_raise(path.read_bytes())
    driver = Driver(plan, {}).start()
    before = driver.state.chart()
    driver.take(TimerFired("timer:t99", driver.now, "t99"))
    assert driver.state.chart() == before
    assert driver.ignored[-1][1] == "the timer was cancelled, or has fired already"
