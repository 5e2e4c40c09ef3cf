"""The gauge and the line of a limiter: what several processes, each with its own idea of the gauge, take of it."""

from __future__ import annotations

from itertools import count

from tests.limits_world import START

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import SPARE_POOL
from workflow_runtime.plan.limiters import Limiter, Rate
from workflow_runtime.services.limits.arithmetic import Need
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.storage.limiters import LimiterName, LimiterStore, Waiter, WaiterKind, place_of

NAME = LimiterName("限")
LEASE = START + 90_000


def processes(number: int) -> list[Lines]:
    ports = open_backend(clock=VirtualClock(START)).ports
    ids = count()
    return [
        Lines(ports, LimiterStore(ports.table, ports.blobs), lambda: str(next(ids)), lambda _name, _value: None)
        for _ in range(number)
    ]


def waiter(holder: str) -> Waiter:
    place = place_of(0, "", START, holder)
    return Waiter(kind=WaiterKind.ORDER, place=place, holder=holder, execution_id="e", since=START, queue=SPARE_POOL)


def test_who_has_not_heard_of_the_line_does_not_overtake_it() -> None:
    limiter = Limiter(concurrency=2)
    first, other = processes(2)
    assert other.take(NAME, limiter, Need("a", LEASE)) is not None
    first.join(NAME, [waiter("b")])
    assert other.take(NAME, limiter, Need("c", LEASE)) is None, "there is a slot, but `b` was there before"


def test_processes_that_know_nothing_of_each_other_take_no_more_than_the_slots() -> None:
    limiter = Limiter(concurrency=3)
    granted = [lines.take(NAME, limiter, Need(f"h{at}", LEASE)) for at, lines in enumerate(processes(5))]
    assert [grant is not None for grant in granted] == [True, True, True, False, False]


def test_starts_are_booked_a_period_apart_and_no_further_ahead_than_the_horizon() -> None:
    limiter = Limiter(requests=Rate(60, 60_000), burst=2, horizon_ms=3_000)
    granted = [lines.take(NAME, limiter, Need(f"h{at}", LEASE)) for at, lines in enumerate(processes(9))]
    begin = [grant.starts_at - START for grant in granted if grant is not None]
    assert begin == [0, 0, 0, 1_017, 2_034], "a second and a sixtieth, as each may come a sixtieth of a minute late"
    assert granted[len(begin) :] == [None] * 4
