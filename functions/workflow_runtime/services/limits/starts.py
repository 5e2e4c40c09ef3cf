"""Admission of whole executions: a workflow's ``limiter`` has them wait, ``pending``, before their first event is
taken.

An execution holds its slot from its start to its end, without a lease: the commit that ends it gives it back. One that
its parent awaits takes none: its parent's holds for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.events import (
    CancelRequested,
    CompensateRequested,
    ControlEvent,
    Event,
    Poked,
    ReopenRequested,
    RetryRequested,
    SkipRequested,
)
from workflow_runtime.engine.state import ExecutionState, Parent
from workflow_runtime.plan.limiters import Limiter, Share
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec
from workflow_runtime.ports import Clock
from workflow_runtime.services.freeze.scopes import line_of, scopes_of_start
from workflow_runtime.services.limits.arithmetic import Need
from workflow_runtime.services.limits.budgets import Budgets
from workflow_runtime.services.limits.granting import grant_of
from workflow_runtime.services.limits.line import FOREVER, Lines
from workflow_runtime.services.limits.named import limiter_named
from workflow_runtime.services.looks import Looks, first_of
from workflow_runtime.services.messages import Mail, mail_body
from workflow_runtime.storage import keys
from workflow_runtime.storage.limiters import (
    EVENT,
    NO_TENANT,
    REQUEST,
    LimiterName,
    Waiter,
    WaiterKind,
    holder_of,
    place_of,
    plain_tenant,
)
from workflow_runtime.storage.records import Header

REOPENING = (RetryRequested, SkipRequested, CompensateRequested, ReopenRequested)
REOPENING_MS = 600_000  # until what has reopened an execution is published: it is tried again for as long


class StartAdmission:
    """``budgets`` is called when the first one ends that has any."""

    def __init__(self, clock: Clock, lines: Lines, looks: Looks, budgets: Callable[[], Budgets]) -> None:
        self._clock = clock
        self._lines = lines
        self._looks = looks
        self._budgets = budgets
        self._latest = 0

    def holds_start(self, plan: Plan, header: Header, events: Sequence[Event]) -> bool:
        """Whether an execution must not begin yet, because it is frozen or waits for a limiter; then ``events``, which
        came for it, wait with it. Somebody's wish to cancel it is always heard. Raises `RetryableError`."""
        scopes = scopes_of_start(header.workflow_id)
        thawed = any(grant_of(line_of(scope), events) for scope in scopes)
        switch = first_of(scopes, self._looks.known() if not thawed else self._looks.read())
        found = self._limiter(plan, header.shares, header.parent) if plan.limits.executions else None
        if any(isinstance(event, CancelRequested) for event in events):
            lines = [line_of(scope) for scope in scopes] if switch is not None else []
            for line in (*lines, *(found[:1] if found is not None else ())):
                self._lines.leave_with_all(line, _place(plan, header))
            return False
        if switch is not None:
            self._lines.join(line_of(switch.scope), self._waiters(plan, header, events))
            return True
        if found is None or grant_of(found[0], events) is not None:
            return False
        return self._waits(plan, header, events, found, FOREVER)

    def _waits(
        self,
        plan: Plan,
        execution: Header | ExecutionState,
        events: Sequence[Event],
        found: tuple[LimiterName, Limiter, Share],
        lease: int,
    ) -> bool:
        """Take a place for an execution; whether there is none, so that it waits in the line, with its events."""
        name, limiter, share = found
        need = Need(holder_of(execution.execution_id), lease, tenant=plain_tenant(execution.tenant))
        granted = self._lines.take(name, limiter, need)
        if granted is not None and granted.starts_at <= self._clock.now():
            return False
        if granted is not None:
            # What a rate has booked ahead is left to those who come later.
            self._lines.release(name.at(granted.shard), need.holder)
        self._lines.join(name, self._waiters(plan, execution, events, share.weight))
        return True

    def _waiters(
        self, plan: Plan, execution: Header | ExecutionState, events: Sequence[Event], weight: int = 1
    ) -> list[Waiter]:
        """A start, always in the same place; behind it, what came with it, in the order in which it came, also within
        a millisecond."""
        self._latest = max(self._clock.now(), execution.started_at, self._latest + 1)
        place = _place(plan, execution)
        common = {
            "holder": holder_of(execution.execution_id),
            "execution_id": execution.execution_id,
            "queue": DISPATCH,
            "tenant": execution.tenant or NO_TENANT,
            "weight": weight,
        }
        found = [Waiter(kind=WaiterKind.START, place=place, since=execution.started_at, **common)]  # type: ignore[arg-type]
        for event in events:
            if not isinstance(event, Poked):
                body = mail_body(Mail(execution.execution_id, event)).encode()
                kind = REQUEST if isinstance(event, (ControlEvent, ReopenRequested)) else EVENT
                behind = f"{place}{kind}{self._latest:015d}#{len(found):03d}{holder_of(event.event_id)}"
                found.append(
                    Waiter(kind=WaiterKind.EVENT, place=behind, since=self._latest, body=body, **common)  # type: ignore[arg-type]
                )
        return found

    def holds_reopening(self, plan: Plan, state: ExecutionState, events: Sequence[Event]) -> bool:
        """The same for an execution that has ended, and takes a place again before it goes on: one for a while only, as
        what is asked of it may come to nothing. Raises `RetryableError`."""
        if not plan.limits.executions or not any(isinstance(event, REOPENING) for event in events):
            return False
        found = self._limiter(plan, state.shares, state.parent)
        if found is None:
            return False
        until = self._clock.now() + REOPENING_MS
        if grant_of(found[0], events) is not None:
            self._hold(*found[:2], state.execution_id, until)
            return False
        return self._waits(plan, state, events, found, until)

    def give_back_late(self, plan: Plan, state: ExecutionState, events: Sequence[Event]) -> None:
        """A place that an execution was granted when it had ended already is free. Raises `RetryableError`."""
        found = self._limiter(plan, state.shares, state.parent) if plan.limits.executions else None
        if found is not None and grant_of(found[0], events) and not any(isinstance(one, REOPENING) for one in events):
            self.give_back(plan, state)

    def keep(self, plan: Plan, state: ExecutionState) -> None:
        """An execution that was reopened has its place until it ends. Raises `RetryableError`."""
        found = self._limiter(plan, state.shares, state.parent) if plan.limits.executions else None
        if found is not None:
            self._hold(*found[:2], state.execution_id, FOREVER)

    def _hold(self, name: LimiterName, limiter: Limiter, execution_id: str, until: int) -> None:
        """The place that an execution has is its own until then (epoch ms)."""
        if limiter.concurrency:
            holder = holder_of(execution_id)
            any(self._lines.holds(name.at(shard), holder, until) for shard in range(limiter.shards))

    def give_back(self, plan: Plan, state: ExecutionState) -> None:
        """The execution has ended: its slot is free, and what it has drawn of budgets and not used is others'. Raises
        `RetryableError`."""
        found = self._limiter(plan, state.shares, state.parent) if plan.limits.executions else None
        if found is not None and found[1].concurrency:
            name, limiter, _ = found
            if self._lines.release_of_any(name, limiter, holder_of(state.execution_id), also_former=True):
                self._lines.nudge(name)
        if self._has_budgets(plan):
            self._budgets().close(keys.budget(state.execution_id), state.execution_id, state.attempt)

    def _has_budgets(self, plan: Plan) -> bool:
        if plan.limits.budget is not None:
            return True
        if not any(isinstance(node.spec, AgentSpec) for block in plan.blocks for node in block.nodes):
            return False
        self._looks.known()
        limiters = (*self._looks.limiters.values(), *plan.limits.own.values())
        return any(limiter.budget is not None for limiter in limiters)

    def _limiter(
        self, plan: Plan, shares: dict[str, Share], parent: Parent | None
    ) -> tuple[LimiterName, Limiter, Share] | None:
        """The limiter of the plan's executions, for this one; None if there is none."""
        self._looks.known()
        named = limiter_named(self._looks, plan, shares, plan.limits.executions)
        awaited = parent is not None and parent.notify
        return None if named is None or named[1].holds_nothing or awaited else named


class Begun(StartAdmission):
    """Of executions that nothing holds back any more."""

    def holds_start(self, plan: Plan, header: Header, events: Sequence[Event]) -> bool:  # noqa: ARG002
        return False


def start_place(plan: Plan, header: Header) -> tuple[LimiterName, str] | None:
    """The limiter for which the start of an execution may wait, and its place in the line; None: there is none."""
    if not plan.limits.executions:
        return None
    share = header.shares.get(plan.limits.executions, Share())
    return LimiterName(plan.limits.executions, share.key), _place(plan, header)


def _place(plan: Plan, execution: Header | ExecutionState) -> str:
    return place_of(plan.priority, execution.tenant, execution.started_at, holder_of(execution.execution_id))
