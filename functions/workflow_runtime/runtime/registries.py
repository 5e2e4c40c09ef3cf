"""The agents and tools of a definitions directory, read once: what the compiler knows of them, and what runs them."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.mocks import MockedInvoker, Mocks, Unmocked
from workflow_runtime.invokers.mocks.file import MockFile
from workflow_runtime.invokers.tools import ToolInvoker, ToolRegistry
from workflow_runtime.invokers.tools.invoker import BlockingRunner
from workflow_runtime.invokers.tools.mcp.registry import McpServers
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.plan.specs import NodeType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflow_runtime.engine.state import Parent
    from workflow_runtime.invokers.agents.registry import Publications
    from workflow_runtime.invokers.cassettes.player import Player
    from workflow_runtime.invokers.invocation import Invoker
    from workflow_runtime.language.json_values import Json
    from workflow_runtime.plan.catalogue import CatalogueEntry
    from workflow_runtime.ports import Clock


class Registries:
    """What is below ``definitions`` (None: only built-in tools), allowed what ``reach`` says; with ``mocks``, calls
    that have one never reach the real thing. ``workflows``: those that there are, if that is known. ``is_local``:
    MCP servers that are programs may be started. ``processes``: where authors' blocking tools run; None: in threads.
    ``player``: has a cassette answer first. ``publications``: agents that are published at run time; None: none are.

    Raises `DefinitionError` for tools that cannot be used; for agents, `catalogue` and the first call of one do: a
    worker of tools never reads them.
    """

    def __init__(
        self,
        definitions: Path | None,
        mocks: Mocks | None = None,
        *,
        reach: Reach = LOCAL_REACH,
        workflows: Mapping[str, CatalogueEntry] | None = None,
        is_local: bool = False,
        player: Player | None = None,
        processes: BlockingRunner | None = None,
        publications: Publications | None = None,
    ) -> None:
        self._mocks = mocks
        self._player = player
        self._processes = processes
        self._workflows = workflows
        self._definitions = definitions
        self._reach = reach
        self._agents = AgentRegistry.load(_below(definitions, "agents"), publications)
        servers = McpServers.load(_below(definitions, "mcp"), is_local=is_local)
        self._tools = ToolRegistry.load(_below(definitions, "tools"), reach=reach, servers=servers)

    @cached_property
    def catalogue(self) -> Catalogue:
        """What definitions may name without a warning: registered agents and tools, known workflows, and what is
        mocked. Raises `DefinitionError` for what cannot be used."""
        catalogue = Catalogue(
            self._agents.describe(),
            self._tools.describe(),
            self._workflows,
            self.limiters,
            tuple(sorted(self._tools.servers)),
        )
        if self._mocks is not None:
            mocked = map(self._mocks.ids, (NodeType.AGENT, NodeType.TOOL, NodeType.SUB_WORKFLOW))
            catalogue = catalogue.with_mocks(*mocked)
        known = {"tool": catalogue.tools, "agent": catalogue.agents, "mcp": self._tools.servers}
        findings = [*self._agents.unknown_references(known)]
        if self._mocks is None:  # runs with mocks are tests, and the list of prices takes its time to import
            findings += self._agents.unpriced()
        if findings:
            raise DefinitionError(findings)
        return catalogue

    def stands_in(self, workflow_id: str, parent: Parent, correlation_id: str) -> bool:
        """Whether a mock answers in the place of a workflow that ``parent`` starts."""
        if self._player is not None and self._player.stands_in(parent):
            return True
        return self._mocks is not None and self._mocks.stands_in(workflow_id, parent, correlation_id)

    @cached_property
    def limiters(self) -> dict[str, Limiter]:
        """The limiters that all workflows share. Raises `DefinitionError`."""
        from workflow_runtime.definition.limits_file import read_limits  # workers do without it

        return read_limits(self._definitions)

    def invokers(self, clock: Clock) -> dict[NodeType, Invoker]:
        """What runs agents and tools. ``clock``: the runtime's."""
        if self._player is not None:
            return self._played(self._player, clock)
        tools: Invoker = ToolInvoker(self._tools, clock, self._processes)
        if self._mocks is None:
            return {
                NodeType.AGENT: self._agent_invoker(tools),
                NodeType.TOOL: tools,
            }
        mocked = partial(MockedInvoker, self._mocks, sleep=clock.sleep)
        tools = mocked(NodeType.TOOL, tools)
        agents = self._agent_invoker(tools)
        return {
            NodeType.AGENT: mocked(NodeType.AGENT, agents, agent_schema=self._agent_schema),
            NodeType.TOOL: tools,
            NodeType.SUB_WORKFLOW: mocked(NodeType.SUB_WORKFLOW, Unmocked()),
        }

    def _played(self, player: Player, clock: Clock) -> dict[NodeType, Invoker]:
        """The same behind a cassette; mocks answer for what it lacks."""
        mocks = self._mocks if self._mocks is not None else Mocks(MockFile({}, {}, None))
        mocked = partial(MockedInvoker, mocks, sleep=clock.sleep)
        tools = mocked(NodeType.TOOL, ToolInvoker(self._tools, clock, self._processes))
        agents = self._agent_invoker(player.calls(tools))
        return {
            NodeType.AGENT: player.nodes(mocked(NodeType.AGENT, agents, agent_schema=self._agent_schema), agents),
            NodeType.TOOL: player.nodes(tools),
            NodeType.SUB_WORKFLOW: player.nodes(mocked(NodeType.SUB_WORKFLOW, Unmocked())),
        }

    def _agent_invoker(self, tools: Invoker) -> AgentInvoker:
        return AgentInvoker(self._agents, tools=self._tools, tool_invoker=tools, reach=self._reach)

    def _agent_schema(self, id: str) -> Json:
        agent = self._agents.get(id)
        return agent.output_schema if agent is not None else None


def _below(definitions: Path | None, kind: str) -> Path | None:
    return definitions / kind if definitions is not None and (definitions / kind).is_dir() else None
