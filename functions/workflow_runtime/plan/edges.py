"""Edges between the nodes of a graph, and the joins where they meet."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from workflow_runtime.language.enumerations import direct
from workflow_runtime.plan.formulas import Formula


@direct
class JoinKind(StrEnum):
    ALL = "all"
    ALL_SUCCESS = "all_success"
    ANY = "any"
    AT_LEAST = "at_least"
    ALL_DONE = "all_done"


class Join(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    kind: JoinKind = JoinKind.ALL
    count: int = 0


@direct
class EdgeKind(StrEnum):
    FLOW = "flow"  # alive when its source succeeded and its condition holds
    GATE = "gate"  # from a switch or condition to a target: alive when selected
    ORDER = "order"  # neither alive nor dead: the target only waits for the source's end


# What is asked for at every step: Python 3.11 looks members of enumerations up slowly.
GATE, ORDER = EdgeKind.GATE, EdgeKind.ORDER


class Edge(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    source: int
    target: int
    kind: EdgeKind = EdgeKind.FLOW
    condition: Formula | None = None


def quorum(join: Join, deciding: int) -> int:
    """How many of so many edges that decide must have been resolved before a join can be met or lost."""
    match join.kind:
        case JoinKind.ALL | JoinKind.ALL_DONE:
            return deciding
        case JoinKind.AT_LEAST:  # so many alive, or so many dead that the others are too few
            return min(join.count, deciding - join.count + 1)
        case JoinKind.ANY | JoinKind.ALL_SUCCESS:
            return min(deciding, 1)


class Way(NamedTuple):
    """An edge, with what is asked about its target's join when its source ends.

    - ``edge``: its index; ``orders``: whether it only orders
    - ``quorum``: of the join
    - ``suffices``: whether nothing else decides it, so that it is met if the edge is alive
    - ``others``: of the first node of a layer, the others in it, to which this is the way, too
    """

    edge: int
    target: int
    orders: bool
    quorum: int
    suffices: bool
    others: tuple[int, ...] = ()
