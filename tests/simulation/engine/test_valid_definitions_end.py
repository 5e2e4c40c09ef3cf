"""What compiles, ends: random graphs and charts with formulas of every kind, many of which cannot be evaluated.

ENGINE_EXAMPLES=5000 runs more of them.
"""

from __future__ import annotations

import json
import os
from random import Random
from typing import Any

from tests.seeds import for_seeds
from tests.simulation.engine.definitions import Builder
from tests.unit.engine.driver import Driver, Failure

from workflow_runtime.compiler import compile_workflow

EXAMPLES = int(os.environ.get("ENGINE_EXAMPLES", "20"))
ROUNDS = 20  # of time passing and an event coming; every delay and timeout below is over by then
FORMULAS = (
    "${1 / zero}", "${x.y}", "${required(x)}", "${zero + 'a'}", "${parse_json('{')}", "${x[0].y ?? 7}", "${len(zero)}",
    "${matches('a', join(['(']))}", "${now}", "${zero == 0 ? 'go' : 'stop'}", "${add_time('soon', '1h')}",
    "${range(3)}", "${[1, 2].*.k}", "${'好' * 3}",
)  # fmt: skip
OF_NODES = ("${n0.v}", "${previous}", "${nodes.n0.status}")
ENDED = ("completed", "failed", "cancelled")


def formula(random: Random, more: tuple[str, ...] = ()) -> Any:
    chosen = random.choice((*FORMULAS, "plain", "text ${zero} and ${x}", *more))
    return random.choice([chosen, {"k": chosen}, [chosen, 1], {"k ${x}": 1} if random.random() < 0.05 else chosen])


def text(random: Random) -> str:
    return random.choice(FORMULAS)


def spoilt(definition: dict[str, Any], random: Random) -> dict[str, Any]:
    """The graph with formulas in any of its fields."""
    for node in definition["nodes"]:
        for field in ("when", "inputs", "outputs"):
            if random.random() < 0.15:
                node[field] = text(random) if field == "when" else {"a": formula(random, OF_NODES)}
    for edge in definition["edges"]:
        if random.random() < 0.3:
            edge["condition"] = text(random)
    if random.random() < 0.5:
        definition["outputs"] = {"a": formula(random)}
    return {**definition, "variables": {"zero": 0, "v": formula(random)}}


def action(random: Random) -> dict[str, Any]:
    return random.choice([
        {"log": text(random)},
        {"set_variable": {"name": "v", "value": formula(random)}},
        {"raise": {"event": "inner", "data": formula(random)}},
        {"send": {"event": "go", "data": formula(random), "delay": random.choice([1, text(random)])}},
        {"if": {"condition": text(random), "then": [{"log": "yes"}], "else": [{"log": text(random)}]}},
        {"for_each": {"items": random.choice([[1, 2], "${range(2)}", "${x}"]), "do": [{"log": text(random)}]}},
        {"tool": {"tool": "t", "inputs": {"x": formula(random)}, "result": "v"}},
    ])  # fmt: skip


def chart(random: Random) -> dict[str, Any]:
    """States in a row, each of which leads to the next by an event, by time, or by itself."""
    states = []
    count = random.randint(1, 4)
    for number in range(count):
        target = f"s{number + 1}" if number + 1 < count else "done"
        state: dict[str, Any] = {
            "name": f"s{number}",
            "on_enter": [action(random) for _ in range(random.randint(0, 2))],
            "transitions": [{"event": "go", "condition": text(random), "target": target, "actions": [action(random)]}],
            "after": [{"delay": random.choice([1, text(random)]), "target": target}, {"delay": 60, "target": "done"}],
        }
        if random.random() < 0.3:
            state["run"] = {"id": "r", "type": "control", "subtype": "pass", "inputs": {"x": formula(random)}}
            state["on_error"] = "done"
        states.append(state)
    outputs = {"outputs": {"a": formula(random)}} if random.random() < 0.3 else {}
    return {"type": "state_machine", "initial_state": "s0", "states": states, "variables": {"zero": 0}, **outputs}


def played_out(document: dict[str, Any], outcomes: dict[str, Any]) -> Driver | None:
    """The execution after all its work, its timers and some events; None if the definition is not valid."""
    plan = compile_workflow(json.dumps({"workflow": {"id": "w", **document}})).plan
    if plan is None:
        return None
    answers = {path: Failure(value[1]) if isinstance(value, tuple) else value for path, value in outcomes.items()}
    try:
        driver = Driver(plan, {}, checked=False)
    except Exception:
        return None
    driver.play(answers)
    for _ in range(ROUNDS):
        if driver.status in ENDED:
            break
        driver.elapse(30).send("go", {"x": 1})
        driver.play(answers)
    return driver


@for_seeds(range(EXAMPLES))
def test_a_valid_graph_ends_whatever_its_formulas_do(seed: int) -> None:
    random = Random(seed)
    builder = Builder(random)
    driver = played_out(spoilt(builder.definition(), random), builder.outcomes())
    assert driver is None or driver.status in ENDED


@for_seeds(range(EXAMPLES))
def test_a_valid_chart_ends_whatever_its_formulas_do(seed: int) -> None:
    driver = played_out(chart(Random(seed)), {})
    assert driver is None or driver.status in ENDED
