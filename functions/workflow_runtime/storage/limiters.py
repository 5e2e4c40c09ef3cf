"""Limiters as stored: their rules, the gauge of each, and the line of those who wait for it.

All rules stand in one partition, beside the switches that freeze something (`freezes`), so that one query reads both. A
limiter with a ``key`` has a gauge and a line for each value of it; each of them is a *limiter* here, with a name of its
own (`LimiterName`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.ports import (
    Attribute,
    Blobs,
    Change,
    Condition,
    ConditionFailed,
    Item,
    Table,
)
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import get_json, pack_bytes, put_payload

CLASSES = 5  # of priority; the first is served first
NO_TENANT = "-"
FROZEN = ""  # the name of limiters that hold what a freeze holds, which no other has; their key is its scope
REQUEST, EVENT = "!", "#"
"""Behind the place of a start, what stands there for its execution: what people ask of it, and events."""
REQUESTS_MAX = 20  # that an execution begins with; others come after its start
PAGE = 100
WAITER_SECONDS = 401 * 86_400  # longer than any execution lives: what was left in a line that nobody looks at any more

_PLAIN_TENANT = re.compile(r"[0-9A-Za-z._@-]{1,64}")


class LimiterName(NamedTuple):
    """A limiter, or what it is for one value of its key; of one that is divided, one of its shards."""

    name: str
    key: str = ""
    shard: int = 0

    def at(self, shard: int) -> LimiterName:
        return self._replace(shard=shard)

    @property
    def line(self) -> LimiterName:
        """Where its waiters stand: a line is never divided."""
        return self.at(0)

    @property
    def is_freeze(self) -> bool:
        return self.name == FROZEN

    def __str__(self) -> str:
        return f"{self.name}[{self.key}]" if self.key else self.name


class Rule(msgspec.Struct, frozen=True):
    """What is said of a limiter: by a file that was published, and by whoever set it while it was in use, who wins;
    and whether somebody has paused it."""

    name: str
    declared: Limiter | None = None
    given: Limiter | None = None
    paused: bool = False

    @property
    def limiter(self) -> Limiter | None:
        return self.given if self.given is not None else self.declared


class WaiterKind(StrEnum):
    ORDER = "order"
    START = "start"
    EVENT = "event"  # for an execution whose start waits


class Waiter(msgspec.Struct, frozen=True, kw_only=True):
    """A waiter in a line. ``place``: its place and key there, where it is found when it joins again. ``holder``:
    names it among the holders of slots. ``requests``, ``tokens``: what it needs of the rates. ``body``: of the
    message to send on when it is its turn, to ``queue``. ``since``: epoch ms.
    """

    kind: WaiterKind
    place: str
    holder: str
    execution_id: str
    since: int
    queue: str
    path: str = ""
    serial: int = 0
    tenant: str = NO_TENANT
    weight: int = 1
    requests: int = 1
    tokens: int = 0
    body: bytes | str = b""


def holder_of(*identity: object) -> str:
    """A short name for a run or an execution, as a holder of slots."""
    return hashlib.sha256("#".join(map(str, identity)).encode()).hexdigest()[:16]


def plain_tenant(tenant: str) -> str:
    """The tenant as it stands in keys."""
    if not tenant:
        return NO_TENANT
    if _PLAIN_TENANT.fullmatch(tenant) and tenant != NO_TENANT:
        return tenant
    return "h." + hashlib.sha256(tenant.encode()).hexdigest()[:24]


def class_of(priority: int) -> int:
    """The class of a priority: 1 is served first, 5 last."""
    return CLASSES + 1 - min(max(3 + priority, 1), CLASSES)


def place_of(priority: int, tenant: str, since: int, holder: str, suffix: str = "") -> str:
    return f"{class_of(priority)}#{plain_tenant(tenant)}#{since:015d}#{holder}{suffix}"


def holder_in(place: str) -> str:
    """The holder that has this place."""
    return place.split("#")[3]


class LimiterStore:
    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    # Rules

    def rule(self, name: str) -> Rule | None:
        key = keys.limiter_rule(name)
        item = self._table.get([key]).get(key)
        return rule_of(item) if item is not None else None

    def rules(self) -> Sequence[Rule]:
        return [rule_of(item) for item in self._table.query(keys.FREEZES, keys.LIMITER_RULE_PREFIX)]

    def declare_shared(self, limiters: Mapping[str, Limiter]) -> None:
        """Take over what a file says of limiters that all workflows share: others are no longer declared."""
        before = {rule.name: rule for rule in self.rules() if rule.declared is not None}
        self._declare(limiters, {name: rule for name, rule in before.items() if name in limiters or "/" not in name})

    def declare_own(self, limiters: Mapping[str, Limiter], before: Iterable[str]) -> None:
        """Take over what a workflow says of limiters of its own; those that it had ``before`` are no longer declared,
        unless they are among them."""
        wanted = [keys.limiter_rule(name) for name in {*limiters, *before}]
        found = self._table.get(wanted).values() if wanted else ()
        self._declare(limiters, {rule.name: rule for rule in map(rule_of, found)})

    def _declare(self, limiters: Mapping[str, Limiter], known: Mapping[str, Rule]) -> None:
        for name, limiter in limiters.items():
            if name not in known or known[name].declared != limiter:
                self._change(name, Change(set={"name": name, "declared": msgspec.json.encode(limiter)}))
        for name, rule in known.items():
            if name not in limiters and rule.declared is not None:
                self._change(name, Change(remove=("declared",)))

    def give(self, name: str, limiter: Limiter) -> None:
        self._change(name, Change(set={"name": name, "given": msgspec.json.encode(limiter)}))

    def take_back(self, name: str) -> None:
        self._change(name, Change(set={"name": name}, remove=("given",)))

    def pause(self, name: str) -> None:
        self._change(name, Change(set={"name": name, "paused": 1}))

    def resume(self, name: str) -> None:
        self._change(name, Change(set={"name": name}, remove=("paused",)))

    def _change(self, name: str, change: Change) -> None:
        rule = rule_of(self._table.change(keys.limiter_rule(name), change))
        if rule.limiter is None:
            self._table.delete_all([keys.limiter_rule(name)])

    # Gauges

    def gauge(self, limiter: LimiterName) -> dict[str, Attribute]:
        """The attributes of its item; none, if there is none yet."""
        return self.gauges_of([limiter])[limiter]

    def gauges_of(self, limiters: Sequence[LimiterName]) -> dict[LimiterName, dict[str, Attribute]]:
        """The same of several."""
        wanted = {limiter: keys.gauge(*limiter) for limiter in limiters}
        items = self._table.get(list(wanted.values()))
        return {limiter: items[key].attributes if key in items else {} for limiter, key in wanted.items()}

    def change(
        self, limiter: LimiterName, change: Change, condition: Condition | None = None
    ) -> tuple[bool, dict[str, Attribute]]:
        """Whether the gauge met the condition and was changed, and what it is now."""
        try:
            item = self._table.change(keys.gauge(*limiter), change, condition)
        except ConditionFailed as error:
            return False, error.item.attributes if error.item is not None else {}
        return True, item.attributes

    def values_of(self, name: str) -> Sequence[LimiterName]:
        """What a limiter is, for each value of its key that somebody ever waited for."""
        items = self._table.query(keys.limiter_names(name))
        return [LimiterName(name, str(item.attributes["key"])) for item in items]

    def remember(self, limiter: LimiterName, until: int) -> None:
        """Have `values_of` find it until then (epoch seconds)."""
        attributes: dict[str, Attribute] = {"key": limiter.key, keys.EXPIRES: until}
        self._table.put(Item(keys.limiter_name(limiter.name, limiter.key), attributes))

    # Lines

    def join(self, limiter: LimiterName, waiters: Iterable[Waiter]) -> None:
        """Put a waiter in its place; large bodies are stored apart."""
        self._table.put_all([self._item(limiter, waiter) for waiter in waiters])

    def first(
        self, limiter: LimiterName, prefix: str = "", after: str = "", without: Collection[str] = ()
    ) -> Waiter | None:
        """The first of those in the line whose place starts with ``prefix``, is greater than ``after`` and is none of
        ``without``."""
        found = self._waiters(limiter, prefix, after, 1 + len(without))
        return next((waiter for waiter in found if waiter.place not in without), None)

    def standing(self, limiter: LimiterName, places: Sequence[str]) -> set[str]:
        """Those of these places in which somebody waits."""
        wanted = {keys.waiter(limiter.name, limiter.key, place): place for place in places}
        return {wanted[key] for key in self._table.get(list(wanted))}

    def line(self, limiter: LimiterName, limit: int) -> Sequence[Waiter]:
        return self._waiters(limiter, "", "", limit)

    def _waiters(self, limiter: LimiterName, prefix: str, after: str, limit: int) -> list[Waiter]:
        start = keys.WAITER_PREFIX + after if after else ""
        items = self._table.query(
            keys.gauge(limiter.name, limiter.key).partition, keys.WAITER_PREFIX + prefix, limit=limit, after=start
        )
        return [_waiter(item) for item in items]

    def requests_of(self, limiter: LimiterName, start: Waiter) -> Sequence[Waiter]:
        """What people have asked of an execution whose start waits, in order."""
        return self._waiters(limiter, start.place + REQUEST, "", REQUESTS_MAX)

    def leave_with_all(self, limiter: LimiterName, place: str) -> None:
        """A start does not wait any more, and nothing that came for its execution."""
        while found := self._waiters(limiter, place, "", PAGE):
            self.leave(limiter, [waiter.place for waiter in found])

    def body(self, waiter: Waiter) -> str:
        """The body of the message to send on."""
        return get_json(self._blobs, waiter.body).decode()

    def leave(self, limiter: LimiterName, places: Iterable[str]) -> None:
        """They do not wait any more."""
        self._table.delete_all([keys.waiter(limiter.name, limiter.key, place) for place in places])

    def _item(self, limiter: LimiterName, waiter: Waiter) -> Item:
        body = waiter.body
        if isinstance(body, bytes):
            name = f"executions/{waiter.execution_id}/waiting/{hashlib.sha256(body).hexdigest()[:40]}"
            body = put_payload(self._blobs, name, pack_bytes(body))
        attributes: dict[str, Attribute] = {
            "kind": waiter.kind.value,
            "holder": waiter.holder,
            "execution": waiter.execution_id,
            "since": waiter.since,
            "queue": waiter.queue,
            "body": body,
            keys.EXPIRES: waiter.since // 1000 + WAITER_SECONDS,
        }
        if waiter.path:
            attributes |= {"path": waiter.path, "serial": waiter.serial}
        if waiter.tenant != NO_TENANT:
            attributes["tenant"] = waiter.tenant
        if waiter.weight != 1:
            attributes["weight"] = waiter.weight
        if waiter.requests != 1:
            attributes["requests"] = waiter.requests
        if waiter.tokens:
            attributes["tokens"] = waiter.tokens
        return Item(keys.waiter(limiter.name, limiter.key, waiter.place), attributes)


def rule_of(item: Item) -> Rule:
    values = item.attributes
    declared, given = (_limiter(values.get(source)) for source in ("declared", "given"))
    return Rule(str(values["name"]), declared, given, bool(values.get("paused")))


def _limiter(held: Attribute) -> Limiter | None:
    return msgspec.json.decode(held, type=Limiter) if isinstance(held, bytes) else None


def _waiter(item: Item) -> Waiter:
    values = item.attributes
    body = values.get("body")
    return Waiter(
        kind=WaiterKind(str(values["kind"])),
        place=item.key.sort.removeprefix(keys.WAITER_PREFIX),
        holder=str(values["holder"]),
        execution_id=str(values["execution"]),
        since=int(values["since"] or 0),
        queue=str(values["queue"]),
        path=str(values.get("path") or ""),
        serial=int(values.get("serial") or 0),
        tenant=str(values.get("tenant") or NO_TENANT),
        weight=int(values.get("weight") or 1),
        requests=int(values.get("requests") or 1),
        tokens=int(values.get("tokens") or 0),
        body=body if isinstance(body, (bytes, str)) else b"",
    )
