"""An execution's trace from what is stored of it, page by page."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from workflow_runtime.errors import RequestError
from workflow_runtime.ports import Ports
from workflow_runtime.services.tracing.content import contents_of, output_of, place_of
from workflow_runtime.services.tracing.spans import NO_CONTENT, Span, execution_span, run_span, runs_agent, step_span
from workflow_runtime.storage.stores import Stores

RUNS_PER_PAGE = 200
CONTENT_RUNS_PER_PAGE = 25  # with their outputs, of which each may be large


class TracePage(msgspec.Struct, frozen=True):
    """``next``: the run after which another page follows; None: this is the last."""

    spans: tuple[Span, ...]
    next: str | None


class Traces:
    def __init__(self, ports: Ports, stores: Stores) -> None:
        self._clock = ports.clock
        self._stores = stores

    def page(self, execution_id: str, after: str = "", *, content: bool = False) -> TracePage:
        """Spans of node runs that have ended and of agents' steps; on the first page, that of the execution.
        ``content``: with what models, tools and nodes said. Raises `RequestError` (``not_found``)."""
        header = self._stores.executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        plan = self._stores.workflows.plan(header.plan_hash)
        spans: list[Span | None] = [execution_span(plan, header, self._clock.now())] if not after else []
        limit = CONTENT_RUNS_PER_PAGE if content else RUNS_PER_PAGE
        runs = self._stores.runs.page(execution_id, after, limit, with_output=content)
        shown = ""
        for key, run in runs:
            spans.append(run_span(plan, execution_id, run, output_of(run.output) if content else NO_CONTENT))
            if run.path != shown and runs_agent(plan, run.path) and not _same_node(key, after):
                spans += self._steps(execution_id, run.path, content=content)
            shown = run.path
        return TracePage(tuple(filter(None, spans)), runs[-1][0] if len(runs) == limit else None)

    def _steps(self, execution_id: str, path: str, *, content: bool) -> Iterator[Span | None]:
        read = self._stores.steps.of_node if content else self._stores.steps.told
        steps = read(execution_id, path)
        said = contents_of(steps) if content else {}
        for visit, step in steps:
            yield step_span(execution_id, path, visit, step, said.get(place_of(visit, step), NO_CONTENT))


def _same_node(key: str, other: str) -> bool:
    """Whether two keys of runs are of one node: its steps are shown with the first."""
    return key.rpartition("#")[0] == other.rpartition("#")[0]
