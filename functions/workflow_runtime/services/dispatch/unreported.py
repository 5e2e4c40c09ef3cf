"""What workers have done in place (`plan.segments`) and will report with the end of their segment.

What is about to be cancelled may be the first node of a segment, of which the first nodes have succeeded long ago. They
have, whatever becomes of the others: their successes are taken before what cancels these.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import takewhile

from msgspec.structs import replace

from workflow_runtime.engine.events import NodeSucceeded
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Together
from workflow_runtime.services.results import success_of
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.runs import RunStore


def successes(
    runs: RunStore, together: Together, plan: Plan, execution_id: str, heads: Sequence[tuple[str, int]]
) -> list[NodeSucceeded]:
    """Of runs, by path and serial, that others may have followed in place: their successes and those of the others,
    in order, as their workers are going to report them.

    A run that is under way after them gets a record of its own: once they are known to have succeeded, it is ordered,
    and whoever comes to that order must find that it was begun.
    """
    found = runs.get_all(execution_id, heads)
    chains = runs.segments(execution_id, [found[head] for head in heads if head in found])
    begun = [chain[-1] for chain in chains if chain[-1].in_place]
    together([partial(_set_up, runs, execution_id, run) for run in begun])
    return [event for chain in chains for event in _successes(plan, chain)]


def _set_up(runs: RunStore, execution_id: str, run: Run) -> None:
    runs.claim(execution_id, replace(run, in_place=False))  # there is one, if its worker has renewed its lease


def _successes(plan: Plan, chain: Sequence[Run]) -> list[NodeSucceeded]:
    events = [success_of(plan, run) for run in takewhile(_has_succeeded, chain)]
    if events and len(events) < len(chain):
        events[-1] = replace(events[-1], goes_on=True)
    return events


def _has_succeeded(run: Run) -> bool:
    return run.status is RunStatus.SUCCESS
