"""What is left to do once everything has a place: parts that are not joined move together, long arrows run straight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

EDGE = float("inf")


def move_together(
    rows: list[list[int]], widths: Sequence[float], joined: Sequence[Sequence[int]], centers: list[float]
) -> None:
    """Move each connected part as far to the left as the parts before it allow. Sorts ``rows`` by where things are.

    ``joined``: by thing, those it is joined to.
    """
    row_of = {thing: number for number, row in enumerate(rows) for thing in row}
    parts = sorted(_parts(joined), key=lambda part: (sum(centers[thing] for thing in part) / len(part), part[0]))
    taken: dict[int, float] = defaultdict(lambda: -EDGE)
    for part in parts:
        room = max(taken[row_of[thing]] - (centers[thing] - widths[thing] / 2) for thing in part)
        shift = room if room > -EDGE else 0.0
        for thing in part:
            centers[thing] += shift
        for thing in part:
            row = row_of[thing]
            taken[row] = max(taken[row], centers[thing] + widths[thing] / 2)
    for things in rows:
        things.sort(key=centers.__getitem__)


def _parts(joined: Sequence[Sequence[int]]) -> list[list[int]]:
    seen = [False] * len(joined)
    found = []
    for first in range(len(joined)):
        if seen[first]:
            continue
        seen[first] = True
        part = [first]
        for thing in part:  # grows meanwhile
            for other in joined[thing]:
                if not seen[other]:
                    seen[other] = True
                    part.append(other)
        found.append(part)
    return found


def straighten(
    rows: list[list[int]], widths: Sequence[float], chains: Sequence[Sequence[int]], centers: list[float]
) -> None:
    """Let consecutive points of an arrow stand below each other, where their neighbours leave room for it.

    ``rows`` from left to right; ``chains``: the points of each arrow.
    """
    place = {thing: (number, position) for number, row in enumerate(rows) for position, thing in enumerate(row)}

    def limits(thing: int) -> tuple[float, float]:
        number, position = place[thing]
        row = rows[number]
        low, high = -EDGE, EDGE
        if position:
            before = row[position - 1]
            low = centers[before] + (widths[before] + widths[thing]) / 2
        if position + 1 < len(row):
            after = row[position + 1]
            high = centers[after] - (widths[after] + widths[thing]) / 2
        return low, high

    for points in chains:
        run: list[int] = []
        low, high = -EDGE, EDGE
        for thing in points:
            least, most = limits(thing)
            if run and max(low, least) > min(high, most):
                _align(run, low, high, centers)
                run, low, high = [], -EDGE, EDGE
            run.append(thing)
            low, high = max(low, least), min(high, most)
        _align(run, low, high, centers)


def _align(run: list[int], low: float, high: float, centers: list[float]) -> None:
    if run:
        mean = sum(centers[thing] for thing in run) / len(run)
        x = min(max(mean, low), high)
        for thing in run:
            centers[thing] = x
