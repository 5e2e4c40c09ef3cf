"""A world in which nodes wait for limiters, and what must hold of those whatever happens.

*Directed schedules*: in a story that is told without chance, one invocation stops before one of its port calls until
everybody else has nothing left to do, and then goes on; or it dies there; or it stands still for minutes. Over all
invocations and all their calls that meets every window that is one call wide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from tests.simulation.delivery.actors import Actor
from tests.simulation.delivery.faults import NoFaults, every
from tests.simulation.delivery.invariants import require
from tests.simulation.delivery.schedule import run_wildly
from tests.simulation.delivery.world import QUEUES, World, world

from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.ports import Ports
from workflow_runtime.services.limits import arithmetic
from workflow_runtime.services.limits.explaining import whole_gauge
from workflow_runtime.storage.limiters import LimiterName, holder_of

NAMES = ("limited", "one_place", "rated", "paced", "divided", "quotas")
SHARED = {"quotas": {"*": {"concurrency": 1}, "type:tool": {"concurrency": 1}}}
"""What limiters there are that nodes do not name. Nodes which one worker runs in turn have their slots together: these
have ids of the same letter."""
MINUTE_MS = 60_000
TURN_MS = 50  # of time, by each that sleeps while others have to begin within a second of theirs
TURNS = 2  # of a node's code, in which others may go first
ROUNDS_MAX = 10_000
OVERSLEPT_MS = 300_000  # longer than any lease


class Stop(Enum):
    """What becomes of the invocation that stops."""

    GOES_ON = "goes on when the others have nothing left to do"
    DIES = "dies"
    OVERSLEEPS = "goes on minutes later"


Planted = Callable[[Ports], Ports]
"""Puts something wrong between the services and their ports."""


def nothing_wrong(ports: Ports) -> Ports:
    return ports


class Limited:
    """Watches what runs at once under each limiter of a workflow, and the fencing numbers that it gives. ``is_wild``:
    time jumps, also while workers stand still."""

    def __init__(self, wild: World, *, is_wild: bool = False) -> None:
        self.wild = wild
        wild.clock.turn_ms = TURN_MS
        wild.skew_ms_max = 0  # no rate is kept more exactly than by the clocks of those who begin
        self.is_wild = is_wild
        self.limiters: dict[str, Limiter] = dict(wild.plan.limits.own)
        self.shared = SHARED.get(wild.plan.workflow_id, {})
        for name, fields in self.shared.items():
            wild.calm.limits.put(name, dict(fields))
            self.limiters[name] = Limiter(**fields)
        self.open: dict[str, dict[tuple[str, int], Actor | None]] = {name: {} for name in self.limiters}
        self.fences: dict[str, dict[int, tuple[str, int]]] = {name: {} for name in self.limiters}
        self.broken: list[str] = []  # what is raised in a node's code is an error of that
        for node in wild.plan.root.nodes:
            wild.behaviours[node.id] = self._behaviour((*node.limiters, *self.shared))

    def _behaviour(self, names: tuple[str, ...]) -> Callable[[NodeCall], object]:
        async def run(call: NodeCall) -> object:
            run = call.path, call.serial
            for name in names:
                self._note(name, run, call.limit_fences)
                self.open[name][run] = self.wild.current
            try:
                for _ in range(TURNS):
                    self.wild.point()
                    await asyncio.sleep(0)
            finally:
                for name in names:
                    self.open[name].pop(run, None)
            return NodeResult(call.inputs).output

        return run

    def _note(self, name: str, run: tuple[str, int], fences: dict[str, int]) -> None:
        limiter = self.limiters[name]
        if limiter.concurrency:
            alive = [other for other, actor in self.open[name].items() if self._lives(name, other, actor)]
            if len(alive) >= limiter.concurrency and self._lives(name, run, self.wild.current):
                self.broken.append(f"{name} has {limiter.concurrency} places, and {run} began beside {alive}")
        other = self.fences[name].setdefault(fences[name], run)
        is_shared = name in self.shared and other[0][0] == run[0][0]
        if other != run and limiter.shards == 1 and not is_shared:  # each shard has its own
            self.broken.append(f"{name} gave the fence {fences[name]} to {other} and {run}")

    def _lives(self, name: str, run: tuple[str, int], actor: Actor | None) -> bool:
        """Whether its code runs by right. A worker that stood still for longer than its lease may have lost its place;
        only wild stories have such."""
        if actor is not None and actor.dead:
            return False
        held = arithmetic.holders(self.gauge(name))
        path, serial = run
        holders = (
            [path]
            if name not in self.shared
            else [node.id for node in self.wild.plan.root.nodes if node.id[0] == path[0]]
        )
        lease = max(held.get(holder_of(self.wild.execution_id, one, serial), 0) for one in holders)
        return not self.is_wild or lease >= self.wild.clock.time

    def gauge(self, name: str) -> arithmetic.Gauge:
        """Of all its shards together."""
        return whole_gauge(self.wild.calm.stores.limiters, LimiterName(name), self.limiters[name])

    def check_end(self) -> None:
        """Nothing waits any more, nothing is taken, and nobody had to be looked for."""
        require(not self.broken, "; ".join(self.broken))
        self._check_rates()
        self.wild.check_end()
        store = self.wild.calm.stores.limiters
        for name, limiter in self.limiters.items():
            gauge = self.gauge(name)
            for waiter in store.line(LimiterName(name), 10):  # one that was sent on, and did not leave
                run = self.wild.calm.stores.runs.get(waiter.execution_id, waiter.path, waiter.serial)
                require(run is not None and not run.status.open, f"{waiter.path} still waits for {name}")
            held = len(arithmetic.holders(gauge))
            require(arithmetic.number(gauge, arithmetic.SLOTS_HELD) == held, f"{name} counts its places wrongly")
            if limiter.concurrency:
                now = self.wild.clock.time
                alive = [until for until in arithmetic.holders(gauge).values() if until > now + 95_000]
                require(not alive, f"{name} keeps a place for somebody")

    def _check_rates(self) -> None:
        """In no time as long as a rate's, and no minute, more began than it allows."""
        for name, limiter in self.limiters.items():
            if limiter.requests is None:
                continue
            limited = {node.id for node in self.wild.plan.root.nodes if name in node.limiters}
            starts = [at for at, path in self.wild.begun if path in limited]
            time = max(limiter.requests.milliseconds, MINUTE_MS)
            most = limiter.requests.units * time // limiter.requests.milliseconds + limiter.burst
            for first in starts:
                count = sum(first <= at < first + time for at in starts)
                require(count <= most, f"{name} lets {most} begin, and {count} began: {self.wild.begun}")


