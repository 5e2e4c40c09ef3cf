"""Retry policies and error rules that can never apply, because of themselves or of earlier ones in their list."""

from __future__ import annotations

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.sources import GraphSource
from workflow_runtime.compiler.report import Report
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.plan.policies import NEVER_BY_DEFAULT, covers


def check_policies(graph: GraphSource, report: Report) -> None:
    for position, node in graph.own_nodes:
        for number in _idle_policies(node):
            message = f"a retry policy of `{node.id}` retries nothing: its errors are excluded, or an earlier one's"
            report.add(rules.NEVER_APPLIES, message, graph.at(position, "retry_policy", number))
        for number in _idle_rules(node):
            message = f"an error rule of `{node.id}` never applies: earlier ones cover all its errors"
            report.add(rules.NEVER_APPLIES, message, graph.at(position, "on_error", number))


def _idle_policies(node: NodeDefinition) -> list[int]:
    found = []
    earlier: tuple[str, ...] = ()
    for number, policy in enumerate(node.retry_policy):
        if all(_retried(earlier, type) or _all(policy.exclude_errors, type) for type in policy.errors):
            found.append(number)
        if not policy.exclude_errors:
            earlier += policy.errors
    return found


def _idle_rules(node: NodeDefinition) -> list[int]:
    found = []
    earlier: tuple[str, ...] = ()
    for number, rule in enumerate(node.on_error):
        if all(_all(earlier, type) for type in rule.errors):
            found.append(number)
        earlier += rule.errors
    return found


def _all(types: tuple[str, ...], wanted: str) -> bool:
    """Whether ``types`` are for every error that ``wanted`` is for."""
    return covers(types, wanted) if wanted != "*" else "*" in types or _EVERYTHING.issubset(types)


def _retried(types: tuple[str, ...], wanted: str) -> bool:
    return wanted in types if wanted in NEVER_BY_DEFAULT else _all(types, wanted)


_EVERYTHING = frozenset({"execution_error", "timeout", "cancelled"})
