"""What people see of what models have used: of an execution in all, by model and by agent; of many, by tenant, too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from workflow_runtime.invokers.usage import Usage, total
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec
from workflow_runtime.storage.listing import Page, Wanted
from workflow_runtime.storage.records import Run
from workflow_runtime.storage.stores import Stores


def usage_json(plan: Plan, runs: Iterable[Run]) -> dict[str, Json] | None:
    """Of all these runs, those that failed included: they were paid for as well. None: no model was asked. An agent
    that a formula chose has no entry."""
    used = [(run, run.usage) for run in runs if run.usage]
    if not used:
        return None
    by_model: dict[str, list[Usage]] = defaultdict(list)
    by_agent: dict[str, list[Usage]] = defaultdict(list)
    for run, usage in used:
        by_model[str(usage.get("model"))].append(usage)
        agent = _agent(plan, run.path)
        if agent is not None:
            by_agent[agent].append(usage)
    return {
        **_sum([usage for _, usage in used]),
        "by_model": {model: _sum(by_model[model]) for model in sorted(by_model)},
        "by_agent": {agent: _sum(by_agent[agent]) for agent in sorted(by_agent)},
    }


BY = ("tenant", "workflow", "agent", "model")


class UsagePage(msgspec.Struct, frozen=True):
    """What some executions have used, ``by`` each of `BY` and its values. ``next``: the position from which more may be
    found; None: there are no more."""

    executions: int
    total: dict[str, Json] | None
    by: dict[str, dict[str, dict[str, Json]]]
    next: str | None


class UsageReports:
    """What it reads of an execution are its node runs, without their outputs. ``list``: see `Documents.list`."""

    def __init__(self, stores: Stores, list: Callable[[Wanted, int], Page]) -> None:
        self._list = list
        self._executions = stores.executions
        self._runs = stores.runs
        self._workflows = stores.workflows

    def page(self, wanted: Wanted, limit: int) -> UsagePage:
        """Of at most ``limit`` executions, the newest first. Children count as executions of their own."""
        found = self._list(wanted, limit)
        parts: dict[str, dict[str, list[Usage]]] = {name: defaultdict(list) for name in BY}
        all_used: list[Usage] = []
        for header in found.headers:
            plan = self._workflows.plan(header.plan_hash)
            if header.express:  # with its header come its runs; a list has more headers than records are kept
                self._executions.header(header.execution_id)
            for run, _ in self._runs.list_held(header.execution_id):
                if not run.usage:
                    continue
                all_used.append(run.usage)
                whose = (header.tenant, header.workflow_id, _agent(plan, run.path), str(run.usage.get("model")))
                for name, value in zip(BY, whose, strict=True):
                    if value:
                        parts[name][value].append(run.usage)
        by = {name: {value: _sum(used) for value, used in sorted(values.items())} for name, values in parts.items()}
        return UsagePage(len(found.headers), _sum(all_used) if all_used else None, by, found.next)


def _sum(usages: Iterable[Usage]) -> dict[str, Json]:
    return {name: value for name, value in (total(usages) or {}).items() if name != "model"}


def _agent(plan: Plan, path: str) -> str | None:
    node = node_of(plan, path)
    spec = node.spec if node is not None else None
    return spec.target if isinstance(spec, AgentSpec) and isinstance(spec.target, str) else None
