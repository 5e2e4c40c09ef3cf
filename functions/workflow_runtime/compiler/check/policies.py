"""Retry policies, error rules and handlers that can never apply, because of themselves or of earlier ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.graphs import GraphSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.compiler.shape.links import Handlers
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.policies import ErrorHandler
from workflow_runtime.definition.recovery import Gaps
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.policies import NEVER_BY_DEFAULT, covers


def check_policies(graph: GraphSource, report: Report) -> None:
    for position, node in graph.own_nodes:
        for number in _idle_policies(node):
            message = f"a retry policy of `{node.id}` retries nothing: its errors are excluded, or an earlier one's"
            report.add(rules.NEVER_APPLIES, message, graph.at(position, "retry_policy", number))
        for number in _idle_rules(node):
            message = f"an error rule of `{node.id}` never applies: earlier ones cover all its errors"
            report.add(rules.NEVER_APPLIES, message, graph.at(position, "on_error", number))


def check_handlers(
    definition: WorkflowDefinition,
    sources: Sources,
    by_graph: Sequence[Handlers],
    catalogue: Catalogue | None,
    report: Report,
) -> None:
    """Error handlers that are never asked, or may have nobody to call; ``by_graph``: those of each graph's nodes."""
    workflows = catalogue.workflows if catalogue is not None else None
    handlers = definition.error_handlers
    busy = {number for nodes in by_graph for found in nodes for number, _ in found}
    idle = busy - _acting(handlers, by_graph) if sources.graphs[0].gaps == Gaps() else set()
    for number, handler in enumerate(handlers):
        place = ("error_handlers", number)
        _check_target(handler, (*place, "action", "target"), sources, workflows, report)
        if number not in busy and sources.graphs[0].gaps == Gaps():
            message = f"no node that can fail has an id like `{handler.node_pattern}` (the whole of it has to match)"
            report.add(rules.NEVER_APPLIES, message, (*place, "node_pattern"))
        elif number in idle or _is_covered(number, handlers):
            report.add(rules.NEVER_APPLIES, "earlier handlers take all its nodes and errors", place)


def _check_target(
    handler: ErrorHandler,
    place: DocumentPath,
    sources: Sources,
    workflows: Mapping[str, CatalogueEntry] | None,
    report: Report,
) -> None:
    """What a handler runs that is not a node here: a workflow, perhaps."""
    target = handler.action.target
    if target is None or any(target in graph.index for graph in sources.graphs):
        return
    if workflows is not None and target in workflows:
        return
    names = [name for graph in sources.graphs for name in graph.index]
    message = f"the workflow has no node `{target}`: when it is needed, a workflow of that id is looked up"
    report.add(rules.UNKNOWN_WORKFLOW, message, place, report.suggest(target, names, workflows or ()))


def _acting(handlers: Sequence[ErrorHandler], by_graph: Sequence[Handlers]) -> set[int]:
    """The handlers that at least one error of one node comes to, by number."""
    found: set[int] = set()
    asked = {tuple(number for number, _ in own) for nodes in by_graph for own in nodes}
    for numbers in asked:
        earlier: set[str] = set()
        for number in numbers:
            handler = handlers[number]
            if not all(_all(earlier, type) for type in handler.errors):
                found.add(number)
            if handler.action.type not in _LEAVE_SOME:
                earlier.update(handler.errors)
    return found


def _is_covered(number: int, handlers: Sequence[ErrorHandler]) -> bool:
    """Whether earlier handlers for the same nodes, or all, act on all its errors, whatever nodes there are."""
    pattern = handlers[number].node_pattern
    earlier: tuple[str, ...] = ()
    for handler in handlers[:number]:
        if handler.node_pattern in (pattern, ".*") and handler.action.type not in _LEAVE_SOME:
            earlier += handler.errors
    return all(_all(earlier, type) for type in handlers[number].errors)


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


def _all(types: Collection[str], wanted: str) -> bool:
    """Whether ``types`` are for every error that ``wanted`` is for."""
    return covers(types, wanted) if wanted != "*" else "*" in types or _EVERYTHING.issubset(types)


def _retried(types: tuple[str, ...], wanted: str) -> bool:
    return wanted in types if wanted in NEVER_BY_DEFAULT else _all(types, wanted)


_LEAVE_SOME = ("retry", "fallback")
"""Actions after which the next handler is asked, once they are used up."""
_EVERYTHING = frozenset({"execution_error", "timeout", "cancelled"})
