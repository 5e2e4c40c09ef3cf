"""The node runner: claim, read, run, record, report, acknowledge; one attempt of one node per order.

A run belongs to the worker that wrote its claim. A repeat of a finished run reports its result again; a repeat of one
under a valid lease steps back until the lease ends; an expired lease is never run again but reported as
``worker_lost``, and only the engine grants another attempt, under another serial. So effects per serial are at most
one (promises P2, P3).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from workflow_runtime.deployment.log_fields import log_fields
from workflow_runtime.deployment.metrics import AttemptEnded, Metric
from workflow_runtime.engine.events import Event
from workflow_runtime.errors import ErrorDocument, InvalidEvent, RetryableError
from workflow_runtime.invokers.invocation import Invoker
from workflow_runtime.invokers.usage import total
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.services.express import CannotWait
from workflow_runtime.services.limits.admission import (
    NOTHING_TAKEN,
    Admission,
    Admitted,
    Use,
    holds_for,
    limiters_of_call,
)
from workflow_runtime.services.limits.gates import Gates
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.messages import Delivery, Order
from workflow_runtime.services.patience import patiently
from workflow_runtime.services.work.attempt import (
    LEASE_SECONDS,
    TIMEOUT_MARGIN_SECONDS,
    AttemptRunner,
    Secrets,
)
from workflow_runtime.services.work.callbacks import AttemptToken
from workflow_runtime.services.work.claims import Claims
from workflow_runtime.services.work.deciding import order_to_keep
from workflow_runtime.services.work.late import LateResults
from workflow_runtime.services.work.outbox import Outbox
from workflow_runtime.services.work.reports import Reports, after_loss, result_event
from workflow_runtime.services.work.segments import Following, follower
from workflow_runtime.services.work.under_way import Attempt, Segment, Suspended, ids_of
from workflow_runtime.storage.freezes import Switch
from workflow_runtime.storage.limiters import LimiterName
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.tasks import hash_of

logger = logging.getLogger(__name__)


class Postponed(Exception):
    """The order cannot be acknowledged yet; ``seconds``: when to look again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class NodeRunner:
    """``invokers`` run agents and tools; ``admission`` holds back what is frozen, as ``looks`` knows, and what limiters
    do not let begin yet; ``gates`` stand before models; ``function_timeout_seconds`` is the Lambda's own; ``count``
    takes metrics, and ``attempt_ended`` what each attempt was. ``outbox`` commits and sends what tools bring about.
    """

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        invokers: Mapping[NodeType, Invoker],
        secrets: Secrets,
        looks: Looks,
        new_id: Callable[[], str],
        function_timeout_seconds: int,
        count: Callable[[str, int], None],
        admission: Admission,
        gates: Gates,
        attempt_ended: Callable[[AttemptEnded], None],
        outbox: Outbox,
    ) -> None:
        self._ports = ports
        self._outbox = outbox
        self._workflows = stores.workflows
        self._runs = stores.runs
        self._stores = stores
        self._looks = looks
        self._claims = Claims(ports, stores, looks, new_id)
        self._count = count
        self._reports = Reports(ports, new_id, attempt_ended)
        self._invokers = invokers
        self._admission = admission
        self._attempts = AttemptRunner(
            ports, stores, invokers, secrets, function_timeout_seconds, admission, gates, outbox
        )
        timeout_max = function_timeout_seconds - TIMEOUT_MARGIN_SECONDS
        self._following = Following(
            ports, stores.executions, looks, self._claims.new_owner, timeout_max, self._may_begin
        )
        self._late = LateResults(ports, self._runs)

    async def run(self, order: Order) -> None:
        """Carry out one order. Raises `Postponed` when it must stay in the queue, `RetryableError`."""
        with self._ports.clock.working(), log_fields(**order.log_fields):
            plan = self._workflows.known_plan(order.plan_hash)
            if plan is None:
                plan = await self._ports.offload(self._plan, order.plan_hash)
            try:
                await self._run(order, plan)
            except CannotWait as reason:
                await self._begin(order, plan, self._claims.throttled(order, plan, str(reason)))

    async def _run(self, order: Order, plan: Plan) -> None:
        switch = await self._holding(order, plan) if not order.is_reminder else None
        if switch is not None and await self._ports.offload(self._admission.freeze, order, plan, switch):
            return
        claimed = await self._claims.of(order, plan)
        if order.is_reminder:
            await self._remind(order, plan, claimed)
            return
        if switch is not None:
            await self._meet(order, plan, claimed, ())
            return
        uses = self._uses(order, plan)
        admitted = NOTHING_TAKEN
        if uses and claimed.error is None:
            waited_for = await self._ports.offload(
                partial(self._admission.admit, order, uses, may_wait=not plan.express)
            )
            if waited_for is None:
                return
            admitted = waited_for
            if not admitted.uses:
                await self._meet(order, plan, claimed, uses)
                return
        await self._begin(order, plan, claimed, uses, admitted)

    async def _meet(self, order: Order, plan: Plan, claimed: Run, uses: Sequence[Use]) -> None:
        """The run was found to be another worker's, or over, when it was to wait. Whatever became of it
        since, it has taken nothing, and cannot be begun by this. Raises `RetryableError`."""
        existing = await patiently(self._ports, self._runs.get, order.execution_id, claimed.path, claimed.serial)
        if existing is None or existing.status.unclaimed:
            raise RetryableError("another worker gave the run up meanwhile")
        await self._met(order, plan, existing, claimed.owner, uses)

    async def _begin(
        self, order: Order, plan: Plan, claimed: Run, uses: Sequence[Use] = (), admitted: Admitted = NOTHING_TAKEN
    ) -> None:
        waited_as = self._admission.owner_in_line(order, plan) if order.granted else ""
        existing = await patiently(self._ports, self._claims.take, order.execution_id, claimed, waited_as)
        if existing is not None:
            await self._met(order, plan, existing, claimed.owner, uses)
        elif claimed.error is not None:
            await self._tell(order, plan, claimed)
        else:
            began = claimed.started_at
            segment = Segment(order, began, order.command.followers, admitted=admitted, held_from=began)
            await self._attempt(Attempt(order, plan, claimed, self._token(order), segment))

    async def deliver(self, delivery: Delivery) -> None:
        """Send what waits in an outbox. Raises `RetryableError`."""
        await self._ports.offload(self._outbox.deliver, delivery.execution_id, delivery.outbox)

    def _plan(self, plan_hash: str) -> Plan:
        try:
            return self._workflows.plan(plan_hash)
        except KeyError as error:
            raise RetryableError(str(error)) from error

    def _token(self, order: Order) -> AttemptToken:
        return AttemptToken(order.execution_id, order.command, self._stores, self._ports.clock.now)

    async def _holding(self, order: Order, plan: Plan) -> Switch | None:
        """The switch that holds the order back. Raises `CannotWait`."""
        seen = self._looks.seen
        if seen is not None and not seen:
            return None
        switch = await self._ports.offload(self._looks.holding_order, plan, order.command.path, order.granted)
        if switch is not None and plan.express:
            raise CannotWait(f"{switch.scope} is frozen, and an express execution cannot wait until it is thawed")
        return switch

    def _uses(self, order: Order, plan: Plan) -> tuple[Use, ...]:
        """The limiters that the order takes of."""
        node = node_of(plan, order.command.path)
        if node is None or not (node.limiters or self._looks.limiters):
            return ()
        return self._admission.uses(order, plan, node, tuple(limiters_of_call(node, self._invokers)))

    def _may_begin(self, order: Order, segment: Segment, plan: Plan) -> bool:
        """Whether limiters let a node of the segment begin in place: there are none, or slots of them that its worker
        has already."""
        uses = self._uses(order, plan)
        return not uses or holds_for(segment.admitted, uses)

    async def _remind(self, order: Order, plan: Plan, claimed: Run) -> None:
        """Fail an order that still waits for a limiter though its time is up."""
        waiting = await self._ports.offload(self._runs.get, order.execution_id, claimed.path, claimed.serial)
        if waiting is None or waiting.status is not RunStatus.WAITING:
            return
        if LimiterName(waiting.limiter, waiting.limiter_key).is_freeze:
            return  # its time is looked at when it is thawed
        if claimed.error is None:
            until = await self._ports.offload(self._claims.until, order, plan, self._ports.clock.now())
            await self._ports.offload(self._admission.remind, order, until)
        elif await self._ports.offload(self._runs.finish, order.execution_id, claimed, waiting.owner):
            await self._ports.offload(self._admission.leave, waiting)
            await self._tell(order, plan, claimed)

    async def _met(self, order: Order, plan: Plan, existing: Run, finder: str, uses: Sequence[Use]) -> None:
        """The run is claimed or ended already: report again, with what was run in place after it, step back, or declare
        the worker lost.

        The lost run changes its owner: a worker that only seemed dead must find that the run is no longer its own.
        """
        events: list[Event] = []
        for run in await self._ports.offload(self._runs.segment, order.execution_id, existing):
            own = order
            if run is not existing and (place := plan.locate(run.path)) is not None:
                own = follower(plan, order, plan.blocks[place.block].first + place.node, run.started_at)
            if run.status is RunStatus.RUNNING:
                run = await self._lost(own, plan, run, finder)
            if run.status is not RunStatus.CANCELLED and not run.status.unclaimed:
                events.append(result_event(own, plan, run))
        if events:
            await self._reports.send(order.execution_id, events)
        if uses:
            await self._ports.offload(self._admission.give_back_lost, order, uses)

    async def _lost(self, order: Order, plan: Plan, found: Run, finder: str) -> Run:
        """A run that somebody has claimed, as lost with its worker. Raises `Postponed` while that may live."""
        now = self._ports.clock.now()
        if found.lease_until > now and found.owner.split("/")[0] == self._ports.boot:
            raise Postponed((found.lease_until - now) // 1000 + 1)
        lost = replace(
            found,
            status=RunStatus.FAILED,
            owner=finder,
            ended_at=now,
            error=ErrorDocument.of("worker_lost", "the worker stopped without a result", order.command.path),
            order=order_to_keep(plan, after_loss(order.command)),
            usage=await self._ports.offload(self._used_by_lost, order, plan),
        )
        if not await self._ports.offload(self._runs.end, order.execution_id, lost, found.owner):
            raise RetryableError("the run ended while its worker was declared lost")
        self._count(Metric.WORKERS_LOST, 1)
        return lost

    def _used_by_lost(self, order: Order, plan: Plan) -> dict[str, Json] | None:
        """What the models of a run have used whose worker was lost, as far as it is recorded."""
        node, command = node_of(plan, order.command.path), order.command
        if node is None or node.type is not NodeType.AGENT:
            return None
        steps = self._stores.steps.told(order.execution_id, command.path)
        return total(step.used for _, step in steps if step.serial == command.serial)

    async def _attempt(self, attempt: Attempt) -> None:
        """Carry a claimed run out, then report its result."""
        comes_again = False
        try:
            await self._carry_out(attempt)
        except (RetryableError, InvalidEvent):
            comes_again = True  # soon, and finds the slots that it was granted
            raise
        finally:
            if attempt.admitted.uses and not comes_again:
                await self._ports.offload(self._admission.give_back, attempt.order, attempt.admitted)

    async def _carry_out(self, attempt: Attempt) -> None:
        """Run and record what was ordered, and what may follow it in place; then report all that has ended."""
        segment, following = attempt.segment, attempt
        try:
            while (then := await self._step(following)) is not None:
                following = then
        except Suspended:
            logger.info("a node of a suspended execution is not begun", extra=ids_of(segment.order))
            return  # its order is sent again when the execution is resumed
        await self._report(segment)

    async def _report(self, segment: Segment) -> None:
        if segment.events:
            await self._reports.send(segment.order.execution_id, segment.events)
            segment.events.clear()

    async def _step(self, attempt: Attempt) -> Attempt | None:
        """Run and record one node; the attempt that follows it in place, if one does."""
        order, plan, segment = attempt.order, attempt.plan, attempt.segment
        try:
            ended = await self._attempts.outcome(attempt)
        except (RetryableError, InvalidEvent, Suspended):
            if not segment.events:
                raise
            return None  # what could not even begin is ordered on its own
        recorded, goes_on = False, None
        if ended is None:
            ended = replace(attempt.claimed, status=RunStatus.CANCELLED, ended_at=self._ports.clock.now())
        else:
            goes_on = await self._following.next(attempt, ended)
            ended = replace(ended, next=goes_on[1] if goes_on is not None else None)
            recorded, ended = await self._attempts.record(attempt, ended)
        if ended.status is RunStatus.FAILED and attempt.token.value:
            await self._close_token(attempt)
        self._late.listen(attempt, ended)
        if not recorded:
            stored = await self._recorded(attempt, ended)
            if stored is None:
                return None
            ended = replace(ended, next=stored.next)
        await self._outbox.send_recorded(order.execution_id, attempt.commit)
        if attempt.admitted.uses:
            await self._ports.offload(self._admission.heed, attempt.admitted, ended.error, attempt.heeded)
        if ended.status is not RunStatus.CANCELLED:
            segment.events.append(result_event(order, plan, ended))
        self._reports.tell_of_end(order, plan, ended)
        if attempt.sessions is not None and attempt.sessions.is_held:
            await self._report(segment)
            await attempt.sessions.end(ended)
        await self._reports.trace(attempt, ended)
        if goes_on is None or ended.next is None:
            return None
        segment.left = segment.left[1:]
        next_order, claim = goes_on
        if not self._uses(next_order, plan):
            await self._give_back(segment)
        then = Attempt(next_order, plan, claim.run, self._token(next_order), segment)
        then.token.before = partial(self._report_before, then)
        return then

    async def _give_back(self, segment: Segment) -> None:
        """The nodes that are left need nothing of limiters; what cannot be given back now is at the segment's end."""
        if segment.admitted.uses:
            with suppress(RetryableError):
                await self._ports.offload(self._admission.give_back, segment.order, segment.admitted)
                segment.admitted = NOTHING_TAKEN

    def _report_before(self, attempt: Attempt) -> None:
        """Have a run that was begun in place known and ordered before its task token is: whoever is given that may
        answer at once."""
        if attempt.is_told:
            return
        if not self._attempts.set_up(attempt, self._ports.clock.now() + LEASE_SECONDS * 1000):
            raise RetryableError("the run is not ours any more")
        self._reports.send_now(attempt.order.execution_id, attempt.segment.events)
        attempt.is_told = True

    async def _recorded(self, attempt: Attempt, ended: Run) -> Run | None:
        """The record that was refused, if it is there all the same, because an answer was lost. Else somebody else has
        ended the run, who may have died before reporting that."""
        order, segment = attempt.order, attempt.segment
        stored = await patiently(self._ports, self._runs.get, order.execution_id, ended.path, ended.serial)
        if stored is None:
            raise RetryableError("a claimed run is not there")
        if stored.owner == ended.owner:
            return stored
        logger.warning("a result came after its lease had ended", extra=ids_of(order))
        await self._late.note(order, ended)
        segment.events.clear()  # they are reported with the others that there are
        if order is not segment.order:
            command = segment.order.command
            stored = await patiently(self._ports, self._runs.get, order.execution_id, command.path, command.serial)
        if stored is not None:
            await self._met(segment.order, attempt.plan, stored, self._claims.new_owner(), ())
        return None

    async def _close_token(self, attempt: Attempt) -> None:
        """The attempt has failed, and its task token counts no more."""
        own, now = hash_of(attempt.token.value), self._ports.clock.now()
        with suppress(RetryableError):  # the engine would refuse it, too
            await self._ports.offload(self._stores.tasks.close, own, "the attempt has failed", now)

    async def _tell(self, order: Order, plan: Plan, ended: Run) -> None:
        """Report a run that has ended without being run."""
        await self._reports.send(order.execution_id, [result_event(order, plan, ended)])
        self._reports.tell_of_end(order, plan, ended)