@contextmanager
def limited(name: str, seed: int = 0, *, is_wild: bool = False, planted: Planted = nothing_wrong) -> Iterator[Limited]:
    with world(name, seed, planted=planted) as wild:
        yield Limited(wild, is_wild=is_wild)


def run_seed(seed: int, name: str = "") -> None:
    """A world of this seed, of one of the workflows unless it is named: interleaved wildly, with crashes, duplicates,
    lost messages and jumps of time."""
    with limited(name or NAMES[seed % len(NAMES)], seed, is_wild=True) as found:
        run_wildly(found.wild)
        found.check_end()


def tell(
    name: str, invocation: int = -1, call: int = 0, stop: Stop = Stop.GOES_ON, planted: Planted = nothing_wrong
) -> list[int]:
    """The story of a workflow; the invocation of this number stops before its call of this number. If none does: how
    many calls each invocation made."""
    with limited(name, planted=planted, is_wild=stop is Stop.OVERSLEEPS) as found:
        wild = found.wild
        wild.faults = NoFaults()
        wild.start()
        count, stopped, until = 0, None, 0
        calls: list[int] = []
        for _ in range(ROUNDS_MAX):
            records = next(((queue, some) for queue in QUEUES if (some := wild.receive(queue))), None)
            if records is not None:
                actor = wild.invocation(*records)
                if invocation < 0:
                    calls.append(_step(wild, actor, ROUNDS_MAX) - 1)
                elif count == invocation:
                    _step(wild, actor, call + 1)
                    assert not actor.done, "it makes the calls that it makes when nobody stops"
                    actor.dead = stop is Stop.DIES
                    stopped = None if actor.dead else actor
                    until = wild.clock.time + OVERSLEPT_MS if stop is Stop.OVERSLEEPS else 0
                else:
                    wild.run_at_once(actor)
                count += 1
                continue
            due = wild.poller.next_visible_at()
            if stopped is not None and (due is None or due >= until):
                wild.clock.time = max(wild.clock.time, until)
                _step(wild, stopped, ROUNDS_MAX)
                stopped = None
                continue
            if due is None:
                break
            wild.clock.time = max(wild.clock.time, due)
        require(not wild.sweeps, "something got lost, and only the sweep would find it")
        found.check_end()
        require(wild.document()["status"] == "completed", f"it {wild.document()}")
        return calls


def _step(wild: World, actor: Actor, turns: int) -> int:
    """Let it go on to its next call so many times, or to its end. How many times it did."""
    for turn in range(turns):
        if actor.done:
            return turn
        wild.turn(actor)
    return turns


def tell_all(name: str, stop: Stop, planted: Planted = nothing_wrong) -> int:
    """The stories with one stop; how many there were. An invocation stops before each of its calls in one of the ways,
    or in all of them, if that is wanted (`every`)."""
    step = every(len(Stop))
    stories = 0
    for invocation, calls in enumerate(tell(name, planted=planted)):
        for call in range((invocation - list(Stop).index(stop)) % step, calls, step):
            try:
                tell(name, invocation, call, stop, planted)
            except BaseException as error:
                error.add_note(f"{name}: invocation {invocation} stops before its call {call}, and {stop.value}")
                raise
            stories += 1
    return stories
