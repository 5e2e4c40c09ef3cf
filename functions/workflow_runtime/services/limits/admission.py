"""Admission of node runs: what an order takes of limiters before it is claimed, and gives back after it was recorded.

See the package for why nothing gets lost and nothing is too much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.topology import serving_queue
from workflow_runtime.errors import ErrorDocument, RetryableError
from workflow_runtime.invokers.invocation import Invoker
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, NodeType, ToolSpec
from workflow_runtime.ports import DELAY_SECONDS_MAX, Ports
from workflow_runtime.services.express import CannotWait
from workflow_runtime.services.freeze.scopes import line_of
from workflow_runtime.services.limits.arithmetic import LINE, Need
from workflow_runtime.services.limits.bookings import Booking, begin_on_time
from workflow_runtime.services.limits.granting import Granter, delayed
from workflow_runtime.services.limits.line import Grant, Lines, Refusal, busy_until
from workflow_runtime.services.limits.named import limiter_named
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.messages import Order, order_message
from workflow_runtime.storage.freezes import Switch
from workflow_runtime.storage.limiters import LimiterName, Waiter, WaiterKind, holder_of, place_of, plain_tenant
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.runs import RunStore

EVERYTHING = "*"
TYPE = "type:"
SOON_MS = 1_000  # until a start that a worker waits for itself: to have the order sent again takes as long
FRESH_MS = 30_000  # after a grant, in which its lease is sure to last as long as that of the run
BEGINNING_MS_MAX = 30_000  # that a claimed run waits for another start than it had booked


class Use(msgspec.Struct, frozen=True):
    """A limiter that an order takes of. ``tokens``: what it is expected to need; ``weight``, ``priority``: of the order
    in the line."""

    name: LimiterName
    limiter: Limiter
    weight: int = 1
    tokens: int = 0
    priority: int = 0

    @property
    def has_slots(self) -> bool:
        return self.limiter.concurrency > 0

    @property
    def own(self) -> Limiter:
        """What its shard has of the limiter."""
        return self.limiter.part(self.name.shard)


class Admitted(msgspec.Struct, frozen=True):
    """What an order has taken. ``fences``: by the names of limiters; ``bookings``: the starts that rates have."""

    holder: str
    uses: tuple[Use, ...] = ()
    bookings: tuple[Booking, ...] = ()
    fences: Mapping[str, int] = {}
    waited: bool = False


NOTHING_TAKEN = Admitted("")
TOO_LATE = "its start came too late for its limiters: it has to be booked again"


def holds_for(admitted: Admitted, uses: Collection[Use]) -> bool:
    """Whether what was taken for one node is just what another one needs that its worker goes on with: the same slots.
    Starts that rates have are each one's own, and nothing begins under a limiter that is paused."""
    same = {use.name.line for use in uses} == {use.name.line for use in admitted.uses}
    return same and not any(use.limiter.has_rates or use.limiter.paused for use in uses)


