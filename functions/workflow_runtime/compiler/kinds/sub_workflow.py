"""Sub-workflows: executions that a node starts."""

from __future__ import annotations

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.kinds.kind import Checking, NodeKind, NodeParts, named_ids, template
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.work import SubWorkflowNode
from workflow_runtime.language.json_values import Json, walk_texts
from workflow_runtime.language.schemas import violation
from workflow_runtime.language.templates import has_template
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.specs import SubWorkflowSpec

STARTED: Json = {"type": "object", "properties": {"execution_id": {"type": "string"}}, "additionalProperties": False}
"""Schema of the output of a node that does not wait."""


def _spec(node: SubWorkflowNode, parts: NodeParts) -> SubWorkflowSpec:
    workflow = parts.required("workflow_id") if node.allow else node.workflow_id
    return SubWorkflowSpec(workflow, node.allow, node.version or 0, node.wait)


def _output(node: SubWorkflowNode, catalogue: Catalogue | None) -> Json:
    if not node.wait:
        return STARTED
    entry = _entry(node, catalogue)
    return entry.output_schema if entry is not None else None


def _entry(node: SubWorkflowNode, catalogue: Catalogue | None) -> CatalogueEntry | None:
    """What is known of the workflow that a node starts; nothing if that is computed, or an older version."""
    if catalogue is None or catalogue.workflows is None or node.allow or node.version is not None:
        return None
    return catalogue.workflows.get(node.workflow_id)


def _check(node: SubWorkflowNode, checking: Checking) -> None:
    if not node.wait and node.timeout is not None:
        message = "`timeout` has no effect here: with `wait: false` the node does not wait for the execution's end"
        checking.report.add(rules.NO_EFFECT, message, (*checking.place, "timeout"))
    known = checking.catalogue.workflows if checking.catalogue is not None else None
    if known is None:
        return
    for field, id in named_ids(node.workflow_id, node.allow, "workflow_id"):
        if id not in known:
            hint = checking.report.suggest(id, known)
            checking.report.add(rules.UNKNOWN_WORKFLOW, f"there is no workflow `{id}`", (*checking.place, field), hint)
    entry = _entry(node, checking.catalogue)
    if entry is not None and not checking.unread("inputs"):
        _check_inputs(node, entry, checking)


def _check_inputs(node: SubWorkflowNode, workflow: CatalogueEntry, checking: Checking) -> None:
    """What is given to a workflow, against its input schema; of values that are computed, only that they are there."""
    schema = workflow.input_schema
    if schema is None:
        return
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in node.inputs:
            field = "inputs" if node.inputs else "workflow_id"
            message = f"the workflow `{workflow.id}` needs `{name}` in its input"
            checking.report.add(rules.CHILD_INPUT, message, (*checking.place, field), f"Add `{name}` to `inputs`.")
    for name, value in node.inputs.items():
        place = (*checking.place, "inputs", name)
        if name not in properties and not workflow.takes_others:
            hint = checking.report.suggest(name, properties)
            checking.report.add(rules.CHILD_INPUT, f"the workflow `{workflow.id}` takes no `{name}`", place, hint)
        elif name in properties and not any(has_template(text) for _, text in walk_texts(value)):
            problem = violation({**schema, "required": []}, {name: value})
            if problem is not None:
                message = (
                    f"the workflow `{workflow.id}` does not take this as `{name}`: {problem.removeprefix(f'{name}: ')}"
                )
                checking.report.add(rules.CHILD_INPUT, message, place)


KINDS: dict[type[NodeDefinition], NodeKind] = {
    SubWorkflowNode: NodeKind(
        formulas=(template("workflow_id", or_id=True),),
        check=_check,
        output=_output,
        spec=_spec,
        reads_inputs=True,
        has_fields=True,
        takes_time=True,
        has_policies=True,
        may_undo=True,
    )
}
