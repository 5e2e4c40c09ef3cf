"""Limiters: how much of something may begin, and go on, at a time."""

from __future__ import annotations

import msgspec

from workflow_runtime.plan.formulas import Formula

HORIZON_MS = 5_000
"""How far ahead a start may be booked, unless a limiter says otherwise."""


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """So many ``units`` in so many milliseconds."""

    units: int
    milliseconds: int

    def microseconds(self, units: int) -> int:
        """The time that so many units take at this rate, rounded up: never more begins than is allowed."""
        return -(-units * self.milliseconds * 1000 // self.units)


class Limiter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a limiter allows to those that name it.

    - ``requests``: starts; ``tokens``: tokens of model requests
    - ``concurrency``: how many go on at once; 0: any number
    - ``burst``: requests that may come earlier than the rate has them
    - ``horizon_ms``: how far ahead a start may be booked
    - ``key``: template over input, variables and tenant, rendered at the start: a limiter for each of its values
    - ``weight``: how many of a tenant's are served in a row; a number, or a template as ``key`` is one
    """

    requests: Rate | None = None
    tokens: Rate | None = None
    concurrency: int = 0
    burst: int = 0
    horizon_ms: int = HORIZON_MS
    key: str = ""
    weight: int | str = 1

    @property
    def limits_nothing(self) -> bool:
        return self.requests is None and self.tokens is None and not self.concurrency


class Share(msgspec.Struct, frozen=True, array_like=True):
    """An execution's part in a limiter, fixed at its start: the value of its ``key``, and its ``weight``."""

    key: str = ""
    weight: int = 1


class PlanLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a workflow says of limits.

    - ``own``: its own limiters by full name (``<workflow>/<name>``), with their ``keys`` and ``weights``
    - ``executions``: name of the limiter that holds whole executions back; "": none does
    - ``tenant``: whom an execution is for
    """

    own: dict[str, Limiter] = {}
    keys: dict[str, Formula] = {}
    weights: dict[str, Formula] = {}
    executions: str = ""
    tenant: Formula | None = None


NO_LIMITS = PlanLimits()
