"""Agents that were published at run time, in numbered versions.

An agent's own row stands beside the switches that freeze things, which every process reads every few seconds anyway: so
a worker learns of a new version without a further read, and reads its definition once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import ConflictError
from workflow_runtime.language.caching import ByteCache
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.catalogue import CatalogueEntry
from workflow_runtime.ports import Absent, Attribute, ConditionFailed, Equals, Item, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import pack_bytes, unpack_bytes

SOURCE_BYTES_MAX = 128 * 1024  # of a definition: it and what the compiler knows of it fit one item
ENTRY_BYTES_MAX = 256 * 1024  # of what the compiler knows of it, as JSON: aliases in a text may stand for megabytes
AGENTS_MAX = 1_000  # published now or once: all processes read their rows, some 300 bytes each, every few seconds
CACHED_BYTES_MAX = 16 * 1024 * 1024
PUBLISH_ATTEMPTS_MAX = 10  # against others who publish the same agent at the same moment


class AgentVersion(msgspec.Struct, frozen=True):
    """A stored version: the runtime numbers them 1, 2, 3 …

    ``digest``: of what the definition says, however it is written.
    ``published_at``: epoch ms.
    """

    agent_id: str
    number: int
    digest: str
    published_at: int

    @property
    def identity(self) -> str:
        """What tells it from other versions, besides its number."""
        return self.digest

    def json(self) -> dict[str, Json]:
        return {
            "agent_id": self.agent_id,
            "version": self.number,
            "digest": self.digest,
            "published_at": iso_time(self.published_at),
        }


class AgentPointer(msgspec.Struct, frozen=True):
    """An agent's own row: its newest version, and whether it is published at present. Times are epoch ms (0: not)."""

    agent_id: str
    latest: int
    digest: str
    created_at: int
    removed_at: int = 0

    @property
    def is_published(self) -> bool:
        return not self.removed_at


class _Stored(msgspec.Struct, frozen=True):
    version: AgentVersion
    source: bytes
    entry: CatalogueEntry


class AgentMismatch(ConflictError):
    """Another version is the latest than the one that was to be replaced."""


