"""Carries out the commands of a commit. Everything here may happen twice, so everything here is recognised when it
does.

Order matters: records first (workers read them), then what makes others move, the header, bus events, and last of all
the journal entry, which says that all of it was sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import msgspec

from workflow_runtime.deployment.metrics import LIFECYCLE, Metric
from workflow_runtime.deployment.topology import CUSTOM_SOURCE, DISPATCH, LIFECYCLE_SOURCE, serving_queue
from workflow_runtime.engine.commands import CancelRun, Command, Continue, PublishEvent, RecordNode, RunNode, SetStatus
from workflow_runtime.engine.events import Event, NodeFailed, Poked, run_event_id
from workflow_runtime.engine.replay import JournalEntry
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import ErrorDocument, RetryableError
from workflow_runtime.invokers.invocation import origin
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import BusEvent, Message, Ports, Refusal
from workflow_runtime.services.dispatch.outbound import Courier
from workflow_runtime.services.messages import Order, mail_message, order_message
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.records import Header, Run
from workflow_runtime.storage.runs import RunStore

EVENT_SCHEMA_VERSION = 1  # of the details described in events/schemas
DISPATCHER = "dispatcher"  # owner of runs that no worker runs

logger = logging.getLogger(__name__)


class Publisher:
    """``new_id`` gives a fresh identity per invocation; ``count`` takes metrics; ``pools`` have a queue."""

    def __init__(
        self,
        ports: Ports,
        executions: ExecutionStore,
        runs: RunStore,
        courier: Courier,
        new_id: Callable[[], str],
        count: Callable[[str, int], None],
        pools: Collection[str],
    ) -> None:
        self._ports = ports
        self._executions = executions
        self._runs = runs
        self._courier = courier
        self._new_id = new_id
        self._count = count
        self._pools = pools

    def publish(self, plan: Plan, state: ExecutionState, entry: JournalEntry, correlation_id: str) -> None:
        """Carry out what ``entry`` ordered, then write it to the journal. Raises `RetryableError`."""
        commands = entry.commands
        records = [_run_of(command) for command in commands if isinstance(command, RecordNode)]
        if records:
            self._runs.record(state.execution_id, records)
        for command in commands:
            if isinstance(command, CancelRun):
                self._runs.claim(state.execution_id, _cancelled(state, command))
        orders = [command for command in commands if isinstance(command, RunNode)]
        self._send_orders(state, orders, correlation_id)
        self._courier.carry_out(plan, state, commands, correlation_id)
        if any(isinstance(command, Continue) for command in commands):
            self._mail(state, Poked(f"cmd:{state.execution_id}:{entry.version}", state.now))
        statuses = [command for command in commands if isinstance(command, SetStatus)]
        if statuses:
            self._executions.set_status(_header(plan, state), statuses[-1], entry.version)
        self._publish_events(plan, state, commands, correlation_id)
        self._courier.unsubscribe(plan, state, commands)
        self._executions.mark_published(state.execution_id, entry)

    def _send_orders(self, state: ExecutionState, commands: list[RunNode], correlation_id: str) -> None:
        by_pool: dict[str, list[RunNode]] = {}
        for command in commands:
            by_pool.setdefault(command.pool, []).append(command)
        for pool, ordered in by_pool.items():
            messages = [
                order_message(
                    Order(
                        state.execution_id,
                        state.plan_hash,
                        state.workflow_version,
                        state.started_at,
                        command,
                        state.hops,
                        correlation_id,
                    )
                )
                for command in ordered
            ]
            for refusal in self._ports.queues.send(serving_queue(pool, self._pools), messages):
                self._order_refused(state, ordered[refusal.index], messages[refusal.index], refusal)

    def _order_refused(self, state: ExecutionState, command: RunNode, message: Message, refusal: Refusal) -> None:
        """An order that no queue takes is a dead letter, and a failure of the node.

        The failure is recorded as the run first: formulas may read it, and if an earlier sending was taken after all, a
        worker has the run and reports it.
        """
        identity = run_event_id(command.path, command.serial)
        self._executions.bury(state.execution_id, identity, refusal.reason, message.body, state.now)
        self._count(Metric.DEAD_LETTERS, 1)
        error = ErrorDocument.of("execution_error", f"the node could not be ordered: {refusal.reason}", command.path)
        if not self._runs.claim(state.execution_id, _refused(state, command, error)):
            stored = self._runs.get(state.execution_id, command.path, command.serial)
            if stored is None or stored.owner != DISPATCHER or stored.error is None:
                return
        self._mail(state, NodeFailed(identity, state.now, command.path, command.serial, error, command))

    def _mail(self, state: ExecutionState, event: Event) -> None:
        refusals = self._ports.queues.send(DISPATCH, [mail_message(state.execution_id, event, self._new_id())])
        if refusals:
            raise RetryableError(f"the own mailbox refused an event: {refusals[0].reason}")

    def _publish_events(
        self, plan: Plan, state: ExecutionState, commands: tuple[Command, ...], correlation_id: str
    ) -> None:
        events = [command for command in commands if isinstance(command, PublishEvent)]
        if not events:
            return
        entries = [_bus_event(plan, state, event, correlation_id) for event in events]
        for refusal in self._ports.bus.publish(entries):
            entry = entries[refusal.index]
            logger.error("the bus refused an event", extra={"reason": refusal.reason, "detail_type": entry.detail_type})
            self._executions.bury(
                state.execution_id, f"bus:{state.version}:{refusal.index}", refusal.reason, entry.detail, state.now
            )
            self._count(Metric.DEAD_LETTERS, 1)
        for event in events:
            if not event.custom and event.detail_type in LIFECYCLE:
                self._count(LIFECYCLE[event.detail_type], 1)


def _bus_event(plan: Plan, state: ExecutionState, event: PublishEvent, correlation_id: str) -> BusEvent:
    if event.custom:
        detail = {**event.detail, **origin(state.execution_id, plan.workflow_id, event.hops, correlation_id)}
        return BusEvent(CUSTOM_SOURCE, event.detail_type, msgspec.json.encode(detail).decode())
    detail = {
        "schema_version": EVENT_SCHEMA_VERSION,
        "execution_id": state.execution_id,
        "workflow_id": plan.workflow_id,
        "workflow_version": state.workflow_version,
        "correlation_id": correlation_id,
        **lifecycle_detail(event),
    }
    return BusEvent(LIFECYCLE_SOURCE, event.detail_type, msgspec.json.encode(detail).decode())


def lifecycle_detail(event: PublishEvent) -> dict[str, Json]:
    """What a lifecycle event says, apart from whose it is."""
    return {name: iso_time(value) if name in ("at", "started_at") else value for name, value in event.detail.items()}


def _run_of(command: RecordNode) -> Run:
    return Run(
        path=command.path,
        serial=command.serial,
        status="success" if command.error is None else "failed",
        owner=DISPATCHER,
        started_at=command.at,
        ended_at=command.at,
        output=command.output,
        output_blob=command.blob,
        error=command.error,
        handled=command.handled,
    )


def _cancelled(state: ExecutionState, command: CancelRun) -> Run:
    return Run(
        path=command.path,
        serial=command.serial,
        status="cancelled",
        owner=DISPATCHER,
        started_at=state.now,
        ended_at=state.now,
    )


def _refused(state: ExecutionState, command: RunNode, error: ErrorDocument) -> Run:
    return Run(
        path=command.path,
        serial=command.serial,
        status="failed",
        owner=DISPATCHER,
        attempt=command.attempt,
        started_at=state.now,
        ended_at=state.now,
        error=error,
    )


def _header(plan: Plan, state: ExecutionState) -> Header:
    return Header(
        execution_id=state.execution_id,
        workflow_id=plan.workflow_id,
        workflow_version=state.workflow_version,
        plan_hash=state.plan_hash,
        status=state.status.value,
        started_at=state.started_at,
    )
