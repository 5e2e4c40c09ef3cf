"""What the compiler knows of each type of node and of each action, in one place per type.

`kind` says what an entry holds: the fields that are templates or expressions, the nodes that the type names, what can
be checked of one node alone, and how its spec is made. `collect`, `shape`, `names`, `check` and `build` ask the tables
here and never the type itself, so a new type of node is one entry here and one row of the engine's `KINDS`.

Imports `definition`, `plan` and the compiler's `report` and `rules`; no stage of the compiler.
"""

from __future__ import annotations

from workflow_runtime.compiler.kinds import (
    actions,
    aggregation,
    approval,
    branching,
    ends,
    loop,
    machine,
    sub_workflow,
    wait,
    work,
)
from workflow_runtime.compiler.kinds.kind import ActionKind, NodeKind
from workflow_runtime.definition.charts.actions import ActionDefinition
from workflow_runtime.definition.nodes.common import NodeDefinition

NODE_KINDS: dict[type[NodeDefinition], NodeKind] = {
    **work.KINDS,
    **branching.KINDS,
    **ends.KINDS,
    **wait.KINDS,
    **aggregation.KINDS,
    **machine.KINDS,
    **loop.KINDS,
    **sub_workflow.KINDS,
    **approval.KINDS,
}
ACTION_KINDS: dict[type[ActionDefinition], ActionKind] = actions.KINDS

UNREAD = NodeKind(
    may_read_secrets=True, has_fields=True, reads_inputs=True, takes_time=True, has_policies=True, may_undo=True
)
"""Of nodes whose type could not be read, or that cannot run yet: nothing is known of them, and nothing held against
them."""


def kind_of_node(node: NodeDefinition) -> NodeKind:
    return NODE_KINDS.get(type(node), UNREAD)


def kind_of_action(action: ActionDefinition) -> ActionKind:
    return ACTION_KINDS.get(type(action), NO_ACTION)


NO_ACTION = ActionKind()
"""Of an action that could not be read."""
