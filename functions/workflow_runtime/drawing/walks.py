"""Orders of a directed graph, cycles opened, in time linear in nodes and links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class ForwardOrder(NamedTuple):
    """``order``: every node, sources before their ``targets``, among which links that close a cycle are missing."""

    order: list[int]
    targets: list[list[int]]


def forward_order(count: int, pairs: Iterable[tuple[int, int]]) -> ForwardOrder:
    """A depth-first walk from the first node: a link back to a node that is still being walked closes a cycle."""
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in pairs:
        after[source].append(target)
    targets: list[list[int]] = [[] for _ in range(count)]
    ended: list[int] = []
    is_open = [False] * count
    seen = [False] * count
    for first in range(count):
        if seen[first]:
            continue
        pending = [(first, iter(after[first]))]
        seen[first] = is_open[first] = True
        while pending:
            node, rest = pending[-1]
            following = next(rest, None)
            if following is None:
                pending.pop()
                is_open[node] = False
                ended.append(node)
            elif not is_open[following]:
                targets[node].append(following)
                if not seen[following]:
                    seen[following] = is_open[following] = True
                    pending.append((following, iter(after[following])))
    return ForwardOrder(ended[::-1], targets)


def levels(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Per node the length of the longest way to it: each stands below all that lead to it."""
    found = [0] * count
    order, targets = forward_order(count, pairs)
    for node in order:
        for target in targets[node]:
            found[target] = max(found[target], found[node] + 1)
    return found
