"""Carries out what reaches beyond an execution: timers, subscriptions, events to others, children and parents.

Everything here may happen twice. Timers and subscriptions are keyed; events carry their command's id; a child's id is
made of its parent's and the token of the order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from workflow_runtime.engine.commands import (
    CancelChild,
    CancelTimer,
    Command,
    ControlChild,
    Log,
    NotifyParent,
    SendSignal,
    SetStatus,
    StartChild,
    StartTimer,
    Subscribe,
    Unsubscribe,
)
from workflow_runtime.engine.events import (
    CancelRequested,
    ChildEnded,
    ChildStarted,
    ControlEvent,
    ReopenRequested,
    ResumeRequested,
    SendFailed,
    SignalReceived,
    SuspendRequested,
)
from workflow_runtime.engine.identity import child_execution_id, child_key
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.passes import Portion
from workflow_runtime.engine.portions import part_of, runs_read
from workflow_runtime.engine.state import ExecutionState, Parent
from workflow_runtime.engine.subscriptions import subscriptions
from workflow_runtime.errors import ErrorDocument, RequestError
from workflow_runtime.plan.addresses import static_path
from workflow_runtime.plan.parts import part_plan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.policies import CallTerms
from workflow_runtime.services.dispatch.pacing import Step
from workflow_runtime.services.express import ExpressSender
from workflow_runtime.services.intake.starts import Starter
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.timers import Timers
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.stores import Stores

SENDS_MAX = 10_000  # events that executions may send each other in answer to one from outside; more is a circle

logger = logging.getLogger(__name__)
author_log = logging.getLogger("workflow_runtime.author")


class Courier:
    """``starter`` is called when the first child is started, ``express`` when the first express execution is to run."""

    def __init__(
        self,
        stores: Stores,
        mailer: Mailer,
        timers: Timers,
        starter: Callable[[], Starter],
        express: Callable[[], ExpressSender],
    ) -> None:
        self._express = express
        self._executions = stores.executions
        self._subscriptions = stores.subscriptions
        self._mailer = mailer
        self._timers = timers
        self._starter = starter
        self._part_plans: dict[tuple[str, int], Plan] = {}

    def run_express(self, execution_id: str) -> None:
        """Have an express execution run that may begin. Raises `RetryableError`."""
        self._express().send_stored(execution_id)

    def subscribe(self, plan: Plan, execution_id: str, commands: Sequence[Command]) -> None:
        """What a commit will wait for; before it, so that no event is missed."""
        new = [(each.event, each.key, each.route) for each in commands if isinstance(each, Subscribe)]
        if new:
            self._subscriptions.put(execution_id, plan.workflow_id, new)

    def unsubscribe(self, plan: Plan, state: ExecutionState, commands: Sequence[Command]) -> None:
        """What a commit waits for no more, and not again either; after everything else."""
        ended = [(each.event, each.key, each.route) for each in commands if isinstance(each, Unsubscribe)]
        if ended:
            wanted = subscriptions(plan, state.pending)
            gone = [subscription for subscription in ended if subscription not in wanted]
            self._subscriptions.delete(state.execution_id, plan.workflow_id, gone)

    def steps(
        self, plan: Plan, state: ExecutionState, commands: Sequence[Command], correlation_id: str
    ) -> Iterator[Step]:
        """Timers, children, events and log lines. What another execution is sent stays in order; who is sent an event
        by its key is not known beforehand, so that then everything does.
        """
        keyed = any(isinstance(command, SendSignal) and command.key is not None for command in commands)

        def lane(receiver: str) -> str:
            return "" if keyed else receiver

        ended = next((command for command in reversed(commands) if isinstance(command, SetStatus)), None)
        for number, command in enumerate(commands):
            match command:
                case StartTimer(timer=timer, due=due):
                    yield Step(number, timer, partial(self._timers.start, state.execution_id, timer, due))
                case CancelTimer(timer=timer, due=due):
                    yield Step(number, timer, partial(self._timers.cancel, state.execution_id, timer, due))
                case StartChild():
                    start = partial(self._start_child, plan, state, command, correlation_id)
                    yield Step(number, lane(_child(state, command)), start)
                case ControlChild():
                    yield Step(number, lane(_child(state, command)), partial(self._control_child, state, command))
                case CancelChild(token=token, workflow_id=workflow_id, reason=reason):
                    control = ControlChild(token, workflow_id, "cancel", reason)
                    yield Step(number, lane(_child(state, control)), partial(self._control_child, state, control))
                case SendSignal():
                    yield Step(number, lane(command.to), partial(self._send, state, command))
                case NotifyParent():
                    yield Step(number, lane(command.execution_id), partial(self._notify, state, command, ended))
                case Log():
                    yield Step(number, "log", partial(_log, plan, state, command))
                case _:
                    pass

    def _start_child(self, plan: Plan, state: ExecutionState, command: StartChild, correlation_id: str) -> None:
        data = unpack(self._executions.get_blob(command.blob)) if command.blob is not None else command.input
        parent = Parent(state.execution_id, command.token, command.notify, command.node, command.generation)
        if command.notify:
            parent = replace(parent, payer=_payer(plan, state))
        order = command.reopens or command.token
        if command.reopens and self._goes_on(state, command):
            return
        if command.portion is not None:
            self._start_part(plan, state, command, command.portion, parent, correlation_id)
            return
        if command.call:
            started = _child(state, command), data, state, parent, correlation_id
            terms = command.terms or CallTerms()
            self._starter().start_call(command.workflow_id, command.call, terms, *started)
            return
        try:
            child = self._starter().start(
                command.workflow_id,
                data,
                version=command.version or None,
                start_key=child_key(state.execution_id, order),
                parent=parent,
                hops=command.hops,
                correlation_id=correlation_id,
            )
        except RequestError as error:
            self._not_started(state, command, error)
        else:
            self._started(state, command, child)

    def _start_part(
        self,
        plan: Plan,
        state: ExecutionState,
        command: StartChild,
        portion: Portion,
        parent: Parent,
        correlation_id: str,
    ) -> None:
        """Start the execution that runs these passes of a loop, unless the loop is over by now."""
        part = part_of(plan, state, portion)
        if part is None:
            return
        loop = plan.numbers[static_path(portion.loop)]
        known = self._part_plans.get((plan.hash, loop))
        if known is None:
            known = self._part_plans[plan.hash, loop] = part_plan(plan, loop)
        child = _child(state, command)
        parent, runs = replace(parent, part=part), runs_read(plan, part)
        self._starter().start_part(known, child, state, parent, runs, correlation_id)

    def _goes_on(self, state: ExecutionState, command: StartChild) -> bool:
        """Have the child go on that an earlier order started; False if there is none."""
        child = _child(state, command)
        if self._executions.header(child) is None:
            return False
        if command.notify:
            identity = f"control:{state.execution_id}:{command.token}:reopen"
            by = f"execution:{state.execution_id}"
            self._mailer.send(child, ReopenRequested(identity, state.now, command.token, by))
        else:
            self._started(state, command, child)
        return True

    def _started(self, state: ExecutionState, command: StartChild, child: str) -> None:
        """Tell the node that does not wait for its end that the child is there."""
        if command.node and not command.notify:
            event = ChildStarted(f"child:{command.token}:started", state.now, command.token, child)
            self._mailer.send(state.execution_id, event)

    def _not_started(self, state: ExecutionState, command: StartChild, error: RequestError) -> None:
        if not command.node:
            message = f"`{command.workflow_id}` could not be started: {error}"
            self._failed(state, f"child:{command.token}", command.machine, message)
            return
        document = ErrorDocument.of(_START_ERRORS.get(error.code, "child_start_failed"), error.message, command.node)
        event = ChildEnded(
            f"child:{command.token}:refused",
            state.now,
            command.token,
            "",
            ExecutionStatus.FAILED.value,
            error=document,
        )
        self._mailer.send(state.execution_id, event)

    def _control_child(self, state: ExecutionState, command: ControlChild) -> None:
        child = _child(state, command)
        if self._is_open(child):
            self._mailer.send(child, _passed_on(state, command))

    def _send(self, state: ExecutionState, command: SendSignal) -> None:
        signal = SignalReceived(
            f"signal:{command.id}",
            state.now,
            command.name,
            command.data,
            blob=command.blob,
            id=command.id,
            source=f"execution:{state.execution_id}",
            key=command.key,
            hops=command.hops,
        )
        if command.key is not None:
            receivers = [subscriber.execution_id for subscriber in self._subscriptions.of(command.name, command.key)]
            where = f"nobody waits for `{command.name}` under the key {command.key!r}"
        else:
            receivers = [command.to] if self._is_open(command.to) else []
            where = f"there is no running execution {command.to!r}"
        if command.hops > SENDS_MAX:
            receivers, where = [], f"executions send each other events without end (more than {SENDS_MAX:,})"
        for receiver in receivers:
            self._mailer.send(receiver, signal)
        if not receivers:
            self._failed(state, f"send:{command.id}", command.machine, f"`{command.name}` was not sent: {where}")

    def _is_open(self, execution_id: str) -> bool:
        header = self._executions.header(execution_id) if execution_id else None
        return header is not None and not header.status.terminal

    def _failed(self, state: ExecutionState, identity: str, machine: str, message: str) -> None:
        self._mailer.send(state.execution_id, SendFailed(identity, state.now, machine, message))

    def _notify(self, state: ExecutionState, command: NotifyParent, ended: SetStatus | None) -> None:
        """``ended``: None of an execution that had ended before, as its header says."""
        output, blob = self._executions.output_to_send(state.execution_id, ended)
        reopened = f":{state.attempt}" if state.attempt > 1 else ""
        event = ChildEnded(
            f"child:{state.execution_id}{reopened}",
            state.now,
            command.token,
            state.execution_id,
            state.status.value,
            output=output,
            blob=blob,
            error=state.error,
            failed_passes=state.failed_passes,
        )
        self._mailer.send(command.execution_id, event)


def _payer(plan: Plan, state: ExecutionState) -> str:
    """The execution that pays for the models of one that this one awaits, if any does."""
    if plan.limits.budget is not None or plan.limits.executions:
        return state.execution_id
    return state.parent.payer if state.parent is not None else ""


_START_ERRORS = {"not_found": "not_found", "invalid_input": "validation_error"}
"""What refusals of a start are to the node, by their codes; all others are ``child_start_failed``."""


def _child(state: ExecutionState, command: StartChild | ControlChild) -> str:
    """The execution that an order starts, or has go on, or is about."""
    order = command.reopens if isinstance(command, StartChild) else ""
    return child_execution_id(state.execution_id, order or command.token, command.workflow_id)


def _log(plan: Plan, state: ExecutionState, command: Log) -> None:
    fields = {"execution_id": state.execution_id, "workflow_id": plan.workflow_id}
    author_log.log(getattr(logging, command.level.upper(), logging.INFO), "%s", command.message, extra=fields)


def _passed_on(state: ExecutionState, command: ControlChild) -> ControlEvent:
    """A request as the child receives it. What a suspension suspended is resumed by its end alone."""
    identity, by = f"control:{state.execution_id}:{command.token}", f"execution:{state.execution_id}"
    suspension = f"{identity}:suspend:{command.suspension}"
    match command.operation:
        case "suspend":
            return SuspendRequested(suspension, state.now, by, command.reason)
        case "resume":
            return ResumeRequested(f"{identity}:resume:{command.suspension}", state.now, by, command.reason, suspension)
        case _:
            return CancelRequested(f"{identity}:{state.version}:cancel", state.now, by, command.reason)
