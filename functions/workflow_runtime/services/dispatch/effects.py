"""Carries out the commands of a commit. Everything here may happen twice, so everything here is recognised when it
does.

Order matters: records first (workers read them), then what makes others move, the header, bus events, and last of all
the journal entry, which says that all of it was sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.metrics import LIFECYCLE, Metric
from workflow_runtime.deployment.topology import CUSTOM_SOURCE, LIFECYCLE_SOURCE
from workflow_runtime.engine.applied import APPLIED_MS
from workflow_runtime.engine.commands import (
    AskApproval,
    CancelRun,
    CloseTask,
    Command,
    Continue,
    HoldEvent,
    OrderAgain,
    PublishEvent,
    Read,
    RecordNode,
    ReplaceVariables,
    RunNode,
    SetStatus,
    StopRun,
    UpdateApproval,
)
from workflow_runtime.engine.events import (
    EventReturned,
    HeldEvent,
    NodeFailed,
    Poked,
    SendFailed,
    run_event_id,
)
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import ErrorDocument, RetryableError
from workflow_runtime.invokers.invocation import origin
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import BusEvent, Key, Ports, Refusal
from workflow_runtime.services.dispatch.closing import DISPATCHER, Closing
from workflow_runtime.services.dispatch.outbound import Courier
from workflow_runtime.services.dispatch.pacing import Step, TimeBudget, carry_out
from workflow_runtime.services.lifecycle import lifecycle_detail
from workflow_runtime.services.limits.starts import StartAdmission
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.orders import ORDERS_MAX, OpenOrders, RefusedOrder, send_orders
from workflow_runtime.services.tally import Tally
from workflow_runtime.storage import keys
from workflow_runtime.storage.records import Header, Run, RunStatus, StoredState, Tags
from workflow_runtime.storage.runs import Copied
from workflow_runtime.storage.stores import Stores

EVENT_SCHEMA_VERSION = 1  # of the details described in events/schemas

logger = logging.getLogger(__name__)


class Publisher:
    """``count`` takes metrics; ``pools``: those that have a queue; ``budget``: what is left of the invocation;
    ``starts`` takes back what executions held of limiters; ``tally``, if there is one, counts by workflow."""

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        mailer: Mailer,
        courier: Courier,
        count: Callable[[str, int], None],
        pools: Collection[str],
        budget: TimeBudget,
        starts: StartAdmission,
        tally: Tally | None = None,
    ) -> None:
        self._ports = ports
        self._stores = stores
        self._starts = starts
        self._tally = tally
        self._orders = OpenOrders(ports, stores, pools)
        self._executions = stores.executions
        self._runs = stores.runs
        self._mailer = mailer
        self._courier = courier
        self._closing = Closing(stores, mailer)
        self._count = count
        self._pools = pools
        self._budget = budget

    def publish(
        self, plan: Plan, state: ExecutionState, entry: JournalEntry, tags: Tags, *, again: bool = False
    ) -> None:
        """Carry out what ``entry`` ordered, then write it to the journal. Raises `RetryableError`. ``again``: somebody
        else has begun to; what is known to be done is not done twice.
        """
        done = self._executions.progress(state.execution_id, entry.commit_id) if again else set()
        known = len(done)
        try:
            self._publish(plan, state, entry, tags, done)
        except RetryableError:
            if len(done) > known:
                self._executions.keep_progress(state.execution_id, entry.commit_id, done)
            raise
        if entry.applied:  # while the entry is missing, the commit itself tells what it took
            self._stores.applied.put(state.execution_id, entry.applied, state.now + APPLIED_MS)
        self._executions.mark_published(state.execution_id, entry)
        if state.status.terminal and not (state.backlog or state.withdrawn or state.unannounced):
            self._stores.due.remove(state.execution_id, tags.due_since)
        if self._ports.traces is not None:
            from workflow_runtime.services.tracing.exporting import export_commit  # few deployments have a collector

            records = [_run_of(command) for command in entry.commands if isinstance(command, RecordNode)]
            has_ended = state.status.terminal and any(isinstance(command, SetStatus) for command in entry.commands)
            export_commit(self._ports, plan, state, tags.correlation_id, records, has_ended=has_ended)

    def _publish(self, plan: Plan, state: ExecutionState, entry: JournalEntry, tags: Tags, done: set[int]) -> None:
        """That an execution runs, goes on, or undoes things after all, is written before what it orders: workers begin
        nothing of one that has ended or is suspended.
        """
        commands = entry.commands
        statuses = [command for command in commands if isinstance(command, SetStatus)]
        is_first = bool(statuses) and state.status in (ExecutionStatus.RUNNING, ExecutionStatus.COMPENSATING)
        if is_first:
            self._executions.set_status(_header(plan, state), statuses, entry.version)
        records = [command for command in commands if isinstance(command, RecordNode)]
        if records:
            self._runs.record(state.execution_id, [*map(_run_of, records)], _copied(plan, state.execution_id, records))
        self._carry_out(self._closings(plan, state, commands), done)
        if held := {command.event_id: command.number for command in commands if isinstance(command, HoldEvent)}:
            self._stores.held.put(state.execution_id, _events_to_hold(entry, held))
        orders = [command for command in commands if isinstance(command, RunNode)]
        for refused in send_orders(self._ports, self._pools, state, orders, tags.correlation_id):
            self._order_refused(state, refused)
        self._carry_out(self._asked(plan, state, entry), done)  # before the event that tells people
        self._carry_out(self._courier.steps(plan, state, commands, tags.correlation_id), done)
        if any(isinstance(command, Continue) for command in commands):
            self._mailer.send(state.execution_id, Poked(f"cmd:{state.execution_id}:{entry.version}", state.now))
        if statuses and not is_first:
            self._executions.set_status(_header(plan, state), statuses, entry.version)
            if state.status.terminal:
                self._starts.give_back(plan, state)
            elif state.status is ExecutionStatus.SUSPENDED:
                self._leave_lines(state.execution_id)
        if any(command.reopened for command in statuses) and not state.status.terminal:
            self._starts.keep(plan, state)
        if any(isinstance(command, OrderAgain) for command in commands):  # after the status, at which workers look
            self._order_again(StoredState(state, entry, False, tags))
        self._publish_events(plan, state, commands, tags.correlation_id)
        self._courier.unsubscribe(plan, state, commands)
        if returned := [event.number for event in entry.events if isinstance(event, EventReturned)]:
            self._stores.held.delete(state.execution_id, [number for number in returned if number < state.held_first])

    def _carry_out(self, steps: Iterable[Step], done: set[int]) -> None:
        carry_out(steps, done, self._budget, self._ports.together)

    def _closings(self, plan: Plan, state: ExecutionState, commands: Sequence[Command]) -> Iterator[Step]:
        """What ends runs, and variables that are replaced before anything reads them."""
        for number, command in enumerate(commands):
            match command:
                case CancelRun():
                    close = partial(self._closing.cancel, state, command)
                    yield Step(number, f"{command.path}#{command.serial}", close)
                case StopRun():
                    close = partial(self._closing.stop, plan, state, command)
                    yield Step(number, f"{command.path}#{command.serial}", close)
                case ReplaceVariables():
                    replace_variables = partial(self._executions.replace_variables, state.execution_id, command)
                    yield Step(number, "variables", replace_variables)
                case _:
                    pass

    def _asked(self, plan: Plan, state: ExecutionState, entry: JournalEntry) -> Iterator[Step]:
        """What people and other systems are asked, or no longer."""
        approvals: dict[int, dict[int, AskApproval | UpdateApproval]] = {}  # each with its commands, by their places
        for number, command in enumerate(entry.commands):
            if isinstance(command, CloseTask):
                close = partial(self._stores.tasks.close, command.task, command.reason, command.at)
                yield Step(number, f"task {command.task}", close)
            elif isinstance(command, AskApproval | UpdateApproval):
                approvals.setdefault(command.approval, {})[number] = command
        for approval, own in approvals.items():
            note = partial(self._stores.approvals.note, _header(plan, state), entry.version, list(own.values()))
            yield Step(min(own), f"approval {approval}", note)

    def _leave_lines(self, execution_id: str) -> None:
        """What stands in lines is ordered again when the execution is resumed, and is in its place again then."""
        for run, _ in self._runs.list_held(execution_id):
            if run.status is RunStatus.WAITING:
                released = replace(run, status=RunStatus.RELEASED, limiter="", limiter_key="", place="")
                if self._runs.finish(execution_id, released, run.owner):
                    self._closing.leave(run)

    def _order_again(self, stored: StoredState) -> None:
        """Send what no worker has begun; what is too much for now is left to the next sweep."""
        if self._orders.send_unbegun(stored) == ORDERS_MAX:
            self._stores.due.hasten(stored.state.execution_id, self._ports.clock.now())

    def _order_refused(self, state: ExecutionState, refused: RefusedOrder) -> None:
        """An order that no queue takes is a dead letter, and a failure of the node.

        The failure is recorded as the run first: formulas may read it, and if an earlier sending was taken after all, a
        worker has the run and reports it.
        """
        command = refused.command
        identity = run_event_id(command.path, command.serial)
        self._stores.dead_letters.put(state.execution_id, identity, refused.reason, refused.body, state.now)
        self._count(Metric.DEAD_LETTERS, 1)
        error = ErrorDocument.of("execution_error", f"the node could not be ordered: {refused.reason}", command.path)
        failed = Run.failed(
            command.path, command.serial, DISPATCHER, state.now, error, attempt=command.attempt, order=command
        )
        if not self._runs.claim(state.execution_id, failed):
            stored = self._runs.get(state.execution_id, command.path, command.serial)
            if stored is None or stored.owner != DISPATCHER or stored.error is None:
                return
        event = NodeFailed(identity, state.now, command.path, command.serial, error, command)
        self._mailer.send(state.execution_id, event)

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
            self._stores.dead_letters.put(
                state.execution_id, f"bus:{state.version}:{refusal.index}", refusal.reason, entry.detail, state.now
            )
            self._count(Metric.DEAD_LETTERS, 1)
            self._publication_failed(state, events[refusal.index], refusal)
        for event in events:
            if not event.custom and event.detail_type in LIFECYCLE:
                self._count(LIFECYCLE[event.detail_type], 1)
                if self._tally is not None:
                    self._tally.lifecycle(plan.workflow_id, event.detail_type, state.now - state.started_at)

    def _publication_failed(self, state: ExecutionState, event: PublishEvent, refusal: Refusal) -> None:
        """Tell the chart whose action published the event; nobody published what the runtime says of itself."""
        if event.custom:
            identity = f"publish:{state.execution_id}:{state.version}:{refusal.index}"
            message = f"publish_event: the bus refused `{event.detail_type}`: {refusal.reason}"
            self._mailer.send(state.execution_id, SendFailed(identity, state.now, event.machine, message))


def _events_to_hold(entry: JournalEntry, numbers: Mapping[str, int]) -> Iterator[tuple[int, HeldEvent]]:
    """Of the events of a commit those that are held, by id, each once."""
    for event in {event.event_id: event for event in entry.events}.values():
        if event.event_id in numbers and isinstance(event, HeldEvent):
            yield numbers[event.event_id], event


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


def _copied(plan: Plan, execution_id: str, records: Sequence[RecordNode]) -> dict[int, Copied]:
    """What these records have of others, by their place."""

    def key(read: Read | None) -> Key | None:
        return keys.run(execution_id, read.path(plan), read.serial) if read is not None else None

    return {
        place: Copied(key(record.output_of), key(record.inputs_of))
        for place, record in enumerate(records)
        if record.output_of is not None or record.inputs_of is not None
    }


def _run_of(command: RecordNode) -> Run:
    path, serial, at = command.path, command.serial, command.at
    if command.skipped:
        return Run.skipped(path, serial, DISPATCHER, command.warnings)
    if command.error is not None:
        return Run.failed(
            path,
            serial,
            DISPATCHER,
            at,
            command.error,
            started_at=command.started_at,
            attempt=command.attempt,
            handled=command.handled,
            fallback_error=command.fallback_error,
            child=command.child,
            warnings=command.warnings,
            inputs=command.inputs,
            inputs_blob=command.inputs_blob,
        )
    return Run.succeeded(
        path,
        serial,
        DISPATCHER,
        at,
        started_at=command.started_at,
        output=command.output,
        output_blob=command.blob,
        attempt=command.attempt,
        inputs=command.inputs,
        inputs_blob=command.inputs_blob,
        given=command.given,
        fallback_used=command.fallback_used,
        child=command.child,
        warnings=command.warnings,
        passes=command.passes,
    )


def _header(plan: Plan, state: ExecutionState) -> Header:
    return Header(
        execution_id=state.execution_id,
        workflow_id=plan.workflow_id,
        workflow_version=state.workflow_version,
        plan_hash=state.plan_hash,
        status=state.status,
        started_at=state.started_at,
    )
