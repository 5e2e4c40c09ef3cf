"""Whether the states that ``in_state`` asks for exist, and somebody is there to answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.check.charts import tell_unknown
from workflow_runtime.compiler.collect.formulas import Site
from workflow_runtime.compiler.collect.sources import ChartSource, GraphSource, Sources
from workflow_runtime.compiler.collect.texts import enclosed_in, texts_of
from workflow_runtime.compiler.names.names import Bound
from workflow_runtime.compiler.report import DocumentPath, Report

_CALL = re.compile(r"""\bin_state\s*\((?:\s*(?:'([^'\\]*)'|"([^"\\]*)")\s*\))?""")


def check_states_asked(
    bound: Iterable[tuple[Bound, GraphSource | ChartSource]], sources: Sources, report: Report
) -> None:
    """Names that are not fixed are not checked. What a worker evaluates knows no states."""
    for item, place in bound:
        for path, name in _asked(item.site):
            if not place.charts or item.site.in_worker:
                where = "in a worker" if place.charts else "outside of charts"
                hint = "Ask in a guard, in an action, or in the `when` of a node."
                report.add(rules.NOT_HERE, f"`in_state` cannot be answered {where}", path, hint)
                continue
            charts = [sources.charts[number] for number in place.charts]
            if name and not any(chart.hides_states or name in chart.index for chart in charts):
                tell_unknown(name, path, [known for chart in charts for known in chart.index], report)


def _asked(site: Site) -> Iterator[tuple[DocumentPath, str]]:
    """The calls of ``in_state`` and the fixed names in them; a name that is computed is empty."""
    for path, text in texts_of(site.value, site.path):
        if "in_state" not in text:
            continue
        stretches = [(0, len(text))] if site.is_expression else enclosed_in(text)
        for call in _CALL.finditer(text):
            if any(start <= call.start() < end for start, end in stretches):
                yield path, call[1] or call[2] or ""
