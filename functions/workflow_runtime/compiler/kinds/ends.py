"""Control nodes that pass data on or end their scope: pass, fail, succeed."""

from __future__ import annotations

from workflow_runtime.compiler.kinds.kind import NodeKind, NodeParts, template
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import FailNode, PassNode, SucceedNode
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.specs import FailSpec, PassSpec, SucceedSpec


def _pass_output(node: PassNode, _: Catalogue | None) -> Json:
    """Its inputs, each of them of any type: they are templates. As the value of a fallback they may be anything."""
    if not isinstance(node.inputs, dict):
        return None
    return {"type": "object", "properties": dict.fromkeys(node.inputs, True), "additionalProperties": False}


def _pass_spec(_: PassNode, __: NodeParts) -> PassSpec:
    return PassSpec()


def _fail_spec(_: FailNode, parts: NodeParts) -> FailSpec:
    return FailSpec(parts.required("error"), parts.required("message"))


def _succeed_spec(_: SucceedNode, parts: NodeParts) -> SucceedSpec:
    return SucceedSpec(parts.formula("output"))


KINDS: dict[type[NodeDefinition], NodeKind] = {
    PassNode: NodeKind(spec=_pass_spec, output=_pass_output, reads_inputs=True, has_fields=True),
    FailNode: NodeKind(
        formulas=(template("error"), template("message")), spec=_fail_spec, yields=False, ends_scope=True
    ),
    SucceedNode: NodeKind(formulas=(template("output"),), spec=_succeed_spec, ends_scope=True),
}
