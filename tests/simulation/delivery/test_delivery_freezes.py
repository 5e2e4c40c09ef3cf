"""Freezes and thaws under faults, and interleaved with everything else: nothing is lost, nothing is done twice.

Crashes at one in 8 calls, or more (`faults`). ``DELIVERY_SEEDS`` and ``DELIVERY_FIRST_SEED`` as for other
interleavings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import pytest
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.bugs import Bug, line_without_pump
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, FaultAt, Plan, at_every_call, without_faults
from tests.simulation.delivery.invariants import Violation, require
from tests.simulation.delivery.schedule import run_wildly
from tests.simulation.delivery.test_delivery_crashes import undisturbed
from tests.simulation.delivery.world import World, world

from workflow_runtime.deployment.topology import LIMITS
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Blobs, Table
from workflow_runtime.services.limits.granting import Granter, Pump
from workflow_runtime.services.looks import SEEN_MS
from workflow_runtime.storage.freezes import FreezeStore, Switch
from workflow_runtime.storage.limiters import LimiterName, LimiterStore, Waiter

STEP = 8
SEEDS = int(os.environ.get("DELIVERY_SEEDS", "42"))
FIRST_SEED = int(os.environ.get("DELIVERY_FIRST_SEED", "0"))
HELD = {"workflow:chain": 1, "agent:echo": 1, "all": 1}
"""By scope: what it holds of the workflow ``chain`` when nothing else can move."""


def persistently(world: World, scope: str, *, freezes: bool) -> None:
    """Ask again and again until there is an answer, as a caller would."""
    while True:
        try:
            world.operator.freezes.freeze(scope) if freezes else world.operator.freezes.thaw(scope)
        except (Crash, RetryableError):
            continue
        return


def nothing(_: World) -> None:
    """No bug."""


def frozen_and_thawed(seed: int, faults: Plan, scope: str, bug: Callable[[World], None] = nothing) -> None:
    """Freeze, start, run what can run, look at what is held, thaw, and let everything come to its end."""
    with world("chain", seed, faults) as disturbed:
        bug(disturbed)
        persistently(disturbed, scope, freezes=True)
        disturbed.start()
        for _ in range(200):
            if not disturbed.drain_once():
                due = disturbed.poller.next_visible_at()
                if due is None:
                    break
                disturbed.clock.time = max(disturbed.clock.time, due)
        assert disturbed.document()["status"] in ("pending", "running")
        (switch,) = disturbed.calm.freezes.list()
        assert len(disturbed.calm.freezes.held(switch.scope)[1]) == HELD[scope]
        persistently(disturbed, scope, freezes=False)
        disturbed.drain()
        ends_at_once(disturbed)
        assert disturbed.outcome() == undisturbed("chain")[0]


def ends_well(world: World) -> None:
    """The execution has ended, nothing is held any more, and with the next tick the switches are closed."""
    world.clock.time += SEEN_MS
    world.calm.freezes.look_after()
    world.drain()
    world.check_end()
    require(world.calm.freezes.list() == [], "a switch still has something")
    world.calm.freezes.look_after()
    require(not world.calm.stores.freezes.switches(), "a switch is not closed")


def ends_at_once(world: World) -> None:
    """As `ends_well`; that the sweep finds what was lost, later, is not enough."""
    require(world.sweeps == 0, "it does not go on without a sweep")
    ends_well(world)


def test_the_timeout_of_an_execution_counts_from_when_it_leaves_pending() -> None:
    with world("timed") as late:
        persistently(late, "all", freezes=True)
        late.start()
        while late.drain_once():
            pass
        assert late.document()["status"] == "pending"
        late.clock.time += 2 * 3600 * 1000
        persistently(late, "all", freezes=False)
        late.drain()
        ends_well(late)
        assert late.document()["status"] == "completed"


@pytest.mark.parametrize("scope", HELD)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p3_p6_p8_a_fault_at_any_call_loses_nothing_that_is_frozen(scope: str, fault: Fault) -> None:
    at_every_call(frozen_and_thawed, fault, scope, step=STEP)


@pytest.mark.parametrize("part", range(3))
def test_p2_to_p9_hold_while_switches_are_set_and_thawed_at_any_moment(part: int) -> None:
    for seed in range(FIRST_SEED + part, FIRST_SEED + SEEDS, 3):
        run_seed(seed)


class ForgetsEarly(LimiterStore):
    """Deletes what is to be sent on before it is sent."""

    def line(self, limiter: LimiterName, limit: int) -> Sequence[Waiter]:
        found = super().line(limiter, limit)
        self.leave(limiter, [waiter.place for waiter in found])
        return found


class LooksOnce(FreezeStore):
    """Takes what was seen of a switch first for what it is."""

    def __init__(self, table: Table, blobs: Blobs) -> None:
        super().__init__(table, blobs)
        self._seen: dict[str, Switch | None] = {}

    def switch(self, scope: str) -> Switch | None:
        return self._seen.setdefault(scope, super().switch(scope))


def pump(wild: World, limiters: LimiterStore, freezes: FreezeStore) -> Pump:
    runtime = wild.runtime
    granter = Granter(runtime.ports, limiters, runtime.mailer)
    return Pump(runtime.ports, limiters, freezes, runtime.lines, granter, runtime.count)


def forgets_early(wild: World) -> None:
    runtime = wild.runtime
    store = ForgetsEarly(runtime.ports.table, runtime.ports.blobs)
    runtime.pump = pump(wild, store, runtime.stores.freezes)


def looks_once(wild: World) -> None:
    runtime = wild.runtime
    store = LooksOnce(runtime.ports.table, runtime.ports.blobs)
    store.switch("all")
    runtime.pump = pump(wild, runtime.stores.limiters, store)


def test_a_process_that_has_not_seen_the_thaw_holds_nothing_back_for_good() -> None:
    unseen_thaw(nothing)


def test_these_simulations_find_the_bugs_that_they_are_for() -> None:
    with pytest.raises(Violation, match="at once"):
        unseen_thaw(looks_once)
    with pytest.raises(Violation, match="at once"):
        unseen_thaw(nothing, line_without_pump)
    found = 0
    for place, _ in enumerate(without_faults(frozen_and_thawed, "agent:echo")[1]):
        try:
            frozen_and_thawed(place, FaultAt(place, Fault.CRASH_BEFORE), "agent:echo", forgets_early)
        except Violation:
            found += 1
    assert found


def unseen_thaw(bug: Callable[[World], None], planted: Bug = lambda ports: ports) -> None:
    """What is started after a thaw, by a process that takes the switch for one that holds."""
    with world("chain", planted=planted) as late:
        persistently(late, "all", freezes=True)
        bug(late)
        late.dispatching = [late.runtime]
        assert late.runtime.looks.known()
        persistently(late, "all", freezes=False)
        while late.deliver(LIMITS):
            pass
        late.start()
        while late.drain_once():
            pass
        require(late.document()["status"] == "completed", "it does not go on at once")
        late.drain()
        ends_at_once(late)


def run_seed(seed: int) -> None:
    name = scenarios.NAMES[seed % len(scenarios.NAMES)]
    with world(name, seed) as wild:
        run_wildly(wild, ("all", f"workflow:{name}", "agent:echo"))
        ends_well(wild)
        if not wild.lost_for_good():
            assert wild.outcome() == undisturbed(name)[0]
