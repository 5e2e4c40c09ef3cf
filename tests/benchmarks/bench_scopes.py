"""What idle scopes cost an event: microseconds per result of a node beside 1 and beside 1,000 charts with their graphs.

    python tests/benchmarks/bench_scopes.py [--json] [--smoke]

Each idle scope is a chart in a node, in a state that runs a graph of one tool. ``memory``: the state is handed from one
`advance` to the next; ``stored``: it is encoded and decoded in between, as the dispatcher does. ``per_scope_us``: what
each idle scope adds to a stored event.
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
from workflow_runtime.engine.advance import Decision, advance, new_execution
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import Continue
from workflow_runtime.engine.events import Event, ExecutionStarted, NodeSucceeded, Poked, run_event_id
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.plan.plan import Plan

COUNTS = (1, 1_000)
CHAIN = 300
ROUNDS = 5


def plan_of(idle: int) -> Plan:
    """A chain of tools beside so many charts."""
    run = [{"id": "work", "type": "tool", "tool": "t"}]
    chart = {"initial_state": "busy", "states": [{"name": "busy", "run": run}]}
    nodes: list[dict[str, Any]] = [{"id": f"m{number}", "type": "state_machine", **chart} for number in range(idle)]
    for number in range(CHAIN):
        before = [f"n{number - 1}"] if number else []
        nodes.append({"id": f"n{number}", "type": "tool", "tool": "t", "dependencies": before})
    return compile_or_raise(json.dumps({"workflow": {"id": "w", "nodes": nodes, "outputs": "done"}}))


def microseconds_per_event(plan: Plan, state: ExecutionState, *, stored: bool) -> float:
    """The chain, one result at a time; only the engine's own time counts."""
    spent = 0.0
    for number in range(CHAIN - 1):
        event = NodeSucceeded(run_event_id(f"n{number}", 1), number, f"n{number}", 1)
        began = time.thread_time()
        decision = advance(plan, state, [event], number)
        assert isinstance(decision, Decision)
        state = decode_state(encode_state(decision.state)) if stored else decision.state
        spent += time.thread_time() - began
    return spent / (CHAIN - 1) * 1e6


def started(plan: Plan) -> ExecutionState:
    """The execution once everything has been ordered; stored, so that nothing idle was touched since."""
    event: Event = ExecutionStarted("start", 0)
    state = new_execution(plan, "e1", 1, 0)
    while True:
        decision = advance(plan, state, [event], 0)
        assert isinstance(decision, Decision)
        state = decode_state(encode_state(decision.state))
        if not isinstance(decision.commands[-1], Continue):
            return state
        event = Poked("poke", 0)


def measure(counts: tuple[int, ...] = COUNTS, rounds: int = ROUNDS) -> dict[str, float]:
    figures: dict[str, float] = {}
    for way in ("memory", "stored"):
        for count in counts:
            plan = plan_of(count)
            first = started(plan)
            best = min(microseconds_per_event(plan, first, stored=way == "stored") for _ in range(rounds))
            figures[f"{count}_{way}_us"] = round(best, 2)
    scopes = 2 * (counts[-1] - counts[0])  # a chart and its graph each
    figures["per_scope_us"] = round(
        (figures[f"{counts[-1]}_stored_us"] - figures[f"{counts[0]}_stored_us"]) / scopes, 3
    )
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
