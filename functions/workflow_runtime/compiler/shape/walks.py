"""The graph between the stages: links by (source, target), and the walks that need no knowledge of the language.

Sets of nodes are Python integers, bit i for node i: at 10,000 nodes a union is a copy of 1,250 bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from workflow_runtime.compiler.report import DocumentPath
from workflow_runtime.plan.edges import EdgeKind

Pair: TypeAlias = tuple[int, int]


Rank: TypeAlias = tuple[int, ...]
"""Dependency order: `dependencies`, then `edges`, then control targets, then data; after that number, the place in file
order."""

DEPENDENCY, EDGE, TARGET, DATA = range(4)

NODES_MAX = 10_000  # what one mailbox advances in about a minute
EDGES_MAX = 100_000  # ten per node on average: a plan of a few MB, loaded by every dispatch of a cold function
TOO_MANY = f"there are more than {EDGES_MAX:,} edges"


class TooManyEdges(Exception):
    """Raised while links and branches are made, before a product of them fills the memory; the text says which."""


class Link(msgspec.Struct, frozen=True, gc=False):
    """All mentions of source→target as one.

    - ``place``: where the first of the mentions stands
    - ``conditions``: (text, document path) of each condition, to be and-ed
    """

    source: int
    target: int
    rank: Rank
    place: DocumentPath
    kind: EdgeKind = EdgeKind.FLOW
    conditions: tuple[tuple[str, DocumentPath], ...] = ()


Links: TypeAlias = dict[Pair, Link]


def merge(links: Links, link: Link) -> None:
    """Add a mention: the earlier rank wins, a gate stays one, what flows does not merely order, conditions add up."""
    pair = (link.source, link.target)
    known = links.get(pair)
    if known is None:
        if len(links) >= EDGES_MAX:
            raise TooManyEdges(TOO_MANY)
        links[pair] = link
        return
    first = min(known, link, key=lambda mention: mention.rank)
    kinds = {known.kind, link.kind}
    kind = next(kind for kind in (EdgeKind.GATE, EdgeKind.FLOW, EdgeKind.ORDER) if kind in kinds)
    conditions = tuple(dict.fromkeys(known.conditions + link.conditions))
    links[pair] = msgspec.structs.replace(first, kind=kind, conditions=conditions)


def incoming_of(count: int, links: Links) -> list[list[Link]]:
    """Per node the links into it, in dependency order."""
    found: list[list[Link]] = [[] for _ in range(count)]
    for link in links.values():
        found[link.target].append(link)
    for group in found:
        if len(group) > 1:
            group.sort(key=lambda link: (link.rank, link.source))
    return found


def topological_order(count: int, pairs: Iterable[Pair]) -> list[int]:
    """Every source before its targets. Nodes on or below a cycle are missing."""
    targets: list[list[int]] = [[] for _ in range(count)]
    open_sources = [0] * count
    for source, target in pairs:
        targets[source].append(target)
        open_sources[target] += 1
    ready = deque(node for node in range(count) if not open_sources[node])
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for target in targets[node]:
            open_sources[target] -= 1
            if not open_sources[target]:
                ready.append(target)
    return order


def ancestors(order: Iterable[int], incoming: list[list[Link]]) -> list[int]:
    """Per node the set of nodes above it, by links of any kind."""
    above = [0] * len(incoming)
    for node in order:
        found = 0
        for link in incoming[node]:
            found |= above[link.source] | 1 << link.source
        above[node] = found
    return above


def find_cycles(count: int, pairs: Iterable[Pair]) -> list[list[int]]:
    """One shortest cycle through the first node of every knot (strongly connected part); the first is not repeated."""
    pairs = list(pairs)
    order = topological_order(count, pairs)
    if len(order) == count:
        return []
    left = set(range(count)) - set(order)
    left -= set(left) - _upstream_of_cycles(left, pairs)
    targets: dict[int, list[int]] = {node: [] for node in left}
    for source, target in pairs:
        if source in left and target in left:
            targets[source].append(target)
    cycles = []
    for knot in _knots(targets):
        members = set(knot)
        cycles.append(_shortest_cycle(min(members), members, targets))
    return sorted(cycles)


def _upstream_of_cycles(left: set[int], pairs: list[Pair]) -> set[int]:
    """Those of ``left`` that are not merely below a cycle."""
    reverse = [(target, source) for source, target in pairs if source in left and target in left]
    number = {node: position for position, node in enumerate(sorted(left))}
    gone = topological_order(len(number), [(number[target], number[source]) for target, source in reverse])
    below = set(gone)
    return {node for node in left if number[node] not in below}


def _knots(targets: Mapping[int, list[int]]) -> list[list[int]]:
    """Strongly connected parts of more than one node (Tarjan's algorithm, without recursion)."""
    order: dict[int, int] = {}
    lowest: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[list[int]] = []
    for root in targets:
        if root in order:
            continue
        walk = [(root, iter(targets[root]))]
        order[root] = lowest[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while walk:
            node, rest = walk[-1]
            following = next(rest, None)
            if following is None:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[node])
                if lowest[node] == order[node]:
                    knot = [stack.pop()]
                    while knot[-1] != node:
                        knot.append(stack.pop())
                    on_stack.difference_update(knot)
                    if len(knot) > 1:
                        found.append(knot)
            elif following not in order:
                order[following] = lowest[following] = len(order)
                stack.append(following)
                on_stack.add(following)
                walk.append((following, iter(targets[following])))
            elif following in on_stack:
                lowest[node] = min(lowest[node], order[following])
    return found


def _shortest_cycle(start: int, members: set[int], targets: Mapping[int, list[int]]) -> list[int]:
    came_from = {start: start}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for target in targets[node]:
            if target == start:
                cycle = [node]
                while cycle[-1] != start:
                    cycle.append(came_from[cycle[-1]])
                return cycle[::-1]
            if target in members and target not in came_from:
                came_from[target] = node
                queue.append(target)
    raise AssertionError("a knot has a cycle through each of its nodes")
