"""Budgets: what a node may cost in port calls, AWS requests and DynamoDB units. A change that breaks one says why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace
from tests.benchmarks import bench_aws_calls
from tests.handlers.bench import Bench

CHAIN_CALLS_PER_NODE = 2.8  # worker: look, record; a tenth of the eight of a hop
HOP_CALLS_PER_NODE = 8  # worker: claim, read, record, report; dispatcher: load, commit, order, journal
FAN_OUT_CALLS_PER_NODE = 4.7  # the worker's four; of the dispatcher's, one tenth


class Counting:
    def __init__(self, port: Any, calls: Counter[str]) -> None:
        self._port = port
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        self._calls[name] += 1
        return getattr(self._port, name)


def port_calls(nodes: str) -> Counter[str]:
    calls: Counter[str] = Counter()
    bench = Bench("embedded")
    bench.tools.tools["kilobyte"] = lambda _: {"text": bench_aws_calls.text(1000)}
    ports = bench.runtime.ports
    bench.runtime.ports = replace(
        ports,
        table=Counting(ports.table, calls),
        blobs=Counting(ports.blobs, calls),
        queues=Counting(ports.queues, calls),
        bus=Counting(ports.bus, calls),
    )
    execution_id = bench.start(nodes, {"start": "go"})
    bench.runtime.stores.workflows.plan(bench.runtime.catalog.version("w").plan_hash)
    calls.clear()
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"
    bench.close()
    return calls


def conditional(count: int) -> str:
    """A chain whose nodes are ordered one by one."""
    return bench_aws_calls.chain(count).replace("type: tool", "type: tool, when: 1 == 1")


@pytest.mark.parametrize(
    ("shape", "few", "many", "budget"),
    [
        (bench_aws_calls.chain, 10, 20, CHAIN_CALLS_PER_NODE),
        (conditional, 5, 20, HOP_CALLS_PER_NODE),
        (bench_aws_calls.fan_out, 20, 50, FAN_OUT_CALLS_PER_NODE),
    ],
    ids=["chain", "conditional chain", "fan-out"],
)
def test_a_node_makes_no_more_port_calls_than_its_budget(shape: Any, few: int, many: int, budget: float) -> None:
    calls = port_calls(shape(many)).total() - port_calls(shape(few)).total()
    assert calls / (many - few) <= budget


@pytest.fixture(scope="module")
def costs() -> dict[str, dict[str, Any]]:
    """What nodes cost on simulated AWS, by shape."""
    return {row["shape"]: row for row in bench_aws_calls.measure(smoke=True)}


def test_a_node_costs_no_more_on_aws_than_its_budget(costs: dict[str, dict[str, Any]]) -> None:
    for row in costs.values():
        for name, budget in row["budget"].items():
            assert row["per_node"][name] <= budget, f"{row['shape']}: {name}: {row}"


def test_a_chain_of_ten_tools_costs_a_dollar_and_a_half_a_million_nodes_at_most(
    costs: dict[str, dict[str, Any]],
) -> None:
    assert costs["chain"]["dollars_per_million"] <= 1.5


@pytest.mark.parametrize(("passes", "nodes"), bench_aws_calls.SAME_NODES.items())
def test_a_pass_costs_hardly_more_than_its_node_does_without_a_loop(
    costs: dict[str, dict[str, Any]], passes: str, nodes: str
) -> None:
    dollars = costs[passes]["dollars_per_million"]
    assert dollars <= costs[nodes]["dollars_per_million"] * bench_aws_calls.PASS_FACTOR_MAX, costs[passes]
