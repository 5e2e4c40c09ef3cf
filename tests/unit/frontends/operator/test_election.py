"""The lease: whom it is given to, when it is lost, and that two never lead at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from workflow_runtime.frontends.operator.cluster import Stale
from workflow_runtime.frontends.operator.election import LEASE_SECONDS, LOOK_SECONDS, RENEW_SECONDS_MAX, Election


class Leases:
    """The API's leases. ``unreachable``: identities whose requests fail."""

    def __init__(self) -> None:
        self.lease_: dict[str, Any] | None = None
        self.version = 0
        self.unreachable: set[str] = set()

    def of(self, identity: str) -> _View:
        return _View(self, identity)


class _View:
    def __init__(self, leases: Leases, identity: str) -> None:
        self._leases = leases
        self._identity = identity

    def _reach(self) -> None:
        if self._identity in self._leases.unreachable:
            raise httpx.ConnectError("no route")

    async def lease(self, name: str) -> dict[str, Any] | None:  # noqa: ARG002
        self._reach()
        return self._leases.lease_

    async def create_lease(self, lease: dict[str, Any]) -> dict[str, Any]:
        self._reach()
        if self._leases.lease_ is not None:
            raise Stale("there is one")
        return self._put(lease)

    async def replace_lease(self, lease: dict[str, Any]) -> dict[str, Any]:
        self._reach()
        if lease["metadata"]["resourceVersion"] != str(self._leases.version):
            raise Stale("another version")
        return self._put(lease)

    def _put(self, lease: dict[str, Any]) -> dict[str, Any]:
        self._leases.version += 1
        metadata = {**lease["metadata"], "resourceVersion": str(self._leases.version)}
        self._leases.lease_ = {**lease, "metadata": metadata}
        return self._leases.lease_


class Hall:
    """Elections in one virtual time."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.now = 1_000.0

    def election(self, identity: str) -> Election:
        cluster: Any = self.leases.of(identity)
        return Election(cluster, "lease", identity, now=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def test_the_first_one_leads_and_the_second_waits() -> None:
    async def use() -> None:
        hall = Hall()
        first, second = hall.election("first"), hall.election("second")
        await first.won()
        waiting = asyncio.ensure_future(second.won())
        renewing = asyncio.ensure_future(first.lost())
        for _ in range(50):
            await asyncio.sleep(0)
        assert first.is_leading
        assert not second.is_leading
        assert not waiting.done()
        waiting.cancel()
        renewing.cancel()

    asyncio.run(use())


def test_one_that_is_cut_off_stops_before_another_may_begin() -> None:
    async def use() -> None:
        hall = Hall()
        first, second = hall.election("first"), hall.election("second")
        await first.won()
        assert not await second.tried()  # it has seen the lease now
        hall.leases.unreachable.add("first")
        begun = hall.now
        await first.lost()
        assert RENEW_SECONDS_MAX <= hall.now - begun <= RENEW_SECONDS_MAX + LOOK_SECONDS
        await second.won()
        assert hall.now - begun >= LEASE_SECONDS
        assert not first.is_leading

    asyncio.run(use())


def test_whoever_resigns_is_followed_at_once() -> None:
    async def use() -> None:
        hall = Hall()
        first, second = hall.election("first"), hall.election("second")
        await first.won()
        await first.resign()
        begun = hall.now
        await second.won()
        assert hall.now == begun
        assert hall.leases.lease_ is not None
        assert hall.leases.lease_["spec"]["leaseTransitions"] == 1

    asyncio.run(use())


def test_two_that_find_no_lease_at_once_are_not_both_given_it() -> None:
    async def use() -> None:
        hall = Hall()
        elections = [hall.election(str(number)) for number in range(5)]
        await asyncio.gather(*(election.tried() for election in elections))
        assert sum(election.is_leading for election in elections) == 1

    asyncio.run(use())


def test_one_that_was_paused_beyond_its_lease_does_not_count_as_leading() -> None:
    async def use() -> None:
        hall = Hall()
        first = hall.election("first")
        await first.won()
        hall.now += RENEW_SECONDS_MAX  # the process stood still
        assert not first.is_leading

    asyncio.run(use())
