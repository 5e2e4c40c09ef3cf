"""What a definition with errors does not show: whoever draws conclusions from it asks here first.

A best-effort definition lacks what could not be read. Whether a name exists, or a node waits for nothing, can then not
be told from its absence; in doubt the answer is that it may be there.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

import msgspec

from workflow_runtime.definition.nodes.common import NodeDefinition

Path: TypeAlias = tuple[str | int, ...]

ANY = "*"
"""Stands for a field that nobody can tell: an unknown key, or fields that do not go together."""

WITHOUT_EDGES = frozenset(
    {
        *("name", "metadata", "priority", "limiter", "callback", "retry_policy", "timeout", "on_skip"),
        *("output_schema", "max_concurrency", "allow", "type"),
    }
)
"""Fields of nodes, and of edges, from which no edge can come and on which no edge's meaning depends."""

CALLS = frozenset({"fallback", "on_error", "on_timeout", "compensate", "error_handlers", ANY})
"""Fields that name nodes which only run when called."""


class Gaps(msgspec.Struct, frozen=True):
    """``fields``: of the workflow. ``nodes``, ``edges``: fields by position; `ANY` alone if nothing is known.

    ``untyped``: nodes of a type that is not known. ``unnamed``: nodes whose id is wrong, or that share it with others.
    ``runs``: of the graphs inside states, by path (``("states", 0, "run")``). ``charts``: whether states of a chart
    may have names that cannot be seen, for charts that have errors, by path of their owner (``()`` or a node's).
    """

    fields: frozenset[str] = frozenset()
    nodes: dict[int, frozenset[str]] = {}
    edges: dict[int, frozenset[str]] = {}
    untyped: frozenset[int] = frozenset()
    unnamed: frozenset[int] = frozenset()
    runs: dict[Path, Gaps] = {}
    charts: dict[Path, bool] = {}

    def of_run(self, path: Path) -> Gaps:
        """Those of the graph inside a state."""
        return self.runs.get(path, Gaps())

    def is_whole(self, chart: Path) -> bool:
        """Whether everything in a chart could be read."""
        return chart not in self.charts

    def hide_states(self, chart: Path) -> bool:
        """Whether a chart may have states with other names than those that can be seen."""
        return self.charts.get(chart, False)

    @property
    def hide_ids(self) -> bool:
        """Whether there may be nodes with other ids than those that can be seen."""
        return "nodes" in self.fields or bool(self.unnamed)

    @property
    def hide_variables(self) -> bool:
        return not self.fields.isdisjoint({"variables", ANY})

    @property
    def hide_names(self) -> bool:
        """Whether a name may be declared although nothing that can be seen declares it."""
        return self.hide_ids or self.hide_variables or "input_schema" in self.fields

    @property
    def hide_edges(self) -> bool:
        return (
            self.hide_ids
            or bool(self.untyped)
            or not self.fields.isdisjoint({"edges", "type", ANY})
            or any(fields - WITHOUT_EDGES for fields in self.nodes.values())
            or any(fields - WITHOUT_EDGES - {"condition"} for fields in self.edges.values())
        )

    @property
    def hide_calls(self) -> bool:
        """Whether nodes may be called by others in ways that cannot be seen."""
        wrong = [self.fields, *self.nodes.values()]
        return bool(self.untyped) or any(not fields.isdisjoint(CALLS) for fields in wrong)

    def has(self, node: int, *fields: str) -> bool:
        """Whether one of ``fields`` of a node could not be read."""
        return not self.nodes.get(node, frozenset()).isdisjoint((ANY, *fields))


def untyped_nodes(nodes: Collection[NodeDefinition]) -> frozenset[int]:
    return frozenset(position for position, node in enumerate(nodes) if type(node) is NodeDefinition)
