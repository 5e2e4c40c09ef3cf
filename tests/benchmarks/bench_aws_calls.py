"""What a node costs in AWS requests and DynamoDB units: the real handlers and adapters on simulated AWS.

    python tests/benchmarks/bench_aws_calls.py [--json] [--smoke]

Every node returns 1 KB of JSON text that compresses as such text does. Figures per node are marginal: the difference
between a larger and a smaller workflow; what is left of the smaller one without its nodes is what an execution costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / "functions"), str(_ROOT)]

from pydantic_ai.models.test import TestModel  # noqa: E402
from tests.benchmarks.aws_calls import PRICES, Meter, dollars_per_million  # noqa: E402
from tests.handlers.bench import Bench  # noqa: E402

from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry  # noqa: E402
from workflow_runtime.invokers.tools.registry import ToolRegistry  # noqa: E402
from workflow_runtime.invokers.tools.tool import describe  # noqa: E402
from workflow_runtime.plan.segments import SEGMENT_NODES_MAX  # noqa: E402
from workflow_runtime.plan.specs import NodeType  # noqa: E402
from workflow_runtime.runtime.express import ExpressRunner  # noqa: E402
from workflow_runtime.services.express import ExpressStart, order_with  # noqa: E402

BUDGETS = {
    "chain": {"write_units": 1.3, "read_units": 1.1, "sqs_requests": 0.6},
    "agents": {"write_units": 2.2, "read_units": 1.1, "sqs_requests": 0.6},
    "across pools": {"write_units": 4.0, "read_units": 1.6, "sqs_requests": 6.0},
    "fan-out": {"write_units": 2.5, "read_units": 1.6, "sqs_requests": 0.8},
}
"""Ten nodes of a chain are a segment: each costs a write and a look at the header, agents another write, and they share
a hop. A node in another pool than the one before costs a hop: its claim and its record, a commit and its journal
entry. The result that it reads costs half a read, the state that the dispatcher knows already nothing."""
BUDGETS["fan-out, collected"] = {**BUDGETS["fan-out"], "write_units": 2.6, "read_units": 2.2}
BUDGETS["agents with a tool"] = {"write_units": 6.2, "read_units": 1.1, "sqs_requests": 0.6}
"""An agent with tools records, per visit, its definition, and per request and per call of a tool a step."""
SAME_NODES = {"passes in turn": "across pools", "passes at once": "fan-out"}
PASS_FACTOR_MAX = 1.1
COLLECTED_READ_UNITS = 0.5
BUDGETS |= {
    passes: {name: round(value * PASS_FACTOR_MAX, 2) for name, value in BUDGETS[nodes].items()}
    | {"read_units": BUDGETS[nodes]["read_units"] + COLLECTED_READ_UNITS}
    for passes, nodes in SAME_NODES.items()
}
"""A pass has no record of its own: it costs what its nodes cost without a loop, and a tenth at most. Most of that is
the read of its output for the loop's; an aggregation of the same nodes reads as much."""
_WORDS = (
    "order customer address delivery status approved shipment invoice amount currency review agent summary answer "
    "request history priority category result confidence message region product quantity"
)


def text(size: int) -> str:
    """About that many characters of words, always the same."""
    words, vocabulary = random.Random(1), _WORDS.split()
    result = ""
    while len(result) < size:
        result += f"{words.choice(vocabulary)} "
    return result[:size]


def chain(count: int) -> str:
    lines = ['    - {id: n0, type: tool, tool: kilobyte, inputs: {x: "${start}"}}']
    lines += [
        f'    - {{id: n{number}, type: tool, tool: kilobyte, inputs: {{x: "${{n{number - 1}.text}}"}}}}'
        for number in range(1, count)
    ]
    return "\n".join(lines) + "\n"


def agents(count: int, *, agent: str = "plain") -> str:
    lines = [f'    - {{id: n0, type: agent, agent: {agent}, prompt: "${{start}}"}}']
    lines += [
        f'    - {{id: n{number}, type: agent, agent: {agent}, prompt: "${{n{number - 1}}}"}}'
        for number in range(1, count)
    ]
    return "\n".join(lines) + "\n"