class Admission:
    """``pools``: those that have a queue."""

    def __init__(
        self, ports: Ports, runs: RunStore, lines: Lines, granter: Granter, looks: Looks, pools: Collection[str]
    ) -> None:
        self._ports = ports
        self._clock = ports.clock
        self._queues = ports.queues
        self._runs = runs
        self._lines = lines
        self._granter = granter
        self._looks = looks
        self._pools = pools

    def uses(self, order: Order, plan: Plan, node: NodePlan, others: Sequence[str]) -> tuple[Use, ...]:
        """The limiters that an order of this node takes of, in the order of their names: those that it names, and of
        the ``others`` those that there are."""
        found: dict[str, Use] = {}
        for name in (*node.limiters, *others):
            named = limiter_named(self._looks, plan, order.shares, name)
            if named is None or named[1].holds_nothing:
                continue
            of, limiter, share = named
            tokens = max(node.cost_tokens, 1) if limiter.tokens is not None else 0
            found[name] = Use(of, limiter, share.weight, tokens, node.priority)
        return tuple(found[name] for name in sorted(found))

    def admit(self, order: Order, uses: Sequence[Use], *, may_wait: bool = True) -> Admitted | None:
        """Take of all of them, in turn; None: the order waits, and its message is to be acknowledged. If another worker
        has claimed or closed its run, nothing is taken. Raises `RetryableError`; `CannotWait` if it had to and may
        not."""
        holder = _holder(order)
        fences: dict[str, int] = {}
        held: list[tuple[Use, Grant]] = []
        starts_at = 0
        for use in uses:
            granted = self._granted(order, use, holder, is_only=len(uses) == 1) or self._lines.take(
                use.name, use.limiter, self._need(order, use, holder)
            )
            if granted is None:
                self._give_up(order, held, holder)
                if not may_wait:
                    raise CannotWait(f"the limiter {use.name} has no room, and an express execution cannot wait for it")
                return None if self._wait(order, use) else Admitted(holder)
            fences[str(use.name)] = granted.fence
            held.append((replace(use, name=use.name.at(granted.shard)), granted))
            starts_at = max(starts_at, granted.starts_at)
        if starts_at > self._clock.now() + SOON_MS:
            earlier = {str(use.name): grant.starts_at for use, grant in held if grant.starts_at < starts_at}
            shards = {str(use.name): grant.shard for use, grant in held if grant.shard}
            self._send_later(replace(order, granted=fences, granted_at=starts_at, booked=earlier, shards=shards))
            return None
        bookings = tuple(Booking(use.name, use.own, holder, grant.starts_at) for use, grant in held)
        return Admitted(holder, tuple(use for use, _ in held), bookings, fences, bool(order.granted))

    def _granted(self, order: Order, use: Use, holder: str, *, is_only: bool) -> Grant | None:
        """What the order has been granted already; a slot must not have been given back since, by another message of
        the same order, and a start that was booked not be over."""
        of = str(use.name)
        fence, shard = order.granted.get(of), order.shards.get(of, 0)
        at = order.booked.get(of, order.granted_at)
        if fence is None or Booking(use.name, use.limiter, holder, at).is_late(self._clock.now()):
            return None
        if is_only and self._clock.now() < order.granted_at + FRESH_MS:
            return Grant(at, fence, 0, shard)  # its slot is given back when its run is over, and not before
        lease = self._lines.lease()
        if use.has_slots and not self._lines.holds(use.name.at(shard), holder, lease):
            return None
        return Grant(at, fence, lease, shard)

    def _need(self, order: Order, use: Use, holder: str) -> Need:
        lease = self._lines.lease() + use.limiter.horizon_ms
        return Need(holder, lease, tokens=use.tokens, tenant=plain_tenant(order.tenant))

    def _give_up(self, order: Order, held: Sequence[tuple[Use, Grant]], holder: str) -> None:
        """Give back what was taken before another limiter refused."""
        for use, grant in held:
            if use.has_slots and self._lines.release(use.name, holder, grant.lease_until):
                self._grant_next(use, serving_queue(order.command.pool, self._pools))

    def _send_later(self, order: Order) -> None:
        queue = serving_queue(order.command.pool, self._pools)
        if self._queues.send(queue, [delayed(order, self._clock.now())]):
            raise RetryableError("an order that was granted for later was refused by its queue")

    def freeze(self, order: Order, plan: Plan, switch: Switch) -> bool:
        """Put an order into the line of what a switch holds; False if somebody has claimed or closed its run. Raises
        `RetryableError`."""
        return self._wait(order, Use(line_of(switch.scope), Limiter(), priority=_priority(order, plan)))

    def _wait(self, order: Order, use: Use) -> bool:
        """Put the order into the line; False if somebody has claimed or closed its run."""
        command = order.command
        holder = _holder(order)
        place = place_of(use.priority, order.tenant, command.at, holder)
        run = Run(
            path=command.path,
            serial=command.serial,
            status=RunStatus.WAITING,
            owner=_owner(place),
            attempt=command.attempt,
            started_at=self._clock.now(),
            limiter=use.name.name,
            limiter_key=use.name.key,
            place=place,
        )
        if not self._runs.wait(order.execution_id, run):
            return False
        plain = replace(order, granted={}, granted_at=0, booked={}, shards={}, is_reminder=False)
        waiter = Waiter(
            kind=WaiterKind.ORDER,
            place=place,
            holder=holder,
            execution_id=order.execution_id,
            since=command.at,
            queue=serving_queue(command.pool, self._pools),
            path=command.path,
            serial=command.serial,
            tenant=order.tenant,
            weight=use.weight,
            tokens=use.tokens,
            body=order_message(plain).body.encode(),
        )
        self._lines.join(use.name, [waiter])
        if not use.name.is_freeze:  # time in which it is frozen does not count
            self.remind(plain, command.claim_by)
        return True

    def remind(self, order: Order, until: int) -> None:
        """Have the order looked at when it may wait no longer (epoch ms; 0: never). Raises `RetryableError`."""
        if until:
            left = (until - self._clock.now()) / 1000 + 1
            message = order_message(replace(order, is_reminder=True))
            queue = serving_queue(order.command.pool, self._pools)
            if self._queues.send(queue, [replace(message, delay_seconds=max(min(left, DELAY_SECONDS_MAX), 0))]):
                raise RetryableError("the reminder of an order that waits was refused by its queue")

    def owner_in_line(self, order: Order, plan: Plan) -> str:
        """Whose the run of an order is while it waits."""
        return _owner(place_of(_priority(order, plan), order.tenant, order.command.at, _holder(order)))

    def leave(self, run: Run) -> None:
        """A run that waited does not any more."""
        self._lines.leave(LimiterName(run.limiter, run.limiter_key), run.place)

    async def begin(self, admitted: Admitted) -> Admitted:
        """Wait for the starts that are booked. Raises `RetryableError` if they are over, and there are no others
        soon."""
        until = self._clock.now() + BEGINNING_MS_MAX
        begun = await begin_on_time(self._ports, self._lines, admitted.bookings, until)
        if begun is None:
            raise RetryableError(TOO_LATE)
        return replace(admitted, bookings=begun)

    def check_begins(self, admitted: Admitted) -> None:
        """The last thing before a node's code: the process may have stood still. Raises `RetryableError`."""
        if any(booking.is_late(self._clock.now()) for booking in admitted.bookings):
            raise RetryableError(TOO_LATE)

    def renew(self, admitted: Admitted) -> None:
        """Hold the slots for longer. Raises `RetryableError`."""
        for use in admitted.uses:
            if use.has_slots:
                self._lines.holds(use.name, admitted.holder, self._lines.lease())

    def give_back(self, order: Order, admitted: Admitted) -> None:
        """Give slots to those who wait for them, or back. Raises `RetryableError`."""
        queue = serving_queue(order.command.pool, self._pools)
        for use in admitted.uses:
            if use.has_slots:
                self._pass_on(use, admitted.holder, queue, waited=admitted.waited)

    def give_back_lost(self, order: Order, uses: Sequence[Use]) -> None:
        """What a run held whose worker is dead."""
        holder = _holder(order)
        queue = serving_queue(order.command.pool, self._pools)
        for use in uses:
            if use.has_slots and use.limiter.shards == 1:
                self._pass_on(use, holder, queue, waited=False)
            elif use.has_slots and self._lines.release_of_any(use.name, use.limiter, holder):
                self._lines.nudge(use.name)

    def _pass_on(self, use: Use, holder: str, queue: str, *, waited: bool) -> None:
        """One slot: if there is a line, in one write to the next in it; else back."""
        if waited or LINE in self._lines.known(use.name):
            granted = self._lines.grant(use.name, use.limiter, gives=holder, queue=queue)
            if not isinstance(granted, Refusal):
                self._granter.send_on(use.name, [granted])
                self._lines.miss_pump(use.name)
                return
        if self._lines.release(use.name, holder):
            self._grant_next(use, queue)
        else:  # it was given back before, when nobody waited as yet
            self._lines.miss_pump(use.name)

    def _grant_next(self, use: Use, queue: str) -> None:
        granted = self._lines.grant(use.name, use.limiter, queue=queue)
        if granted is Refusal.ELSEWHERE:
            self._lines.nudge(use.name)
        elif not isinstance(granted, Refusal):
            self._granter.send_on(use.name, [granted])

    def heed(self, admitted: Admitted, error: ErrorDocument | None, heeded: Collection[str]) -> None:
        """If a provider has had enough, nothing begins for a while; ``heeded``: names of limiters that are each closed
        when its own models have."""
        if error is None or error.type != "rate_limited":
            return
        until = busy_until(self._clock.now(), error.retry_after)
        for use in admitted.uses:
            if use.limiter.has_rates and use.name.name not in heeded:
                self._lines.close_until(use.name.line, use.limiter, until)


def _holder(order: Order) -> str:
    return holder_of(order.execution_id, order.command.path, order.command.serial)


def _priority(order: Order, plan: Plan) -> int:
    node = node_of(plan, order.command.path)  # None: what puts the output together
    return node.priority if node is not None else 0


def _owner(place: str) -> str:
    return f"line/{place}"


def limiters_of_call(node: NodePlan, invokers: Mapping[NodeType, Invoker]) -> Iterator[str]:
    """Names of limiters that hold a node whether it names them or not, if there are such: those of everything, of its
    type, and of what it runs."""
    if not isinstance(node.spec, (AgentSpec, ToolSpec)):
        return
    yield EVERYTHING
    yield f"{TYPE}{node.type}"
    target = node.spec.target
    if isinstance(target, str) and node.type in invokers:
        yield from invokers[node.type].limiters(target)
