"""Many wild schedules of limits, by hand: ``python -m tests.simulation.limits.deep --seeds 10000 --jobs 2``."""

from __future__ import annotations

import argparse
import sys
import time
from multiprocessing import Pool

from tests.simulation.limits.limited import run_seed


def failure(seed: int) -> str:
    """What went wrong with a seed; "" if nothing did."""
    try:
        run_seed(seed)
    except BaseException as error:
        return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    with Pool(options.jobs) as pool:
        seeds = range(options.first, options.first + options.seeds)
        found = [text for text in pool.imap_unordered(failure, seeds, chunksize=20) if text]
    print("\n".join(found))
    print(f"{options.seeds:,} seeds in {time.monotonic() - began:.0f} s: {len(found)} failures")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
