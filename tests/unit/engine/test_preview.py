"""What is known ahead: the events that are listened to, whether guards hold now, and the timers that run."""

from __future__ import annotations

import json
from typing import Any

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.advance import Decision, advance, new_execution
from workflow_runtime.engine.codec import encode_state
from workflow_runtime.engine.events import Event, ExecutionStarted, SignalReceived
from workflow_runtime.engine.preview import Preview, Prospect, RunningTimer, preview
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.events import is_runtime_event
from workflow_runtime.plan.plan import Plan

START = 1_700_000_000_000


class Execution:
    """One execution of a workflow file, moved by hand."""

    def __init__(self, input: Json = None, **fields: Any) -> None:
        self.plan: Plan = compile_or_raise(json.dumps({"workflow": {"id": "w", **fields}}))
        self.globals = {"input": input or {}, "variables": fields.get("variables", {}), "env": {}}
        self.state: ExecutionState = new_execution(self.plan, "e1", 1, START)
        self.take(ExecutionStarted("start", START))

    def take(self, *events: Event) -> None:
        decision = advance(self.plan, self.state, events, START, Known(globals=self.globals))
        assert isinstance(decision, Decision)
        self.state = decision.state

    def send(self, name: str, data: Json = None) -> None:
        self.take(SignalReceived(f"signal:{name}{self.state.version}", START, name, data))

    def ahead(self, globals: Any = None) -> Preview:
        before = encode_state(self.state)
        found = preview(self.plan, self.state, START, globals)
        assert encode_state(self.state) == before, "looking ahead changed the state"
        return found

    def prospects(self) -> dict[str, tuple[bool | None, str]]:
        return {prospect.event: (prospect.enabled, prospect.why) for prospect in self.ahead().prospects}


def machine(*states: dict[str, Any], **fields: Any) -> Execution:
    return Execution(type="state_machine", initial_state=states[0]["name"], states=list(states), **fields)


def test_a_transition_without_a_condition_is_enabled() -> None:
    execution = machine({"name": "a", "transitions": [{"event": "go", "target": "done"}]})
    assert execution.ahead().prospects == (Prospect("go", "", "a", ("done",)),)


def test_guards_are_evaluated_over_the_present_variables() -> None:
    transitions = [
        {"event": "small", "condition": "amount < 10", "target": "done"},
        {"event": "large", "condition": "amount >= 10", "target": "done"},
    ]
    execution = machine({"name": "a", "transitions": transitions}, variables={"amount": 12})
    assert execution.prospects() == {"small": (False, "`amount < 10` is false"), "large": (True, "")}


def test_a_guard_that_reads_the_event_tells_so_instead_of_an_answer() -> None:
    transitions = [
        {"event": "pay", "condition": "${method} == 'card' and ${amount} > 1", "target": "done"},
        {"event": "call", "condition": "event.data.ok", "target": "done"},
    ]
    execution = machine({"name": "a", "transitions": transitions}, variables={"amount": 12})
    why = "it depends on the event's data: "
    assert execution.prospects() == {"pay": (None, why + "method"), "call": (None, why + "event")}


def test_a_guard_that_cannot_be_evaluated_is_neither_true_nor_false() -> None:
    execution = machine({"name": "a", "transitions": [{"event": "go", "condition": "1 / zero > 1", "target": "done"}]},
                        variables={"zero": 0})  # fmt: skip
    [(enabled, why)] = execution.prospects().values()
    assert enabled is None
    assert why.startswith("it cannot be evaluated now: ")


def test_inner_states_come_before_those_around_them_and_each_transition_once() -> None:
    def region(name: str) -> dict[str, Any]:
        first = {"name": f"{name}1", "transitions": [{"event": f"go_{name}", "target": f"{name}2"}]}
        return {"name": name, "initial": f"{name}1", "states": [first, {"name": f"{name}2"}]}

    regions = [region("left"), region("right")]
    execution = machine(
        {"name": "both", "type": "parallel", "states": regions, "transitions": [{"event": "stop", "target": "done"}]}
    )
    assert [prospect.event for prospect in execution.ahead().prospects] == ["go_left", "stop", "go_right"]


def test_events_of_the_runtime_are_not_offered_to_anybody() -> None:
    execution = machine(
        {
            "name": "a",
            "states": [{"name": "a1"}],
            "on_done": "done",
            "transitions": [{"event": ["error.execution", "error.run.*"], "target": "done"},
                            {"event": "timeout", "target": "done"},
                            {"event": "error.*", "target": "done"}],
        }
    )  # fmt: skip
    assert [prospect.event for prospect in execution.ahead().prospects] == ["error.*"], "it hears `error.payment`, too"
    assert [is_runtime_event(name) for name in ("done.run.x", "error.execution", "timeout", "done", "错误")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_delays_and_waits_are_timers_the_next_first() -> None:
    wait = {"id": "pause", "type": "control", "subtype": "wait", "duration": "5m"}
    heard = {"id": "hear", "type": "control", "subtype": "wait", "event": "news", "match": "event.data.n > 1",
             "timeout": "1m"}  # fmt: skip
    execution = Execution(
        type="hybrid",
        nodes=[wait, heard],
        initial_state="a",
        states=[{"name": "a", "after": [{"delay": "2m", "target": "done"}]}],
    )
    ahead = execution.ahead()
    assert ahead.timers == (
        RunningTimer(START + 60_000, "timeout", "hear"),
        RunningTimer(START + 120_000, "delay", "a", ""),
        RunningTimer(START + 300_000, "wait", "pause"),
    )
    why = "it depends on the event"
    assert ahead.prospects == (Prospect("news", None, "hear", (), "event.data.n > 1", None, why),)


def test_nested_charts_are_told_apart_by_their_path() -> None:
    review = {"id": "review", "type": "state_machine", "initial_state": "draft", "inputs": {"by": "小明"},
              "states": [{"name": "draft", "transitions": [
                  {"event": "ok", "condition": "len(limit) > 1", "target": "done"}]}]}  # fmt: skip
    execution = Execution(nodes=[review], variables={"limit": "x" * 1000})
    ahead = execution.ahead()
    assert [(chart.path, chart.states, chart.variables) for chart in ahead.charts] == [
        ("review", ("draft",), {"by": "小明"})
    ]
    assert ahead.needs_globals
    known = execution.ahead(execution.globals)
    assert not known.needs_globals
    assert known.prospects == (Prospect("ok", "review", "draft", ("done",), "len(limit) > 1", True),)


def test_after_the_end_only_the_final_state_is_left() -> None:
    execution = machine({"name": "a", "transitions": [{"event": "go", "target": "done"}]}, variables={"n": 1})
    execution.send("go", {"by": "me"})
    [chart] = execution.ahead().charts
    assert (chart.states, chart.variables) == (("done",), {"n": 1, "by": "me"})
    assert (execution.ahead().prospects, execution.ahead().timers) == ((), ())


def test_a_delay_that_repeats_says_how_often() -> None:
    delays = [{"delay": "1m", "every": "2m", "actions": []}, {"delay": "1h", "target": "done"}]
    execution = machine({"name": "a", "after": delays})
    assert [timer.every for timer in execution.ahead().timers] == [120, None]
