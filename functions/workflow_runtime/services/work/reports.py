"""In the worker: telling the mailbox, the log, the metrics and the tracer how runs ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.metrics import AttemptEnded
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import Event, NodeFailed, NodeSucceeded, NodeYielded, run_event_id
from workflow_runtime.errors import RetryableError
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, ToolSpec
from workflow_runtime.ports import Ports
from workflow_runtime.services.messages import Order, mail_message
from workflow_runtime.services.results import success_of
from workflow_runtime.services.work.under_way import Attempt, ids_of
from workflow_runtime.storage.records import Run, RunStatus

EVENTS_MAX = 10  # in one message
EVENTS_BYTES_MAX = 64 * 1024  # together, unless one has more: SQS charges for each 64 KB, so that more saves nothing

logger = logging.getLogger(__name__)


class _Mail:
    """What several tell a mailbox with one request, until it is sent."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_sent = False
        self.is_over = False
        self.error: Exception | None = None


class _Channel:
    """What a process tells the mailbox of one execution: one request is under way at a time, and what comes meanwhile
    goes with the next one. So nothing waits for company, and of many nodes that end together most have it.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.next = _Mail()
        self.users = 0


class Reports:
    """``attempt_ended`` is told what each attempt was."""

    def __init__(self, ports: Ports, new_id: Callable[[], str], attempt_ended: Callable[[AttemptEnded], None]) -> None:
        self._ports = ports
        self._new_id = new_id
        self._attempt_ended = attempt_ended
        self._channels: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Channel]] = WeakKeyDictionary()

    async def send(self, execution_id: str, events: Sequence[Event]) -> None:
        """Tell the mailbox what happened, with what others tell it by then. Raises `RetryableError`."""
        channels = self._channels.setdefault(asyncio.get_running_loop(), {})
        channel = channels.setdefault(execution_id, _Channel())
        mail = channel.next
        mail.events += events
        channel.users += 1
        try:
            await asyncio.sleep(0)  # who has ended in the same moment comes along
            if not mail.is_over:
                async with channel.lock:
                    if not mail.is_sent:
                        channel.next = _Mail()
                        await self._send_mail(execution_id, mail, is_shared=channel.users > 1)
        finally:
            channel.users -= 1
            if not channel.users:
                channels.pop(execution_id, None)
        if mail.error is not None:
            raise mail.error

    async def _send_mail(self, execution_id: str, mail: _Mail, *, is_shared: bool) -> None:
        mail.is_sent, mail.error = True, RetryableError("whoever was sending it was interrupted")
        try:
            await self._ports.offload(self._send_for_all if is_shared else self.send_now, execution_id, mail.events)
            mail.error = None
        except Exception as error:
            mail.error = error
        finally:
            mail.is_over = True

    def _send_for_all(self, execution_id: str, events: Sequence[Event]) -> None:
        """As `send_now`, without waiting for what is written elsewhere: many wait for this."""
        with self._ports.grouped():
            self.send_now(execution_id, events)

    def send_now(self, execution_id: str, events: Sequence[Event]) -> None:
        """The same at once, and in any thread."""
        messages = [
            mail_message(execution_id, part[0], self._new_id(), tuple(part[1:])) for part in _messages_of(events)
        ]
        refusals = self._ports.queues.send(DISPATCH, messages)
        if refusals:
            raise RetryableError(f"the result was refused: {refusals[0].reason}")

    def tell_of_end(self, order: Order, plan: Plan, ended: Run) -> None:
        """In the log and the metrics."""
        milliseconds, error = ended.ended_at - ended.started_at, ended.error.type if ended.error is not None else None
        node = node_of(plan, ended.path)
        if node is not None and ended.status is not RunStatus.CANCELLED:
            goes_on = ended.yielded is not None and not ended.yielded.task  # a run that waits for a token is the last
            self._attempt_ended(
                AttemptEnded(
                    plan.workflow_id,
                    node.type,
                    _target(node),
                    ended.attempt,
                    milliseconds,
                    error,
                    ended.usage,
                    goes_on,
                )
            )
        if logger.isEnabledFor(logging.INFO):
            fields = {"status": ended.status, "ms": milliseconds, "attempt": ended.attempt}
            told = {"error": error} if error is not None else {}
            logger.info("node ended", extra={**ids_of(order), **fields, **told})

    async def trace(self, attempt: Attempt, ended: Run) -> None:
        """To the tracer, if the deployment has one."""
        if self._ports.traces is None:
            return
        from workflow_runtime.services.tracing.exporting import export_attempt  # few deployments have a collector

        order, steps = attempt.order, attempt.steps.made if attempt.steps is not None else ()
        await self._ports.offload(
            export_attempt, self._ports, attempt.plan, order.execution_id, ended, order.command.visit, steps
        )


def _messages_of(events: Sequence[Event]) -> list[list[Event]]:
    """The events, in order, as messages take them. A failure holds its order, which may be large: what fits into a
    message alone must not be refused for what it comes with."""
    messages: list[list[Event]] = []
    room = 0
    for event in events:
        size = len(msgspec.json.encode(event))
        if not messages or len(messages[-1]) == EVENTS_MAX or size > room:
            messages.append([])
            room = EVENTS_BYTES_MAX
        messages[-1].append(event)
        room -= size
    return messages


def after_loss(command: RunNode) -> RunNode:
    """An order whose attempt was lost with its worker, as it may be ordered again. Whose code ended the process is not
    known, so each attempt that was in it goes on alone: the guilty one takes no others with it again.
    """
    return replace(command, alone=True)


def result_event(order: Order, plan: Plan, run: Run) -> Event:
    """What the mailbox is told of a run that has ended, or yielded."""
    event_id = run_event_id(run.path, run.serial)
    if run.yielded is not None:
        yielded = run.yielded
        return NodeYielded(
            event_id,
            run.ended_at,
            run.path,
            run.serial,
            yielded.task,
            yielded.timeout,
            yielded.heartbeat,
            run.attempt,
            run.started_at,
            yielded.waits,
            yielded.steps,
        )
    if run.error is not None:
        command = after_loss(order.command) if run.error.type == "worker_lost" else order.command
        return NodeFailed(event_id, run.ended_at, run.path, run.serial, run.error, command, run.started_at)
    if order.command.reads_file:
        return NodeSucceeded(event_id, run.ended_at, run.path, run.serial, run.items, True)
    return success_of(plan, run)


def _target(node: NodePlan) -> str:
    """The agent or tool that a node runs; "" if it runs neither, or a formula says which."""
    target = node.spec.target if isinstance(node.spec, (AgentSpec, ToolSpec)) else ""
    return target if isinstance(target, str) else ""
