"""What a limiter's item must be for somebody to begin, what it becomes then, and when that somebody begins.

Pure: values in, values out. The item of a limiter (its *gauge*) has these attributes, all of them integers but for the
last two; DynamoDB's conditions know no arithmetic, so whatever is computed is computed here from the gauge as it was
last seen. If it is another by then, the condition fails and answers the gauge as it is.

- ``rt``, ``tt``: until when requests and tokens are booked (GCRA's theoretical arrival time; epoch µs)
- ``n``: slots that are held; ``h#<holder>``: until when this holder has one (epoch ms)
- ``fence``: how many grants there were: each has a larger number than all before it
- ``gate``: nothing begins before (epoch ms); of a limiter that is paused, `PAUSED` and since when (epoch ms)
- ``pump``: when the pump last looked (epoch ms); ``served``: how many of the tenant in ``rr`` were served in a row
- ``q``: there is a line: a text that is new with everybody who joins it; ``rr``: the tenant that was served last
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from workflow_runtime.plan.limiters import Limiter, Rate
from workflow_runtime.ports import (
    AllOf,
    AnyOf,
    Attribute,
    Below,
    Between,
    Change,
    Condition,
    Equals,
    Missing,
    Present,
)

HOLDER = "h#"
SLOTS_HELD = "n"
FENCE = "fence"
GATE = "gate"
LINE = "q"
PUMP = "pump"
LAST_TENANT = "rr"
SERVED = "served"
PAUSED = (1 << 53) - 1  # gates from here on open when somebody resumes the limiter, and not with time
PAUSE_BELIEVED_MS = 600_000  # that a gate is taken for closed without a look at what people want
REQUESTS_BOOKED = "rt"
TOKENS_BOOKED = "tt"

Gauge = Mapping[str, Attribute]
"""The attributes of a limiter's item; empty if there is none yet."""


class Need(msgspec.Struct, frozen=True):
    """What somebody takes of a limiter: requests, tokens, and a slot if it has any.

    - ``holder``: names the one who takes it; never used for another
    - ``lease_until``: for how long it is believed to live (epoch ms)
    - ``tenant``: whom it is for, as it stands in keys
    """

    holder: str
    lease_until: int
    requests: int = 1
    tokens: int = 0
    tenant: str = ""


class Taking(msgspec.Struct, frozen=True):
    """A change that takes what is needed, and its conditions, which hold all together. ``costs``: µs that each rate
    books, by attribute."""

    change: Change
    conditions: tuple[Condition, ...]
    costs: Mapping[str, int]

    @property
    def condition(self) -> Condition:
        return AllOf(self.conditions)


def number(gauge: Gauge, name: str) -> int:
    value = gauge.get(name, 0)
    return value if isinstance(value, int) else 0


def taking(
    limiter: Limiter, need: Need, now: int, gauge: Gauge, *, in_line: bool = False, has_begun: bool = False
) -> Taking:
    """Take requests, tokens and a slot together or not at all. ``in_line``: who takes has waited; nobody else may while
    there is a line, but who ``has_begun``, and holds others up."""
    taken = booking(limiter, need, now, gauge)
    sets: dict[str, Attribute] = {**taken.change.set, **(_served(need, gauge) if in_line else {})}
    adds = {**taken.change.add, FENCE: 1}
    conditions = list(taken.conditions)
    if not (in_line or has_begun):
        conditions.append(Missing(LINE))
    if limiter.concurrency:
        holder = HOLDER + need.holder
        sets[holder] = need.lease_until
        adds[SLOTS_HELD] = 1
        conditions += [AnyOf((Missing(SLOTS_HELD), Below(SLOTS_HELD, limiter.concurrency))), Missing(holder)]
    return Taking(Change(set=sets, add=adds), tuple(conditions), taken.costs)


def booking(limiter: Limiter, need: Need, now: int, gauge: Gauge) -> Taking:
    """Take requests and tokens only, for somebody who has begun: there may be a line."""
    sets: dict[str, Attribute] = {}
    adds: dict[str, int] = {}
    conditions: list[Condition] = [AnyOf((Missing(GATE), Below(GATE, now + 1)))]
    costs: dict[str, int] = {}
    for name, rate, units in _rates(limiter, need):
        costs[name] = cost = _cost(name, rate, units)
        if number(gauge, name) > now * 1000:
            adds[name] = cost
            conditions.append(Between(name, now * 1000, now * 1000 + _ahead(limiter, name, rate)))
        else:
            sets[name] = now * 1000 + cost
            conditions.append(AnyOf((Missing(name), Below(name, now * 1000 + 1))))
    return Taking(Change(set=sets, add=adds), tuple(conditions), costs)


def _served(need: Need, gauge: Gauge) -> dict[str, Attribute]:
    """Whose turn it was, and how often in a row."""
    again = gauge.get(LAST_TENANT) == need.tenant
    return {LAST_TENANT: need.tenant, SERVED: number(gauge, SERVED) + 1 if again else 1}


