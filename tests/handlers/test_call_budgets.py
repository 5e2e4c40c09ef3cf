"""Budgets: what a node may cost in port calls, AWS requests and DynamoDB units. A change that breaks one says why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace
from tests.benchmarks import bench_aws_calls
from tests.handlers.bench import Bench
from tests.load import quotas

CHAIN_CALLS_PER_NODE = 2.7  # worker: look, record; a tenth of the seven of a hop
HOP_CALLS_PER_NODE = 8  # worker: claim, read, read what has ended, record, report; dispatcher: commit, order, journal
FAN_OUT_CALLS_PER_NODE = 4.5  # the worker's four and a tenth of its report; of the dispatcher's, one tenth


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
    bench.tools.tools |= {"kilobyte": lambda _: {"text": bench_aws_calls.text(1000)}, "plain": lambda _: "short"}
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


@pytest.mark.parametrize(
    ("shape", "few", "many", "budget"),
    [
        (bench_aws_calls.chain, 10, 20, CHAIN_CALLS_PER_NODE),
        (bench_aws_calls.across_pools, 5, 21, HOP_CALLS_PER_NODE),
        (bench_aws_calls.fan_out, 20, 50, FAN_OUT_CALLS_PER_NODE),
    ],
    ids=["chain", "across pools", "fan-out"],
)
def test_a_node_makes_no_more_port_calls_than_its_budget(shape: Any, few: int, many: int, budget: float) -> None:
    calls = port_calls(shape(many)).total() - port_calls(shape(few)).total()
    assert calls / (many - few) <= budget


@pytest.fixture(scope="module")
def costs() -> dict[str, dict[str, Any]]:
    """What nodes cost on simulated AWS, by shape."""
    return {row["shape"]: row for row in bench_aws_calls.measure(bench_aws_calls.FEW)}


def test_a_node_costs_no_more_on_aws_than_its_budget(costs: dict[str, dict[str, Any]]) -> None:
    for row in costs.values():
        for name, budget in row["budget"].items():
            assert row["per_node"][name] <= budget, f"{row['shape']}: {name}: {row}"


def test_the_scale_of_the_guide_is_that_of_what_an_execution_takes(costs: dict[str, dict[str, Any]]) -> None:
    counted = costs["chain"]["whole_execution"]
    assert (counted["write_units"], counted["read_units"]) == quotas.units(costs["chain"]["nodes"])


@pytest.mark.parametrize(
    ("shape", "dollars"), [("chain", 1.5), ("agents", 2.0), ("across pools", 5.8), ("fan-out", 2.2)]
)
def test_a_million_nodes_cost_no_more_than_so_many_dollars(
    costs: dict[str, dict[str, Any]], shape: str, dollars: float
) -> None:
    assert costs[shape]["dollars_per_million"] <= dollars, costs[shape]


def test_a_million_express_executions_of_ten_nodes_cost_three_dollars_at_most() -> None:
    assert bench_aws_calls.express(10)["dollars_per_million"] <= 3


def test_across_pools_the_state_is_read_once_and_a_node_takes_four_writes_and_two_reads(
    costs: dict[str, dict[str, Any]],
) -> None:
    row = costs["across pools"]
    requests, nodes = row["whole_execution"]["requests"], row["nodes"]
    assert requests["dynamodb.Query"] == 1, "before the first commit, when nobody knows whether there is a state"
    assert requests["dynamodb.PutItem"] <= 4 * nodes + 6
    assert requests["dynamodb.GetItem"] + requests["dynamodb.BatchGetItem"] <= 2 * nodes + 3


@pytest.mark.parametrize(("passes", "nodes"), bench_aws_calls.SAME_NODES.items())
def test_a_pass_costs_hardly_more_than_its_node_does_without_a_loop(
    costs: dict[str, dict[str, Any]], passes: str, nodes: str
) -> None:
    dollars = costs[passes]["dollars_per_million"]
    assert dollars <= costs[nodes]["dollars_per_million"] * bench_aws_calls.PASS_FACTOR_MAX, costs[passes]
