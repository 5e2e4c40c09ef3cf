"""What an event costs a chart, from the mailbox to the committed transition, through the real handlers.

    python tests/benchmarks/bench_events.py [--json] [--smoke]

Embedded: 1,000 events through the shipped order machine, wall milliseconds per event; one after the other, each once
the one before has settled, and all at once; then the same number spread over 100 executions. On simulated AWS: requests
and DynamoDB units of an event that moves a chart, the difference between more and fewer events; `plain` starts no
timer, `with a timer` cancels one of days and starts another.
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
from collections.abc import Iterator
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / "functions"), str(_ROOT)]

from tests.benchmarks.aws_calls import Meter  # noqa: E402
from tests.handlers.bench import Bench  # noqa: E402

from workflow_runtime.backends.embedded.backend import open_backend  # noqa: E402
from workflow_runtime.language.json_values import Json  # noqa: E402
from workflow_runtime.runtime.in_process import LocalRuntime  # noqa: E402

ORDER = (_ROOT / "definitions/workflows/order_state_machine.yaml").read_bytes()
EVENTS = 1_000
EXECUTIONS = 100
ROUNDS = 3
FEW, MANY = 4, 24
PLAIN = b"""
workflow:
  id: plain
  type: state_machine
  initial_state: off
  states:
    - {name: off, transitions: {event: press, target: on}}
    - {name: on, transitions: {event: press, target: off}}
"""

Event = tuple[str, Json]
TO_DELIVERED: tuple[Event, ...] = (
    ("pay", {"payment_method": "card"}),
    ("confirm", None),
    ("ship", {"tracking_no": "SF1042"}),
    ("deliver", None),
)
BACK_AND_FORTH: tuple[Event, ...] = (("return", {"reason": "too small"}), ("return_cancelled", None))


def order_events(count: int) -> Iterator[Event]:
    """A delivered order, then returns that are thought better of."""
    return islice(chain(TO_DELIVERED, cycle(BACK_AND_FORTH)), count)


def embedded(smoke: bool) -> list[dict[str, Any]]:
    events, executions = (20, 4) if smoke else (EVENTS, EXECUTIONS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, many, at_once) in enumerate(
            (
                ("one order, one by one", 1, False),
                ("one order, all at once", 1, True),
                (f"{executions} orders, all at once", executions, True),
            )
        ):
            for backend in ("memory", "file"):
                path = Path(folder) / f"{number}.db" if backend == "file" else None
                rounds = 1 if smoke else ROUNDS
                best = min(_embedded_seconds(path, many, events // many, at_once) for _ in range(rounds))
                row = {"shape": name, "backend": backend, "events": events}
                rows.append({**row, "wall_ms_per_event": round(best / events * 1000, 3)})
    return rows


def _embedded_seconds(path: Path | None, executions: int, events: int, at_once: bool) -> float:
    with LocalRuntime(open_backend(path)) as runtime:
        services = runtime.services
        services.catalog.publish(ORDER)

        async def play() -> float:
            ids = [
                services.starter.start("order_state_machine", {"order_id": f"A-{number}", "amount": 10})
                for number in range(executions)
            ]
            for execution_id in ids:
                await runtime.settle(execution_id)
            started = time.perf_counter()
            for name, data in order_events(events):
                for execution_id in ids:
                    services.signalling.send(execution_id, name, data)
                    if not at_once:
                        await runtime.settle(execution_id)
            for execution_id in ids:
                await runtime.settle(execution_id)
            spent = time.perf_counter() - started
            for execution_id in ids:
                wanted = "delivered" if events % 2 == 0 else "returning"
                assert services.documents.document(execution_id)["current_states"] == [wanted]
            return spent

        return asyncio.run(play())


def aws(smoke: bool) -> list[dict[str, Any]]:
    few, many = (2, 4) if smoke else (FEW, MANY)
    bench = Bench("moto", one_call_at_a_time=True)
    try:
        meter = Meter(bench.backend)
        bench.runtime.catalog.publish(PLAIN)
        bench.runtime.catalog.publish(ORDER)
        order = {"order_id": "A-1", "amount": 10}
        return [
            _aws_row("plain", meter, bench, ("plain", {}, ()), (("press", None),), few, many),
            _aws_row(
                "with a timer", meter, bench, ("order_state_machine", order, TO_DELIVERED), BACK_AND_FORTH, few, many
            ),
        ]
    finally:
        bench.close()


def _aws_row(
    shape: str,
    meter: Meter,
    bench: Bench,
    start: tuple[str, Json, tuple[Event, ...]],
    events: tuple[Event, ...],
    few: int,
    many: int,
) -> dict[str, Any]:
    """``start``: workflow, input, and the events before counting begins."""
    workflow_id, given, before = start
    figures, requests = [], {}
    for count in (few, many):
        execution_id = bench.runtime.starter.start(workflow_id, given)
        bench.settle()
        for name, data in before:
            _send(bench, execution_id, name, data)
        meter.reset()
        for name, data in islice(cycle(events), count):
            _send(bench, execution_id, name, data)
        requests = dict(sorted(meter.requests.items()))
        scheduler = sum(number for name, number in requests.items() if name.startswith("scheduler."))
        invocations = requests["sqs.ReceiveMessage"]
        figures.append(
            (meter.write_units, meter.read_units, meter.sqs_requests(), meter.fifo_requests, scheduler, invocations)
        )
    per_event = [round((large - small) / (many - few), 2) for small, large in zip(*figures, strict=True)]
    names = ("write_units", "read_units", "sqs_requests", "fifo_requests", "scheduler_requests", "invocations")
    return {"shape": shape, "events": many, "per_event": dict(zip(names, per_event, strict=True)), "requests": requests}


def _send(bench: Bench, execution_id: str, name: str, data: Json) -> None:
    bench.runtime.signalling.send(execution_id, name, data)
    bench.settle()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    rows = {"embedded": embedded(arguments.smoke), "aws": aws(arguments.smoke)}
    if arguments.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows["embedded"]:
        print(f"{row['shape']:26} {row['backend']:7} {row['events']:,} events  {row['wall_ms_per_event']:.3f} ms/event")
    for row in rows["aws"]:
        figures = ", ".join(f"{name} {value}" for name, value in row["per_event"].items())
        print(f"{row['shape']}: per event {figures}\n  all: {row['requests']}")


if __name__ == "__main__":
    main()
