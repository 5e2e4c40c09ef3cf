"""What becomes of a workflow's limits in its plan."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.compiler.shape.links import Handlers
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.limiters import NO_LIMITS, PlanLimits
from workflow_runtime.plan.policies import BUDGET_EXCEEDED, Handler


def full_name(definition: WorkflowDefinition, name: str) -> str:
    """The name of a limiter in the whole deployment: a workflow's own stands under the workflow's."""
    return f"{definition.id}/{name}" if name in definition.limits.limiters else name


def budget_handlers(definition: WorkflowDefinition) -> tuple[Handler, ...]:
    """What a budget has done about nodes that fail by it, after the workflow's own handlers."""
    budget = definition.budget
    return (Handler("compensate", (BUDGET_EXCEEDED,)),) if budget and budget.on_exceeded == "compensate" else ()


def with_budget(definition: WorkflowDefinition, handlers: Handlers) -> Handlers:
    """Per node, the workflow's handlers that are for it, and what its budget has done."""
    number = len(definition.error_handlers)
    further = [(number + own, -1) for own, _ in enumerate(budget_handlers(definition))]
    return [[*own, *further] for own in handlers] if further else handlers


def planned_limits(definition: WorkflowDefinition, formulas: Mapping[DocumentPath, Formula]) -> PlanLimits:
    own = definition.limits.limiters
    said = (definition.limiter, definition.tenant, definition.budget)
    if not own and said == (None, None, None):
        return NO_LIMITS
    return PlanLimits(
        own={full_name(definition, name): limiter.limiter() for name, limiter in own.items()},
        keys=_templates(definition, formulas, "key"),
        weights=_templates(definition, formulas, "weight"),
        executions=full_name(definition, definition.limiter) if definition.limiter is not None else "",
        tenant=formulas.get(("tenant",)),
        budget=definition.budget.budget() if definition.budget is not None else None,
    )


def _templates(
    definition: WorkflowDefinition, formulas: Mapping[DocumentPath, Formula], field: str
) -> dict[str, Formula]:
    """Keys or weights of the workflow's own limiters that are templates, by full name."""
    paths = {name: ("limits", name, field) for name in definition.limits.limiters}
    return {full_name(definition, name): formulas[path] for name, path in paths.items() if path in formulas}
