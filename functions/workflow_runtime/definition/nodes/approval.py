"""The approval node: people decide, and may change what they are shown."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from workflow_runtime.definition.asking import Asking
from workflow_runtime.definition.fields import MISSING, Value
from workflow_runtime.definition.ids import Reference
from workflow_runtime.definition.nodes.control import ControlNode
from workflow_runtime.definition.nodes.registry import control_type


@control_type("approval")
class ApprovalNode(Asking, ControlNode):
    """Asks people. ``on_timeout``, ``on_reject``: fail, continue, or a node's id."""

    noun: ClassVar[str] = "an approval"
    keeps_null: ClassVar = frozenset({"data"})

    data: Value = Field(MISSING, description="What people are shown, and may change (template).")
    on_timeout: Reference = Field("fail", description="`fail`, `continue`, or the id of a node that runs then.")
    on_reject: Reference = Field("fail", description="`fail`, `continue`, or the id of a node that runs then.")

    @classmethod
    def fitting(cls, defaults: Mapping[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        own = super().fitting(defaults, fields)
        return own if "timeout" in {**own, **fields} else {name: own[name] for name in own if name != "on_timeout"}
