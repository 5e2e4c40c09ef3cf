"""This project embedded, on a file (``ours.py folder sizes``) or in memory (with ``memory`` besides).

Nodes are the built-in tool ``echo``. Executions run as they do in one process of `awr serve`: through the queues, the
dispatcher and the workers, all on the file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "functions"))

from harness import Check, Shape, Sizes, above, arguments, serve

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.runtime.in_process import LocalRuntime

GIVEN = "hello"
MACHINE = """
workflow:
  id: counter
  type: state_machine
  variables: {count: 0}
  initial_state: open
  states:
    - name: open
      transitions:
        - {event: press, actions: [{set_variable: {name: count, value: "${count + event.data.by}"}}]}
"""


def echo(id: str, reads: str, dependencies: list[str]) -> dict[str, Any]:
    node = {"id": id, "type": "tool", "tool": "echo", "inputs": {"x": f"${{{reads}}}"}}
    return {**node, "dependencies": dependencies} if dependencies else node


def chain(count: int) -> list[dict[str, Any]]:
    return [echo(f"n{number}", f"n{number - 1}.x" if number else "start", []) for number in range(count)]


def fan(width: int) -> list[dict[str, Any]]:
    middle = [echo(f"n{number}", "head.x", []) for number in range(width)]
    join = {"id": "join", "type": "aggregation", "strategy": "collect", "dependencies": [node["id"] for node in middle]}
    return [echo("head", "start", []), *middle, join]


def layered(layers: int, width: int) -> list[dict[str, Any]]:
    nodes = []
    for layer in range(layers):
        for place in range(width):
            before = [f"n{number}_{other}" for number, other in above(layer, place, width)]
            nodes.append(echo(f"n{layer}_{place}", f"{before[0]}.x" if before else "start", before))
    return nodes


class Ours:
    def __init__(self, runtime: LocalRuntime, sizes: Sizes) -> None:
        self._runtime = runtime
        self._sizes = sizes
        graphs = {
            "chain": chain(sizes.chain),
            "fan": fan(sizes.fan),
            "layered": layered(sizes.layers, sizes.width),
            "many": chain(sizes.short),
        }
        for name, nodes in graphs.items():
            runtime.services.catalog.publish(json.dumps({"workflow": {"id": name, "nodes": nodes}}).encode())
        runtime.services.catalog.publish(MACHINE.encode())
        self.shapes: dict[str, Shape] = {
            "chain": lambda: self._run("chain", 1, f"n{sizes.chain - 1}"),
            "fan": lambda: self._run("fan", 1, f"n{sizes.fan - 1}"),
            "layered": lambda: self._run("layered", 1, f"n{sizes.layers - 1}_{sizes.width - 1}"),
            "many": lambda: self._run("many", sizes.executions, f"n{sizes.short - 1}"),
            "events": lambda: asyncio.run(self._events()),
        }

    def _run(self, workflow: str, executions: int, last: str) -> Check:
        """Run executions of a workflow at once. ``last``: the node whose output shows that what it reads has run."""
        ids = asyncio.run(self._ended(workflow, executions))
        return lambda: all(self._is_right(id, last) for id in ids)

    def _is_right(self, id: str, last: str) -> bool:
        documents = self._runtime.services.documents
        return documents.status(id) is ExecutionStatus.COMPLETED and json.loads(documents.node(id, last).output) == {
            "x": GIVEN
        }

    async def _ended(self, workflow: str, executions: int) -> list[str]:
        ids = [self._runtime.services.starter.start(workflow, {"start": GIVEN}) for _ in range(executions)]
        for id in ids:
            await self._runtime.run_until_ended(id)
        return ids

    async def _events(self) -> Check:
        services, events = self._runtime.services, self._sizes.events
        id = services.starter.start("counter", {})
        await self._runtime.settle(id)
        for _ in range(events):
            services.signalling.send(id, "press", {"by": 1})
            await self._runtime.settle(id)
        return lambda: services.documents.document(id)["variables"]["count"] == events


if __name__ == "__main__":
    logging.disable(logging.INFO)
    folder, sizes = arguments()
    path = None if sys.argv[3:] == ["memory"] else folder / "ours.db"
    with LocalRuntime(open_backend(path)) as runtime:
        serve(Ours(runtime, sizes).shapes)
