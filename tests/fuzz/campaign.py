"""Fuzzing campaigns: inputs from seeds, one after the other, for as long as there is time.

``FUZZ_SECONDS=600 pytest tests/fuzz`` fuzzes for ten minutes each, ``SEED=17`` takes one input alone, and
``FUZZ_FROM=100000`` begins elsewhere than CI does.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))
FIRST_SEED = int(os.environ.get("FUZZ_FROM", "0"))


def seeds() -> Iterator[int]:
    if "SEED" in os.environ:
        yield int(os.environ["SEED"])
        return
    end = time.monotonic() + SECONDS
    seed = FIRST_SEED
    while True:
        yield seed
        seed += 1
        if time.monotonic() > end:
            return


def campaign(take: Callable[[Random], str], seconds_max: float) -> Counter[str]:
    """Take input after input; what ``take`` says of each is counted. None may use more CPU than ``seconds_max``."""
    counts: Counter[str] = Counter()
    for seed in seeds():
        begun = time.process_time()
        try:
            counts[take(Random(seed))] += 1
            used = time.process_time() - begun
            assert used < seconds_max, f"{used:.1f} s"
        except BaseException as error:
            error.add_note(f"with seed {seed}; SEED={seed} takes it alone")
            raise
    return counts
