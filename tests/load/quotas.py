"""What a rate of starts asks of AWS, and which quota binds first.

    python tests/load/quotas.py [--rate 1000] [--nodes 4] [--simulate 120]

Arithmetic on what the benchmark counts per execution, per segment and per node of a chain of tools (`bench_aws_calls`),
against the default quotas of us-east-1 (service documentation, November 2026). Prints a Markdown table; what is over
its quota is marked, with what to do about it. ``--simulate``: for so many seconds, with quotas that hold per partition;
prints what is left waiting.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parents[2] / "functions")]

from workflow_runtime.plan.segments import SEGMENT_NODES_MAX  # noqa: E402

# write units; a segment: its first claim, the commit that takes it, its journal entry
EXECUTION_WRITES, SEGMENT_WRITES, NODE_WRITES = 14, 3, 1
EXECUTION_READS, SEGMENT_READS, NODE_READS = 4.5, 0.5, 1  # read units
EXECUTION_BUS_EVENTS = 2  # that it started, that it ended
DISPATCH_SECONDS, WORKER_SECONDS, API_SECONDS = 0.05, 0.03, 0.04  # of an invocation with a few messages
LISTING_SHARDS, LISTING_WRITES = 16, 3  # of a workflow's list: partitions, and writes of an execution
ALL_SHARDS = 16
DUE_SHARDS, DUE_WRITES = 8, 2  # when to look after it: partitions, put and deleted
PARTITION_WRITES_MAX = 1_000  # DynamoDB: write units a second of one partition key
FIFO_PARTITION_MESSAGES_MAX = 3_000  # SQS: messages a second of one partition of a FIFO queue, chosen by the group
BATCHES_FIRST, BATCHES_A_MINUTE, BATCH_MESSAGES = 5, 300, 10  # Lambda: of a standard queue, at once, and how they grow


class Demand(NamedTuple):
    """``needed`` a second (or at once) of a quota, whose ``default`` is so much; ``raised``: what to do about it."""

    what: str
    needed: float
    default: float
    raised: str

    @property
    def share(self) -> float:
        return self.needed / self.default


def _segments(nodes: int) -> int:
    return math.ceil(nodes / SEGMENT_NODES_MAX)


def units(nodes: int) -> tuple[float, float]:
    """What an execution of a chain of so many tools writes and reads, in units of the table."""
    segments = _segments(nodes)
    writes = EXECUTION_WRITES + segments * SEGMENT_WRITES + nodes * NODE_WRITES
    return writes, EXECUTION_READS + segments * SEGMENT_READS + nodes * NODE_READS


def demands(rate: float, nodes: int) -> Iterator[Demand]:
    """Of so many starts a second of one workflow, a chain of so many tools, which runs in segments: each is one order,
    one invocation of a worker and one commit."""
    commits = _segments(nodes) + 1
    yield Demand("API Gateway, requests a second", rate, 10_000, "a quota; and `throttle`, 500 by default")
    yield Demand("the API's own throttle", rate, 500, "`throttle=Throttle(rate=…, burst=…)`")
    writes, reads = (rate * each for each in units(nodes))
    yield Demand("table, write units a second, new", writes, 4_000, "`warm_throughput`, or hours of growing")
    yield Demand("table, write units a second", writes, 40_000, "the account's quota per table")
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
    batches = rate * nodes * WORKER_SECONDS / BATCH_MESSAGES
    yield Demand("pool `tool`, batches of 10 at once", batches, 100, "`concurrency_max` of the pool")
    growing = BATCHES_FIRST + BATCHES_A_MINUTE
    yield Demand("batches at once, in the first minute", batches, growing, "nothing: they wait for a minute")


def simulated(rate: float, nodes: int, seconds: int, *, seed: int = 1, shards: int = LISTING_SHARDS) -> dict[str, int]:
    """What waits after so many seconds, by where: executions come at random, and each key has the partition that its
    hash says. ``shards``: of the workflow's list."""
    random_ = random.Random(seed)
    segments = _segments(nodes)
    fifo_partitions = math.ceil(rate * (segments + 1) * 2 / FIFO_PARTITION_MESSAGES_MAX)  # they split when half full
    listing, due, mail = Counter[int](), Counter[int](), Counter[int]()
    orders, number = 0.0, 0
    for second in range(seconds):
        for _ in range(_poisson(random_, rate)):
            number += 1
            hashed = zlib.crc32(f"{seed}/{number}".encode())
            listing[hashed % shards] += LISTING_WRITES
            due[hashed // 7 % DUE_SHARDS] += DUE_WRITES
            mail[hashed // 11 % fifo_partitions] += segments + 1
            orders += segments
        batches = BATCHES_FIRST + BATCHES_A_MINUTE * second / 60
        orders -= min(orders, batches * BATCH_MESSAGES / (WORKER_SECONDS * min(nodes, SEGMENT_NODES_MAX)))
        for places, most in (
            (listing, PARTITION_WRITES_MAX),
            (due, PARTITION_WRITES_MAX),
            (mail, FIFO_PARTITION_MESSAGES_MAX),
        ):
            for place in places:
                places[place] = max(places[place] - most, 0)
    waiting = {"the workflow's list": listing, "what is due": due, "the FIFO queue": mail}
    return {**{what: sum(places.values()) for what, places in waiting.items()}, "orders of the pool": round(orders)}


def _poisson(random_: random.Random, mean: float) -> int:
    """A number of arrivals; for such means as here, the normal distribution is as good."""
    return max(0, round(random_.gauss(mean, math.sqrt(mean))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1_000, help="starts a second")
    parser.add_argument("--nodes", type=int, default=4, help="of a chain")
    parser.add_argument("--simulate", type=int, default=0, metavar="SECONDS", help="and what waits after so long")
    arguments = parser.parse_args()
    print(table(arguments.rate, arguments.nodes))
    if arguments.simulate:
        for what, waiting in simulated(arguments.rate, arguments.nodes, arguments.simulate).items():
            print(f"{what}: {waiting:,} wait after {arguments.simulate} s")


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
