"""Interleaving: who does what next is drawn from the seed; at first wildly, then fault-free until everything rests."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.delivery.faults import NoFaults, RandomFaults
from tests.simulation.delivery.stale import LAG_MAX
from tests.simulation.delivery.world import QUEUES, TERMINAL, World

from workflow_runtime.deployment.topology import node_queue

ACTORS_MAX = 4  # invocations at once, of all functions together
JUMPS_SECONDS = (1, 1, 5, 20, 95, 95, 200)  # beyond a lease and a visibility timeout, now and then
WILD_STEPS = 400
STEPS_MAX = 60_000
REPEATS_MAX = 6  # messages delivered again though they were deleted
LONG_JUMPS_MAX = 4


def run_wildly(world: World, scopes: Sequence[str] = (), *, suspends: bool = False, events: int = 0) -> None:
    """Interleave invocations with duplicates, jumps of time, clocks that differ and a few faults; then let everything
    end in peace.
    ``scopes`` are frozen and thawed in between, and thawed in the end; the same for suspending and resuming. So many
    different ``events`` are sent, each perhaps several times."""
    random = world.random
    world.faults = RandomFaults(random, random.choice((0.0, 0.02, 0.1)), random.randint(0, 4))
    world.dawdle = random.choice((0, 3, 30))
    world.lag_max = world.lags.choice((0, 1, 3, LAG_MAX))
    world.skew()
    world.start()
    losses = random.choice((0, 0, 1, 2))
    repeats, jumps = random.randint(0, REPEATS_MAX), random.randint(0, LONG_JUMPS_MAX)
    keys = 0
    for _ in range(WILD_STEPS):
        choice = random.random()
        if choice < 0.70 and world.actors:
            _step(world)
        elif choice < 0.90:
            _begin(world)
        elif choice < 0.94 and repeats and world.history:
            repeats -= 1
            _begin_repeat(world)
        elif choice < 0.945 and losses:
            losses -= 1
            world.lose(random.choice((node_queue("tool"), node_queue("agent"))))
        elif choice < 0.95 and len(world.actors) < ACTORS_MAX:
            world.actors.append(world.sweeping())
        elif choice < 0.97:
            seconds = random.choice(JUMPS_SECONDS)
            if seconds < 20 or jumps:
                jumps -= seconds >= 20
                world.clock.time += seconds * 1000
        elif suspends and len(world.actors) < ACTORS_MAX:
            keys += 1
            operation = random.choice(("suspend", "resume"))
            world.actors.append(world.asking(operation, f"{operation}{random.randint(1, keys)}"))
        elif events and len(world.actors) < ACTORS_MAX:
            world.actors.append(world.sending(random.randrange(events)))
        elif scopes and len(world.actors) < ACTORS_MAX:
            world.actors.append(world.switching(random.choice(scopes), freezes=choice < 0.985))
    world.faults = NoFaults()
    world.lag_max = 0
    world.wild_until = world.clock.time
    while (scopes or suspends) and any(actor.name == "operator" for actor in world.actors):  # the last word is the thaw
        _step(world)
    for scope in scopes:
        world.actors.append(world.switching(scope, freezes=False))
    while suspends and world.calm.documents.status(world.execution_id) not in TERMINAL:
        world.actors.append(world.asking("resume", f"last{world.clock.time}"))
        _rest(world)
    _rest(world)


def _step(world: World) -> None:
    """One of the invocations goes on to its next port call."""
    actor = world.random.choice(world.actors)
    world.turn(actor)
    if actor.done:
        world.actors.remove(actor)


def _begin(world: World) -> bool:
    """An invocation of a function that has messages."""
    if len(world.actors) >= ACTORS_MAX:
        return False
    queue = world.random.choice(list(QUEUES))
    records = world.receive(queue)
    if records:
        world.actors.append(world.invocation(queue, records))
    return bool(records)


def _begin_repeat(world: World) -> None:
    """A message that was received before, mostly just now, is delivered again; its receipt may be stale."""
    recent = world.history[-2:] if world.random.random() < 0.8 else world.history
    queue, record = world.random.choice(recent)
    world.actors.append(world.invocation(queue, [record]))


def _rest(world: World) -> None:
    for _ in range(STEPS_MAX):
        if world.actors:
            _step(world)
            if world.random.random() < 0.2:
                _begin(world)
            continue
        if any(_begin_from(world, queue) for queue in QUEUES):
            continue
        due = world.poller.next_visible_at()
        if due is None and not world.sweep_until_ended():
            return
        world.clock.time = max(world.clock.time, due or 0)
    raise AssertionError("the world does not come to rest")


def _begin_from(world: World, queue: str) -> bool:
    records = world.receive(queue)
    if records:
        world.actors.append(world.invocation(queue, records))
    return bool(records)
