"""What people see of what an execution's models have used: in all, by model, and by agent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from workflow_runtime.invokers.usage import Usage, total
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec
from workflow_runtime.storage.records import Run


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


def _sum(usages: Iterable[Usage]) -> dict[str, Json]:
    return {name: value for name, value in (total(usages) or {}).items() if name != "model"}


def _agent(plan: Plan, path: str) -> str | None:
    place = plan.locate(path)
    spec = plan.blocks[place.block].nodes[place.node].spec if place is not None else None
    return spec.target if isinstance(spec, AgentSpec) and isinstance(spec.target, str) else None
