"""Sessions of agents: conversations that go on from one execution to the next.

What a session holds is its turns, an item each, numbered from 1, and never changed once they count. Whoever works on a
session holds it: its head says who does, who waits for it, and how many turns count. A turn is written before the run
that made it is recorded, as the next one; it counts from when the head says so, or, if its writer died in between, once
that run is found to have succeeded. So nothing of a turn that failed is ever read, and none is written twice.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from heapq import nsmallest

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import (
    Absent,
    AllOf,
    AnyOf,
    Attribute,
    Below,
    ConditionFailed,
    Equals,
    Item,
    Key,
    Table,
    Together,
)
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.records import Told

TURN_BYTES_MAX = 350 * 1024  # as stored; an item takes 400 KB, its key and attributes included
DIGEST_CHARS = 16  # of a hash: 64 bits, among the turns of one session
LISTING_SHARDS = 8  # a partition takes 1,000 writes a second, a session that is new writes one
KEPT_LONGER_SECONDS = 30 * 86_400  # than a turn is told: a visit that was told it may take as long to end


class SessionKey(msgspec.Struct, frozen=True):
    """``agent``: its id; ``tenant``: of the executions, "" if they have none; ``id``: what the agent calls the session.
    Neither agents nor tenants see sessions of others."""

    agent: str
    tenant: str
    id: str


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """A visit that holds a session, or waits for it. ``serial``: of its run; ``call``: the name of its wait."""

    execution_id: str
    path: str
    visit: int
    serial: int = 0
    call: str = ""

    def is_same(self, other: User | None) -> bool:
        """Whether both are the same visit."""
        return other is not None and self.of_visit == other.of_visit

    @property
    def of_visit(self) -> tuple[str, str, int]:
        return self.execution_id, self.path, self.visit


class Head(msgspec.Struct, frozen=True):
    """Of a session.

    - ``version``: of the item, 0: there is none
    - ``turns``: how many count; ``start``: the first that is told, as what was before is summed up
    - ``holder``: who works on it, since ``taken_at`` (epoch ms); ``fence``: larger than those of all holders before
    - ``waiters``: who waits for it, the first first
    """

    version: int = 0
    turns: int = 0
    start: int = 1
    holder: User | None = None
    taken_at: int = 0
    fence: int = 0
    waiters: tuple[User, ...] = ()

    @property
    def is_used(self) -> bool:
        """Whether anything was said, or somebody is about to say something."""
        return bool(self.turns or self.holder is not None or self.waiters)


class Session(msgspec.Struct, frozen=True):
    """A session as lists have it. ``expires``: of its head, in epoch seconds."""

    key: SessionKey
    head: Head
    expires: int


class SessionPage(msgspec.Struct, frozen=True):
    """Sessions in the order of their names. ``next``: the position after which there are more; None: there are not."""

    sessions: tuple[Session, ...]
    next: str | None


class Turn(msgspec.Struct, frozen=True):
    """What was said in one visit.

    - ``by``: the visit, and the run that ended it; ``at``: when (epoch ms)
    - ``start``: the first turn that is told after this one; ``summary``: of all before that, if there are any
    - ``messages``: as pydantic-ai writes them
    """

    number: int
    by: User
    at: int
    start: int
    fence: int
    messages: bytes
    summary: str = ""

    @property
    def content(self) -> Json:
        return unpack(self.messages)


_user = msgspec.json.Decoder(User)
_users = msgspec.json.Decoder(tuple[User, ...])


class SessionStore:
    """``together``: how the partitions of the list are read at once."""

    def __init__(self, table: Table, together: Together) -> None:
        self._table = table
        self._together = together

    def head(self, key: SessionKey) -> Head:
        found = self.get(key)
        return found.head if found is not None else Head()

    def get(self, key: SessionKey) -> Session | None:
        """The session, if there has been one."""
        place = keys.session_head(key.agent, key.tenant, key.id)
        item = self._table.get([place]).get(place)
        return Session(key, _head(item), int(item.attributes[keys.EXPIRES] or 0)) if item is not None else None

    def list(self, agent: str | None, tenant: str | None, limit: int, after: str | None) -> SessionPage:
        """Those of an agent, or of all; of these, those of a tenant. Fewer may be found than there are: then ``next``
        leads on. The list is eventually consistent, what is said of each session is not."""
        prefix = keys.listed_sessions(agent, tenant)
        found: list[list[Item]] = [[] for _ in range(LISTING_SHARDS)]

        def read(shard: int) -> None:
            found[shard] = self._table.query_index(
                keys.session_listing(shard), prefix, after=after, descending=False, limit=limit + 1, of="listing"
            )

        self._together([partial(read, shard) for shard in range(LISTING_SHARDS)])
        places = {item.listing.sort: item.key for items in found for item in items if item.listing is not None}
        first = nsmallest(limit + 1, places)
        heads = self._table.get([places[position] for position in first[:limit]])
        sessions = (_listed(heads[places[position]]) for position in first[:limit] if places[position] in heads)
        wanted = tuple(session for session in sessions if session.head.is_used and tenant in (None, session.key.tenant))
        return SessionPage(wanted, first[limit - 1] if len(first) > limit else None)

    def put_head(self, key: SessionKey, head: Head, expires: int) -> None:
        """Write the head in place of the one that it was made of. ``expires``: epoch seconds. Raises
        `ConditionFailed`: it has changed since."""
        attributes: dict[str, Attribute] = {
            "agent": key.agent,
            "tenant": key.tenant,
            "id": key.id,
            "v": head.version + 1,
            "turns": head.turns,
            "start": head.start,
            "taken_at": head.taken_at,
            "fence": head.fence,
            keys.EXPIRES: expires,
        }
        if head.holder is not None:
            attributes["holder"] = msgspec.json.encode(head.holder)
        if head.waiters:
            attributes["waiters"] = msgspec.json.encode(head.waiters)
        place = keys.session_head(key.agent, key.tenant, key.id)
        name = f"{keys.listed_sessions(key.agent, key.tenant)}{keys.safe(key.id)}"
        listing = Key(keys.session_listing(zlib.crc32(name.encode()) % LISTING_SHARDS), name)
        item = Item(place, attributes, listing=listing if head.is_used else None)
        self._table.put(item, Equals("v", head.version) if head.version else Absent())

    def turns(self, key: SessionKey, start: int, count: int, limit: int | None = None) -> Sequence[Turn]:
        """The turns from ``start`` on, as far as they are there, up to the number ``count``; at most ``limit``."""
        if start > count:
            return []
        partition, prefix = keys.session(key.agent, key.tenant, key.id), keys.TURN_PREFIX
        after = keys.session_turn(key.agent, key.tenant, key.id, start - 1).sort if start > 1 else ""
        items = self._table.query(partition, prefix, after=after, limit=limit)
        return [turn for turn in map(_turn, items) if turn.number <= count]

    def told(self, told: Told) -> Sequence[Turn] | None:
        """The turns that an agent was told; None: they are not there any more, or others are in their place."""
        key = SessionKey(told.agent, told.tenant, told.id)
        found = [turn for turn in self.turns(key, told.start, told.turns) if turn.at > told.since]
        return found if digest_of(found) == told.digest else None

    def turn(self, key: SessionKey, number: int) -> Turn | None:
        place = keys.session_turn(key.agent, key.tenant, key.id, number)
        item = self._table.get([place]).get(place)
        return _turn(item) if item is not None else None

    def delete_turns(self, key: SessionKey, count: int) -> None:
        """Those up to the number ``count``, and what is to be the next one."""
        numbers = range(1, count + 2)
        self._table.delete_all([keys.session_turn(key.agent, key.tenant, key.id, number) for number in numbers])

    def put_turn(self, key: SessionKey, turn: Turn, expires: int) -> bool:
        """Write what is to be the next turn, in place of what others wrote there in vain; False: the session has had
        another holder since, or this visit a later run."""
        attributes: dict[str, Attribute] = {
            "n": turn.number,
            "by": msgspec.json.encode(turn.by),
            "serial": turn.by.serial,
            "at": turn.at,
            "start": turn.start,
            "fence": turn.fence,
            "m": turn.messages,
            keys.EXPIRES: expires,
        }
        if turn.summary:
            attributes["summary"] = turn.summary
        earlier_run = AllOf((Equals("fence", turn.fence), Below("serial", turn.by.serial + 1)))
        item = Item(keys.session_turn(key.agent, key.tenant, key.id, turn.number), attributes)
        with suppress(ConditionFailed):
            self._table.put(item, AnyOf((Absent(), Below("fence", turn.fence), earlier_run)))
            return True
        return False


def digest_of(turns: Sequence[Turn]) -> str:
    """What tells these turns from others that may have the same numbers."""
    known = [(turn.number, turn.at, turn.by.of_visit) for turn in turns]
    return hashlib.sha256(msgspec.json.encode(known)).hexdigest()[:DIGEST_CHARS]


def _listed(item: Item) -> Session:
    values = item.attributes
    key = SessionKey(str(values["agent"]), str(values["tenant"] or ""), str(values["id"]))
    return Session(key, _head(item), int(values[keys.EXPIRES] or 0))


def _head(item: Item) -> Head:
    values = item.attributes
    holder, waiters = values.get("holder"), values.get("waiters")
    return Head(
        version=int(values["v"] or 0),
        turns=int(values["turns"] or 0),
        start=int(values["start"] or 1),
        holder=_user.decode(holder) if isinstance(holder, bytes) else None,
        taken_at=int(values["taken_at"] or 0),
        fence=int(values["fence"] or 0),
        waiters=_users.decode(waiters) if isinstance(waiters, bytes) else (),
    )


def _turn(item: Item) -> Turn:
    values = item.attributes
    by, messages = values["by"], values["m"]
    assert isinstance(by, bytes), "`put_turn` wrote it"
    assert isinstance(messages, bytes), "`put_turn` wrote them"
    return Turn(
        number=int(values["n"] or 0),
        by=_user.decode(by),
        at=int(values["at"] or 0),
        start=int(values["start"] or 1),
        fence=int(values["fence"] or 0),
        messages=messages,
        summary=str(values.get("summary") or ""),
    )
