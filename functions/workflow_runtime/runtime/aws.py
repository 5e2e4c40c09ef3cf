"""Puts a runtime together for a backend: the agents and tools there are, what they may reach, where secrets are."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.runtime.services import Runtime, workflow_env

if TYPE_CHECKING:
    from workflow_runtime.deployment.settings import Settings
    from workflow_runtime.invokers.invocation import Invoker
    from workflow_runtime.invokers.mocks import Mocks
    from workflow_runtime.invokers.tools.reach import Reach
    from workflow_runtime.plan.catalogue import Catalogue
    from workflow_runtime.ports import Clock, Ports

WORKER_LOST_EXIT_CODE = 70  # EX_SOFTWARE: Lambda starts a fresh process for the next event


def node_invokers(
    definitions: Path | None, reach: Reach, ports: Ports, mocks: Mocks | None = None
) -> dict[NodeType, Invoker]:
    """What runs agents and tools; with ``mocks``, calls that have one never reach the real thing."""
    from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
    from workflow_runtime.invokers.mocks import MockedInvoker
    from workflow_runtime.invokers.tools import ToolInvoker, ToolRegistry
    from workflow_runtime.invokers.tools.services import ToolServices

    agents = AgentRegistry.load(_below(definitions, "agents"))
    services = ToolServices(bus=ports.bus, offload=ports.offload)
    invokers: dict[NodeType, Invoker] = {
        NodeType.AGENT: AgentInvoker(agents),
        NodeType.TOOL: ToolInvoker(
            ToolRegistry.load(_below(definitions, "tools"), reach=reach, services=services), ports.clock
        ),
    }
    if mocks is None:
        return invokers

    def agent_schema(id: str) -> Json:
        agent = agents.get(id)
        return agent.output_schema if agent is not None else None

    return {
        kind: MockedInvoker(mocks, kind, invoker, ports.clock.sleep, agent_schema if kind is NodeType.AGENT else None)
        for kind, invoker in invokers.items()
    }


def catalogue_of(definitions: Path | None, mocks: Mocks | None = None) -> Catalogue:
    """The agents and tools that definitions may name without a warning: registered ones and mocked ones. Raises
    `DefinitionError` for files and functions that cannot be used.
    """
    from workflow_runtime.invokers.agents import AgentRegistry
    from workflow_runtime.invokers.tools import ToolRegistry
    from workflow_runtime.plan.catalogue import Catalogue

    agents = AgentRegistry.load(_below(definitions, "agents")).describe()
    tools = ToolRegistry.load(_below(definitions, "tools")).describe()
    catalogue = Catalogue(agents, tools)
    if mocks is None:
        return catalogue
    return catalogue.with_mocks(mocks.ids(NodeType.AGENT), mocks.ids(NodeType.TOOL))


def _packaged_catalogue(definitions: Path) -> Catalogue | None:
    """The catalogue that the deployment packaged: the API publishes, and imports nobody's code to check names. None:
    it packaged none.
    """
    from workflow_runtime.plan.catalogue import FILE_NAME, decode_catalogue

    file = definitions / FILE_NAME
    return decode_catalogue(file.read_bytes()) if file.is_file() else None


def _below(definitions: Path | None, kind: str) -> Path | None:
    return definitions / kind if definitions is not None and (definitions / kind).is_dir() else None


def aws_runtime(environ: Mapping[str, str], count: Callable[[str, int], None], clock: Clock | None = None) -> Runtime:
    """The runtime of a deployed function, from its environment. Raises `RequestError` naming what is missing."""
    from workflow_runtime.backends.aws.backend import build_ports
    from workflow_runtime.backends.aws.secrets import SecretsManagerSecrets
    from workflow_runtime.backends.aws.tracing import trace_in
    from workflow_runtime.deployment.settings import Settings, deployed_topology

    topology = deployed_topology(environ)
    function = environ.get("FUNCTION")
    settings = Settings.from_environment(environ, function=function, topology=topology)
    definitions = Path(settings.definitions_directory)
    publishes = function is not None and topology.function(function).http
    ports = build_ports(settings, clock=clock, topology=topology, trace=trace_in(environ))

    def invokers() -> dict[NodeType, Invoker]:
        from workflow_runtime.invokers.tools.reach import (
            Reach,  # with it come pydantic and all tools: only workers need them
        )

        reach = Reach.from_settings(settings.tool_allow_lists)
        return node_invokers(definitions, reach, ports, _mocks_for_tests(settings))

    return Runtime(
        ports,
        invokers,
        secrets=SecretsManagerSecrets(settings.secrets_prefix),
        env=workflow_env(environ),
        catalogue=_packaged_catalogue(definitions) if publishes else None,
        end_process=lambda: os._exit(WORKER_LOST_EXIT_CODE),
        count=count,
        pools=topology.pools,
    )


def _mocks_for_tests(settings: Settings) -> Mocks | None:
    if settings.mocks_file_for_tests is None:
        return None
    from workflow_runtime.invokers.mocks import Mocks

    logging.getLogger(__name__).warning("agents and tools are mocked: %s", settings.mocks_file_for_tests)
    return Mocks.load(settings.mocks_file_for_tests)
