"""Agents that were published at run time, as workers and the compiler know them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, ValuesView
from functools import cached_property

from msgspec.structs import replace

from workflow_runtime.errors import RetryableError
from workflow_runtime.plan.catalogue import CatalogueEntry
from workflow_runtime.services.looks import Looks
from workflow_runtime.storage.agents import AgentPointer, AgentStore

PUBLISHED = "published"  # where such an agent comes from, in the catalogue


class PublishedAgents:
    """As of the last look at what every process reads every few seconds: nothing of it costs a worker a read but the
    first one of a version. One that is published takes the place of one that was packaged.
    """

    def __init__(self, looks: Looks, agents: AgentStore) -> None:
        self._looks = looks
        self._agents = agents

    @property
    def ids(self) -> Collection[str]:
        return self._looks.agents.keys()

    def latest(self, id: str) -> int | None:
        """The latest version of an agent; None: it is not published."""
        pointer = self._looks.agents.get(id)
        return pointer.latest if pointer is not None else None

    def source(self, id: str, version: int) -> bytes:
        """The text of a version. Raises `RetryableError`."""
        try:
            return self._agents.source(id, version)
        except KeyError as error:
            raise RetryableError(str(error)) from error

    def beside(self, packaged: Mapping[str, CatalogueEntry]) -> KnownAgents:
        """All agents there are, by id."""
        return KnownAgents(self._agents, packaged)


class KnownAgents(Mapping[str, CatalogueEntry]):
    """Agents by id. Which are published is read when the first one is asked for, and does not change from then on; what
    is known of one, when that one is. ``packaged``: those of the deployment, which published ones hide. All raise
    `RetryableError`."""

    def __init__(self, agents: AgentStore, packaged: Mapping[str, CatalogueEntry]) -> None:
        self._agents = agents
        self._packaged = packaged

    @cached_property
    def _published(self) -> Mapping[str, AgentPointer]:
        return {pointer.agent_id: pointer for pointer in self._agents.pointers() if pointer.is_published}

    def __getitem__(self, id: str) -> CatalogueEntry:
        pointer = self._published.get(id)
        if pointer is None:
            return self._packaged[id]
        return replace(self._agents.entry(id, pointer.latest), source=PUBLISHED)

    def __contains__(self, id: object) -> bool:
        return id in self._published or id in self._packaged

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._published, *self._packaged}))

    def __len__(self) -> int:
        return len({*self._published, *self._packaged})

    def values(self) -> ValuesView[CatalogueEntry]:
        """Those that are published are read together."""
        self._agents.load(self._published.values())
        return super().values()


class OtherAgents(Mapping[str, CatalogueEntry]):
    """The agents there are, with another entry for one of them; None: without that one."""

    def __init__(self, agents: Mapping[str, CatalogueEntry], id: str, entry: CatalogueEntry | None) -> None:
        self._agents = agents
        self._id = id
        self._entry = entry

    def __getitem__(self, id: str) -> CatalogueEntry:
        if id != self._id:
            return self._agents[id]
        if self._entry is None:
            raise KeyError(id)
        return self._entry

    def __contains__(self, id: object) -> bool:
        return self._entry is not None if id == self._id else id in self._agents

    def __iter__(self) -> Iterator[str]:
        known = {*self._agents} - {self._id} | ({self._id} if self._entry is not None else set())
        return iter(sorted(known))

    def __len__(self) -> int:
        return len(list(iter(self)))
