"""Control nodes that choose or start other nodes: switch, condition, parallel."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.kinds.kind import EACH, Checking, NodeKind, NodeParts, Target, expression
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import ConditionNode, ParallelNode, SwitchNode
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.specs import ConditionSpec, ParallelSpec, SwitchCase, SwitchSpec

SELECTED: Json = {
    "type": "object",
    "properties": {"selected": {"type": "array"}},
    "additionalProperties": False,
}


def _selected(_: NodeDefinition, __: Catalogue | None) -> Json:
    return SELECTED


def _switch_targets(node: SwitchNode) -> Iterator[Target]:
    for number, branch in enumerate(node.branches):
        field = "default" if branch.is_default else "target"
        for name in branch.targets:
            yield name, ("branches", number, field)


def _switch_spec(node: SwitchNode, parts: NodeParts) -> SwitchSpec:
    cases = [
        SwitchCase(parts.nodes(branch.targets), branch.values, parts.formula("branches", number, "when"))
        for number, branch in enumerate(node.branches)
    ]
    return SwitchSpec(parts.formula("condition"), tuple(sorted(cases, key=lambda case: case.is_default)))


def _check_switch(node: SwitchNode, checking: Checking) -> None:
    if not node.branches or checking.unread("branches"):
        return
    place = (*checking.place, "branches")
    if not any(branch.is_default for branch in node.branches):
        message = f"`{node.id}` has no default: when nothing matches, none of its targets runs"
        checking.report.add(rules.NO_DEFAULT, message, place)
    if node.condition is not None and all(branch.values is None for branch in node.branches):
        message = f"no branch of `{node.id}` has a `case`, so nothing reads its `condition`"
        checking.report.add(rules.UNREAD_CONDITION, message, (*checking.place, "condition"))
    seen: set[str] = set()
    for number, branch in enumerate(node.branches):
        for value in branch.values or ():
            text = _text_of(value)
            if text in seen:
                shown = msgspec.json.encode(value).decode()
                message = f"an earlier branch of `{node.id}` already takes {shown}"
                checking.report.add(rules.DUPLICATE_CASE, message, (*place, number, "case"))
            seen.add(text)


def _text_of(value: Json) -> str:
    """A text that two values share exactly when one case takes both: scalars by the text that they
    render to, other values by their canonical JSON.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return "\0" + msgspec.json.encode(_canonical(value), order="deterministic").decode()


def _canonical(value: Json) -> Json:
    """The value with integral numbers as integers, as equality sees them."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _condition_targets(node: ConditionNode) -> Iterator[Target]:
    for field, names in (("then", node.then), ("otherwise", node.otherwise)):
        for name in names:
            yield name, (field,)


def _condition_spec(node: ConditionNode, parts: NodeParts) -> ConditionSpec:
    return ConditionSpec(parts.required("condition"), parts.nodes(node.then), parts.nodes(node.otherwise))


def _parallel_targets(node: ParallelNode) -> Iterator[Target]:
    for number, name in enumerate(node.branches):
        yield name, ("branches", number)


def _parallel_spec(node: ParallelNode, parts: NodeParts) -> ParallelSpec:
    heads = parts.nodes(node.branches)
    return ParallelSpec(heads, parts.members, node.max_concurrency, node.wait_all, node.cancel_rest)


KINDS: dict[type[NodeDefinition], NodeKind] = {
    SwitchNode: NodeKind(
        formulas=(expression("condition"), expression("branches", EACH, "when")),
        targets=_switch_targets,
        check=_check_switch,
        spec=_switch_spec,
        output=_selected,
        yields=False,
        is_looked_through=True,
    ),
    ConditionNode: NodeKind(
        formulas=(expression("condition"),),
        targets=_condition_targets,
        spec=_condition_spec,
        output=_selected,
        yields=False,
        is_looked_through=True,
    ),
    ParallelNode: NodeKind(
        targets=_parallel_targets,
        gates=False,
        spec=_parallel_spec,
        output=_selected,
        yields=False,
        is_looked_through=True,
    ),
}