def across_pools(count: int) -> str:
    """A chain of which each node runs in another pool than the one before."""
    lines = ['    - {id: n0, type: tool, tool: kilobyte, inputs: {x: "${start}"}}']
    for number in range(1, count):
        if number % 2:
            lines.append(f'    - {{id: n{number}, type: agent, agent: plain, prompt: "${{n{number - 1}.text}}"}}')
        else:
            lines.append(f'    - {{id: n{number}, type: tool, tool: kilobyte, inputs: {{x: "${{n{number - 1}}}"}}}}')
    return "\n".join(lines) + "\n"


def fan_out(count: int, *, collected: bool = False) -> str:
    lines = ['    - {id: first, type: tool, tool: kilobyte, inputs: {x: "${start}"}}']
    lines += [
        f'    - {{id: f{number}, type: tool, tool: kilobyte, inputs: {{x: "${{first.text}}"}}}}'
        for number in range(count)
    ]
    names = ", ".join(f"f{number}" for number in range(count))
    join = "aggregation, strategy: collect" if collected else "tool, tool: kilobyte"
    lines += [f"    - {{id: last, type: {join}, dependencies: [{names}]}}"]
    return "\n".join(lines) + "\n"


def passes(count: int, *, at_once: bool = False) -> str:
    body = '[{id: f, type: tool, tool: kilobyte, inputs: {x: "${first.text} ${index}"}}]'
    limit = 0 if at_once else 1
    return (
        '    - {id: first, type: tool, tool: kilobyte, inputs: {x: "${start}"}}\n'
        f"    - {{id: each, type: control, subtype: loop, times: {count}, max_concurrency: {limit}, body: {body}}}\n"
        '    - {id: last, type: control, subtype: pass, inputs: {count: "${len(each)}"}}\n'
    )


class Sizes(NamedTuple):
    """How many nodes the smaller and the larger workflow have: of nodes ``in_turn``, of ``segments``, and ``wide``."""

    in_turn: tuple[int, int]
    segments: tuple[int, int]
    wide: tuple[int, int]


FULL = Sizes((5, 25), (SEGMENT_NODES_MAX, 5 * SEGMENT_NODES_MAX), (20, 50))
FEW = Sizes((5, 11), (SEGMENT_NODES_MAX, 2 * SEGMENT_NODES_MAX), (10, 20))
"""Enough for the figures per node to be right."""
SMOKE = Sizes((1, 2), (1, 2), (1, 2))
"""Enough to see that it works."""


def measure(sizes: Sizes) -> list[dict[str, Any]]:
    """One row per shape: figures per node, and the budget."""
    bench = Bench("moto", one_call_at_a_time=True)
    folder = TemporaryDirectory()
    try:
        bench.invokers[NodeType.AGENT] = _agents(Path(folder.name))
        bench.tools.tools["kilobyte"] = lambda _: {"text": text(1000)}
        meter = Meter(bench.backend)
        return [
            _row("chain", meter, bench, chain, *sizes.segments),
            _row("agents", meter, bench, agents, *sizes.segments),
            _row("across pools", meter, bench, across_pools, *sizes.in_turn),
            _row("agents with a tool", meter, bench, partial(agents, agent="armed"), *sizes.segments),
            _row("fan-out", meter, bench, fan_out, *sizes.wide),
            _row("fan-out, collected", meter, bench, partial(fan_out, collected=True), *sizes.wide),
            _row("passes in turn", meter, bench, passes, *sizes.in_turn),
            _row("passes at once", meter, bench, partial(passes, at_once=True), *sizes.wide),
        ]
    finally:
        bench.close()
        folder.cleanup()


def _agents(folder: Path) -> AgentInvoker:
    """Agents on the test model, which calls every tool that it is offered once, and then answers."""
    (folder / "agents.yaml").write_text(
        "agents:\n- {id: plain, model: test}\n- {id: armed, model: test, tools: [lookup]}\n"
    )
    tools = ToolRegistry([describe(lambda: text(1000), "lookup", "", effects="none")])
    answer = lambda _: TestModel(custom_output_text=text(1000))  # noqa: E731  one line of a table
    return AgentInvoker(AgentRegistry.load(folder), answer, tools)


