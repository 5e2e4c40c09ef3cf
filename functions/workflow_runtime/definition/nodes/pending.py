"""Nodes that the language knows and this runtime does not run yet; only their common fields are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from workflow_runtime.definition.fields import Literal
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.registry import control_type


class UnsupportedNode(NodeDefinition):
    """A node that the language knows and this runtime does not run yet; only its common fields are checked."""

    own: ClassVar[tuple[str, ...]] = ()
    subtype: Literal | None = Field(None, description="Which control node.")

    @property
    def what(self) -> str:
        """Its subtype or type."""
        return self.subtype or self.type

    @classmethod
    def canonical(cls, value: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        common = {key: item for key, item in value.items() if key not in cls.own}
        if isinstance(common.get("config"), dict):
            common["config"] = {key: item for key, item in common["config"].items() if key not in cls.own}
        return super().canonical(common)

    @classmethod
    def written_names(cls) -> list[str]:
        return [*super().written_names(), *cls.own]


@control_type("approval")
class ApprovalNode(UnsupportedNode):
    """Waits for people's decision."""

    noun: ClassVar[str] = "an approval"
    own: ClassVar = ("prompt", "assignees", "form", "quorum", "on_timeout", "on_reject")
