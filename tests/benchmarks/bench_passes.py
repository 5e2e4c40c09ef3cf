"""A loop of 10,000 passes, read: pages of its passes and the execution's document, on the embedded backend in a file.

    python tests/benchmarks/bench_passes.py [--passes N] [--json] [--smoke]

Every page of 100 passes is read through the API's handler from a runtime that did not run the loop, while the loop is
at work (all but the last pass have ended) and after its end. Milliseconds: the median, the 95th of 100, the slowest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.handlers import api
from workflow_runtime.runtime.in_process import LocalRuntime

PASSES = 10_000
SMOKE_PASSES = 210  # three pages
PAGE = 100
DOCUMENT_READS = 20
WORKFLOW = """
workflow:
  id: bench
  nodes:
    - id: each
      type: control
      subtype: loop
      times: ${passes}
      max_concurrency: 0
      on_item_error: skip
      body:
        - {id: work, type: tool, tool: echo, inputs: {n: "${index}", name: "第 ${index} 项"}}
        - {id: check, type: control, subtype: condition, condition: "work.n % 10 == 3", then: broken, else: open}
        - {id: broken, type: control, subtype: fail, error: refused}
        - {id: open, type: control, subtype: condition, condition: "work.n >= input.passes - 1000", then: answer}
        - {id: answer, type: control, subtype: wait, event: go}
"""


def spread(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    at = lambda share: round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 1)  # noqa: E731
    return {"median_ms": at(0.5), "p95_ms": at(0.95), "slowest_ms": at(1)}


class Reader:
    """Asks the API, as its function does, and notes how long each answer takes."""

    def __init__(self, runtime: LocalRuntime) -> None:
        self._handler = api.create(runtime.services, TOPOLOGY.function("api"))

    def get(self, path: str, query: str) -> tuple[Any, float]:
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {},
            "requestContext": {"stage": "$default", "http": {"method": "GET", "path": path}},
            "body": "",
            "isBase64Encoded": False,
        }
        began = time.perf_counter()
        answer = asyncio.run(self._handler(event, None))
        milliseconds = (time.perf_counter() - began) * 1000
        assert answer["statusCode"] == 200, answer["body"]
        return json.loads(answer["body"]), milliseconds

    def pages(self, execution_id: str) -> tuple[int, list[float]]:
        """How many passes all pages have together, and what each page took."""
        count, taken, cursor = 0, [], None
        while True:
            query = f"limit={PAGE}" + (f"&cursor={cursor}" if cursor is not None else "")
            page, milliseconds = self.get(f"/executions/{execution_id}/passes/each", query)
            count += len(page["items"])
            taken.append(milliseconds)
            cursor = page["next_cursor"]
            if cursor is None:
                return count, taken

    def documents(self, execution_id: str) -> list[float]:
        return [self.get(f"/executions/{execution_id}", "include=nodes")[1] for _ in range(DOCUMENT_READS)]


def measure(count: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        rows = []
        for when in ("at work", "ended"):
            with LocalRuntime(open_backend(path)) as runtime:
                services = runtime.services
                if when == "at work":
                    services.catalog.publish(WORKFLOW.encode())
                    execution_id = services.starter.start("bench", {"passes": count})
                else:
                    services.signalling.send(execution_id, "go", {})
                asyncio.run(runtime.run_until_ended(execution_id))
            with LocalRuntime(open_backend(path)) as runtime:  # its caches are empty
                rows.append(_row(when, runtime, execution_id, count))
    return rows


def _row(when: str, runtime: LocalRuntime, execution_id: str, count: int) -> dict[str, Any]:
    reader = Reader(runtime)
    documents = reader.documents(execution_id)
    found, pages = reader.pages(execution_id)
    assert found == count, f"the pages have {found} passes"
    return {"when": when, "passes": count, "page": spread(pages), "document": spread(documents), "pages": len(pages)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    rows = measure(SMOKE_PASSES if arguments.smoke else arguments.passes)
    if arguments.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
