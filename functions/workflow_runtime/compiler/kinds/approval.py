"""The approval: people decide."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.compiler.kinds.kind import NodeKind, NodeParts, Target, template
from workflow_runtime.compiler.kinds.wait import WORDS
from workflow_runtime.definition.nodes.approval import ApprovalNode
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.specs import ApprovalSpec


def _calls(node: ApprovalNode) -> Iterator[Target]:
    for field in ("on_timeout", "on_reject"):
        if getattr(node, field) not in WORDS:
            yield getattr(node, field), (field,)


def _output(node: ApprovalNode, _: Catalogue | None) -> Json:
    data: Json = True if node.form is None else {"anyOf": [node.form, {}]}  # a rejection need not match the form
    properties: dict[str, Json] = {
        "approved": {"type": "boolean"},
        "by": {"type": ["string", "null"]},
        "at": {"type": "string"},
        "data": data,
        "comment": {"type": "string"},
        "answers": {"type": "array"},
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _spec(node: ApprovalNode, parts: NodeParts) -> ApprovalSpec:
    def rule(name: str) -> tuple[str, int]:
        return (name, -1) if name in WORDS else ("call", parts.nodes((name,))[0])

    on_timeout, timeout_target = rule(node.on_timeout)
    on_reject, reject_target = rule(node.on_reject)
    return ApprovalSpec(
        prompt=parts.formula("prompt"),
        assignees=parts.formula("assignees"),
        form=node.form,
        data=parts.formula("data"),
        quorum=parts.formula("quorum") or node.quorum,
        veto=node.veto,
        second_answer=node.second_answer,
        escalate_after=parts.formula("escalate_after") or node.escalate_after,
        escalate_to=parts.formula("escalate_to"),
        delegate=node.delegate,
        timeout=parts.formula("timeout") or node.timeout,
        on_timeout=on_timeout,
        timeout_target=timeout_target,
        on_reject=on_reject,
        reject_target=reject_target,
    )


KINDS: dict[type[NodeDefinition], NodeKind] = {
    ApprovalNode: NodeKind(
        formulas=(
            template("prompt"),
            template("assignees"),
            template("data"),
            template("quorum", or_number=True),
            template("escalate_after", or_number=True),
            template("escalate_to"),
            template("timeout", or_number=True),
        ),
        calls=_calls,
        output=_output,
        spec=_spec,
        has_fields=True,
        own_timeout=True,
        takes_time=True,
        has_policies=True,
    )
}
