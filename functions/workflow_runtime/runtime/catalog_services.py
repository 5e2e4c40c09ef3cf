"""The services that know what is published, of a runtime: workflows, agents, and the board that all look at."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from workflow_runtime.runtime.foundation import Foundation

if TYPE_CHECKING:
    from workflow_runtime.services.catalog.agents import Agents
    from workflow_runtime.services.catalog.catalog import Catalog
    from workflow_runtime.services.catalog.published_agents import PublishedAgents
    from workflow_runtime.services.catalog.publishing import Publishing
    from workflow_runtime.services.catalog.triggers import Triggers
    from workflow_runtime.services.looks import Looks


class CatalogServices(Foundation):
    """Each is made when it is first asked for."""

    @cached_property
    def looks(self) -> Looks:
        from workflow_runtime.services.looks import Looks

        return Looks(self.ports.clock, self.stores.freezes)

    @cached_property
    def catalog(self) -> Catalog:
        from workflow_runtime.services.catalog.catalog import Catalog

        return Catalog(
            self.ports.clock, self.stores, self.triggers, self._catalogue, self._pools, self.published_agents
        )

    @cached_property
    def published_agents(self) -> PublishedAgents:
        from workflow_runtime.services.catalog.published_agents import PublishedAgents

        return PublishedAgents(self.looks, self.stores.agents)

    @cached_property
    def agents(self) -> Agents:
        from workflow_runtime.services.catalog.agents import Agents

        return Agents(self.ports.clock, self.stores, self.looks, self.catalog)

    @cached_property
    def triggers(self) -> Triggers:
        from workflow_runtime.services.catalog.triggers import Triggers

        return Triggers(self.ports, self.stores)

    @cached_property
    def publishing(self) -> Publishing:
        from workflow_runtime.services.catalog.publishing import Publishing

        return Publishing(self.ports.clock, self.stores, self.catalog)
