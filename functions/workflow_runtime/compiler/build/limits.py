"""What becomes of a workflow's limits in its plan."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.limiters import NO_LIMITS, PlanLimits


def full_name(definition: WorkflowDefinition, name: str) -> str:
    """The name of a limiter in the whole deployment: a workflow's own stands under the workflow's."""
    return f"{definition.id}/{name}" if name in definition.limits.limiters else name


def planned_limits(definition: WorkflowDefinition, formulas: Mapping[DocumentPath, Formula]) -> PlanLimits:
    own = definition.limits.limiters
    if not own and definition.limiter is None and definition.tenant is None:
        return NO_LIMITS
    return PlanLimits(
        own={full_name(definition, name): limiter.limiter() for name, limiter in own.items()},
        keys=_templates(definition, formulas, "key"),
        weights=_templates(definition, formulas, "weight"),
        executions=full_name(definition, definition.limiter) if definition.limiter is not None else "",
        tenant=formulas.get(("tenant",)),
    )


def _templates(
    definition: WorkflowDefinition, formulas: Mapping[DocumentPath, Formula], field: str
) -> dict[str, Formula]:
    """Keys or weights of the workflow's own limiters that are templates, by full name."""
    paths = {name: ("limits", name, field) for name in definition.limits.limiters}
    return {full_name(definition, name): formulas[path] for name, path in paths.items() if path in formulas}
