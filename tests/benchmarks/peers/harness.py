"""What all runners share: the sizes of the shapes, and how a runner is told which to run.

A runner is a process of its own that stays up for the whole measurement: it reads the name of a shape from standard
input, runs it once, checks what came out and answers with a line of JSON, the milliseconds that it took.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Every peer's file is opened as ours is: a commit survives the death of the process; when the machine itself dies, the
# last moments may be lost.
PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")

# As `awr` sets it for itself, for all runners alike: a shape makes fewer objects than this.
NEW_BEFORE_COLLECTION = 50_000

Check = Callable[[], bool]  # whether what came out is right
Shape = Callable[[], Check]  # runs it once, to its end


@dataclass(frozen=True)
class Sizes:
    """How large each shape is.

    chain: nodes in turn, each reading what the one before gave
    fan: nodes between one before and one after
    layers, width: nodes of a layer, each after three of the layer above
    executions, short: executions at once, each a chain of so many nodes
    events: one after the other, each once the effect of the one before is durable
    """

    chain: int = 100
    fan: int = 200
    layers: int = 10
    width: int = 20
    executions: int = 100
    short: int = 5
    events: int = 200

    @property
    def units(self) -> dict[str, int]:
        """Of every shape, how many nodes or events its time is divided by."""
        return {
            "chain": self.chain,
            "fan": self.fan + 2,
            "layered": self.layers * self.width,
            "many": self.executions * self.short,
            "events": self.events,
        }

    @property
    def titles(self) -> dict[str, str]:
        """Of every shape, what people call it."""
        return {
            "chain": f"chain of {self.chain}",
            "fan": f"1 → {self.fan} → 1",
            "layered": f"{self.layers} layers of {self.width}",
            "many": f"{self.executions} chains of {self.short} at once",
            "events": f"{self.events} events one by one",
        }


SMALL = Sizes(chain=5, fan=6, layers=2, width=4, executions=3, short=2, events=4)


def above(layer: int, place: int, width: int) -> list[tuple[int, int]]:
    """Layer and place of the nodes that one of a layer waits for."""
    return [(layer - 1, (place + step) % width) for step in range(3)] if layer else []


def arguments() -> tuple[Path, Sizes]:
    """An empty folder for files, and the sizes."""
    return Path(sys.argv[1]), Sizes(**json.loads(sys.argv[2]))


def serve(shapes: Mapping[str, Shape]) -> None:
    """Run shapes as they are asked for, until standard input ends. What libraries print goes to standard error."""
    gc.set_threshold(NEW_BEFORE_COLLECTION)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_measured(shapes[line.strip()])), file=answers, flush=True)


def _measured(shape: Shape) -> dict[str, float]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    is_right = shape()
    measured = {"wall_ms": (time.perf_counter() - wall) * 1000, "cpu_ms": (time.process_time() - cpu) * 1000}
    if not is_right():
        raise ValueError("the result is wrong")
    return measured
