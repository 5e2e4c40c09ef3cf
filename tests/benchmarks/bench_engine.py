"""What the engine costs: microseconds per event for a chain, a fan-out and a layered graph, best of several rounds of
whole executions. What a plan derives from itself once, for all its executions, is not part of it, nor are collections
of cyclic garbage, of which an event makes none.

``memory``: the state is handed from one `advance` to the next; ``stored``: it is encoded and decoded in between, as the
dispatcher does.

python tests/benchmarks/bench_engine.py [--json] [--smoke] [--sizes 100 1000 10000]
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.advance import Decision, advance, new_execution
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import Continue, RunNode
from workflow_runtime.engine.events import Event, ExecutionStarted, NodeSucceeded, Poked, run_event_id
from workflow_runtime.plan.plan import Plan

SIZES = (100, 1_000, 10_000)
ROUNDS = 5
LAYER_WIDTH = 10


def sources(shape: str, number: int) -> list[int]:
    """What node ``number`` depends on."""
    match shape:
        case "chain":
            return [number - 1] if number else []
        case "fan_out":
            return [0] if number else []
        case _:
            first = number // LAYER_WIDTH * LAYER_WIDTH
            return list(range(first - LAYER_WIDTH, first)) if first else []


def plan_of(shape: str, size: int) -> Plan:
    nodes = [
        {"id": f"n{number}", "type": "tool", "tool": "t", "dependencies": [f"n{s}" for s in sources(shape, number)]}
        for number in range(size)
    ]
    return compile_or_raise(json.dumps({"workflow": {"id": "w", "nodes": nodes, "outputs": "done"}}))


def events_of(plan: Plan) -> list[Event]:
    """What comes to an execution from its start to its end, one event at a time."""
    state = new_execution(plan, "e1", 1, 0)
    waiting: list[Event] = [ExecutionStarted("start", 0)]
    found: list[Event] = []
    while waiting:
        event = waiting.pop()
        found.append(event)
        at = len(found)
        decision = advance(plan, state, [event], at)
        assert isinstance(decision, Decision)
        state = decision.state
        for command in decision.commands:
            if isinstance(command, RunNode):
                event_id = run_event_id(command.path, command.serial)
                waiting.insert(0, NodeSucceeded(event_id, at, command.path, command.serial))
            elif isinstance(command, Continue):
                waiting.append(Poked("poke", at))
    return found


def microseconds_per_event(plan: Plan, events: list[Event], *, stored: bool) -> float:
    """One execution from its start, one event at a time."""
    state = new_execution(plan, "e1", 1, 0)
    started = time.thread_time()
    for at, event in enumerate(events, 1):
        decision = advance(plan, state, [event], at)
        assert isinstance(decision, Decision)
        state = decode_state(encode_state(decision.state)) if stored else decision.state
    spent = time.thread_time() - started
    assert state.status.terminal
    return spent / len(events) * 1e6


def measure(sizes: tuple[int, ...]) -> dict[str, float]:
    figures: dict[str, float] = {}
    gc.disable()
    for shape in ("chain", "fan_out", "layered"):
        for size in sizes:
            plan = plan_of(shape, size)
            events = events_of(plan)
            for way in ("memory", "stored"):
                best = min(microseconds_per_event(plan, events, stored=way == "stored") for _ in range(ROUNDS))
                figures[f"{shape}_{size}_{way}_us"] = round(best, 2)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="What the engine costs per event.")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of nodes")
    parser.add_argument("--smoke", action="store_true", help="the smallest size, to see that it works")
    arguments = parser.parse_args()
    figures = measure(SIZES[:1] if arguments.smoke else tuple(arguments.sizes))
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:32} {value:10.2f}")


if __name__ == "__main__":
    main()
