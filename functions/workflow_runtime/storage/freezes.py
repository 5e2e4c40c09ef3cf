"""Switches that freeze starts and node runs. All of them stand in one partition, so that one query reads them; what
they hold waits in lines, as `limiters` keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from workflow_runtime.ports import Absent, Attribute, Blobs, ConditionFailed, Equals, Item, Key, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.agents import AgentPointer, pointer_of
from workflow_runtime.storage.limiters import Rule, rule_of
from workflow_runtime.storage.payloads import get_json

CLOSED_SECONDS = 7 * 24 * 3600  # how long a switch that is over stays in the table


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """``scope``: what it freezes. ``generation``: tells it from earlier ones of its scope, and is larger than theirs.
    ``thawed_at``: since when it holds back nothing more (0: it does). ``closed``: what it held was sent on. Times are
    epoch ms.
    """

    scope: str
    generation: int
    since: int
    by: str = ""
    reason: str = ""
    thawed_at: int = 0
    closed: bool = False

    @property
    def holds(self) -> bool:
        return not self.thawed_at


class Left(msgspec.Struct, frozen=True):
    """A start, an order, or an event for an execution whose start is held (``is_event``; ``body``: of its message, or
    where that is stored)."""

    key: Key
    is_event: bool
    body: bytes | str


class Board(NamedTuple):
    """What every process looks at every few seconds. ``rules``: of limiters; ``agents``: those that are or were
    published."""

    switches: list[Switch]
    rules: list[Rule]
    agents: list[AgentPointer]


class FreezeStore:
    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def switches(self) -> Sequence[Switch]:
        """Those that hold, and those whose thaw is under way."""
        return self.board().switches

    def board(self) -> Board:
        """The switches as `switches` has them, and what one query reads with them."""
        board = Board([], [], [])
        for item in self._table.query(keys.FREEZES):
            if item.key.sort.startswith(keys.LIMITER_RULE_PREFIX):
                board.rules.append(rule_of(item))
            elif item.key.sort.startswith(keys.AGENT_PREFIX):
                board.agents.append(pointer_of(item))
            elif not (switch := _switch(item)).closed:
                board.switches.append(switch)
        return board

    def switch(self, scope: str) -> Switch | None:
        """The newest one of a scope."""
        key = keys.freeze(scope)
        item = self._table.get([key]).get(key)
        return _switch(item) if item is not None else None

    def set(self, switch: Switch) -> Switch:
        """Set a switch, in a generation of its own; or the one of its scope that holds already."""
        while (newest := self.switch(switch.scope)) is None or not newest.holds:
            before = newest.generation if newest is not None else 0
            wanted = replace(switch, generation=max(switch.generation, before + 1))
            try:
                self._table.put(_item(wanted), Equals("generation", before) if newest is not None else Absent())
            except ConditionFailed:
                continue  # somebody else was first, or we were and the answer got lost
            return wanted
        return newest

    def thaw(self, switch: Switch, at: int) -> None:
        """Have it hold back nothing more, unless it was set anew."""
        self._update(switch, {"thawed_at": at})

    def close(self, switch: Switch, now: int) -> None:
        """Note that all it held was sent on, unless it was set anew."""
        self._update(switch, {"closed": 1, keys.EXPIRES: now // 1000 + CLOSED_SECONDS})

    def left(self, scope: str, limit: int) -> Sequence[Left]:
        """The first of what an earlier version of the runtime holds under the switches of a scope."""
        return [_left(item) for item in self._table.query(keys.held_by(scope), limit=limit)]

    def body(self, left: Left) -> str:
        """The body of the message to send on."""
        return get_json(self._blobs, left.body).decode()

    def drop(self, left: Sequence[Left]) -> None:
        """They were sent on."""
        self._table.delete_all([one.key for one in left])

    def _update(self, switch: Switch, changes: dict[str, Attribute]) -> None:
        try:
            self._table.update(keys.freeze(switch.scope), changes, Equals("generation", switch.generation))
        except ConditionFailed:
            return


def _item(switch: Switch) -> Item:
    attributes: dict[str, Attribute] = {
        "scope": switch.scope,
        "generation": switch.generation,
        "since": switch.since,
        "by": switch.by,
        "reason": switch.reason,
    }
    return Item(keys.freeze(switch.scope), attributes)


def _left(item: Item) -> Left:
    body = item.attributes.get("body")
    is_event = item.attributes.get("kind") == "event"
    return Left(item.key, is_event, body if isinstance(body, (bytes, str)) else b"")


def _switch(item: Item) -> Switch:
    values = item.attributes
    return Switch(
        scope=str(values["scope"]),
        generation=int(values["generation"] or 0),
        since=int(values["since"] or 0),
        by=str(values.get("by") or ""),
        reason=str(values.get("reason") or ""),
        thawed_at=int(values.get("thawed_at") or 0),
        closed=bool(values.get("closed")),
    )
