"""In the worker: the session that an agent's visit holds.

A visit holds its session until it has ended, through all of its runs and attempts. Who finds it held looks whether
that visit is still open; if it is not, its worker has died, or it was cancelled, and it is let go. Who waits is told by
the one before, and looks by itself after a while, which grows with the time that it has waited.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.engine.codec import current
from workflow_runtime.engine.lifecycle import Mark
from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import NodeError, RetryableError
from workflow_runtime.invokers.sessions import SESSION_BUSY, Asked, Busy, OnBusy, Said
from workflow_runtime.ports import ConditionFailed, Ports
from workflow_runtime.services.patience import PatientCalls
from workflow_runtime.services.sessions import TRIES_MAX, wait_of, wake
from workflow_runtime.storage.payloads import pack
from workflow_runtime.storage.records import Run, RunStatus, Told
from workflow_runtime.storage.sessions import (
    KEPT_LONGER_SECONDS,
    TURN_BYTES_MAX,
    Head,
    SessionKey,
    Turn,
    User,
    digest_of,
)
from workflow_runtime.storage.stores import Stores

WAITERS_MAX = 100  # of one session: they stand in one item, and each has to wait for all before it
FIRST_LOOK_SECONDS, LOOK_SECONDS_MAX = 10, 3600  # until who waits looks by itself: twice as long each time

logger = logging.getLogger(__name__)


class VisitSessions:
    """The session of the visit of ``user``, in an execution for ``tenant`` that ``parent`` has started."""

    def __init__(
        self, ports: Ports, stores: Stores, user: User, tenant: str, parent: Parent | None, *, express: bool = False
    ) -> None:
        self._ports = ports
        self._patiently = PatientCalls(ports, "the session")
        self._stores = stores
        self._sessions = stores.sessions
        self._user = user
        self._tenant = tenant
        self._parent = parent
        self._express = express
        self._key: SessionKey | None = None
        self._head = Head()
        self._start = 1  # once our turn counts
        self._ttl_seconds = 0
        self.told: Told | None = None  # once it is taken

    @property
    def is_held(self) -> bool:
        """Whether the visit holds a session, or has held one."""
        return self._key is not None

    async def take(self, asked: Asked) -> list[Turn]:
        """See `Sessions`."""
        if self._express:
            text = f"agent {asked.agent!r}: an express execution has no sessions, as it may run again from its start"
            raise NodeError("validation_error", text)
        key = SessionKey(asked.agent, self._tenant, asked.id)
        self._ttl_seconds = asked.ttl_seconds
        user = replace(self._user, call=asked.wait_id)
        head = await self._patiently(self._taken, key, user, asked)
        if not user.is_same(head.holder):
            look = min(FIRST_LOOK_SECONDS * 2**asked.waits, LOOK_SECONDS_MAX)
            raise Busy(Wait(asked.wait_id, "callback", asked.id, task=wait_of(user), timeout=look * 1000))
        self._key, self._head = key, head
        forgotten = head.taken_at - asked.ttl_seconds * 1000
        stored = await self._patiently(self._sessions.turns, key, head.start, head.turns)
        told = [turn for turn in stored if turn.at > forgotten]
        self.told = Told(key.agent, key.tenant, key.id, head.start, head.turns, forgotten, digest_of(told))
        return told

    async def check(self) -> None:
        """See `Sessions`."""
        assert self._key is not None, "it was taken"
        head = await self._patiently(self._sessions.head, self._key)
        if head.fence != self._head.fence:
            raise self._interrupted(head)

    async def propose(self, said: Said) -> None:
        """Write what was said as the next turn, before the run is recorded. Raises `NodeError`."""
        assert self._key is not None, "it was taken"
        packed = pack(said.messages)
        size = len(packed) + len(said.summary.encode())
        if size > TURN_BYTES_MAX:
            text = f"what was said, and summed up, has {size:,} bytes; a session takes {TURN_BYTES_MAX:,} of each visit"
            raise NodeError("too_large", text)
        head, now = self._head, self._ports.clock.now()
        turn = Turn(head.turns + 1, self._user, now, said.start or head.start, head.fence, packed, said.summary)
        if not await self._patiently(self._sessions.put_turn, self._key, turn, self._expires()):
            raise self._interrupted(await self._patiently(self._sessions.head, self._key))
        self._start = turn.start

    async def end(self, ended: Run) -> None:
        """The run is recorded: let the session go, unless the visit may go on, and tell who is next. Raises nothing:
        what is left undone is found by who comes next."""
        if self._key is None or ended.status is RunStatus.YIELDED:
            return
        may_go_on = ended.status is RunStatus.FAILED and ended.order is not None
        try:
            if may_go_on:
                await self._patiently(self._tell_next, self._key)
            else:
                await self._patiently(self._let_go, self._key, self._head, ended.status is RunStatus.SUCCESS)
        except (NodeError, RetryableError):
            logger.warning("a session was not let go", extra={"execution_id": self._user.execution_id})

    # ---- the head

    def _taken(self, key: SessionKey, user: User, asked: Asked) -> Head:
        """The head, once ``user`` holds it, or stands among those who wait. Raises `NodeError`, `RetryableError`."""
        return self._written(key, partial(self._claimed, key, user, asked))

    def _claimed(self, key: SessionKey, user: User, asked: Asked, head: Head) -> Head:
        """What is to become of the head."""
        holder = head.holder
        if holder is not None and user.is_same(holder):
            return head if holder.serial >= user.serial else replace(head, holder=user)
        if asked.begun:
            raise self._interrupted(head)
        if holder is not None and asked.on_busy != "interrupt" and self._is_open(holder):
            return self._queued(head, holder, user, asked.on_busy)
        ahead = self._ahead(head, user) if asked.on_busy == "queue" else ()
        if ahead:
            wake(self._ports, ahead[0])
            settled = replace(self._settled(key, head), holder=None, waiters=ahead)
            return self._queued(settled, ahead[0], user, "queue")
        waiters = tuple(waiter for waiter in head.waiters if not waiter.is_same(user))
        now = self._ports.clock.now()
        return replace(self._settled(key, head), holder=user, taken_at=now, fence=head.fence + 1, waiters=waiters)

    def _ahead(self, head: Head, user: User) -> tuple[User, ...]:
        """Those who wait, without those at the front that have ended; none, if ``user`` is the first of them."""
        waiters = head.waiters
        while waiters and not waiters[0].is_same(user) and not self._is_open(waiters[0]):
            waiters = waiters[1:]
        return () if not waiters or waiters[0].is_same(user) else waiters

    def _queued(self, head: Head, before: User, user: User, on_busy: OnBusy) -> Head:
        """The head, where ``user`` waits. Raises `NodeError`."""
        if on_busy == "reject":
            raise NodeError(SESSION_BUSY, f"{_named(before)} works on the session")
        if self._is_around(before):
            raise NodeError(SESSION_BUSY, f"{_named(before)} works on the session, and waits for this node")
        if any(waiter.is_same(user) for waiter in head.waiters):
            waiters = tuple(user if waiter.is_same(user) else waiter for waiter in head.waiters)
            return replace(head, waiters=waiters)
        if len(head.waiters) >= WAITERS_MAX:
            raise NodeError(SESSION_BUSY, f"{WAITERS_MAX} others wait for the session already")
        return replace(head, waiters=(*head.waiters, user))

    def _is_around(self, other: User) -> bool:
        """Whether that visit waits for our execution, or for our node."""
        if other.execution_id == self._user.execution_id:
            return self._user.path.startswith(f"{other.path}/")
        return self._parent is not None and other.execution_id == self._parent.execution_id

    def _settled(self, key: SessionKey, head: Head) -> Head:
        """The head without its holder, with the turn of a holder that died after its run had succeeded."""
        if head.holder is None:
            return head
        turn = self._sessions.turn(key, head.turns + 1)
        if turn is None or turn.fence != head.fence:
            return head
        run = self._stores.runs.get(turn.by.execution_id, turn.by.path, turn.by.serial)
        if run is None or run.status is not RunStatus.SUCCESS:
            return head
        return replace(head, turns=turn.number, start=turn.start)

    def _let_go(self, key: SessionKey, held: Head, counts: bool) -> None:
        """``held``: the head as we hold it. Raises `RetryableError`."""

        def without_us(head: Head) -> Head:
            if head.fence != held.fence or head.holder is None or head.holder.serial > self._user.serial:
                return head
            turns, start = (held.turns + 1, self._start) if counts else (head.turns, head.start)
            return replace(head, holder=None, turns=turns, start=start)

        head = self._written(key, without_us, held)
        if head.holder is None and head.waiters:
            wake(self._ports, head.waiters[0])

    def _tell_next(self, key: SessionKey) -> None:
        """Our visit may have ended: whoever waits looks whether it has."""
        head = self._sessions.head(key)
        if head.waiters:
            wake(self._ports, head.waiters[0])

    def _written(self, key: SessionKey, change: Callable[[Head], Head], known: Head | None = None) -> Head:
        """The head as ``change`` would have it; ``known``: as it was last seen. Raises `RetryableError`."""
        for _ in range(TRIES_MAX):
            head, known = known or self._sessions.head(key), None
            changed = change(head)
            if changed is head:
                return head
            with suppress(ConditionFailed):
                self._sessions.put_head(key, changed, self._expires())
                return replace(changed, version=head.version + 1)
        raise RetryableError("too many are at work on the session at once")

    # ---- others

    def _is_open(self, user: User) -> bool:
        """Whether that visit has not ended."""
        from workflow_runtime.engine.graph.agents import cannot_take  # only where several meet

        stored = self._stores.executions.load(user.execution_id)
        if stored is None or stored.state.status.terminal:
            return False
        plan = self._stores.workflows.plan(stored.state.plan_hash)
        state = current(plan, stored.state)
        place = plan.locate(user.path)
        if place is None or place.scope not in state.scopes:
            return False
        graph = state.graph(place.scope)
        if graph.visit(place.node) == user.visit and not cannot_take(graph, place.node, user.serial):
            return True
        if not state.segments or graph.marks[place.node] != Mark.WAITING:
            return False
        run = self._stores.runs.get(user.execution_id, user.path, user.serial)
        return run is not None and run.status is RunStatus.RUNNING  # in place of an order, after another node

    def _interrupted(self, head: Head) -> NodeError:
        if head.holder is None:
            text = "another visit has taken the session meanwhile, or somebody has deleted it"
            return NodeError(SESSION_BUSY, text)
        return NodeError(SESSION_BUSY, f"{_named(head.holder)} has taken the session meanwhile")

    def _expires(self) -> int:
        return self._ports.clock.now() // 1000 + self._ttl_seconds + KEPT_LONGER_SECONDS


def _named(user: User) -> str:
    return f"node {user.path!r} of the execution {user.execution_id}"
