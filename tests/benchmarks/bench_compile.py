"""How long compiling takes: chains, fan-outs and layers of 100, 1,000 and 10,000 nodes.

    python tests/benchmarks/bench_compile.py [--json] [--smoke]

Prints seconds for loading and compiling a file, and the share of it that the compiler's own stages take.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "functions"))

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.definition.loader import load

SIZES = (100, 1_000, 10_000)
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
    }


def main() -> None:
    sizes = SIZES[:1] if "--smoke" in sys.argv[1:] else SIZES
    rows = [measure(shape, count) for shape in SHAPES for count in sizes]
    if "--json" in sys.argv[1:]:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        counts = "{shape:8} {nodes:>6,} nodes {edges:>6,} edges".format(**row)
        print(counts, "{total_seconds:8.3f} s, of it compiler {compiler_seconds:.3f} s".format(**row))


if __name__ == "__main__":
    main()
