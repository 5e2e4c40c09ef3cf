"""Beginning at the time that was booked: not before, and not so late that it would be one too many then."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.ports import Ports
from workflow_runtime.services.limits.arithmetic import Need
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.services.patience import patiently
from workflow_runtime.storage.limiters import LimiterName

ROUNDS_MAX = 20  # of booking again, each of which waits for its time


class Booking(msgspec.Struct, frozen=True):
    """A start that is booked for ``at`` (epoch ms), of so many requests; without any, it only is not before that."""

    name: LimiterName
    limiter: Limiter
    holder: str
    at: int
    requests: int = 1

    def is_late(self, now: int) -> bool:
        """Whether the rate has it no more: it counts others then, see `Rate.spacing`."""
        rate = self.limiter.requests
        return rate is not None and self.requests > 0 and now >= self.at + rate.late_ms


async def begin_on_time(
    ports: Ports, lines: Lines, bookings: Sequence[Booking], until: int
) -> tuple[Booking, ...] | None:
    """Wait for the last of these starts; what is too late for that, or for now, is booked again. The starts that have
    come; None: nothing can begin until then (epoch ms). Raises `RetryableError`."""
    booked = list(bookings)
    for _ in range(ROUNDS_MAX):
        now = ports.clock.now()
        start = max([now, *(one.at for one in booked)])
        if start > until:
            return None
        late = next((number for number, one in enumerate(booked) if one.is_late(start)), None)
        if late is not None:
            again = await booked_again(ports, lines, booked[late], Need(booked[late].holder, 0), start, until)
            if again is None:
                return None
            booked[late] = again
        elif start > now:
            await ports.clock.sleep((start - now) / 1000)
        else:
            return tuple(booked)
    return None


async def booked_again(
    ports: Ports, lines: Lines, booking: Booking, need: Need, after: int, until: int
) -> Booking | None:
    """Book what is needed for a time between (epoch ms); waits while the limiter is closed. None: there is none. Raises
    `RetryableError`."""
    while True:
        ahead = replace(booking.limiter, horizon_ms=max(until - ports.clock.now(), 0))
        taken, at = await patiently(ports, lines.book, booking.name, ahead, need, after)
        if taken:
            return replace(booking, at=at, requests=need.requests)
        if not at or at > until:
            return None
        await ports.clock.sleep((at - ports.clock.now()) / 1000)
