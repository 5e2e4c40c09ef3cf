"""What a rate of starts asks of AWS, and which quota binds first.

    python tests/load/quotas.py [--rate 1000] [--nodes 4]

Arithmetic on what the benchmark counts per execution and per node of a chain (`bench_aws_calls`), against the default
quotas of us-east-1 (service documentation, November 2026). Prints a Markdown table; what is over its quota is marked,
with what to do about it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

EXECUTION_WRITES, NODE_WRITES = 14, 4  # write units
EXECUTION_READS, NODE_READS = 4, 2  # read units
EXECUTION_BUS_EVENTS = 2  # that it started, that it ended
DISPATCH_SECONDS, WORKER_SECONDS, API_SECONDS = 0.05, 0.03, 0.04  # of an invocation with a few messages
LISTING_SHARDS, LISTING_WRITES = 16, 3  # of a workflow's list: partitions, and writes of an execution
ALL_SHARDS = 16
DUE_SHARDS, DUE_WRITES = 8, 2  # when to look after it: partitions, put and deleted
PARTITION_WRITES_MAX = 1_000  # DynamoDB: write units a second of one partition key


class Demand(NamedTuple):
    """``needed`` a second (or at once) of a quota, whose ``default`` is so much; ``raised``: what to do about it."""

    what: str
    needed: float
    default: float
    raised: str

    @property
    def share(self) -> float:
        return self.needed / self.default


def demands(rate: float, nodes: int) -> Iterator[Demand]:
    """Of so many starts a second of one workflow, a chain of so many nodes, one node to a commit."""
    commits = nodes + 1
    yield Demand("API Gateway, requests a second", rate, 10_000, "a quota; and `throttle`, 500 by default")
    yield Demand("the API's own throttle", rate, 500, "`throttle=Throttle(rate=…, burst=…)`")
    writes = rate * (EXECUTION_WRITES + nodes * NODE_WRITES)
    yield Demand("table, write units a second, new", writes, 4_000, "`warm_throughput`, or hours of growing")
    yield Demand("table, write units a second", writes, 40_000, "the account's quota per table")
    reads = rate * (EXECUTION_READS + nodes * NODE_READS)
    yield Demand("table, read units a second", reads, 40_000, "the account's quota per table")
    of_workflow = rate * LISTING_WRITES / LISTING_SHARDS
    yield Demand("a partition of the workflow's list", of_workflow, PARTITION_WRITES_MAX, "several workflow ids")
    yield Demand("a partition of the list of all", rate / ALL_SHARDS, PARTITION_WRITES_MAX, "more shards")
    due = rate * DUE_WRITES / DUE_SHARDS
    yield Demand("a partition of what is due", due, PARTITION_WRITES_MAX, "more shards")
    yield Demand("FIFO queue, messages a second", rate * commits, 70_000, "a quota, by region")
    yield Demand("EventBridge, PutEvents a second", rate * EXECUTION_BUS_EVENTS, 10_000, "a quota, by region")
    lambdas = rate * (API_SECONDS + commits * DISPATCH_SECONDS + nodes * WORKER_SECONDS)
    yield Demand("Lambda, invocations at once", lambdas, 1_000, "a quota")
    pollers = rate * nodes * WORKER_SECONDS / 10
    yield Demand("pool `tool`, batches of 10 at once", pollers, 100, "`concurrency_max` of the pool")
    growth = rate * nodes / 10 * WORKER_SECONDS
    yield Demand("batches at once, in the first minute", growth, 5 + 300, "nothing: they wait for a minute")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1_000, help="starts a second")
    parser.add_argument("--nodes", type=int, default=4, help="of a chain")
    arguments = parser.parse_args()
    print(table(arguments.rate, arguments.nodes))


def table(rate: float, nodes: int) -> str:
    """What binds first stands first."""
    lines = ["| quota | needed | default | what to raise |", "|---|--:|--:|---|"]
    for demand in sorted(demands(rate, nodes), key=lambda demand: -demand.share):
        needed = f"{demand.needed:,.0f}"
        over = demand.share > 1
        lines.append(
            f"| {demand.what} | {f'**{needed}**' if over else needed} | {demand.default:,.0f} "
            f"| {demand.raised if over else ''} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
