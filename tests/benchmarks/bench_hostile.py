"""How long hostile definitions take to refuse, and at what memory: nesting, alias bombs, floods of values.

    python tests/benchmarks/bench_hostile.py [--json] [--smoke]

Aim: each under a second and the process under 200 MB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.compiler import compile_workflow

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{','.join(['*' + chr(97 + level)] * 9)}]" for level in range(9)
)


def documents(scale: int) -> dict[str, str]:
    return {
        "60 KB of nested brackets": "[" * 60_000,
        "30,000 levels": "workflow: " + "[" * 30_000 + "]" * 30_000,
        "alias bomb": BOMB,
        "scalar of 4 MB": 'workflow: {id: "' + "x" * (4 * scale) + '"}',
        "a million numbers": "workflow: {nodes: [" + "1," * scale + "]}",
        "a flood of nodes": "workflow: {id: a, nodes: [" + "{id: b, type: agent}," * (scale // 10) + "]}",
        "a flood of keys": "workflow: {" + ",".join(f"k{index}: 1" for index in range(scale // 5)) + "}",
    }


def measure(smoke: bool) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name, text in documents(10_000 if smoke else 1_000_000).items():
        started, cpu = time.perf_counter(), time.process_time()
        findings = compile_workflow(text).findings
        assert findings
        rows.append(
            {
                "document": name,
                "wall_seconds": round(time.perf_counter() - started, 3),
                "cpu_seconds": round(time.process_time() - cpu, 3),
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "first_finding": findings[0].id,
            }
        )
    return rows


def main() -> None:
    rows = measure("--smoke" in sys.argv[1:])
    if "--json" in sys.argv[1:]:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(
            "{document:26} wall {wall_seconds:.3f} s  cpu {cpu_seconds:.3f} s  {peak_memory_mb} MB  "
            "{first_finding}".format(**row)
        )


if __name__ == "__main__":
    main()