def starts_at(limiter: Limiter, costs: Mapping[str, int], now: int, gauge: Gauge) -> int:
    """When who has taken that may begin (epoch ms), by the gauge as it is since."""
    start = now * 1000
    for name, rate in (REQUESTS_BOOKED, limiter.requests), (TOKENS_BOOKED, limiter.tokens):
        if rate is not None and name in costs:
            start = max(start, number(gauge, name) - costs[name] - _burst(limiter, name, rate))
    return -(-start // 1000)


def expired(gauge: Gauge, now: int) -> Iterator[tuple[Change, Condition]]:
    """What takes the slots back whose holders are dead."""
    for holder, until in holders(gauge).items():
        if until < now:
            yield releasing(holder, until)


def releasing(holder: str, lease_until: int | None = None) -> tuple[Change, Condition]:
    """Give a slot back; if a lease is given, only if it is still held by that one."""
    name = HOLDER + holder
    held = Present(name) if lease_until is None else Equals(name, lease_until)
    return Change(add={SLOTS_HELD: -1}, remove=(name,)), held


def renewing(holder: str, lease_until: int) -> tuple[Change, Condition]:
    """Hold a slot for longer."""
    return Change(set={HOLDER + holder: lease_until}), Present(HOLDER + holder)


def adopting(limiter: Limiter, need: Need, now: int, gauge: Gauge) -> Taking:
    """Go on with a slot that somebody had taken for the same: with a lease, a start and a fencing number of one's own.
    Which start was booked with the slot is not known, and another one's cannot be shared."""
    booked = booking(limiter, need, now, gauge)
    holder = HOLDER + need.holder
    change = Change(set={**booked.change.set, holder: need.lease_until}, add={**booked.change.add, FENCE: 1})
    return Taking(change, (*booked.conditions, Present(holder)), booked.costs)


def handed_over(taken: Taking, holder: str) -> Taking:
    """The same with the slot that ``holder`` has: one write, and the number of slots that are held does not change."""
    name = HOLDER + holder
    adds = {attribute: value for attribute, value in taken.change.add.items() if attribute != SLOTS_HELD}
    kept = tuple(one for one in taken.conditions if not _counts_slots(one))
    change = Change(set=taken.change.set, add=adds, remove=(*taken.change.remove, name))
    return Taking(change, (*kept, Present(name)), taken.costs)


def is_paused(gauge: Gauge) -> bool:
    return number(gauge, GATE) >= PAUSED


def rests(gauge: Gauge, now: int) -> bool:
    """Whether no pump has anything to do: the limiter was paused, or found to be, not long ago."""
    return is_paused(gauge) and number(gauge, GATE) - PAUSED > now - PAUSE_BELIEVED_MS


def resting(token: int, now: int) -> tuple[Change, Condition]:
    """Close the gate until somebody resumes the limiter, and end the live pump, whose token this is."""
    return Change(set={GATE: PAUSED + now}, remove=(PUMP,)), Equals(PUMP, token)


def resuming(gauge: Gauge, now: int) -> Change:
    """Open the gate and begin another pump in one write, so that none that still takes the limiter for paused can close
    it again."""
    return Change(set={PUMP: max(now, number(gauge, PUMP) + 1)}, remove=(GATE,))


def merged(gauges: Sequence[Gauge]) -> Gauge:
    """The gauges of all shards of a limiter as one, for people."""
    whole: dict[str, Attribute] = {name: value for gauge in gauges for name, value in gauge.items()}
    for name, of in ((SLOTS_HELD, sum), (GATE, max), (REQUESTS_BOOKED, min), (TOKENS_BOOKED, min)):
        held = [number(gauge, name) for gauge in gauges if name in gauge]
        if held:
            whole[name] = of(held)
    return whole


def is_booked_ahead(gauge: Gauge, now: int) -> bool:
    """Whether a start may have been booked for later."""
    return any(number(gauge, name) > now * 1000 for name in (REQUESTS_BOOKED, TOKENS_BOOKED))


def holders(gauge: Gauge) -> dict[str, int]:
    """Who has a slot, and until when (epoch ms)."""
    return {
        name.removeprefix(HOLDER): until
        for name, until in gauge.items()
        if name.startswith(HOLDER) and isinstance(until, int)
    }


def _counts_slots(condition: Condition) -> bool:
    return isinstance(condition, AnyOf) and Missing(SLOTS_HELD) in condition.conditions


def _rates(limiter: Limiter, need: Need) -> Iterator[tuple[str, Rate, int]]:
    if limiter.requests is not None and need.requests:
        yield REQUESTS_BOOKED, limiter.requests, need.requests
    if limiter.tokens is not None and need.tokens:
        yield TOKENS_BOOKED, limiter.tokens, need.tokens


def _ahead(limiter: Limiter, name: str, rate: Rate) -> int:
    """How far ahead of now (µs) a rate may be booked before somebody takes of it."""
    return limiter.horizon_ms * 1000 + _burst(limiter, name, rate)


def _burst(limiter: Limiter, name: str, rate: Rate) -> int:
    return _cost(name, rate, limiter.burst) if name == REQUESTS_BOOKED and limiter.burst else 0


def _cost(name: str, rate: Rate, units: int) -> int:
    return rate.spacing(units) if name == REQUESTS_BOOKED else rate.microseconds(units)
