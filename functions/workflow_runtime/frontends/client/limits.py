"""Limits by the SDK: quotas that an engine is given, and rates that are set while it works. Both become limiters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from workflow_runtime.frontends.client.connection import Connection
from workflow_runtime.frontends.client.errors import InvalidInput
from workflow_runtime.language.json_values import Json

EVERYTHING = "*"
FIELDS = ("requests", "tokens", "concurrency", "burst", "horizon", "key", "weight", "budget")
NO_QUOTAS: Mapping[str, int] = {}


class ResourceQuota(msgspec.Struct, frozen=True):
    """How many nodes may run at once, over all executions: in all, by type (``agent``, ``tool``), and by agent (its id,
    or the name of its model)::

        ResourceQuota(max_concurrent_tasks=100, max_tasks_per_type={"agent": 50}, max_tasks_per_agent={"gpt-4": 10})

    None, or a name that is left out: no limit. Raises `ValueError` for a number below 1.
    """

    max_concurrent_tasks: int | None = None
    max_tasks_per_type: Mapping[str, int] = NO_QUOTAS
    max_tasks_per_agent: Mapping[str, int] = NO_QUOTAS

    def __post_init__(self) -> None:
        for name, number in self.limiters().items():
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"the quota of {name!r} must be a whole number from 1, not {number!r}")
        unknown = set(self.max_tasks_per_type) - {"agent", "tool"}
        if unknown:
            raise ValueError(f"max_tasks_per_type takes agent and tool, not {', '.join(sorted(map(repr, unknown)))}")

    def limiters(self) -> dict[str, int]:
        """Slots by limiter."""
        return {
            **({EVERYTHING: self.max_concurrent_tasks} if self.max_concurrent_tasks is not None else {}),
            **{f"type:{name}": number for name, number in self.max_tasks_per_type.items()},
            **{f"agent:{name}": number for name, number in self.max_tasks_per_agent.items()},
        }


def fields_of(limiter: Mapping[str, Json]) -> dict[str, Json]:
    """What a limiter allows, of a document that also says what is taken of it."""
    return {field: limiter[field] for field in FIELDS if limiter.get(field) is not None}


class Scheduler:
    """What an engine lets begin, and when."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._unset: dict[str, dict[str, Json]] = {}

    def set_quota(self, quota: ResourceQuota) -> None:
        """Limit what runs at once; in force from the engine's next call on."""
        for name, number in quota.limiters().items():
            self._unset[name] = {"concurrency": number}

    def set_rate_limiter(self, name: str, rate: int, interval: timedelta = timedelta(minutes=1)) -> None:
        """Let at most ``rate`` nodes begin per ``interval``: those that name this limiter, and agents whose model's
        provider is called so (``openai``). What else the limiter allows stays. In force from the engine's next call
        on. Raises `ValueError`.
        """
        milliseconds = round(interval.total_seconds() * 1000)
        if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1 or milliseconds < 1:
            raise ValueError(f"a rate is a whole number, at least one in some time, not {rate!r} in {interval}")
        self._unset[name] = {"requests": f"{rate}/{milliseconds / 1000:g}s"}

    async def settle(self) -> None:
        """Put in force what was set since. Raises `EngineError`; what is refused is not tried again."""
        if not self._unset:
            return
        known = {str(limiter["name"]): fields_of(limiter) for limiter in await self._connection.limits()}
        while self._unset:
            name = next(iter(self._unset))
            fields = self._unset[name]
            try:
                await self._connection.put_limit(name, {**known.get(name, {}), **fields})
            except InvalidInput:
                self._drop(name, fields)
                raise
            self._drop(name, fields)

    def _drop(self, name: str, fields: dict[str, Json]) -> None:
        """Not what was set meanwhile."""
        if self._unset.get(name) is fields:
            del self._unset[name]
