"""What becomes of a workflow's limits in its plan."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.limiters import Limiter


def full_name(definition: WorkflowDefinition, name: str) -> str:
    """The name of a limiter in the whole deployment: a workflow's own stands under the workflow's."""
    return f"{definition.id}/{name}" if name in definition.limits.limiters else name


def planned_limiters(definition: WorkflowDefinition) -> dict[str, Limiter]:
    """The workflow's own, by full name."""
    return {full_name(definition, name): limiter.limiter() for name, limiter in definition.limits.limiters.items()}


def planned_formulas(
    definition: WorkflowDefinition, formulas: Mapping[DocumentPath, Formula], field: str
) -> dict[str, Formula]:
    """Of the workflow's own limiters, by full name: their keys or weights that are templates."""
    paths = {name: ("limits", name, field) for name in definition.limits.limiters}
    return {full_name(definition, name): formulas[path] for name, path in paths.items() if path in formulas}
