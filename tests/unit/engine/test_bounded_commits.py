"""However much a turn decides, a commit orders a bounded part of it; the rest follows by itself, in order."""

from __future__ import annotations

import pytest
from tests.unit.engine.driver import START, Driver, chart_of, control, loop, on, plan_of, state

from workflow_runtime.engine.commands import (
    CancelTimer,
    ControlChild,
    SendSignal,
    StartChild,
    StartTimer,
)
from workflow_runtime.engine.events import CancelRequested, ResumeRequested, SuspendRequested
from workflow_runtime.engine.graph.parts import PART_PASSES
from workflow_runtime.engine.replay import replay
from workflow_runtime.engine.turn import COMMANDS_MAX, Known

COUNT = 2 * COMMANDS_MAX + 7
ITEMS = {"items": list(range(COUNT))}

CHILD = {"start_workflow": {"workflow_id": "other", "input": {"n": "${item}"}, "result_event": "ended"}}
SEND = {"send": {"event": "news", "to": "ex-other", "data": {"n": "${item}"}}}
DELAYED = {"send": {"event": "late", "delay": "1h"}}


def ordered(driver: Driver, kind: type) -> list[object]:
    return [command for commit in driver.commits for command in commit if isinstance(command, kind)]


def started(action: dict[str, object]) -> Driver:
    """A chart that takes this action once for each of very many items."""
    each = {"for_each": {"items": "${input.items}", "do": [action]}}
    return Driver(chart_of([state("s", on("never"), on_enter=[each])]), ITEMS).start()


@pytest.mark.parametrize(("action", "kind"), [(CHILD, StartChild), (SEND, SendSignal), (DELAYED, StartTimer)])
def test_what_a_chart_does_at_once_is_ordered_by_several_commits(action: dict[str, object], kind: type) -> None:
    driver = started(action)
    found = ordered(driver, kind)
    assert len(found) == COUNT
    values = [command.input if isinstance(command, StartChild) else command for command in found]
    if kind is StartChild:
        assert values == [{"n": number} for number in range(COUNT)]
    assert len(driver.commits) == 3
    assert not driver.state.backlog


def test_children_are_suspended_resumed_and_cancelled_in_this_order_however_many_there_are() -> None:
    driver = started(CHILD)
    driver.pokes = False
    driver.take(SuspendRequested("control:s", START, "me", ""))
    driver.take(ResumeRequested("control:r", START, "me", ""))
    driver.pokes = True
    driver.take(CancelRequested("control:c", START, "me", ""))
    told: dict[str, list[str]] = {}
    for command in ordered(driver, ControlChild):
        assert isinstance(command, ControlChild)
        told.setdefault(command.token, []).append(command.operation)
    assert len(told) == COUNT
    assert set(map(tuple, told.values())) == {("suspend", "resume", "cancel")}
    assert driver.status == "cancelled"


def test_very_many_timers_are_cancelled_by_several_commits() -> None:
    waits = [control(f"w{number}", "wait", duration="2h") for number in range(COUNT)]
    driver = Driver(plan_of(waits), checked=False).start()
    driver.take(CancelRequested("control:c", START, "me", ""))
    assert len(ordered(driver, CancelTimer)) == COUNT
    assert max(map(len, driver.commits)) <= COMMANDS_MAX + 4
    assert driver.timers == {}


def test_what_was_put_off_replays() -> None:
    driver = started(CHILD)
    known = Known(globals=driver.globals)
    assert replay(driver.plan, driver.first, driver.journal, lambda _: known) == driver.state


def test_parts_of_a_loop_for_which_a_commit_has_no_room_are_started_by_the_next() -> None:
    before = [{"id": f"n{number}"} for number in range(COMMANDS_MAX - 3)]
    parts = loop("each", {"id": "x"}, items="${input.items}", distribution="executions", max_concurrency=0)
    driver = Driver(plan_of([*before, parts]), {"items": list(range(4 * PART_PASSES))}).start()
    started = [sum(isinstance(command, StartChild) for command in commit) for commit in driver.commits]
    assert started[0] < 4
    assert sum(started) == 4
