"""Limiters: how much of something may begin, and go on, at a time."""

from __future__ import annotations

from math import ceil

import msgspec
from msgspec.structs import replace

from workflow_runtime.plan.formulas import Formula

HORIZON_MS = 5_000
"""How far ahead a start may be booked, unless a limiter says otherwise."""


SHARD_STARTS_PER_SECOND = 50  # of one item: DynamoDB takes a thousand writes a second of a partition, retries included
SHARD_SLOTS = 30  # held in one item, so that it stays within a kilobyte, which a write is counted by
SHARDS_MAX = 16  # of a limiter: its pump looks at all of them

LATE_PARTS = 60
"""A start may come later than it was booked by one of so many parts of its rate's time, or of a minute if that is more:
messages and workers take their time."""


def _part(whole: int, shard: int, shards: int) -> int:
    """What is a shard's of something that is divided; the first ones have what is left over."""
    return whole // shards + (shard < whole % shards)


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """So many ``units`` in so many milliseconds."""

    units: int
    milliseconds: int

    def microseconds(self, units: int) -> int:
        """The time that so many units take at this rate, rounded up: never more begins than is allowed."""
        return -(-units * self.milliseconds * 1000 // self.units)

    def spacing(self, units: int) -> int:
        """The time (µs) that is booked for so many starts, so that in no time as long as the rate's (and no minute)
        more begin than it allows, although each may come late by `late_ms`: what begins in a time T was booked within
        T and a sixtieth, for which T's units are booked.
        """
        return -(-units * self.milliseconds * 1000 * (LATE_PARTS + 1) // (self.units * LATE_PARTS))

    def part(self, shard: int, shards: int) -> Rate:
        return Rate(_part(self.units, shard, shards), self.milliseconds)

    @property
    def late_ms(self) -> int:
        """How much later than it was booked a start may come."""
        return max(self.milliseconds, 60_000) // LATE_PARTS


MICROS = 1_000_000
"""Micro-dollars in a dollar: money is counted in whole ones of these."""


OUTPUT_TOKENS_DEFAULT = 8_192
"""The most that an answer may have that a budget pays for, where its agent does not say (`settings: max_tokens`)."""


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the requests of models may cost.

    - ``micros``: micro-dollars, ``tokens``: of input and output; 0: any number
    - ``window_ms``: of a limiter: in every time of this length, counted from the epoch; 0: for good
    - ``expected``: before a request, what such requests have used is reserved, not the most that it can use
    - ``on_exceeded``: fail, degrade (the agent's next model is asked), ask (people) or compensate (fail, undo)
    - ``tokens_suffice``: of a model without a price, tokens are counted only; else it is refused where money counts
    """

    micros: int = 0
    tokens: int = 0
    window_ms: int = 0
    expected: bool = False
    on_exceeded: str = "fail"
    tokens_suffice: bool = False


class Limiter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a limiter allows to those that name it.

    - ``requests``: starts; ``tokens``: tokens of model requests
    - ``concurrency``: how many go on at once; 0: any number
    - ``burst``: requests that may come earlier than the rate has them
    - ``horizon_ms``: how far ahead a start may be booked
    - ``key``: template over input, variables and tenant, rendered at the start: a limiter for each of its values
    - ``weight``: how many of a tenant's are served in a row; a number, or a template as ``key`` is one
    - ``budget``: what the models may cost of all that name it
    - ``paused``: somebody has paused it: nothing begins
    """

    requests: Rate | None = None
    tokens: Rate | None = None
    concurrency: int = 0
    burst: int = 0
    horizon_ms: int = HORIZON_MS
    key: str = ""
    weight: int | str = 1
    budget: Budget | None = None
    paused: bool = False

    @property
    def shards(self) -> int:
        """Among how many items it is divided, so that none is written too often or gets too large."""
        rates = [rate for rate in (self.requests, self.tokens) if rate is not None]
        starts = self.requests.units * 1000 / self.requests.milliseconds if self.requests is not None else 0
        wanted = max(starts / SHARD_STARTS_PER_SECOND, self.concurrency / SHARD_SLOTS)
        divisible = min(
            [SHARDS_MAX, *(rate.units for rate in rates), *([self.concurrency] if self.concurrency else [])]
        )
        return max(min(ceil(wanted), divisible), 1)

    def part(self, shard: int) -> Limiter:
        """What is one shard's of it."""
        shards = self.shards
        if shards == 1:
            return self
        return replace(
            self,
            requests=self.requests.part(shard, shards) if self.requests is not None else None,
            tokens=self.tokens.part(shard, shards) if self.tokens is not None else None,
            concurrency=_part(self.concurrency, shard, shards),
            burst=_part(self.burst, shard, shards),
        )

    @property
    def has_rates(self) -> bool:
        return self.requests is not None or self.tokens is not None

    @property
    def holds_nothing(self) -> bool:
        """Whether nodes that name it may always begin."""
        return not (self.has_rates or self.concurrency or self.paused)


class Share(msgspec.Struct, frozen=True, array_like=True):
    """An execution's part in a limiter, fixed at its start: the value of its ``key``, and its ``weight``."""

    key: str = ""
    weight: int = 1


class PlanLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a workflow says of limits.

    - ``own``: its own limiters by full name (``<workflow>/<name>``), with their ``keys`` and ``weights``
    - ``executions``: name of the limiter that holds whole executions back; "": none does
    - ``tenant``: whom an execution is for
    - ``budget``: what the models of an execution may cost
    """

    own: dict[str, Limiter] = {}
    keys: dict[str, Formula] = {}
    weights: dict[str, Formula] = {}
    executions: str = ""
    tenant: Formula | None = None
    budget: Budget | None = None


NO_LIMITS = PlanLimits()
