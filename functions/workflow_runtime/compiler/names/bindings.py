"""What binding the names of formulas yields."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import msgspec

from workflow_runtime.compiler.collect.formulas import Site, Use
from workflow_runtime.compiler.collect.graphs import ChartSource, Enclosing, GraphSource
from workflow_runtime.compiler.kinds.loop import CHAINED_NAMES
from workflow_runtime.plan.formulas import Binding, BindingKind, Formula


class Read(msgspec.Struct, frozen=True, gc=False):
    """One name that found its source."""

    binding: Binding
    keys: tuple[str, ...]
    use: Use


class Bound(msgspec.Struct, frozen=True, gc=False):
    """A site whose names are resolved, and what it stands in. ``may_ask_states``: see `ReadSite`."""

    site: Site
    formula: Formula
    reads: tuple[Read, ...]
    place: GraphSource | ChartSource
    may_ask_states: bool


class Bindings(msgspec.Struct, frozen=True):
    """All formulas of a workflow, with their names resolved.

    - ``graphs``, ``charts``: by number
    - ``others``: of variables and triggers
    """

    graphs: list[list[Bound]]
    charts: list[list[Bound]]
    others: list[Bound]

    @property
    def all(self) -> Iterator[Bound]:
        return chain(self.others, *self.graphs, *self.charts)

    @property
    def placed(self) -> Iterator[Bound]:
        """All that stand in graphs and charts."""
        return chain(*self.graphs, *self.charts)

    @property
    def chained(self) -> frozenset[Enclosing]:
        """The loops whose passes read the results of earlier ones."""
        return frozenset(
            item.place.loops[0]
            for item in self.placed
            for read in item.reads
            if read.binding.kind is BindingKind.LOOP and read.binding.name in CHAINED_NAMES
        )
