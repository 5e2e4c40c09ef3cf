"""One suite, three backends: what a test in this directory promises holds for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.ahead_clock import AheadClock

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.deployment.topology import EventSource, Function, Queue, Tick, Topology

START = 1_700_000_000_000

CONTRACT_TOPOLOGY = Topology(
    queues=(
        Queue("work", visibility_seconds=30, dead_letters="dead", receives_max=2),
        Queue("mail.fifo", visibility_seconds=30, fifo=True, dead_letters="dead.fifo", receives_max=2),
        Queue("dead", visibility_seconds=30),
        Queue("dead.fifo", visibility_seconds=30, fifo=True),
    ),
    functions=(
        Function(
            "worker",
            "workflow_runtime.handlers.worker.handler",
            timeout_seconds=5,
            memory_mb=128,
            sources=(EventSource("work", batch_size=10), EventSource("mail.fifo", batch_size=10)),
            sends=("work", "mail.fifo"),
        ),
    ),
)


class Harness:
    """An open backend and a way to let time pass in it."""

    def __init__(self, backend: Any, pass_time: Callable[[int], None], name: str) -> None:
        self.backend = backend
        self.pass_time = pass_time
        self.name = name
        self.table = backend.ports.table
        self.blobs = backend.ports.blobs
        self.queues = backend.ports.queues
        self.bus = backend.ports.bus
        self.schedules = backend.ports.schedules
        self.scheduler = backend.scheduler
        self.poller = backend.poller
        self.outlets = backend.ports.outlets

    @property
    def embedded(self) -> bool:
        return self.name != "aws-on-moto"

    def receive(self, queue: str, maximum: int = 10) -> list[Any]:
        return list(self.poller.receive(queue, maximum))

    def bodies(self, queue: str, maximum: int = 10) -> list[object]:
        return [record.event_record["body"] for record in self.receive(queue, maximum)]


@contextmanager
def about(case: object) -> Iterator[None]:
    """What fails in it says that it was this case: opening a backend for each of many takes longer than the cases."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"with {case}"[:200])
        raise


@pytest.fixture(params=["embedded-memory", "embedded-file", "aws-on-moto"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with _open(request.param, tmp_path, CONTRACT_TOPOLOGY) as opened:
        yield opened


@pytest.fixture(params=["embedded-memory", "embedded-file", "aws-on-moto"])
def ticking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """The same with a tick a minute."""
    with _open(request.param, tmp_path, replace(CONTRACT_TOPOLOGY, ticks=(Tick("watch", 1, "work"),))) as opened:
        yield opened


@contextmanager
def _open(name: str, directory: Path, topology: Topology) -> Iterator[Harness]:
    if name == "aws-on-moto":
        ahead = AheadClock()
        with simulated.open_backend(ahead, topology) as backend:
            yield Harness(backend, ahead.pass_time, name)
        return
    clock = VirtualClock(START)
    path = directory / "runtime.db" if name == "embedded-file" else None
    with open_backend(path, clock, topology) as backend:
        yield Harness(backend, lambda seconds: clock.advance_to(clock.now() + seconds * 1000), name)
