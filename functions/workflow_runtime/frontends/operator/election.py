"""Leader election by a Lease, as Kubernetes' own controllers do it: of several replicas, the one that holds it works.

Clocks of machines are not compared: a lease counts as given up when it has not changed for its whole duration by the
clock of whoever looks. Its holder stops `RENEW_SECONDS_MAX` after the last renewal that succeeded, which is earlier.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from workflow_runtime.frontends.operator.cluster import Cluster, Stale

LEASE_SECONDS = 15
RENEW_SECONDS_MAX = 10.0  # without a renewal, before the holder stops
LOOK_SECONDS = 2.0  # between attempts of everybody

logger = logging.getLogger(__name__)


class Election:
    """``name``: of the Lease. ``identity``: of this replica, unlike all others'. ``now``: seconds, growing."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        identity: str,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._identity = identity
        self._now = now
        self._sleep = sleep
        self._record: dict[str, Any] = {}  # as it was seen last
        self._changed_at = 0.0
        self._renewed_at: float | None = None

    @property
    def is_leading(self) -> bool:
        return self._renewed_at is not None and self._now() - self._renewed_at < RENEW_SECONDS_MAX

    async def won(self) -> None:
        """Return once this replica leads."""
        while not await self.tried():
            await self._sleep(LOOK_SECONDS)
        logger.info("%s leads", self._identity)

    async def lost(self) -> None:
        """Renew the lease for as long as that succeeds; return when this replica leads no longer."""
        while self.is_leading:
            await self._sleep(LOOK_SECONDS)
            await self.tried()
        logger.error("%s does not lead any more", self._identity)

    async def tried(self) -> bool:
        """Take or renew the lease; whether that succeeded."""
        begun = self._now()  # the lease is valid from before the request, not from its answer
        try:
            taken = await self._taken()
        except (httpx.HTTPError, Stale) as error:
            logger.warning("the lease %s: %s", self._name, error)
            return False
        if taken:
            self._renewed_at = begun
        return taken

    async def resign(self) -> None:
        """Give the lease to whoever takes it, without waiting for its end."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        try:
            lease = await self._cluster.lease(self._name)
            if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                await self._cluster.replace_lease({**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
        except (httpx.HTTPError, Stale):  # then it runs out
            return

    async def _taken(self) -> bool:
        lease = await self._cluster.lease(self._name)
        if lease is None:
            self._see(await self._cluster.create_lease(self._lease({}, None)))
            return True
        self._see(lease)
        holder = lease["spec"].get("holderIdentity")
        expired = self._now() - self._changed_at >= LEASE_SECONDS
        if holder and holder != self._identity and not expired:
            return False
        self._see(await self._cluster.replace_lease(self._lease(lease, holder)))
        return True

    def _see(self, lease: dict[str, Any]) -> None:
        if lease["spec"] != self._record:
            self._record, self._changed_at = lease["spec"], self._now()

    def _lease(self, lease: dict[str, Any], holder: str | None) -> dict[str, Any]:
        """The lease as ours, from now on."""
        moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        before = lease.get("spec", {})
        since = before if holder == self._identity else {"acquireTime": moment}
        transitions = before.get("leaseTransitions", 0) + (holder != self._identity and bool(lease))
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": lease.get("metadata", {"name": self._name}),
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": since.get("acquireTime", moment),
                "renewTime": moment,
                "leaseTransitions": transitions,
            },
        }
