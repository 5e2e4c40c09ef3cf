"""Turns of whatever version of the runtime is on the path: in each it serves some functions of a database for a while.

    PYTHONPATH=<version> python turn.py

Each line on stdin is one turn, a JSON list: DATABASE, TIME, FUNCTIONS and, if workflows are to be started, WORKFLOW.
``TIME``: epoch ms at which the turn takes place. ``FUNCTIONS``: with commas, those whose queues are served, batch by
batch, until nothing is visible; ``sweep`` sweeps, too. ``WORKFLOW``: publish this file's workflows and start one
execution of each. Answers with one line of JSON: executions that were started, and documents of all.

It uses only what both versions have: handlers as Lambda runs them, the ports, the services that the API calls.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(POWERTOOLS_METRICS_DISABLED="true", POWERTOOLS_TRACE_DISABLED="true", POWERTOOLS_SERVICE_NAME="t")

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.making import handler_of

BATCHES_MAX = 500  # of a turn: more would be a loop


def main() -> None:
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        print(json.dumps(turn(*json.loads(line))), flush=True)


def turn(database: str, time: str, functions: str, *workflows: str) -> dict[str, Any]:
    backend = open_backend(Path(database), VirtualClock(int(time)))
    runtime = LocalRuntime(backend, environ={})
    try:
        started = [start(runtime, text) for path in workflows for text in texts(Path(path))]
        serve(backend, runtime.services, functions.split(","))
        documents = {id: document(runtime.services, id) for id in known(backend)}
        return {"started": started, "documents": documents}
    finally:
        backend.close()


def texts(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("---\n")


def start(runtime: Any, text: str) -> str:
    services = runtime.services
    version = services.catalog.publish(text.encode()).version
    return str(services.starter.start(version.workflow_id, {"start": 1}))


def serve(backend: Any, services: Any, functions: list[str]) -> None:
    backend.scheduler.fire()
    sources = [
        (handler_of(function, services), function, source)
        for function in TOPOLOGY.functions
        for source in function.sources
        if function.name in functions
    ]
    for _ in range(BATCHES_MAX):
        if not sum(deliver(backend, *each) for each in sources):
            return
    raise AssertionError("the turn does not end")


def deliver(backend: Any, handler: Any, function: Any, source: Any) -> bool:
    """A batch, if there is one, as Lambda delivers it."""
    records = backend.poller.receive(source.queue, source.batch_size)
    if not records:
        return False
    answer = handler({"Records": [record.event_record for record in records]}, LocalContext(function))
    if asyncio.iscoroutine(answer):
        answer = asyncio.run(answer)
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    taken = [record.receipt_handle for record in records if record.event_record["messageId"] not in failed]
    backend.poller.delete(source.queue, taken)
    return True


def known(backend: Any) -> list[str]:
    query = "SELECT partition FROM items WHERE sort = 'HEADER' AND partition LIKE 'EX#%' ORDER BY partition"
    return [partition.removeprefix("EX#") for (partition,) in backend.database.read(query)]


def document(services: Any, execution_id: str) -> dict[str, Any]:
    whole = services.documents.document(execution_id)
    nodes = {path: [entry["status"], entry.get("output")] for path, entry in whole["node_executions"].items()}
    shown = ("workflow_id", "status", "output", "error", "current_states", "variables")
    return {**{name: whole.get(name) for name in shown}, "nodes": nodes}


if __name__ == "__main__":
    main()
