"""The walks of the compiler's graph: order, cycles."""

from __future__ import annotations

import random

from workflow_runtime.compiler.shape.walks import find_cycles, topological_order


def test_an_acyclic_graph_has_no_cycles_and_a_full_order() -> None:
    pairs = [(0, 2), (1, 2), (2, 3)]
    assert find_cycles(4, pairs) == []
    assert topological_order(4, pairs) == [0, 1, 2, 3]


def test_every_knot_gives_one_shortest_cycle() -> None:
    pairs = [(0, 1), (1, 2), (2, 0), (1, 0), (3, 4), (4, 3), (2, 3), (4, 5)]
    assert find_cycles(6, pairs) == [[0, 1], [3, 4]]


def test_a_cycle_of_ten_thousand_nodes_is_found() -> None:
    count = 10_000
    pairs = [(node, (node + 1) % count) for node in range(count)]
    assert find_cycles(count, pairs) == [list(range(count))]


def test_what_is_found_in_random_graphs_is_a_cycle_exactly_when_there_is_no_full_order() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        count = chance.randint(2, 8)
        pairs = {(chance.randrange(count), chance.randrange(count)) for _ in range(chance.randint(0, 12))}
        pairs = {(source, target) for source, target in pairs if source != target}
        cycles = find_cycles(count, sorted(pairs))
        assert bool(cycles) == (len(topological_order(count, sorted(pairs))) < count)
        for cycle in cycles:
            assert all(pair in pairs for pair in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
