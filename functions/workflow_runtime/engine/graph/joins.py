"""Joins: how far a node's incoming edges have come, and what that means for it."""

from __future__ import annotations

from enum import Enum

from workflow_runtime.engine.scope_states import Progress
from workflow_runtime.language.enumerations import direct
from workflow_runtime.plan.edges import Join, JoinKind


@direct
class Verdict(Enum):
    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"


# What is asked for at every step: Python 3.11 looks members of enumerations up slowly.
WAIT, RUN, SKIP, ALL = Verdict.WAIT, Verdict.RUN, Verdict.SKIP, JoinKind.ALL


def judge(join: Join, deciding: int, ordering: int, progress: Progress) -> Verdict:
    """What a node with ``deciding`` flow and gate edges and ``ordering`` order edges does at this progress.

    Total: every join and progress has a verdict. SKIP needs no order edges; RUN needs all of them. Before
    as many are resolved as its `plan.graph.quorum`, it is WAIT.
    """
    resolved, alive, ordered = progress
    kind = join.kind
    if kind is ALL:
        met = resolved == deciding and (alive > 0 or deciding == 0)
        hopeless = resolved == deciding and not met
    elif kind is JoinKind.ALL_SUCCESS:
        met, hopeless = alive == deciding, resolved > alive
    elif kind is JoinKind.ANY:
        met = alive >= 1 or deciding == 0
        hopeless = resolved == deciding and not met
    elif kind is JoinKind.AT_LEAST:
        met, hopeless = alive >= join.count, alive + deciding - resolved < join.count
    else:
        assert kind is JoinKind.ALL_DONE
        met, hopeless = resolved == deciding, False
    if met:
        return RUN if ordered == ordering else WAIT
    return SKIP if hopeless else WAIT


def tolerates_failure(join: Join) -> bool:
    """Whether this join can do without one of its predecessors. ``all_done`` never handles a failure."""
    return join.kind in (JoinKind.ANY, JoinKind.AT_LEAST)
