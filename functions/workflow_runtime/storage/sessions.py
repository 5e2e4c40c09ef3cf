"""Sessions of agents: conversations that go on from one execution to the next.

What a session holds is its turns, an item each, numbered from 1, and never changed once they count. Whoever works on a
session holds it: its head says who does, who waits for it, and how many turns count. A turn is written before the run
that made it is recorded, as the next one; it counts from when the head says so, or, if its writer died in between, once
that run is found to have succeeded. So nothing of a turn that failed is ever read, and none is written twice.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Absent, AllOf, AnyOf, Attribute, Below, ConditionFailed, Equals, Item, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import unpack

TURN_BYTES_MAX = 350 * 1024  # as stored; an item takes 400 KB, its key and attributes included
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
    def __init__(self, table: Table) -> None:
        self._table = table

    def head(self, key: SessionKey) -> Head:
        place = keys.session_head(key.agent, key.tenant, key.id)
        item = self._table.get([place]).get(place)
        if item is None:
            return Head()
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

    def put_head(self, key: SessionKey, head: Head, expires: int) -> None:
        """Write the head in place of the one that it was made of. ``expires``: epoch seconds. Raises
        `ConditionFailed`: it has changed since."""
        attributes: dict[str, Attribute] = {
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
        item = Item(keys.session_head(key.agent, key.tenant, key.id), attributes)
        self._table.put(item, Equals("v", head.version) if head.version else Absent())

    def turns(self, key: SessionKey, start: int, count: int) -> list[Turn]:
        """The turns from ``start`` on, as far as they are there, up to the number ``count``."""
        if start > count:
            return []
        partition, prefix = keys.session(key.agent, key.tenant, key.id), keys.TURN_PREFIX
        after = keys.session_turn(key.agent, key.tenant, key.id, start - 1).sort if start > 1 else ""
        items = self._table.query(partition, prefix, after=after)
        return [turn for turn in map(_turn, items) if turn.number <= count]

    def turn(self, key: SessionKey, number: int) -> Turn | None:
        place = keys.session_turn(key.agent, key.tenant, key.id, number)
        item = self._table.get([place]).get(place)
        return _turn(item) if item is not None else None

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