def _row(shape: str, meter: Meter, bench: Bench, nodes: Any, few: int, many: int) -> dict[str, Any]:
    figures = []
    requests: dict[str, int] = {}
    for count in (few, many):
        bench.runtime.catalog.publish(f"workflow:\n  id: w\n  nodes:\n{nodes(count)}".encode())
        bench.runtime.stores.workflows.plan(bench.runtime.catalog.version("w").plan_hash)  # warm, as it mostly is
        meter.reset()
        execution_id = bench.runtime.starter.start("w", {"start": "go"})
        bench.drain()
        figures.append(tuple(meter.counts().values()))
        requests = dict(sorted(meter.requests.items()))
        assert bench.document(execution_id)["status"] == "completed"
    per_node = [round((large - small) / (many - few), 2) for small, large in zip(*figures, strict=True)]
    names = tuple(PRICES)
    per_execution = [round(small - few * node, 1) for small, node in zip(figures[0], per_node, strict=True)]
    return {
        "shape": shape,
        "nodes": many,
        "per_node": dict(zip(names, per_node, strict=True)),
        "dollars_per_million": round(dollars_per_million(dict(zip(names, per_node, strict=True))), 2),
        "per_execution": dict(zip(names, per_execution, strict=True)),
        "budget": BUDGETS[shape],
        "whole_execution": {**dict(zip(names, figures[1], strict=True)), "requests": requests},
    }


def express(count: int = 10) -> dict[str, Any]:
    """What an express execution of a chain takes: from its start, which brings it, to its record."""
    bench = Bench("moto", one_call_at_a_time=True)
    try:
        bench.tools.tools["kilobyte"] = lambda _: {"text": text(1000)}
        meter = Meter(bench.backend)
        source = f"workflow:\n  id: w\n  durability: express\n  nodes:\n{chain(count)}"
        bench.runtime.catalog.publish(source.encode())
        for _ in range(3):  # the last finds plans and switches read
            meter.reset()
            starts: list[ExpressStart] = []
            execution_id = bench.runtime.starter.start("w", {"start": "go"}, run_express=starts.append)
            asyncio.run(ExpressRunner(bench.runtime).run(order_with(bench.runtime.ports, starts[0])))
        counts = {**meter.counts(), "invocations": 1}  # beside the API's
        requests = dict(sorted(meter.requests.items()))
        assert bench.document(execution_id)["status"] == "completed"
        return {
            "nodes": count,
            "counts": counts,
            "requests": requests,
            "dollars_per_million": round(dollars_per_million(counts), 2),
        }
    finally:
        bench.close()


def _compared(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Of passes: what they cost beside the same nodes without a loop."""
    same = next((each for each in rows if each["shape"] == SAME_NODES.get(row["shape"])), None)
    if same is None:
        return ""
    return f", {row['dollars_per_million'] / same['dollars_per_million'] - 1:+.1%} to a node of a {same['shape']}"


EXPRESS = "express execution"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    sizes, nodes = (SMOKE, 1) if arguments.smoke else (FULL, 10)
    rows = measure(sizes)
    if arguments.json:
        print(json.dumps([*rows, {"shape": EXPRESS, **express(nodes)}], indent=2, ensure_ascii=False))
        return
    for row in rows:
        figures = ", ".join(f"{name} {value}" for name, value in row["per_node"].items())
        budget = ", ".join(f"{name} {value}" for name, value in row["budget"].items())
        print(f"{row['shape']} of {row['nodes']}: per node {figures} (budget {budget})")
        print(f"  a million of them: ${row['dollars_per_million']:.2f}{_compared(row, rows)}")
        started = ", ".join(f"{name} {value}" for name, value in row["per_execution"].items())
        print(f"  besides, per execution: {started}")
        print(f"  whole execution: {row['whole_execution']}")
    found = express(nodes)
    print(f"{EXPRESS} of {found['nodes']}: {found['counts']}, ${found['dollars_per_million']:.2f} a million")
    print(f"  {found['requests']}")


if __name__ == "__main__":
    main()
