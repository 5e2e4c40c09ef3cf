"""Joins: how far a node's incoming edges have come, and what that means for it."""

from __future__ import annotations

from enum import Enum

from workflow_runtime.engine.state import Progress
from workflow_runtime.language.enumerations import direct
from workflow_runtime.plan.graph import Join, JoinKind


@direct
class Verdict(Enum):
    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"


def judge(join: Join, deciding: int, ordering: int, progress: Progress) -> Verdict:
    """What a node with ``deciding`` flow and gate edges and ``ordering`` order edges does at this progress.

    Total: every join and progress has a verdict. SKIP needs no order edges; RUN needs all of them.
    """
    resolved, alive = progress.resolved, progress.alive
    match join.kind:
        case JoinKind.ALL:
            met = resolved == deciding and (alive > 0 or deciding == 0)
            hopeless = resolved == deciding and not met
        case JoinKind.ALL_SUCCESS:
            met, hopeless = alive == deciding, resolved > alive
        case JoinKind.ANY:
            met = alive >= 1 or deciding == 0
            hopeless = resolved == deciding and not met
        case JoinKind.AT_LEAST:
            met, hopeless = alive >= join.count, alive + deciding - resolved < join.count
        case JoinKind.ALL_DONE:
            met, hopeless = resolved == deciding, False
    if met:
        return Verdict.RUN if progress.ordered == ordering else Verdict.WAIT
    return Verdict.SKIP if hopeless else Verdict.WAIT


def tolerates_failure(join: Join) -> bool:
    """Whether this join can do without one of its predecessors. ``all_done`` never handles a failure."""
    return join.kind in (JoinKind.ANY, JoinKind.AT_LEAST)