class AgentStore:
    """Versions are immutable, so they may be cached forever."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: ByteCache[tuple[str, int], _Stored] = ByteCache(CACHED_BYTES_MAX)

    def publish(
        self, agent_id: str, digest: str, source: bytes, entry: CatalogueEntry, at: int, over: int
    ) -> AgentVersion:
        """Store a definition as the agent's next version; the latest version again if it says the same.

        ``source``: the definition's text. ``entry``: what the compiler is to know of the agent. ``over``: the version
        that must be the latest (0: none is published). Raises `AgentMismatch`.
        """
        for _ in range(PUBLISH_ATTEMPTS_MAX):
            pointer = self.pointer(agent_id)
            published = pointer if pointer is not None and pointer.is_published else None
            if published is not None and published.digest == digest:
                return self._stored(agent_id, published.latest).version
            if over != (published.latest if published is not None else 0):
                raise AgentMismatch(f"another version of the agent {agent_id!r} is the latest than {over}")
            number = pointer.latest + 1 if pointer is not None else 1
            created_at = pointer.created_at if pointer is not None else at
            version = AgentVersion(agent_id, number, digest, at)
            if self._put_version(_Stored(version, source, entry), created_at):
                return version
        raise ConflictError(f"agent {agent_id!r} is being published by others; try again")

    def remove(self, pointer: AgentPointer, at: int) -> bool:
        """Publish an agent no more; its versions stay. False when it was published meanwhile."""
        removed = msgspec.structs.replace(pointer, removed_at=at)
        try:
            self._table.put(_row(removed), Equals("generation", pointer.latest))
        except ConditionFailed:
            return False
        return True

    def pointer(self, agent_id: str) -> AgentPointer | None:
        """The row of an agent that is or was published."""
        key = keys.published_agent(agent_id)
        item = self._table.get([key]).get(key)
        return pointer_of(item) if item is not None else None

    def pointers(self) -> list[AgentPointer]:
        """The rows of all agents that are or were published, by id."""
        items = self._table.query(keys.FREEZES, keys.AGENT_PREFIX)
        return sorted(map(pointer_of, items), key=lambda pointer: pointer.agent_id)

    def versions(self, agent_id: str, numbers: Sequence[int]) -> list[AgentVersion]:
        """Those of these versions that exist, in this order."""
        items = self._table.get([keys.agent_version(agent_id, number) for number in numbers])
        found = (items.get(keys.agent_version(agent_id, number)) for number in numbers)
        return [_stored(agent_id, item).version for item in found if item is not None]

    def source(self, agent_id: str, number: int) -> bytes:
        """The text of a version. Raises `KeyError`."""
        return self._stored(agent_id, number).source

    def entry(self, agent_id: str, number: int) -> CatalogueEntry:
        """What the compiler knows of a version. Raises `KeyError`."""
        return self._stored(agent_id, number).entry

    def load(self, pointers: Iterable[AgentPointer]) -> None:
        """Read the latest versions of agents, which are about to be asked for, together."""
        wanted = {
            keys.agent_version(pointer.agent_id, pointer.latest): pointer.agent_id
            for pointer in pointers
            if self._known.get((pointer.agent_id, pointer.latest)) is None
        }
        for key, item in self._table.get(tuple(wanted)).items() if wanted else ():
            self._keep(_stored(wanted[key], item))

    def _stored(self, agent_id: str, number: int) -> _Stored:
        known = self._known.get((agent_id, number))
        if known is not None:
            return known
        key = keys.agent_version(agent_id, number)
        item = self._table.get([key]).get(key)
        if item is None:
            raise KeyError(f"there is no version {number} of the agent {agent_id!r}")
        return self._keep(_stored(agent_id, item))

    def _keep(self, stored: _Stored) -> _Stored:
        version = stored.version
        self._known.put((version.agent_id, version.number), stored, 3 * len(stored.source))
        return stored

    def _put_version(self, stored: _Stored, created_at: int) -> bool:
        """Version first, row second: after a crash in between, the next publisher points at that version."""
        version = stored.version
        item = Item(
            keys.agent_version(version.agent_id, version.number),
            {
                "digest": version.digest,
                "published_at": version.published_at,
                "source": pack_bytes(stored.source),
                "entry": pack_bytes(msgspec.json.encode(stored.entry)),
            },
        )
        digest = version.digest
        try:
            self._table.put(item, Absent())
        except ConditionFailed:
            digest = self._stored(version.agent_id, version.number).version.digest
        pointer = AgentPointer(version.agent_id, version.number, digest, created_at)
        with suppress(ConditionFailed):  # somebody else has moved it
            condition = Absent() if version.number == 1 else Equals("generation", version.number - 1)
            self._table.put(_row(pointer), condition)
        return digest == version.digest


def pointer_of(item: Item) -> AgentPointer:
    """Of an agent's own row."""
    values = item.attributes
    return AgentPointer(
        str(values["agent"]),
        int(values["generation"] or 0),
        str(values["digest"]),
        int(values["created_at"] or 0),
        int(values.get("removed_at") or 0),
    )


def _row(pointer: AgentPointer) -> Item:
    """To a version of the runtime that knows of no published agents, it is a switch that is over."""
    attributes: dict[str, Attribute] = {
        "scope": f"published:{pointer.agent_id}",
        "closed": 1,
        "since": pointer.created_at,
        "generation": pointer.latest,
        "agent": pointer.agent_id,
        "digest": pointer.digest,
        "created_at": pointer.created_at,
    }
    if pointer.removed_at:
        attributes["removed_at"] = pointer.removed_at
    return Item(keys.published_agent(pointer.agent_id), attributes)


def _stored(agent_id: str, item: Item) -> _Stored:
    values = item.attributes
    source, entry = values["source"], values["entry"]
    assert isinstance(source, bytes)  # as `_put_version` writes them
    assert isinstance(entry, bytes)
    version = AgentVersion(
        agent_id, int(item.key.sort.removeprefix("V#")), str(values["digest"]), int(values["published_at"] or 0)
    )
    return _Stored(version, unpack_bytes(source), msgspec.json.decode(unpack_bytes(entry), type=CatalogueEntry))
