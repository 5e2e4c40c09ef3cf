"""What charts cost the engine: microseconds per macrostep of a flat, a nested and a parallel chart, best of rounds.

    python tests/benchmarks/bench_machine.py [--json] [--smoke]

flat: 100 states in a ring, each step with a guard over the event and a variable that is set. nested: four levels deep,
each step leaves one leaf and all around it for another, with an action on every entry. parallel: ten regions that all
move at each event. ``memory``: the state is handed from one `advance` to the next; ``stored``: it is encoded and
decoded in between, as the dispatcher does; the ids of all events so far are part of it, to recognise repeats.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.advance import Decision, Known, advance, new_execution
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.events import ExecutionStarted, SignalReceived
from workflow_runtime.plan.plan import Plan

ROUNDS = 5
EVENTS = 1_000
RING = 100
DEPTH = 4
REGIONS = 10
NOTHING_GIVEN = Known(globals={"input": {}, "variables": {}, "env": {}})

State = dict[str, Any]


def flat() -> list[State]:
    action = {"set_variable": {"name": "seen", "value": "${n}"}}
    return [
        {
            "name": f"s{number}",
            "transitions": {
                "event": "next",
                "condition": "${n} >= 0",
                "target": f"s{(number + 1) % RING}",
                "actions": [action],
            },
        }
        for number in range(RING)
    ]


def nested() -> list[State]:
    """Two trunks; `next` goes from the leaf of one to the leaf of the other."""

    def trunk(name: str, level: int, other: str) -> State:
        enter = [{"set_variable": {"name": "entered", "value": f"{name}{level}"}}]
        found: State = {"name": f"{name}{level}", "on_enter": enter}
        if level == DEPTH:
            return {**found, "transitions": {"event": "next", "target": f"{other}0"}}
        return {**found, "initial": f"{name}{level + 1}", "states": [trunk(name, level + 1, other)]}

    return [trunk("a", 0, "b"), trunk("b", 0, "a")]


def parallel() -> list[State]:
    regions = [
        {
            "name": f"r{number}",
            "initial": f"r{number}_off",
            "states": [
                {"name": f"r{number}_off", "transitions": {"event": "next", "target": f"r{number}_on"}},
                {"name": f"r{number}_on", "transitions": {"event": "next", "target": f"r{number}_off"}},
            ],
        }
        for number in range(REGIONS)
    ]
    return [{"name": "all", "type": "parallel", "states": regions}]


def plan_of(states: list[State]) -> Plan:
    chart = {"type": "state_machine", "initial_state": states[0]["name"], "states": states, "events": ["execution"]}
    return compile_or_raise(json.dumps({"workflow": {"id": "w", **chart}}))


def microseconds_per_macrostep(plan: Plan, count: int, *, stored: bool) -> float:
    """One execution, one event at a time."""
    begun = advance(plan, new_execution(plan, "e1", 1, 0), [ExecutionStarted("start", 0)], 0, NOTHING_GIVEN)
    assert isinstance(begun, Decision)
    events = [SignalReceived(f"signal:{at}", at, "next", {"n": at}, id=str(at)) for at in range(count)]
    state, macrosteps = begun.state, 0
    started = time.thread_time()
    for at, event in enumerate(events):
        decision = advance(plan, state, [event], at)
        assert isinstance(decision, Decision)
        state = decode_state(encode_state(decision.state)) if stored else decision.state
        macrosteps += not decision.macrosteps[0].reason
    spent = time.thread_time() - started
    assert macrosteps == count
    return spent / count * 1e6


def measure(rounds: int = ROUNDS, count: int = EVENTS) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, states in (("flat", flat()), ("nested", nested()), ("parallel", parallel())):
        plan = plan_of(states)
        for way in ("memory", "stored"):
            best = min(microseconds_per_macrostep(plan, count, stored=way == "stored") for _ in range(rounds))
            figures[f"{name}_{way}_us"] = round(best, 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    figures = measure(1, 20) if arguments.smoke else measure()
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:24} {value:8.1f}")


if __name__ == "__main__":
    main()
