"""How long compiling takes, and getting a plan: chains, fan-outs and layers of 100, 1,000 and 10,000 nodes.

    python tests/benchmarks/bench_compile.py [--json] [--smoke]

Prints seconds for loading and compiling a file, and the share of it that the compiler's own stages take. Then, in
milliseconds, how long it takes to get the plan from the store: warm, by a process that has had it before and keeps it;
cold, by one that reads it from a table in memory, unpacks and decodes it; and decoding it alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "functions"))

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.compiler import compile_workflow
from workflow_runtime.definition.loader import load
from workflow_runtime.plan.plan import Plan, decode_plan, encode_plan
from workflow_runtime.storage.workflows import WorkflowStore

SIZES = (100, 1_000, 10_000)
ROUNDS = 5  # of getting a plan; the best counts
LAYER = 10  # nodes of a layer; each depends on three of the layer before and reads one


def chain(count: int) -> Iterator[str]:
    yield "    - {id: n0, type: tool, tool: t}"
    for number in range(1, count):
        yield f'    - {{id: n{number}, type: tool, tool: t, inputs: {{x: "${{n{number - 1}.x}}"}}}}'


def fan_out(count: int) -> Iterator[str]:
    yield "    - {id: head, type: tool, tool: t}"
    for number in range(count - 2):
        yield f'    - {{id: n{number}, type: tool, tool: t, inputs: {{x: "${{head.x}}"}}}}'
    names = ", ".join(f"n{number}" for number in range(count - 2))
    yield f"    - {{id: all, type: aggregation, strategy: collect, dependencies: [{names}]}}"


def layered(count: int) -> Iterator[str]:
    for number in range(count):
        layer, place = divmod(number, LAYER)
        above = [(layer - 1) * LAYER + (place + step) % LAYER for step in range(3)] if layer else []
        reads = f', inputs: {{x: "${{n{above[0]}.x}}"}}, when: "${{n{above[1]}.ok}} != false"' if above else ""
        names = ", ".join(f"n{source}" for source in above)
        yield f"    - {{id: n{number}, type: tool, tool: t, dependencies: [{names}]{reads}}}"


SHAPES: dict[str, Callable[[int], Iterator[str]]] = {"chain": chain, "fan-out": fan_out, "layered": layered}


def measure(shape: str, count: int) -> dict[str, object]:
    text = "\n".join(["workflow:", "  id: bench", "  nodes:", *SHAPES[shape](count)])
    started = time.perf_counter()
    load(text)
    loaded = time.perf_counter()
    compilation = compile_workflow(text)
    ended = time.perf_counter()
    assert compilation.plan is not None, compilation.findings[:3]
    total = ended - loaded
    return {
        "shape": shape,
        "nodes": count,
        "edges": len(compilation.plan.root.edges),
        "total_seconds": round(total, 3),
        "compiler_seconds": round(max(total - (loaded - started), 0.0), 3),
        **loading_ms(compilation.plan),
    }


def loading_ms(plan: Plan) -> dict[str, float]:
    data = encode_plan(plan)
    with open_backend(None, VirtualClock(0)) as backend:
        keeps = WorkflowStore(backend.ports.table)
        keeps.keep(plan)
        keeps.plan(plan.hash)
        figures = {
            "plan_warm_ms": best_ms(lambda: keeps.plan(plan.hash)),
            "plan_cold_ms": best_ms(lambda: WorkflowStore(backend.ports.table).plan(plan.hash)),
            "plan_decoded_ms": best_ms(lambda: decode_plan(data)),
        }
    return {name: round(value, 3) for name, value in figures.items()}


def best_ms(act: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        act()
        times.append((time.process_time() - started) * 1000)
    return min(times)


def main() -> None:
    sizes = SIZES[:1] if "--smoke" in sys.argv[1:] else SIZES
    rows = [measure(shape, count) for shape in SHAPES for count in sizes]
    if "--json" in sys.argv[1:]:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        counts = "{shape:8} {nodes:>6,} nodes {edges:>6,} edges".format(**row)
        print(counts, "{total_seconds:8.3f} s, of it compiler {compiler_seconds:.3f} s".format(**row), end="; ")
        got = "warm {plan_warm_ms:.3f} ms, cold {plan_cold_ms:.1f}, of it decoding {plan_decoded_ms:.1f}"
        print("its plan", got.format(**row))


if __name__ == "__main__":
    main()
