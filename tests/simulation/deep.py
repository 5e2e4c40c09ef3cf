"""Many seeds of the delivery harness, in several processes.

    python tests/simulation/deep.py --seeds 100000 [--first 0] [--jobs 2]

Each seed is a run of one workflow (`delivery.wild.EVERYTHING`, in turn) with crashes, lost answers, throttles,
duplicates, jumps of time, clocks that differ, stale reads, and several dispatchers and workers interleaved at every
port call, then a calm end (`delivery.schedule`). Prints one JSON document: seeds, faults by kind, and the seeds that
broke a promise, with what they broke; the exit code is 1 if there are any.
``python tests/simulation/limits/deep.py`` is the same for limiters.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT)]

from tests.simulation.delivery.wild import EVERYTHING, tell  # noqa: E402

SEEDS_AT_ONCE = 50  # of a job
FAILURES_SHOWN_MAX = 20
FAILURE_CHARACTERS_MAX = 200


def run(first: int, count: int) -> tuple[Counter[str], dict[int, str]]:
    """Faults by kind, and what went wrong by seed."""
    faults: Counter[str] = Counter()
    failures: dict[int, str] = {}
    for seed in range(first, first + count):
        name, suspends = EVERYTHING[seed % len(EVERYTHING)]
        try:
            wild = tell(name, seed, suspends=suspends)
            faults.update({fault.value: times for fault, times in wild.suffered.items()})
            faults["an answer of an index that lags behind"] += wild.table.answers
        except BaseException as error:  # a broken promise is one, so that no handler takes it for a fault
            if isinstance(error, KeyboardInterrupt):
                raise
            failures[seed] = f"{name}{', suspended' * suspends}: {type(error).__name__}: {error}"[
                :FAILURE_CHARACTERS_MAX
            ]
    return faults, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    begun = time.perf_counter()
    faults: Counter[str] = Counter()
    failures: dict[int, str] = {}
    end = arguments.first + arguments.seeds
    starts = range(arguments.first, end, SEEDS_AT_ONCE)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for some, wrong in pool.map(run, starts, [min(SEEDS_AT_ONCE, end - start) for start in starts]):
            faults += some
            failures |= wrong
    report: dict[str, Any] = {
        "seeds": arguments.seeds,
        "seconds": round(time.perf_counter() - begun, 1),
        "faults": dict(faults.most_common()),
        "failed": len(failures),
        "failures": dict(list(failures.items())[:FAILURES_SHOWN_MAX]),
    }
    print(json.dumps(report, indent=2, ensure_ascii=False))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
