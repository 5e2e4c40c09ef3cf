"""Dead letters: messages that their queue gave up. Each is recorded where people look for it, and its sender is told.

An order becomes a failure of its node, so that its execution does not wait forever; a timer gets a second chance;
events are recorded only: what they told is found by the sweep, or was never of use. So are deliveries: what they were
to send is still in the outbox.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec.structs import replace

from workflow_runtime.deployment.topology import TIMERS
from workflow_runtime.engine.events import NodeFailed, Poked, run_event_id
from workflow_runtime.errors import ErrorDocument, InvalidEvent, RetryableError
from workflow_runtime.ports import Message, Ports
from workflow_runtime.services.express import GIVEN_UP, ExpressOrder, parse_express
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import (
    Delivery,
    Mail,
    Order,
    Timer,
    UnknownMessage,
    execution_named,
    parse_delivery,
    parse_mail,
    parse_order,
    parse_timer,
)
from workflow_runtime.storage.dead_letters import sending_order
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.stores import Stores

OWNER = "dead-letters"  # of runs whose order was given up

Content: TypeAlias = Order | Mail | Timer | Delivery | ExpressOrder | None
"""What a body was; None: nothing that the runtime sends."""

logger = logging.getLogger(__name__)


class DeadLetters:
    """Records messages that their queues gave up, and tells the executions that wait for what was in them."""

    def __init__(self, ports: Ports, stores: Stores, mailer: Mailer) -> None:
        self._ports = ports
        self._mailer = mailer
        self._executions = stores.executions
        self._letters = stores.dead_letters
        self._runs = stores.runs

    def take(self, record: Mapping[str, Any]) -> None:
        """Take one record of a dead-letter queue, as Lambda delivers it. Raises `RetryableError`, also while the run of
        a given-up order still has a living worker.
        """
        body, message_id = str(record["body"]), str(record["messageId"])
        source = str(record["attributes"].get("DeadLetterQueueSourceArn", "")).rpartition(":")[2]
        content = _content(body)
        if isinstance(content, Order):
            self._fail_node(content)
        elif isinstance(content, ExpressOrder):
            event = Poked(f"{GIVEN_UP}{content.execution_id}", self._ports.clock.now())
            self._mailer.send(content.execution_id, event)
        elif isinstance(content, Timer):
            self._start_timer_again(content, body)
        reason = f"given up by its queue {source}".rstrip()
        self.record(message_id, body, reason, content, _sent(record["attributes"]))

    def record(self, message_id: str, body: str, reason: str, content: Content = None, sent: str = "") -> None:
        """Keep a message that nothing can be done with, of a place in the `sending_order`; again changes nothing."""
        execution_id = content.execution_id if content is not None else execution_named(body)
        kind = type(content).__name__.lower() if content is not None else "unknown"
        fields = {"execution_id": execution_id, "message_id": message_id, "kind": kind, "reason": reason}
        logger.error("a dead letter", extra=fields)
        reason = f"{kind}: {reason}"
        now = self._ports.clock.now()
        self._letters.put(execution_id or "", message_id, reason, body, now, sent)

    def _start_timer_again(self, timer: Timer, body: str) -> None:
        """Once; the second time it is given up for good: the sweep delivers overdue timers."""
        identity = f"timer:{timer.timer}"
        if self._letters.has(timer.execution_id, identity):
            return
        if self._ports.queues.send(TIMERS, [Message(body)]):
            raise RetryableError("a timer was refused by its queue")
        self._letters.put(timer.execution_id, identity, "timer: started again", body, self._ports.clock.now())

    def _fail_node(self, order: Order) -> None:
        """Close the run, then report it. One that succeeded needs no help: the sweep has its result reported."""
        header = self._executions.header(order.execution_id)
        if header is None or header.status.terminal:
            return
        command = order.command
        now = self._ports.clock.now()
        error = ErrorDocument.of("worker_lost", "the node's order was given up by its queue", command.path)
        failed = Run.failed(command.path, command.serial, OWNER, now, error, attempt=command.attempt)
        stored = failed if self._runs.claim(order.execution_id, failed) else self._closed(order, failed)
        if stored.error is None:
            return
        identity = run_event_id(command.path, command.serial)
        alone = replace(command, alone=True)  # it may have killed its workers
        ended_at, started_at = stored.ended_at, stored.started_at
        event = NodeFailed(identity, ended_at, command.path, command.serial, stored.error, alone, started_at)
        self._mailer.send(order.execution_id, event)

    def _closed(self, order: Order, failed: Run) -> Run:
        """The run as it ended; one without a living worker is ended now."""
        found = self._runs.get(order.execution_id, failed.path, failed.serial)
        if found is None:
            raise RetryableError("a claim was refused and is not there")
        if not found.status.open:
            return found
        if found.status is RunStatus.RUNNING and found.lease_until > failed.ended_at and self._alive(found):
            raise RetryableError("the run of a given-up order has a living worker")
        lost = replace(failed, started_at=found.started_at)
        if not self._runs.finish(order.execution_id, lost, found.owner):
            raise RetryableError("the run ended while it was being closed")
        return lost

    def _alive(self, run: Run) -> bool:
        return run.owner.split("/")[0] == self._ports.boot


def _sent(attributes: Mapping[str, str]) -> str:
    """Where the message stood in the order of sending, as far as its queue tells."""
    sent_at, number = attributes.get("SentTimestamp", ""), attributes.get("SequenceNumber", "")
    return sending_order(int(sent_at), int(number or 0)) if sent_at else ""


def _content(body: str) -> Content:
    for parse in (parse_order, parse_mail, parse_timer, parse_delivery, parse_express):
        try:
            return parse(body)
        except (InvalidEvent, UnknownMessage):
            continue
    return None
