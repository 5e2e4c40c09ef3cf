"""`dispatch.fifo` → the dispatcher: an execution's events in order, executions side by side, partial failures by FIFO
group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import DISPATCH, Function
from workflow_runtime.errors import RetryableError
from workflow_runtime.handlers.batches import Record, answer_with
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.dispatch.mailbox import MailboxBatch


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    dispatcher = runtime.dispatcher

    def handle(event: LambdaEvent, context: Any) -> Any:
        with dispatcher.budget.of(context.get_remaining_time_in_millis()):
            return dispatch(event)

    def dispatch(event: LambdaEvent) -> Any:
        ports = runtime.ports
        batch = MailboxBatch(dispatcher, event["Records"], ports.together, runtime.tally, ports.grouped)
        failed = list(_failed(event["Records"], batch))
        _delay(runtime, batch.postponed)
        runtime.count(Metric.EVENTS_DISPATCHED, len(event["Records"]))
        runtime.write_counts()
        return answer_with(failed)

    return handle


def _failed(records: Sequence[Record], batch: MailboxBatch) -> Iterator[Record]:
    """Those that were not taken, and what stands behind them in their groups."""
    stopped: set[str] = set()
    for record in records:
        group = record["attributes"]["MessageGroupId"]
        if group in stopped or not batch.take(record["messageId"]):
            stopped.add(group)
            yield record


def _delay(runtime: Runtime, postponed: Mapping[str, int]) -> None:
    if postponed:
        with suppress(RetryableError):  # then they come again after the queue's own visibility timeout
            runtime.ports.queues.set_visibility(DISPATCH, postponed)


handler = on_lambda(create)
