"""Limits: the templates that are rendered at a start, what limiters are named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.check.prices import prices_of_requests
from workflow_runtime.compiler.check.requests import Asked, known_input
from workflow_runtime.compiler.collect.formulas import ReadSite, Site, SiteKind, read_site
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.budgets import BudgetDefinition
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.work import AgentNode
from workflow_runtime.definition.recovery import ANY, Gaps
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.limiters import MICROS, OUTPUT_TOKENS_DEFAULT, Budget, Limiter

TENANT = frozenset({"tenant"})
"""What keys and weights of limiters may read, besides the input and the variables."""


def limit_sites(definition: WorkflowDefinition, report: Report) -> list[ReadSite]:
    """The templates of the tenant, and of the workflow's own limiters."""
    sites = []
    if definition.tenant is not None:
        sites.append(Site(kind=SiteKind.START, path=("tenant",), value=definition.tenant))
    for name, limiter in definition.limits.limiters.items():
        for field in ("key", "weight"):
            value = getattr(limiter, field)
            if isinstance(value, str) and value:
                sites.append(Site(kind=SiteKind.START, path=("limits", name, field), value=value, locals=TENANT))
    return [read_site(site, report) for site in sites]


def check_limits(
    definition: WorkflowDefinition, gaps: Gaps, sources: Sources, catalogue: Catalogue | None, report: Report
) -> None:
    """What is named is declared, once, and can let something begin in time."""
    own = definition.limits.limiters
    shared = catalogue.limiters if catalogue is not None else None
    for name in own:
        if shared is not None and name in shared:
            report.add(rules.LIMITER_TWICE, f"the limiter `{name}` is declared for all workflows", ("limits", name))
    named = list(_named(definition, sources))
    for name in own.keys() - {name for name, _ in named} if gaps == Gaps() else ():
        report.add(rules.UNUSED_LIMITER, f"nothing names the limiter `{name}`", ("limits", name))
    knows_own = gaps.fields.isdisjoint(("limits", ANY))
    for name, path in named:
        if knows_own and shared is not None and name not in own and name not in shared:
            hint = did_you_mean(name, [*own, *shared])
            report.add(rules.UNKNOWN_LIMITER, f"no limiter `{name}` is declared", path, hint)
    limiters = {**(shared or {}), **{name: limiter.limiter() for name, limiter in own.items()}}
    for graph in sources.graphs:
        for position, node in graph.own_nodes:
            for limiter in (limiters.get(name) for name in node.limiter):
                _check_wait(node, limiter, graph.at(position, "max_wait"), report)
            if catalogue is None or not isinstance(node, AgentNode):
                continue
            agent = catalogue.agents.get(node.agent)
            if agent is not None:
                _check_named_by(agent, shared, graph.at(position, "agent"), report)
                whole = [definition.limiter] if definition.limiter is not None else []
                taken = dict.fromkeys(limiters[name] for name in (*node.limiter, *whole) if name in limiters)
                taken |= dict.fromkeys((shared or {})[name] for name in agent.limiters if name in (shared or {}))
                budgets = [agent.budget, *(limiter.budget for limiter in taken)]
                asked = Asked(known_input(agent, node, catalogue), agent.output_tokens or OUTPUT_TOKENS_DEFAULT)
                _check_agent(agent, asked, budgets, definition.budget, graph.at(position, "agent"), report)


def _check_named_by(
    agent: CatalogueEntry, shared: Mapping[str, Limiter] | None, path: DocumentPath, report: Report
) -> None:
    """What an agent names is declared for all workflows."""
    for name in agent.named_limiters:
        if shared is not None and name not in shared:
            message = f"the agent `{agent.id}` names the limiter `{name}`, which is not declared"
            report.add(rules.UNKNOWN_LIMITER, message, path, did_you_mean(name, [*shared]))


def _check_wait(node: NodeDefinition, limiter: Limiter | None, path: DocumentPath, report: Report) -> None:
    """A node may wait at least until the one before it, which needs as much, is through."""
    if node.max_wait is None or limiter is None:
        return
    rates = ((limiter.requests, 1), (limiter.tokens, node.cost.tokens if node.cost is not None else 0))
    seconds = max((rate.microseconds(units) / 1_000_000 for rate, units in rates if rate is not None), default=0)
    if node.max_wait < seconds:
        message = f"the limiter lets one begin every {seconds:g} s, and this node waits {node.max_wait:g} s"
        report.add(rules.IMPOSSIBLE_WAIT, message, path)


def _check_agent(
    agent: CatalogueEntry,
    asked: Asked,
    budgets: Iterable[Budget | None],
    own: BudgetDefinition | None,
    path: DocumentPath,
    report: Report,
) -> None:
    """Each budget pays for a request at least, and `degrade` has a model to ask. ``own``: of the workflow."""
    for budget in (*budgets, own.budget() if own is not None else None):
        if budget is None:
            continue
        if 0 < budget.tokens < sum(asked) and not budget.expected:
            message = f"a request of the agent `{agent.id}` may have {asked.tokens}, the budget {budget.tokens:,}"
            report.add(rules.BUDGET_TOO_SMALL, message, path)
        if budget.micros and not budget.expected:
            _check_dollars(agent, asked, budget, path, report)
        if budget.on_exceeded == "degrade" and len(agent.models) == 1:
            report.add(rules.ONE_MODEL, f"the agent `{agent.id}` has only {agent.models[0]}", path)


def _check_dollars(agent: CatalogueEntry, asked: Asked, budget: Budget, path: DocumentPath, report: Report) -> None:
    """The budget pays for a request of a model that is asked: of the first one, or, if it degrades, of any."""
    models = agent.models if budget.on_exceeded == "degrade" else agent.models[:1]
    prices = prices_of_requests(agent, models, *asked)
    known = [price for price in prices if price is not None]
    if known and min(known) > budget.micros:
        cost = f"${min(known) / MICROS:.2g}"
        message = f"a request of the agent `{agent.id}` may cost {cost} ({asked.tokens}), the budget is "
        report.add(rules.BUDGET_TOO_SMALL, f"{message}${budget.micros / MICROS:g}", path)
    if prices and not known and budget != agent.budget and not budget.tokens_suffice:  # the agent's own is found there
        report.add(rules.UNKNOWN_PRICE, f"nobody knows a price of {', '.join(models)} (agent `{agent.id}`)", path)


def _named(definition: WorkflowDefinition, sources: Sources) -> Iterator[tuple[str, DocumentPath]]:
    if definition.limiter is not None:
        yield definition.limiter, ("limiter",)
    for graph in sources.graphs:
        for position, node in graph.own_nodes:
            for name in node.limiter:
                yield name, graph.at(position, "limiter")
