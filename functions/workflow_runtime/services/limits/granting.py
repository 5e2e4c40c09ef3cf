"""Sending on what was granted, and the pump, which grants what time brings. See the package for why that is safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import PLUMBING_TIMEOUT_SECONDS
from workflow_runtime.engine.events import Event, Poked
from workflow_runtime.errors import InvalidEvent, RetryableError
from workflow_runtime.plan.limiters import HORIZON_MS, Limiter
from workflow_runtime.ports import DELAY_SECONDS_MAX, Change, Equals, Message, Missing, Ports
from workflow_runtime.services.limits import arithmetic
from workflow_runtime.services.limits.arithmetic import Gauge
from workflow_runtime.services.limits.line import Grant, Lines, PumpMessage, Refusal
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import Mail, Order, order_message, parse_mail, parse_order
from workflow_runtime.storage.freezes import FreezeStore
from workflow_runtime.storage.limiters import PAGE, LimiterName, LimiterStore, Waiter, WaiterKind

PERIOD_MS = HORIZON_MS  # between two looks of a pump, at most
PUMP_SECONDS_MAX = PLUMBING_TIMEOUT_SECONDS // 2  # of one look; what is left then is left to the next
BATCH = 10  # grants sent on together
GRANTED = "granted:"
"""Starts the event id of a poke that begins an execution which has waited for a limiter; see `grant_of`."""

_pump_messages = msgspec.json.Decoder(PumpMessage)

Granted = tuple[Waiter, Grant]


def grant_of(name: LimiterName, events: Sequence[Event]) -> Poked | None:
    """The poke that tells an execution that it was granted what it has waited for."""
    wanted = f"{GRANTED}{name}"
    pokes = (event for event in events if isinstance(event, Poked))
    return next((event for event in pokes if event.event_id.rpartition(":")[0] == wanted), None)


class Granter:
    """Sends on the messages of those whose turn it is; then they leave the line."""

    def __init__(self, ports: Ports, store: LimiterStore, mailer: Mailer) -> None:
        self._clock = ports.clock
        self._queues = ports.queues
        self._store = store
        self._mailer = mailer

    def send_on(self, name: LimiterName, granted: Sequence[Granted]) -> None:
        """Raises `RetryableError`."""
        mails: list[Mail] = []
        orders: dict[str, list[Message]] = {}
        gone = dict.fromkeys(waiter.place for waiter, _ in granted)
        asked: set[str] = set()
        for waiter, grant in granted:
            match waiter.kind:
                case WaiterKind.ORDER:
                    orders.setdefault(waiter.queue, []).append(self._order(name, waiter, grant))
                case WaiterKind.START:
                    requests = self._store.requests_of(name, waiter)
                    asked.update(request.place for request in requests)
                    mails.append(self._start(name, waiter, grant, requests))
                case WaiterKind.EVENT if waiter.place not in asked:
                    mails.append(parse_mail(self._store.body(waiter)))
        gone.update(dict.fromkeys(asked))
        refusals = list(self._mailer.send_all(mails)) if mails else []
        for queue, messages in orders.items():
            refusals += self._queues.send(queue, messages)
        if refusals:
            raise RetryableError(f"what waited for {name} was refused by its queue: {refusals[0].reason}")
        self._store.leave(name, list(gone))

    def _start(self, name: LimiterName, waiter: Waiter, grant: Grant, requests: Sequence[Waiter]) -> Mail:
        """Together with what people have asked of the execution meanwhile: one that is suspended does not begin."""
        poke = Poked(f"{GRANTED}{name}:{grant.fence}", self._clock.now())
        then = [event for request in requests for event in parse_mail(self._store.body(request)).events]
        return Mail(waiter.execution_id, poke, tuple(then))

    def _order(self, name: LimiterName, waiter: Waiter, grant: Grant) -> Message:
        order = parse_order(self._store.body(waiter))
        of = str(name)
        shards = {of: grant.shard} if grant.shard else {}
        granted = replace(order, granted={of: grant.fence}, granted_at=grant.starts_at, shards=shards)
        return delayed(granted, self._clock.now())


def delayed(order: Order, now: int) -> Message:
    """The message of an order that was granted for a time ahead. Queues count whole seconds: it comes up to one too
    early, and waits for the rest in its worker."""
    seconds = max(order.granted_at - now, 0) // 1000
    return replace(order_message(order), delay_seconds=min(seconds, DELAY_SECONDS_MAX))


class Pump:
    """Looks after the line of a limiter: grants what time has brought, takes back the slots of the dead, and comes
    again until the line is empty. ``count`` takes metrics."""

    def __init__(
        self,
        ports: Ports,
        store: LimiterStore,
        freezes: FreezeStore,
        lines: Lines,
        granter: Granter,
        count: Callable[[str, int], None],
    ) -> None:
        self._count = count
        self._clock = ports.clock
        self._freezes = freezes
        self._store = store
        self._lines = lines
        self._granter = granter

    def take(self, body: str) -> int:
        """Carry out one message. Returns how many were granted. Raises `InvalidEvent` for anything but a message of a
        pump, `RetryableError`."""
        try:
            message = _pump_messages.decode(body)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise InvalidEvent(f"not a message of a pump: {error}") from error
        name = LimiterName(message.name, message.key)
        limiter, paused = self._wanted(name)
        gauge = self._lines.look(name, limiter)
        if message.token and not self._is_live(name, message, gauge):
            return 0
        if not paused and self._lines.seems_paused(name, limiter):
            # The gates are what makes a pause, and the rule what people want: who paused it has written that before.
            limiter, paused = self._wanted(name)
            if not paused:
                self._lines.open(name)  # whoever resumed it has not come to that; its pump does the rest
                return 0
        if paused:
            if message.token:
                self._lines.rest(name, limiter, message.token)
            return 0
        self._lines.keep(name, gauge)
        mark = gauge.get(arithmetic.LINE)
        granted, empty = self._pass_all(name) if limiter.holds_nothing else self._grant_all(name, limiter)
        if message.token:
            self._go_on(name, limiter, message, mark, empty=empty)
        if not (empty or name.is_freeze) and (first := self._store.first(name)) is not None:
            self._count(Metric.LINE_AGE, self._clock.now() - first.since)
        return granted

    def _is_live(self, name: LimiterName, message: PumpMessage, gauge: Gauge) -> bool:
        """Whether the message is the live pump's. One that is newer than what is recorded is it, too: whoever sent it
        has not come to record that."""
        recorded = arithmetic.number(gauge, arithmetic.PUMP)
        if not recorded or message.token <= recorded:
            return message.token == recorded
        mine = Change(set={arithmetic.PUMP: message.token})
        done, gauge = self._store.change(name, mine, Equals(arithmetic.PUMP, recorded))
        return done or arithmetic.number(gauge, arithmetic.PUMP) == message.token

    def _wanted(self, name: LimiterName) -> tuple[Limiter, bool]:
        """The limiter as it is now, and whether it is paused; one that there is no more lets all begin."""
        if name.is_freeze:
            switch = self._freezes.switch(name.key)
            return Limiter(), switch is not None and switch.holds
        rule = self._store.rule(name.name)
        return (Limiter(), False) if rule is None or rule.limiter is None else (rule.limiter, rule.paused)

    def _pass_all(self, name: LimiterName) -> tuple[int, bool]:
        """Send all on, of a limiter that holds nothing. How many, and whether the line is empty."""
        end = self._clock.now() + PUMP_SECONDS_MAX * 1000
        count = 0
        while self._clock.now() < end:
            page = self._store.line(name, PAGE)
            if not page:
                return count, True
            grant = self._lines.let_all_pass(name)
            if grant is None:
                return count, False
            self._granter.send_on(name, [(waiter, grant) for waiter in page])
            count += len(page)
        return count, False

    def _grant_all(self, name: LimiterName, limiter: Limiter) -> tuple[int, bool]:
        """Grant until nothing is left, of the line or of the limiter. How many, and whether the line is empty."""
        end = self._clock.now() + PUMP_SECONDS_MAX * 1000
        count = 0
        batch: list[Granted] = []
        seen: set[str] = set()
        while self._clock.now() < end:
            found = self._lines.grant(name, limiter, without=seen)
            if isinstance(found, Refusal):
                self._send(name, batch)
                return count + len(batch), found is Refusal.EMPTY
            batch.append(found)
            seen.add(found[0].place)
            if len(batch) == BATCH:
                self._send(name, batch)
                count += len(batch)
                batch = []
                seen.clear()
        self._send(name, batch)
        return count + len(batch), False

    def _send(self, name: LimiterName, batch: Sequence[Granted]) -> None:
        if batch:
            self._granter.send_on(name, batch)

    def _go_on(self, name: LimiterName, limiter: Limiter, message: PumpMessage, mark: object, *, empty: bool) -> None:
        """Come again, unless the line is ``empty``, and was since it was marked as it was (``mark``)."""
        if empty:
            rest = Change(remove=(arithmetic.LINE, arithmetic.PUMP))
            seen = Equals(arithmetic.LINE, mark) if isinstance(mark, str) else Missing(arithmetic.LINE)
            done, gauge = self._store.change(name, rest, seen)
            if done or arithmetic.LINE not in gauge:
                self._lines.forget_line(name, limiter)
                return
        # The message first: a crash in between leaves two, of which one finds that it is not the live pump's.
        now = max(self._clock.now(), message.token + 1)
        period = min(limiter.horizon_ms, PERIOD_MS) or PERIOD_MS
        self._lines.send_pump(replace(message, token=now), period / 1000)
        self._store.change(name, Change(set={arithmetic.PUMP: now}), Equals(arithmetic.PUMP, message.token))
