"""What idle scopes cost an event: microseconds per event beside 1 and beside 1,000 charts that it does not concern.

    python tests/benchmarks/bench_scopes.py [--json] [--smoke]

result: of a node in a chain, beside charts in a state that runs a graph of one tool. signal: to a chart, beside charts
that listen to another event. timer: of a chart, beside charts that have one of their own. wait: a signal to a chart,
beside charts in a state that runs a graph of one wait, for another event.

Collections of cyclic garbage are left out, as an event makes none. ``memory``: the state is handed from one `advance`
to the next; ``stored``: it is encoded and decoded in between, as the dispatcher does. ``per_scope_us``: what each idle
scope adds to a stored event.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.advance import Decision, Known, advance, new_execution
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import Continue, StartTimer
from workflow_runtime.engine.events import (
    Event,
    ExecutionStarted,
    NodeSucceeded,
    Poked,
    SignalReceived,
    TimerFired,
    run_event_id,
)
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.plan.plan import Plan

COUNTS = (1, 1_000)
EVENTS = 300
ROUNDS = 5
KNOWN = Known(globals={"input": {}, "variables": {}, "env": {}})

Node = dict[str, Any]


class Case(NamedTuple):
    """``idle``: the state in which each idle chart is, in ``scopes`` scopes. ``live``: the nodes that events concern.
    ``event``: the one with this number, whose timer has this id."""

    idle: Node
    scopes: int
    live: list[Node]
    event: Callable[[int, str], Event]


def chart(id: str, *states: Node) -> Node:
    return {"id": id, "type": "state_machine", "initial_state": states[0]["name"], "states": states}


def idle_state(**fields: Any) -> Node:
    return {"name": "idle", **fields}


def chain() -> list[Node]:
    """Tools, one after the other."""
    tools = [{"id": f"n{number}", "type": "tool", "tool": "t"} for number in range(EVENTS + 1)]
    for before, tool in pairwise(tools):
        tool["dependencies"] = [before["id"]]
    return tools


def going(**way: Any) -> list[Node]:
    """A chart that goes from a state to another and back."""
    there, back = ({name: [{**value, "target": target}] for name, value in way.items()} for target in "ba")
    return [chart("live", {"name": "a", **there}, {"name": "b", **back})]


def result(number: int, _: str) -> Event:
    return NodeSucceeded(run_event_id(f"n{number}", 1), number, f"n{number}", 1)


def signal(number: int, _: str) -> Event:
    return SignalReceived(f"signal:{number}", number, "go", id=str(number))


def timer(number: int, id: str) -> Event:
    return TimerFired(f"timer:{id}", number, id)


TOOL = {"id": "work", "type": "tool", "tool": "t"}
WAIT = {"id": "news", "type": "control", "subtype": "wait", "event": "other"}
OTHER = {"event": "other", "target": "idle"}

CASES = {
    "result": Case(idle_state(run=[TOOL]), 2, chain(), result),
    "signal": Case(idle_state(transitions=[OTHER]), 1, going(transitions={"event": "go"}), signal),
    "timer": Case(idle_state(after=[{"delay": "30d", "target": "idle"}]), 1, going(after={"delay": "1ms"}), timer),
    "wait": Case(idle_state(run=[WAIT]), 2, going(transitions={"event": "go"}), signal),
}


def plan_of(case: Case, idle: int) -> Plan:
    nodes = [chart(f"m{number}", case.idle) for number in range(idle)]
    return compile_or_raise(json.dumps({"workflow": {"id": "w", "nodes": [*nodes, *case.live], "outputs": "done"}}))


def microseconds_per_event(case: Case, plan: Plan, state: ExecutionState, *, stored: bool) -> float:
    """One event at a time; only the engine's own time counts."""
    spent, last = 0.0, f"t{state.made}"
    for number in range(EVENTS):
        event = case.event(number, last)
        began = time.thread_time()
        decision = advance(plan, state, [event], number, KNOWN)
        assert isinstance(decision, Decision)
        state = decode_state(encode_state(decision.state)) if stored else decision.state
        spent += time.thread_time() - began
        assert not decision.ignored
        last = next((command.timer for command in decision.commands if isinstance(command, StartTimer)), "")
    return spent / EVENTS * 1e6


def started(plan: Plan) -> ExecutionState:
    """The execution once everything has been ordered; stored, so that nothing idle was touched since."""
    event: Event = ExecutionStarted("start", 0)
    state = new_execution(plan, "e1", 1, 0)
    while True:
        decision = advance(plan, state, [event], 0, KNOWN)
        assert isinstance(decision, Decision)
        state = decode_state(encode_state(decision.state))
        if not isinstance(decision.commands[-1], Continue):
            return state
        event = Poked("poke", 0)


def measure(counts: tuple[int, ...] = COUNTS, rounds: int = ROUNDS) -> dict[str, float]:
    figures: dict[str, float] = {}
    gc.disable()
    for name, case in CASES.items():
        prepared = [(count, plan := plan_of(case, count), started(plan)) for count in counts]
        for way in ("memory", "stored"):
            for count, plan, first in prepared:
                times = [microseconds_per_event(case, plan, first, stored=way == "stored") for _ in range(rounds)]
                figures[f"{name}_{count}_{way}_us"] = round(min(times), 2)
        more = figures[f"{name}_{counts[-1]}_stored_us"] - figures[f"{name}_{counts[0]}_stored_us"]
        figures[f"{name}_per_scope_us"] = round(more / case.scopes / (counts[-1] - counts[0]), 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    figures = measure((1, 10), 1) if arguments.smoke else measure()
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:24} {value:10.3f}")


if __name__ == "__main__":
    main()
