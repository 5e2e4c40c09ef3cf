"""The wait: for a while, until a time, or for an event."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.compiler.kinds.kind import NodeKind, NodeParts, Over, Target, expression, template
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.wait import WaitNode
from workflow_runtime.plan.specs import WaitSpec

WORDS = frozenset({"", "fail", "continue"})
"""What `on_timeout` may say besides the id of a node."""


def _calls(node: WaitNode) -> Iterator[Target]:
    if node.on_timeout not in WORDS:
        yield node.on_timeout, ("on_timeout",)


def _spec(node: WaitNode, parts: NodeParts) -> WaitSpec:
    return WaitSpec(
        seconds=parts.formula("seconds") or node.seconds,
        until=parts.formula("at"),
        event=node.event or "",
        match=parts.formula("match"),
        correlated=parts.correlated,
        key=parts.formula("with_value"),
        timeout=parts.formula("timeout") or node.timeout,
        on_timeout=node.on_timeout if node.on_timeout in WORDS else "call",
        timeout_target=-1 if node.on_timeout in WORDS else parts.nodes((node.on_timeout,))[0],
    )


KINDS: dict[type[NodeDefinition], NodeKind] = {
    WaitNode: NodeKind(
        formulas=(
            template("seconds", or_number=True),
            template("timeout", or_number=True),
            template("at"),
            expression("match", over=Over.EVENT_TOO),
            template("correlate", over=Over.EVENT_ALONE),
            template("with_value"),
        ),
        calls=_calls,
        spec=_spec,
        own_timeout=True,
        takes_time=True,
        yields=False,
        has_policies=True,
    )
}
