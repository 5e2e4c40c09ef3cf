"""What a node costs that waits for a limiter: the real handlers on a virtual clock, with calls of ports that fail.

    python tests/benchmarks/bench_limits.py [--json] [--smoke]

A thousand nodes of three seconds are ordered at once, for 60 a minute and 6 at once; 16.7 minutes at best.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / "functions"), str(_ROOT)]

from tests.limits_world import costs_of_waiting, many_in_line  # noqa: E402

FAILURES = (0, 2, 20)
"""Of a thousand calls of ports."""


def measure(count: int) -> list[dict[str, Any]]:
    """A row for each number of failures: per waiting node, and of all of them."""
    rows = []
    for failures in FAILURES:
        world = many_in_line(failures, seed=1, count=count)
        rows.append(
            {
                "failures_per_thousand_calls": failures,
                "nodes": count,
                "per_node": {name: round(value, 2) for name, value in costs_of_waiting(world, count).items()},
                "last_start_minutes": round(max(world.worker.starts) / 60_000, 1),
                "most_at_once": world.worker.most,
                "most_starts_in_a_minute": world.worker.most_in(60_000),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    rows = measure(30 if arguments.smoke else 1_000)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        figures = ", ".join(f"{name} {value}" for name, value in row["per_node"].items())
        print(f"{row['failures_per_thousand_calls']} of 1,000 calls fail: per waiting node {figures}")
        print(
            f"  the last of {row['nodes']:,} began after {row['last_start_minutes']} min; "
            f"at most {row['most_at_once']} at once and {row['most_starts_in_a_minute']} in a minute"
        )


if __name__ == "__main__":
    main()
