"""Nodes that shorter forms stand for: fallbacks and compensations that are defined in others, and actions that call."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.definition.charts.actions import CallActionDefinition
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.nodes.common import UNNAMED_COMPENSATION, NodeDefinition
from workflow_runtime.definition.nodes.control import PassNode
from workflow_runtime.definition.nodes.registry import NODE_TYPES
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import FALLBACK

FALLBACK_KINDS = (("agent", "agent"), ("tool", "tool"), ("sub_workflow", "workflow_id"))
"""Types of the nodes that a fallback may define, each with the field that names what it runs."""
INHERITED = ("inputs", "prompt", "outputs", "output_schema")


def fallback_node(node: NodeDefinition) -> NodeDefinition | None:
    """The node that a node's fallback is short for; None if it has none of its own.

    It takes what the fallback does not say from the node. A value is a node that passes on its inputs; that takes no
    time, so it has no ``timeout``.
    """
    written = node.fallback
    if written is None or written.node is not None:
        return None
    id = f"{node.id}{FALLBACK}"
    if written.value is not MISSING:
        fields = {"id": id, "priority": node.priority, "inputs": written.value}
        return PassNode.model_construct({"id", "inputs"}, **fields, type="control")
    kind, field = next(way for way in FALLBACK_KINDS if getattr(written, way[1]) is not None)
    said = {name: value for name in INHERITED if (value := getattr(written, name)) is not None}
    return fallback_of(node, id, kind, {field: getattr(written, field), **said})


def fallback_of(node: NodeDefinition, id: str, kind: str, said: Mapping[str, Json]) -> NodeDefinition:
    """A node of a kind with these fields that runs in the place of another, from which it has what they do not say."""
    model = NODE_TYPES[kind]
    inherited = {name: getattr(node, name, model.model_fields[name].default) for name in INHERITED
                 if name in model.model_fields}  # fmt: skip
    fields = {**inherited, **{name: value for name, value in said.items() if name in model.model_fields}}
    common = {"id": id, "timeout": node.timeout, "priority": node.priority}
    made = model.model_construct({*fields, "id"}, **common, type=kind, **fields)
    assert isinstance(made, NodeDefinition)
    return made


def named_after(node: NodeDefinition) -> NodeDefinition:
    """The compensation that a node defines; without an id of its own it is named after the node."""
    written = node.compensate
    assert isinstance(written, NodeDefinition)
    named = written.id != UNNAMED_COMPENSATION
    return written if named else written.model_copy(update={"id": f"{node.id}~compensate"})


def called_node(
    action: CallActionDefinition, taken: set[str], numbers: dict[str, int], *, always_numbered: bool
) -> NodeDefinition:
    """The node that an action's call is short for; its fields stand under the same names there.

    It has no inputs: they are the action's, which the dispatcher renders.
    ``numbers``: the next that is free, by name. ``always_numbered``: at the chart's own start nothing else in its path
    tells it from nodes and states.
    """
    name = action.kind if action.allow else action.target
    id = "" if always_numbered else name
    number = numbers.get(name, 1 if always_numbered else 2)
    while not id or id in taken:
        id = f"{name}~{number}"
        number += 1
    numbers[name] = number
    model = NODE_TYPES[action.kind]
    names = (model.model_fields.keys() & type(action).model_fields.keys()) - {"inputs"}
    fields = {name: getattr(action, name) for name in names}
    node = model.model_construct(action.model_fields_set & names, id=id, type=action.kind, **fields)
    assert isinstance(node, NodeDefinition)
    return node
