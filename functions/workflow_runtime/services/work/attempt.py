"""One attempt of a node whose run is claimed: read what it needs, run it within its timeout, record how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from workflow_runtime.engine.graph.work import OUTPUTS_PATH
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.values.evaluation import doubt_text
from workflow_runtime.engine.values.outputs import scope_output
from workflow_runtime.errors import ErrorDocument, InvalidEvent, NodeError, RetryableError
from workflow_runtime.invokers.containment import node_failure
from workflow_runtime.invokers.gate import OverBudget
from workflow_runtime.invokers.invocation import Invoker, NodeCall, NodeResult, asked_of
from workflow_runtime.invokers.masking import Mask
from workflow_runtime.plan.formulas import BindingKind
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.specs import LoopSpec, NodeType
from workflow_runtime.ports import EffectRefused, Ports
from workflow_runtime.ports.calls import Begun
from workflow_runtime.sdk import Pending
from workflow_runtime.services.items.reading import ItemReader
from workflow_runtime.services.limits.admission import Admission, Admitted
from workflow_runtime.services.limits.gates import Gates
from workflow_runtime.services.patience import patiently
from workflow_runtime.services.work.agent_runs import AgentRuns
from workflow_runtime.services.work.callbacks import left_open
from workflow_runtime.services.work.collecting import PassCollector, decided
from workflow_runtime.services.work.deciding import is_fresh, order_to_keep, with_callers_inputs
from workflow_runtime.services.work.masked import aside, error_of, notes, with_inputs
from workflow_runtime.services.work.orders import Orders, refers_elsewhere
from workflow_runtime.services.work.outbox import Outbox
from workflow_runtime.services.work.reading import Reading
from workflow_runtime.services.work.rendering import Rendering, view_of
from workflow_runtime.services.work.under_way import Attempt, Suspended, ids_of
from workflow_runtime.storage.outbox import Commit
from workflow_runtime.storage.records import STOP, Run, RunStatus
from workflow_runtime.storage.stores import Stores

LEASE_SECONDS = 90  # how long a silent worker is believed to live
RENEWAL_SECONDS = 30  # a third of the lease: two renewals may fail
TIMEOUT_MARGIN_SECONDS = 20  # of the function's own timeout, for reading and recording

logger = logging.getLogger(__name__)


class Secrets(Protocol):
    """Where ``${secrets.NAME}`` comes from. Raises `NodeError` (``not_found``) for a name it does not have."""

    def get(self, name: str) -> str: ...


class AttemptRunner:
    """Runs and records claimed runs. ``invokers`` run agents and tools; ``function_timeout_seconds`` is the Lambda's
    own.
    """

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        invokers: Mapping[NodeType, Invoker],
        secrets: Secrets,
        function_timeout_seconds: int,
        admission: Admission,
        gates: Gates,
        outbox: Outbox,
    ) -> None:
        self._ports = ports
        self._outbox = outbox
        self._admission = admission
        self._gates = gates
        self._invokers = invokers
        self._secrets = secrets
        self._timeout_max = function_timeout_seconds - TIMEOUT_MARGIN_SECONDS
        self._agents = AgentRuns(ports, stores, self._timeout_max, LEASE_SECONDS, outbox)
        self._runs = stores.runs
        self._orders = Orders(stores)
        self._reading = Reading(ports, stores)
        self._passes = PassCollector(ports, stores)
        self._items = ItemReader(ports, stores)

    async def outcome(self, attempt: Attempt) -> Run | None:
        """Read and run a claimed run: how it ended, as it is to be recorded. None once a renewal finds that it is not
        ours any more, because it was cancelled or given up for lost; then it is stopped.

        Raises `RetryableError`, `InvalidEvent` and `Suspended` when it could not even begin; then its claim is given
        up.
        """
        try:
            begun = Begun(self._outcome(attempt))
            return await self._while_ours(attempt, begun) if begun.waits else begun.result
        except TimeoutError:  # of the lease: errors of the node are part of the outcome
            return None
        except (RetryableError, InvalidEvent, Suspended):
            await self._release(attempt)
            raise

    async def _while_ours(self, attempt: Attempt, begun: Begun[Run | None]) -> Run | None:
        """The outcome of an attempt that waits, whose lease is renewed meanwhile. Raises `TimeoutError` once lost."""
        lease = asyncio.timeout(None)
        until_renewal = max(RENEWAL_SECONDS - attempt.segment.seconds_held(self._ports.clock.now()), 0)
        renewal = self._ports.clock.later(until_renewal, partial(self._renew, attempt, lease))
        try:
            async with lease:
                return await begun.rest()
        finally:
            renewal.cancel()

    async def record(self, attempt: Attempt, ended: Run) -> tuple[bool, Run]:
        """Record how the run ended, with what its worker goes on with: whether it was still ours, and how it
        is recorded. An output that cannot be stored is a failure."""
        execution_id, owner = attempt.order.execution_id, attempt.claimed.owner
        try:
            return await self._finish(execution_id, ended, owner, attempt.commit)
        except (NodeError, ValueError) as error:
            attempt.commit = None
            message = error.message if isinstance(error, NodeError) else "the result does not fit into the table"
            type = error.type if isinstance(error, EffectRefused) else "too_large"
            document = ErrorDocument.of(type, attempt.mask.text(message), ended.path)
            order = order_to_keep(attempt.plan, attempt.order.command, fresh=True)
            failed = replace(
                ended, status=RunStatus.FAILED, output=None, error=document, order=order, next=None, yielded=None
            )
            return await self._finish(execution_id, failed, owner)

    async def _finish(
        self, execution_id: str, ended: Run, owner: str, commit: Commit | None = None
    ) -> tuple[bool, Run]:
        """Record the end of a run that is still ours, and with it ``commit``; if it was told to stop meanwhile, nothing
        follows it in place."""
        if await patiently(self._ports, self._runs.end, execution_id, ended, owner, commit):
            return True, ended
        if owner.endswith(STOP):
            return False, ended
        stopped = replace(ended, next=None)
        recorded = await patiently(self._ports, self._runs.finish, execution_id, stopped, owner + STOP, commit)
        return recorded, stopped if recorded else ended

    async def _release(self, attempt: Attempt) -> None:
        """Give up the claim of a run that could not even begin, so that its order can be carried out when it comes
        again.
        """
        released = replace(attempt.claimed, status=RunStatus.RELEASED)
        with suppress(RetryableError):  # then the lease runs out, and the engine grants another attempt
            await self._ports.offload(self._runs.end, attempt.order.execution_id, released, attempt.claimed.owner)

    async def _outcome(self, attempt: Attempt) -> Run | None:
        """How the run ended, as it will be recorded; None if it is not ours any more."""
        is_long = attempt.claimed.in_place and attempt.is_agent  # and watched by people, who need its record
        if is_long and not await self._ports.offload(self.set_up, attempt, attempt.claimed.lease_until):
            return None
        claimed = attempt.claimed
        try:
            running = await self._prepare(attempt)
            if not running:
                return replace(claimed, status=RunStatus.CANCELLED, ended_at=self._ports.clock.now())
            result = await self._run_within_timeout(attempt)
            attempt.commit = await self._outbox.commit(attempt.order.execution_id, attempt.pool, result.to_commit)
            if result.goes_on:
                ended = await self._agents.run_that_goes_on(attempt, result)
                return self._finished(attempt, ended)
            output = await aside(attempt.mask, attempt.mask.value, result.output)
            claimed = replace(claimed, passes=attempt.order.command.passes)
            ended = replace(claimed, status=RunStatus.SUCCESS, output=output)
            if attempt.order.command.reads_file:
                ended = replace(ended, output=None, items=output)
            if result.pending is not None:
                ended = left_open(attempt.plan, attempt.node, result.pending, attempt.token.value, claimed)
            ended = await with_inputs(attempt, replace(ended, warnings=result.warnings))
            if attempt.sessions is not None and result.said is not None:
                await attempt.sessions.propose(result.said)
        except (RetryableError, InvalidEvent, Suspended):
            raise
        except Exception as error:
            attempt.commit = None
            order = order_to_keep(attempt.plan, attempt.order.command, fresh=is_fresh(error))
            ended = replace(claimed, status=RunStatus.FAILED, error=error_of(attempt, error), order=order)
            ended = await with_inputs(attempt, ended)
        return self._finished(attempt, ended)

    def _finished(self, attempt: Attempt, ended: Run) -> Run:
        """The run with what there is to say of it however it ended."""
        noted = attempt.rendering
        doubts = [doubt_text(comparison) for comparison in noted.doubts] if noted is not None else []
        return replace(
            ended,
            ended_at=self._ports.clock.now(),
            unresolved=notes(attempt.mask, noted.unresolved if noted is not None else ()),
            warnings=notes(attempt.mask, [*attempt.order.command.warnings, *doubts, *ended.warnings]),
            usage=attempt.meter.usage,
            asked=attempt.meter.asked,
            told=attempt.sessions.told if attempt.sessions is not None else None,
        )

    async def _prepare(self, attempt: Attempt) -> bool:
        """Read what is not known yet; False when the execution no longer runs. Raises `Suspended`."""
        plan = attempt.plan
        order, node = attempt.order, attempt.node
        if refers_elsewhere(order):
            order = await self._ports.offload(self._orders.whole, order)
        values = attempt.segment.values
        if values is None:
            values = attempt.segment.values = await self._reading.values(plan, order, node)
        attempt.header, status = values.header, values.header.status
        if status.terminal:
            return False
        if status is ExecutionStatus.SUSPENDED:
            raise Suspended
        if values.undone is not None:
            order = await self._ports.offload(self._orders.told, order, values.undone)
        names = _secrets_of(node)
        secrets = await self._ports.offload(self._resolved, names) if names else {}
        nodes = {read.node: values.nodes[read.node] for read in order.command.reads if read.node in values.nodes}
        view = view_of(plan, order, nodes, values.globals, secrets)
        view = with_callers_inputs(plan, order.command.caller, view)
        if node is not None and node.callback is not None:
            view = replace(view, names={**view.names, "task_token": await self._ports.offload(attempt.token)})
        node = node if node is not None else plan.root.nodes[0]
        attempt.rendering = Rendering(node, view, order.command, attempt.token)
        return True

    def _resolved(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self._secrets.get(name) for name in names}

    async def _reveal(self, rendering: Rendering, name: str) -> tuple[str, Mask]:
        """See `NodeCall.reveal`."""
        secret = await self._ports.offload(self._secrets.get, name)
        return secret, rendering.hide(secret)

    async def _run_within_timeout(self, attempt: Attempt) -> NodeResult:
        """The node's output as its ``outputs`` shapes it. Raises `NodeError`."""
        rendering, header = attempt.rendering, attempt.header
        assert rendering is not None
        assert header is not None
        plan, order, node = attempt.plan, attempt.order, rendering.node
        if order.command.path == OUTPUTS_PATH:
            return NodeResult(scope_output(plan, plan.root, order.command.succeeded_by, rendering.view))
        seconds = self._agents.seconds_left(node, order.command)
        if attempt.claimed.in_place:
            elapsed = (self._ports.clock.now() - attempt.segment.began) / 1000
            seconds = min(seconds, max(self._timeout_max - elapsed, 0))
        if isinstance(node.spec, LoopSpec) and order.command.reads_file:
            return NodeResult(await self._items.read(order, node.spec, seconds))
        if isinstance(node.spec, LoopSpec):
            collected = await self._passes.collected(order, node.spec, rendering.view)
            return NodeResult(rendering.shaped({}, collected)[0])
        if node.pool is None:
            return NodeResult(decided(plan, rendering))
        if attempt.admitted.bookings:  # the last before its time begins to count
            attempt.segment.admitted = await self._admission.begin(attempt.admitted)
        deadline = self._ports.clock.now() + int(seconds * 1000)
        reveal = partial(self._reveal, rendering)
        call = rendering.call(order, plan.workflow_id, deadline, attempt.admitted.fences, header.parent, reveal)
        if node.type is NodeType.AGENT:
            call = self._agents.durable(call, attempt)
        attempt.meter, attempt.stop, attempt.late = call.meter, call.stop, call.late
        asked = partial(asked_of, attempt.mask, call.target, call.prompt)
        call.meter.asked = await aside(attempt.mask, asked, call.inputs)
        gate = None
        if node.type is NodeType.AGENT:
            gate = await self._ports.offload(
                self._gates.gate, order, plan, node, header, attempt.admitted, self._invokers, call.target, deadline
            )
            call = replace(call, gate=gate)
        try:
            invoked = self._invoked(node.type, call, attempt.admitted)
            result = await self._ports.clock.within(seconds, invoked)
        except TimeoutError:
            call.stop.requested = True
            if call.meter.steps and self._agents.is_bounded_by_function(node, order.command):
                return NodeResult(None, goes_on=True)  # what was under way is done again
            raise NodeError("timeout", f"no result within {seconds:g} s") from None
        except OverBudget as error:
            if error.wait is None:
                raise
            return NodeResult(None, goes_on=True, waits=(error.wait,))
        finally:
            if gate is not None:
                attempt.heeded = gate.heeds
                await gate.close(call.meter.tokens)
        if result.goes_on or result.is_shaped:
            return result
        if result.pending is not None or node.callback is not None:
            pending = result.pending or Pending()
            return NodeResult(None, result.warnings, pending, said=result.said, to_commit=result.to_commit)
        output, warnings = await aside(attempt.mask, rendering.shaped, call.inputs, result.output)
        return NodeResult(output, (*warnings, *result.warnings), said=result.said, to_commit=result.to_commit)

    async def _invoked(self, type: NodeType, call: NodeCall, admitted: Admitted) -> NodeResult:
        """What the invoker gives. Whatever else it raises is a `NodeError`, unless we are cancelled: it has run, and
        may not be run again.

        Invokers contain authors' code themselves; this holds for invokers that others wrote, too.
        """
        self._admission.check_begins(admitted)
        try:
            return await self._invokers[type].invoke(call)
        except GeneratorExit:  # our own end: the event loop was closed around us
            raise
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            failure = node_failure(error, f"{type} {call.target!r}")
            raise failure from (None if failure is error else error)

    async def _renew(self, attempt: Attempt, lease: asyncio.Timeout) -> None:
        """Keep the lease of a run that takes long; ends it when the run is no longer ours."""
        while True:
            try:
                if not await self._renewed(attempt, self._ports.clock.now() + LEASE_SECONDS * 1000):
                    break
            except RetryableError:
                logger.warning("a lease could not be renewed", extra=ids_of(attempt.order))
            await self._ports.clock.sleep(RENEWAL_SECONDS)
        attempt.stop.requested = True
        lease.reschedule(0.0)

    async def _renewed(self, attempt: Attempt, until: int) -> bool:
        """Whether the run is still ours. If it was told to stop, its code is let know, and ends when it will."""
        execution_id, claimed = attempt.order.execution_id, attempt.claimed
        if attempt.admitted.uses:
            await self._ports.offload(self._admission.renew, attempt.admitted)
            attempt.segment.held_from = self._ports.clock.now()
        if claimed.in_place:
            return await self._ports.offload(self.set_up, attempt, until)
        watched_until = await self._ports.offload(self._runs.renew, execution_id, claimed, until)
        if watched_until is not None:
            if attempt.live is not None:
                attempt.live.watch(watched_until)
            return True
        told = replace(claimed, owner=claimed.owner + STOP)
        if claimed.owner.endswith(STOP):
            return False
        if await self._ports.offload(self._runs.renew, execution_id, told, until) is None:
            return False
        attempt.claimed, attempt.stop.requested = told, True
        return True

    def set_up(self, attempt: Attempt, until: int) -> bool:
        """Give a run that was begun in place a record of its own; whether it is still ours."""
        execution_id, claimed = attempt.order.execution_id, replace(attempt.claimed, lease_until=until, in_place=False)
        if not self._runs.claim(execution_id, claimed):
            found = self._runs.get(execution_id, claimed.path, claimed.serial)
            if found is None or found.owner not in (claimed.owner, claimed.owner + STOP):
                return False
            claimed = replace(claimed, owner=found.owner)
            attempt.stop.requested = attempt.stop.requested or claimed.owner.endswith(STOP)
        attempt.claimed = claimed
        return True


def _secrets_of(node: NodePlan | None) -> list[str]:
    """Names of the secrets that the node's inputs read."""
    if node is None or node.inputs is None or BindingKind.SECRETS not in node.inputs.kinds:
        return []
    return [reference.path[0] for reference in node.inputs.compiled.references if reference.name == "secrets"]
