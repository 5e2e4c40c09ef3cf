"""Addresses of scopes: where in an execution a block or a chart is at work.

A scope's address is the prefix of its nodes' paths without the last ``/``: ``""`` is the graph at the top,
``processing`` the graph of that state, ``each[7]`` a pass of a loop. The address of a chart, or of a loop, is the path
of the node that holds it; the chart at the top, which shares its paths with the graph there, has `TOP_CHART`. A called
agent or tool, and a compensation, is a block of one node; its address is that node's path. The compiler keeps ids and
state names apart, so that no two scopes share an address.

Paths in a plan are static; those of an execution may have pass numbers, ``each[7]/double``.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec

ScopeId: TypeAlias = str

TOP_GRAPH: ScopeId = ""
TOP_CHART: ScopeId = "~chart"

_PASS = re.compile(r"\[\d+\]")


class Place(msgspec.Struct, frozen=True):
    """Where a node of a path is: the address of its scope, the number of its block, and its index there."""

    scope: ScopeId
    block: int
    node: int


def static_path(path: str) -> str:
    """A path of an execution as the plan has it: without pass numbers."""
    return _PASS.sub("", path) if "[" in path else path


def passes_in(path: str) -> int:
    """In how many passes of loops something of this path is."""
    return path.count("[")


def pass_address(loop: ScopeId, index: int) -> ScopeId:
    """The address of a pass of a loop."""
    return f"{loop}[{index}]"


def pass_of(address: ScopeId) -> tuple[ScopeId, int]:
    """The loop that a pass is of, and which one it is."""
    loop, _, index = address.rpartition("[")
    return loop, int(index[:-1])


def passes_around(address: ScopeId) -> list[tuple[ScopeId, int]]:
    """The loops and passes that a scope is in, the outermost first."""
    return [(address[: found.start()], int(found.group()[1:-1])) for found in _PASS.finditer(address)]


def in_order_of_passes(path: str) -> list[tuple[str, int]]:
    """What to sort paths by, so that pass 10 comes after pass 9."""
    parts = _PASS.split(path)
    numbers = [int(found[1:-1]) for found in _PASS.findall(path)]
    return [*zip(parts, [*numbers, -1], strict=True)]
