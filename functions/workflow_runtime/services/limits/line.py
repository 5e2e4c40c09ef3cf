"""The gauge and the line of limiters: taking, joining, granting, giving back. See the package for why that is safe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import Enum, auto
from zlib import crc32

import msgspec

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import LIMITS
from workflow_runtime.errors import RetryableError
from workflow_runtime.plan.limiters import SHARDS_MAX, Limiter
from workflow_runtime.ports import AnyOf, Below, Change, Condition, Equals, Message, Missing, Ports, Present, holds
from workflow_runtime.services.limits import arithmetic
from workflow_runtime.services.limits.arithmetic import Gauge, Need, Taking, number, taking
from workflow_runtime.storage import keys
from workflow_runtime.storage.limiters import CLASSES, LimiterName, LimiterStore, Waiter, WaiterKind, plain_tenant

LEASE_JITTER_MS = 4_000  # two leases taken within one millisecond must still differ: they tell holders apart
LEASE_MS = 90_000  # a slot whose holder is silent for so long is free; as long as the lease of a run
FOREVER = (1 << 53) - 1  # lease of a whole execution, whose end gives its slot back
KEPT_SECONDS = 30 * 86_400  # of one key of a limiter: much longer than anything waits or runs, but for executions
EXECUTION_SECONDS = 400 * 86_400  # the longest life of an execution
PUMP_SILENT_MS = 60_000  # then a pump is taken for dead by the next that joins the line
TRIES_MAX = 8  # changes of a gauge that another one came before
LOWER_CLASS_EVERY = 8  # one grant in so many goes to a lower class of priority than the first in the line
GAUGES_KNOWN_MAX = 1000
BUSY_MS = 1_000  # that nothing begins after a provider has had enough and did not say for how long

_pump_messages = msgspec.json.Encoder()


class PumpMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """To the pump of a limiter. ``token``: the time that stands in the gauge while this is the live pump's message; 0:
    a nudge, which grants what there is to grant, once."""

    name: str
    key: str = ""
    token: int = 0


class Grant(msgspec.Struct, frozen=True):
    """Something taken: when it may begin (epoch ms), the fencing number, until when a slot is held, and of which shard
    it was taken. Of two messages of one order, the one that has renewed the slot last is the one that holds it: a lease
    tells them apart."""

    starts_at: int
    fence: int
    lease_until: int = 0
    shard: int = 0


class Refusal(Enum):
    FULL = auto()
    """There is no slot, or the rate has nothing within the horizon."""
    EMPTY = auto()
    """There is nobody in the line."""
    ELSEWHERE = auto()
    """The next in the line waits for a queue that the caller may not send to."""


class Lines:
    """``new_id`` makes texts that nobody else has; ``count`` takes metrics."""

    def __init__(
        self, ports: Ports, store: LimiterStore, new_id: Callable[[], str], count: Callable[[str, int], None]
    ) -> None:
        self._count = count
        self._clock = ports.clock
        self._queues = ports.queues
        self._store = store
        self._new_id = new_id
        self._known: dict[LimiterName, Gauge] = {}

    def take(self, name: LimiterName, limiter: Limiter, need: Need, *, has_begun: bool = False) -> Grant | None:
        """Take what is needed, of one of two shards if it is divided; None: it must wait in the line. ``has_begun``:
        for somebody who has, and cannot go back into a line; None: there is nothing now."""
        for shard in shards_for(need.holder, limiter.shards):
            granted = self._take(name.at(shard), limiter.part(shard), need, has_begun=has_begun)
            if granted is not None:
                return granted
        return None

    def _take(
        self,
        name: LimiterName,
        limiter: Limiter,
        need: Need,
        *,
        in_line: bool = False,
        has_begun: bool = False,
        gives: str | None = None,
    ) -> Grant | None:
        """``gives``: who gives up a slot for it."""
        gauge = self.known(name)
        if limiter.paused and not in_line:
            return None
        if not in_line and not has_begun and arithmetic.LINE in gauge:
            gauge = self.gauge(name)  # to read is cheaper than a write in vain
            if arithmetic.LINE in gauge and arithmetic.HOLDER + need.holder not in gauge:
                return None

        def wanted_at(now: int) -> Taking:
            wanted = taking(limiter, need, now, gauge, in_line=in_line, has_begun=has_begun)
            return wanted if gives is None else arithmetic.handed_over(wanted, gives)

        for _ in range(TRIES_MAX):
            now = self._clock.now()
            wanted = wanted_at(now)
            done, gauge = self._change(name, wanted.change, wanted.condition)
            if done:
                self.keep(name, gauge)
                starts = arithmetic.starts_at(limiter, wanted.costs, now, gauge)
                return Grant(starts, number(gauge, arithmetic.FENCE), need.lease_until, name.shard)
            if arithmetic.HOLDER + need.holder in gauge:
                # The answer to an earlier call was lost, the message came twice, or it comes too late for the start
                # that was booked. A new fence is larger than all, too. Its lease may have run out, unseen as yet.
                wanted = arithmetic.adopting(limiter, need, now, gauge)
                done, gauge = self._change(name, wanted.change, wanted.condition)
                if done:
                    starts = arithmetic.starts_at(limiter, wanted.costs, now, gauge)
                    return Grant(starts, number(gauge, arithmetic.FENCE), need.lease_until, name.shard)
            if self._pruned(name, gauge, now):
                gauge = self._known[name]
            if not holds(wanted_at(now).condition, gauge):
                return None
        return None

    def book(self, name: LimiterName, limiter: Limiter, need: Need, after: int = 0) -> tuple[bool, int]:
        """Take requests and tokens for somebody who has begun, not before ``after`` (epoch ms), and at most the
        limiter's horizon ahead. Whether they are taken, and from when on they are held (epoch ms); if they are not,
        when to look again, 0: never."""
        gauge = self.known(name)
        for _ in range(TRIES_MAX):
            now = max(self._clock.now(), after)
            wanted = arithmetic.booking(limiter, need, now, gauge)
            done, gauge = self._change(name, wanted.change, wanted.condition)
            if done:
                return True, arithmetic.starts_at(limiter, wanted.costs, now, gauge)
            if not holds(arithmetic.booking(limiter, need, now, gauge).condition, gauge):
                gate = number(gauge, arithmetic.GATE)
                return False, gate if now < gate < arithmetic.PAUSED else 0
        return False, self._clock.now() + 1

    def _pruned(self, name: LimiterName, gauge: Gauge, now: int) -> bool:
        """Take slots back whose holders are dead. Whether there were any."""
        found = False
        for change, condition in arithmetic.expired(gauge, now):
            self._change(name, change, condition)
            found = True
        return found

    def keep(self, name: LimiterName, gauge: Gauge) -> None:
        """Have the item of one of a limiter's keys kept for a good while after its last use, or until the executions
        that it lets run have ended. A write in weeks."""
        if not name.key:
            return
        executions = any(until >= FOREVER for until in arithmetic.holders(gauge).values())
        least = (EXECUTION_SECONDS if executions else 0) + self._clock.now() // 1000 + KEPT_SECONDS // 2
        seen = gauge.get(keys.EXPIRES)
        if not isinstance(seen, int) or seen < least:
            condition = Equals(keys.EXPIRES, seen) if isinstance(seen, int) else Missing(keys.EXPIRES)
            self._change(name, Change(set={keys.EXPIRES: least + KEPT_SECONDS // 2}), condition)

    def lease(self) -> int:
        """Until when a slot is held that is taken now (epoch ms); hardly ever the same twice."""
        return self._clock.now() + LEASE_MS + int(self._new_id()[:3], 16) % LEASE_JITTER_MS

    def holds(self, name: LimiterName, holder: str, lease_until: int) -> bool:
        """Hold a slot for longer; False if it is not held any more."""
        return self._change(name, *arithmetic.renewing(holder, lease_until))[0]

    def release(self, name: LimiterName, holder: str, lease_until: int | None = None) -> bool:
        """Give a slot back, if it is held (under this lease, if one is given). Whether somebody waits for it."""
        return self._released(name, holder, lease_until)[1]

    def release_of_any(self, name: LimiterName, limiter: Limiter, holder: str, *, also_former: bool = False) -> bool:
        """Give back what somebody holds of any shard. Whether somebody waits for it. ``also_former``: if it is none of
        those that there are, the limiter may have had more."""
        done, waited_for = zip(
            *(self._released(name.at(shard), holder) for shard in range(limiter.shards)), strict=True
        )
        if also_former and not any(done):
            former = self._store.gauges_of([name.at(shard) for shard in range(limiter.shards, SHARDS_MAX)])
            held = [shard for shard, gauge in former.items() if arithmetic.HOLDER + holder in gauge]
            waited_for = (*waited_for, *(self._released(shard, holder)[1] for shard in held))
        return any(waited_for)

    def _released(self, name: LimiterName, holder: str, lease_until: int | None = None) -> tuple[bool, bool]:
        """Give a slot back: whether it was held, and whether somebody waits for it."""
        done, gauge = self._change(name, *arithmetic.releasing(holder, lease_until))
        return done, done and arithmetic.LINE in gauge

    def correct_tokens(self, name: LimiterName, limiter: Limiter, tokens: int) -> None:
        """What was taken was too little by so many tokens; too much, if they are negative."""
        if limiter.tokens is not None and tokens:
            booked = limiter.tokens.microseconds(abs(tokens)) * (1 if tokens > 0 else -1)
            self._change(name, Change(add={arithmetic.TOKENS_BOOKED: booked}), Present(arithmetic.TOKENS_BOOKED))

    def close_until(self, name: LimiterName, limiter: Limiter, until: int) -> None:
        """Nothing begins before (epoch ms)."""
        condition = AnyOf((Missing(arithmetic.GATE), Below(arithmetic.GATE, until)))
        for shard in range(limiter.shards):
            self._change(name.at(shard), Change(set={arithmetic.GATE: until}), condition)

    def pause(self, name: LimiterName, limiter: Limiter) -> None:
        """Nothing begins until it is resumed; its pump ends at its next look."""
        self.close_until(name, limiter, arithmetic.PAUSED + self._clock.now())

    def rest(self, name: LimiterName, limiter: Limiter, token: int) -> None:
        """The live pump, whose token this is, has found the limiter paused: it ends, and costs nothing until somebody
        resumes it. Who joins the line from then on finds the gate closed; who joined it before stands in it when
        somebody resumes. The first gauge last: by that alone those who join know."""
        for shard in range(1, limiter.shards):
            if not arithmetic.is_paused(self.known(name.at(shard))):
                self._change(name.at(shard), Change(set={arithmetic.GATE: arithmetic.PAUSED + self._clock.now()}))
        self._change(name.line, *arithmetic.resting(token, self._clock.now()))

    def seems_paused(self, name: LimiterName, limiter: Limiter) -> bool:
        """Whether a gate was closed for a pause when it was last seen."""
        return any(arithmetic.is_paused(self.known(name.at(shard))) for shard in range(limiter.shards))

    def open(self, name: LimiterName) -> None:
        """Things begin again, those in the line first. Raises `RetryableError`."""
        self.nudge(name)  # should this die half way, that carries it through
        others = range(1, SHARDS_MAX if not name.is_freeze else 1)  # it may have had more when it was closed
        for shard, gauge in self._store.gauges_of([name.at(shard) for shard in others]).items():
            if arithmetic.GATE in gauge:
                self._change(shard, Change(remove=(arithmetic.GATE,)))
        _, opened = self._change(name.line, arithmetic.resuming(self.gauge(name.line), self._clock.now()))
        self.send_pump(PumpMessage(name.name, name.key, number(opened, arithmetic.PUMP)))

    def join(self, name: LimiterName, waiters: Sequence[Waiter]) -> None:
        """Take places in the line, then have a pump look after it, which tells the other shards that there is one.
        Raises `RetryableError`."""
        if name.key and not name.is_freeze:
            self._store.remember(name, self._clock.now() // 1000 + KEPT_SECONDS)
        self._store.join(name, waiters)
        _, gauge = self._change(name.line, Change(set={arithmetic.LINE: self._new_id()[:16]}))
        self.ensure_pump(name.line, gauge)

    def ensure_pump(self, name: LimiterName, gauge: Gauge | None = None) -> None:
        """Start a pump unless one was heard of not long ago, or the limiter is paused. Raises `RetryableError`."""
        now = self._clock.now()
        gauge = gauge if gauge is not None else self._store.gauge(name)
        if number(gauge, arithmetic.PUMP) > now - PUMP_SILENT_MS or arithmetic.rests(gauge, now):
            return
        silent = AnyOf((Missing(arithmetic.PUMP), Below(arithmetic.PUMP, now - PUMP_SILENT_MS + 1)))
        started, found = self._change(name, Change(set={arithmetic.PUMP: now}), silent)
        if started or number(found, arithmetic.PUMP) == now:  # the answer to an earlier call was lost
            if arithmetic.PUMP in gauge:
                self._count(Metric.PUMPS_LOST, 1)
            try:
                self.send_pump(PumpMessage(name.name, name.key, now))
            except RetryableError:  # nobody would start one for a minute
                self._change(name, Change(remove=(arithmetic.PUMP,)), Equals(arithmetic.PUMP, now))
                raise

    def miss_pump(self, name: LimiterName) -> None:
        """Start a pump if the gauge, as last changed, has a line and none was heard of. Raises `RetryableError`."""
        if not name.shard and arithmetic.LINE in (gauge := self.known(name)):
            self.ensure_pump(name, gauge)

    def nudge(self, name: LimiterName) -> None:
        """Have the pump's function grant what there is to grant. Raises `RetryableError`."""
        self.send_pump(PumpMessage(name.name, name.key))

    def send_pump(self, message: PumpMessage, delay_seconds: float = 0) -> None:
        if self._queues.send(LIMITS, [Message(_pump_messages.encode(message).decode(), delay_seconds=delay_seconds)]):
            raise RetryableError("the queue of the pump refused a message")

    def leave(self, name: LimiterName, place: str) -> None:
        """Nobody waits in this place any more."""
        self._store.leave(name, [place])

    def leave_with_all(self, name: LimiterName, place: str) -> None:
        """A start does not wait in this place any more, and nothing that came for its execution."""
        self._store.leave_with_all(name, place)

    def let_all_pass(self, name: LimiterName) -> Grant | None:
        """What all who wait for a limiter that holds nothing are granted, unless it is paused."""
        now = self._clock.now()
        is_open = AnyOf((Missing(arithmetic.GATE), Below(arithmetic.GATE, now + 1)))
        done, gauge = self._change(name, Change(add={arithmetic.FENCE: 1}), is_open)
        return Grant(now, number(gauge, arithmetic.FENCE)) if done else None

    def _next(self, name: LimiterName, gauge: Gauge, without: Collection[str]) -> Waiter | None:
        """Whose turn it is: of the first class of priority, or of a lower one once in a while, so that none starves; in
        it one tenant after the other, a few of each (its weight); of a tenant, the one who came first."""
        first = self._store.first(name, without=without)
        if first is None:
            return None
        place = first.place[0]
        if number(gauge, arithmetic.FENCE) % LOWER_CLASS_EVERY == LOWER_CLASS_EVERY - 1 and int(place) < CLASSES:
            lower = self._store.first(name, after=f"{place}$", without=without)  # `$` follows the `#` of the class
            if lower is not None:
                first, place = lower, lower.place[0]
        tenant = str(gauge.get(arithmetic.LAST_TENANT) or "")
        if not tenant or first.kind is WaiterKind.EVENT:
            return first
        again = self._store.first(name, f"{place}#{tenant}#", without=without)
        if again is not None and number(gauge, arithmetic.SERVED) < again.weight:
            return again
        return self._store.first(name, f"{place}#", after=f"{place}#{tenant}$", without=without) or first

    def grant(
        self,
        name: LimiterName,
        limiter: Limiter,
        *,
        gives: str | None = None,
        queue: str | None = None,
        without: Collection[str] = (),
    ) -> tuple[Waiter, Grant] | Refusal:
        """Take what the next in the line needs, on its behalf, by the gauge as it was last seen. The caller sends its
        message on, and then has it leave.

        ``gives``: who gives up a slot for it; ``queue``: the only one that the caller may send to; ``without``: places
        whose waiters are on their way out already. Without a queue, that is for the pump: of any shard.
        """
        if queue is not None or limiter.shards == 1:
            return self._grant(name, limiter, gives, queue, without)
        now = self._clock.now()
        shards = [name.at(shard) for shard in range(limiter.shards)]
        for shard in sorted(shards, key=lambda one: number(self.known(one), arithmetic.SLOTS_HELD)):
            if self._may_have_room(shard, limiter.part(shard.shard), now):
                found = self._grant(shard, limiter, None, None, without)
                if found is not Refusal.FULL:
                    return found
        return Refusal.EMPTY if self._store.first(name, without=without) is None else Refusal.FULL

    def _may_have_room(self, name: LimiterName, part: Limiter, now: int) -> bool:
        """By the gauge as it was last seen."""
        gauge = self.known(name)
        room = taking(part, Need("", 0), now, gauge, in_line=True).condition
        return holds(room, gauge) or any(until < now for until in arithmetic.holders(gauge).values())

    def _grant(
        self, name: LimiterName, limiter: Limiter, gives: str | None, queue: str | None, without: Collection[str]
    ) -> tuple[Waiter, Grant] | Refusal:
        waiter = self._next(name, self.known(name), without)
        while waiter is not None and waiter.holder == gives:  # his run is over: he was sent on, and did not leave
            self._store.leave(name, [waiter.place])
            waiter = self._next(name, self.known(name), without)
        if waiter is None:
            return Refusal.EMPTY
        if queue is not None and waiter.queue != queue:
            return Refusal.ELSEWHERE
        if waiter.kind is WaiterKind.EVENT:
            return waiter, Grant(self._clock.now(), 0)
        lease = FOREVER if waiter.kind is WaiterKind.START else self.lease() + limiter.horizon_ms
        need = Need(waiter.holder, lease, waiter.requests, waiter.tokens, plain_tenant(waiter.tenant))
        granted = self._take(name, limiter.part(name.shard), need, in_line=True, gives=gives)
        return (waiter, granted) if granted is not None else Refusal.FULL

    def look(self, name: LimiterName, limiter: Limiter) -> Gauge:
        """The gauge as it is now, those of all shards being read, too; the others are told that there is a line, so
        that nobody takes past it."""
        found = self._store.gauges_of([name.at(shard) for shard in range(limiter.shards)])
        self._known.update(found)
        mark = found[name].get(arithmetic.LINE)
        for shard, gauge in found.items():
            if mark is not None and arithmetic.LINE not in gauge:
                self._change(shard, Change(set={arithmetic.LINE: mark}))
        return found[name]

    def forget_line(self, name: LimiterName, limiter: Limiter) -> None:
        """Tell the other shards that there is no line any more."""
        for shard in range(1, limiter.shards):
            if arithmetic.LINE in self.known(name.at(shard)):
                self._change(name.at(shard), Change(remove=(arithmetic.LINE,)))

    def gauge(self, name: LimiterName) -> Gauge:
        """The gauge as it is now."""
        self._known[name] = self._store.gauge(name)
        return self._known[name]

    def known(self, name: LimiterName) -> Gauge:
        """The gauge as of the last change."""
        return self._known.get(name, {})

    def _change(self, name: LimiterName, change: Change, condition: Condition | None = None) -> tuple[bool, Gauge]:
        done, gauge = self._store.change(name, change, condition)
        if len(self._known) >= GAUGES_KNOWN_MAX:
            self._known.clear()
        self._known[name] = gauge
        return done, gauge


def busy_until(now: int, retry_after_seconds: float | None) -> int:
    """Until when nothing begins after a provider had enough (epoch ms)."""
    return now + (int(retry_after_seconds * 1000) if retry_after_seconds else BUSY_MS)


def shards_for(holder: str, shards: int) -> tuple[int, ...]:
    """The shards of which somebody takes: one, and if that is full another one."""
    first, other = divmod(crc32(holder.encode()), shards)[::-1]
    return (first,) if shards == 1 else (first, (first + 1 + other % (shards - 1)) % shards)
