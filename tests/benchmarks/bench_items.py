"""A loop over a file, in executions of 1,000 passes each, on the embedded backend: 100,000 lines, a tool node a pass.

    python tests/benchmarks/bench_items.py [--items N] [--format jsonl|json|csv] [--json] [--smoke]

Every 97th pass fails and is tolerated, and the result must be whole and in order. Besides time and memory: the largest
item of the table, and the engine's time per event after the passes have begun, and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine.advance import advance
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.in_process import BUCKETS_VARIABLE, LocalRuntime
from workflow_runtime.runtime.observation import Silence
from workflow_runtime.services.dispatch import dispatcher

ITEMS = 100_000
SMOKE_ITEMS = 2_200  # three executions
FAILS_EVERY = 97
WORKFLOW = """
workflow:
  id: bench
  nodes:
    - id: each
      type: control
      subtype: loop
      distribution: executions
      max_concurrency: 0
      items: {s3: "s3://bench/${input.file}"}
      tolerated_failures: "2%"
      body: [{id: work, type: tool, tool: work, inputs: {n: "${item.n}", name: "${item.name}"}}]
"""
MOCKS = {
    "tools": {
        "work": {
            "cases": [{"match": f"number(n) % {FAILS_EVERY} == 5", "raise": {"type": "refused", "message": "no"}}],
            "default": {"return": {"n": "${number(n)}", "name": "${name}"}},
        }
    }
}


class Sizes(Silence):
    """The largest item that was written, and how many events the engine took in how long."""

    def __init__(self) -> None:
        self.largest = (0, "")
        self.turns: list[tuple[int, float]] = []

    def wrote(self, _: str, sort: str, attributes: Mapping[str, Any]) -> None:
        size = sum(
            len(name) + len(value if isinstance(value, bytes) else str(value)) for name, value in attributes.items()
        )
        self.largest = max(self.largest, (size, sort.partition("#")[0]))

    def advance(self, plan: Any, state: Any, events: Any, *rest: Any) -> Any:
        began = time.perf_counter()
        decided = advance(plan, state, events, *rest)
        self.turns.append((len(events), time.perf_counter() - began))
        return decided

    def us_per_event(self, first: float, last: float) -> float:
        """Over a part of the run, from one share of it to another."""
        turns = self.turns[int(len(self.turns) * first) : int(len(self.turns) * last)]
        return round(sum(seconds for _, seconds in turns) / max(sum(count for count, _ in turns), 1) * 1e6, 1)


def written(folder: Path, format: str, count: int) -> str:
    """A file of so many items."""
    file = folder / "bench" / f"items.{format}"
    file.parent.mkdir()
    items = [{"n": number, "name": f"第 {number} 项"} for number in range(count)]
    with file.open("w", encoding="utf-8") as out:
        if format == "json":
            json.dump(items, out, ensure_ascii=False)
        elif format == "jsonl":
            out.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        else:
            out.write("n,name\n")
            out.writelines(f"{item['n']},{item['name']}\n" for item in items)
    return file.name


def measure(count: int, format: str) -> dict[str, Any]:
    sizes = Sizes()
    dispatcher.advance = sizes.advance  # type: ignore[attr-defined]  # what it imported
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = {BUCKETS_VARIABLE: name}
        backend = open_backend(folder / "bench.db")
        with LocalRuntime(backend, mocks=Mocks.load(MOCKS), environ=environ, observer=sizes) as runtime:
            runtime.services.catalog.publish(WORKFLOW.encode())
            execution_id = runtime.services.starter.start("bench", {"file": written(folder, format, count)})
            began = time.perf_counter()
            asyncio.run(runtime.run_until_ended(execution_id))
            seconds = time.perf_counter() - began
            document = runtime.services.documents.document(execution_id)
            megabytes = (folder / "bench.db").stat().st_size / 1e6
    expected = [number for number in range(count) if number % FAILS_EVERY != 5]
    assert document["status"] == "completed", document["error"]
    assert [item["n"] for item in document["output"]] == expected, "the result is not in order, or not whole"
    return {
        "items": count,
        "format": format,
        "seconds": round(seconds, 1),
        "ms_per_pass": round(seconds * 1000 / count, 2),
        "passes": document["node_executions"]["each"]["passes"],
        "events": sum(taken for taken, _ in sizes.turns),
        "engine_us_per_event": {"second tenth": sizes.us_per_event(0.1, 0.2), "last tenth": sizes.us_per_event(0.9, 1)},
        "largest_item_kb": round(sizes.largest[0] / 1024, 1),
        "largest_item": sizes.largest[1],
        "file_mb": round(megabytes, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--format", choices=("jsonl", "json", "csv"), default="jsonl")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    row = measure(SMOKE_ITEMS if arguments.smoke else arguments.items, arguments.format)
    print(json.dumps(row, indent=2, ensure_ascii=False) if arguments.json else row)


if __name__ == "__main__":
    main()
