"""What mocks and injected failures may name. Of anything else no call would ever come, so that a misspelled mock would
be silent.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec.structs import astuple

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.findings import Finding
from workflow_runtime.frontends.client.sources import read_source
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.texts import quoted
from workflow_runtime.language.yaml.small_files import UNKNOWN_MOCK
from workflow_runtime.plan.addresses import static_path
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, SubWorkflowSpec, ToolSpec
from workflow_runtime.runtime.workflow_files import workflow_files


class Targets(msgspec.Struct, frozen=True):
    """Ids of agents, tools and workflows that others start; ``nodes``: ids and paths of the nodes that call them."""

    agents: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    workflows: frozenset[str] = frozenset()

    @classmethod
    def registered(cls, catalogue: Catalogue | None) -> Targets:
        """The agents and tools that exist without any mock."""
        if catalogue is None:
            return cls()
        agents, tools = (
            frozenset(id for id, entry in entries.items() if entry.source != "mock")
            for entries in (catalogue.agents, catalogue.tools)
        )
        return cls(agents, tools)

    @classmethod
    def named_in(cls, plan: Plan) -> Targets:
        """What a workflow calls, whether it is registered or not."""
        agents: set[str] = set()
        tools: set[str] = set()
        nodes: set[str] = set()
        for block in plan.blocks:
            for node in block.nodes:
                match node.spec:
                    case AgentSpec(agent, allow):
                        agents.update([agent] if isinstance(agent, str) else allow)
                    case ToolSpec(tool, allow):
                        tools.update([tool] if isinstance(tool, str) else allow)
                    case SubWorkflowSpec():
                        pass
                    case _:
                        continue
                nodes |= {node.id, block.prefix + node.id}
        return cls(frozenset(agents), frozenset(tools), frozenset(nodes), plan.starts)

    def __or__(self, other: Targets) -> Targets:
        fields = zip(astuple(self), astuple(other), strict=True)
        return Targets(*(one | another for one, another in fields))


def targets_below(definitions: Path | None, catalogue: Catalogue | None) -> Targets | None:
    """What the workflows of a `definitions` directory call. None when one of them is not valid: what it would call is
    not known.
    """
    targets = Targets()
    for file in workflow_files(definitions):
        plan = compile_workflow(read_source(file).data, catalogue=catalogue).plan
        if plan is None:
            return None
        targets |= Targets.named_in(plan)
    return targets


def unknown_mocks(
    mocks: Mocks,
    catalogue: Catalogue | None,
    plans: Iterable[Plan],
    definitions: Path | None,
    failing: Iterable[str] = (),
) -> list[Finding]:
    """A finding for each mock of an agent or tool that is neither in ``catalogue`` nor called by one of ``plans`` or by
    a workflow below ``definitions``; and for each of the ``failing`` (ids or paths) that is neither that nor a node.
    """
    wanted = list(failing)
    targets = Targets.registered(catalogue)
    for plan in plans:
        targets |= Targets.named_in(plan)
    if not _unknown(mocks, wanted, targets):
        return []
    others = targets_below(definitions, catalogue)
    return [] if others is None else _unknown(mocks, wanted, targets | others)


def _unknown(mocks: Mocks, failing: Iterable[str], targets: Targets) -> list[Finding]:
    known = targets.agents | targets.tools | targets.nodes | targets.workflows
    found = mocks.unknown(targets.agents, targets.tools, targets.workflows)
    for target in failing:
        if static_path(target) not in known:
            message = (
                f"{quoted(target)}, which is to fail, is not an agent, tool or workflow, nor a node that calls one"
            )
            hint = did_you_mean(target, sorted(known)) or UNKNOWN_MOCK.hint
            found.append(Finding(UNKNOWN_MOCK.id, UNKNOWN_MOCK.severity, message, hint=hint))
    return found
