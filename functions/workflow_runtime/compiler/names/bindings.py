"""Stage *names*, part two: every site of a workflow with its names resolved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from workflow_runtime.compiler.collect.formulas import ReadSite
from workflow_runtime.compiler.collect.sources import ChartSource, GraphSource, Sources
from workflow_runtime.compiler.names.names import Bound, Names
from workflow_runtime.compiler.shape.drafts import Draft


class Bindings(msgspec.Struct, frozen=True):
    """``graphs``, ``charts``: by number; ``others``: of variables and triggers."""

    graphs: list[list[Bound]]
    charts: list[list[Bound]]
    others: list[Bound]

    @property
    def all(self) -> Iterator[Bound]:
        return chain(self.others, *self.graphs, *self.charts)

    def placed(self, sources: Sources) -> Iterator[tuple[Bound, GraphSource | ChartSource]]:
        """All that stand in graphs and charts, and where."""
        for graph, bound in zip(sources.graphs, self.graphs, strict=True):
            yield from ((item, graph) for item in bound)
        for chart, bound in zip(sources.charts, self.charts, strict=True):
            yield from ((item, chart) for item in bound)


def bind_all(
    names: Names,
    sources: Sources,
    drafts: Sequence[Draft],
    charts: Sequence[list[ReadSite]],
    others: Sequence[ReadSite],
) -> Bindings:
    """In the order of the file's parts; names without a source are reported."""
    return Bindings(
        others=[names.bind(read, sources.graphs[0]) for read in others],
        graphs=[[names.bind(read, draft.source) for read in draft.sites] for draft in drafts],
        charts=[
            [names.bind(read, chart) for read in sites] for chart, sites in zip(sources.charts, charts, strict=True)
        ],
    )
