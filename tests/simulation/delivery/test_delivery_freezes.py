"""Freezes and thaws under faults, and interleaved with everything else: nothing is lost, nothing is done twice.

Crashes at every 5th call, or more (`faults`). ``DELIVERY_SEEDS`` and ``DELIVERY_FIRST_SEED`` as for other
interleavings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import pytest
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.faults import FAULTS, Crash, Fault, FaultAt, Plan, at_every_call, every, without_faults
from tests.simulation.delivery.invariants import Violation, require
from tests.simulation.delivery.schedule import run_wildly
from tests.simulation.delivery.test_delivery_crashes import undisturbed
from tests.simulation.delivery.world import World, world

from workflow_runtime.deployment.topology import SWEEP
from workflow_runtime.errors import RetryableError
from workflow_runtime.services.freeze.holding import Holder
from workflow_runtime.services.freeze.looks import SEEN_MS, Looks
from workflow_runtime.services.freeze.release import SETTLED_MS, Releaser
from workflow_runtime.storage.freezes import FreezeStore, Held, Switch

STEP = every(5)
SEEDS = int(os.environ.get("DELIVERY_SEEDS", "90"))
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
        assert len(disturbed.calm.stores.freezes.held(switch, 100)) == HELD[scope]
        persistently(disturbed, scope, freezes=False)
        disturbed.drain()
        ends_at_once(disturbed)
        assert disturbed.outcome() == undisturbed("chain")[0]


def ends_well(world: World) -> None:
    """The execution has ended, nothing is held any more, and soon the switches are closed."""
    world.clock.time += SEEN_MS + SETTLED_MS
    world.calm.releaser.release()
    world.drain()
    world.check_end()
    require(world.calm.freezes.list() == [], "a switch still has something, or is not closed")


def ends_at_once(world: World) -> None:
    """As `ends_well`; that the sweep finds what was lost, later, is not enough."""
    require(world.sweeps == 0, "it does not go on without a sweep")
    ends_well(world)


@pytest.mark.parametrize("scope", HELD)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p3_p6_p8_a_fault_at_any_call_loses_nothing_that_is_frozen(scope: str, fault: Fault) -> None:
    at_every_call(frozen_and_thawed, fault, scope, step=STEP)


@pytest.mark.parametrize("part", range(3))
def test_p2_to_p9_hold_while_switches_are_set_and_thawed_at_any_moment(part: int) -> None:
    for seed in range(FIRST_SEED + part, FIRST_SEED + SEEDS, 3):
        run_seed(seed)


class ForgetsEarly(FreezeStore):
    """Deletes what is to be sent on before it is sent."""

    def held(self, switch: Switch, limit: int) -> Sequence[Held]:
        found = super().held(switch, limit)
        self.drop(switch, found)
        return found


class LooksOnce(Looks):
    """Takes what was seen for what is."""

    def read(self) -> Mapping[str, Switch]:
        seen = self.seen
        return seen if seen is not None else super().read()


def forgets_early(wild: World) -> None:
    store = ForgetsEarly(wild.runtime.ports.table, wild.runtime.ports.blobs)
    wild.runtime.releaser = Releaser(wild.runtime.ports, store, wild.runtime.mailer, ("agent", "tool"))


def looks_once(wild: World) -> None:
    clock, store = wild.runtime.ports.clock, wild.runtime.stores.freezes
    wild.runtime.looks = LooksOnce(clock, store)
    wild.runtime.holder = Holder(clock, store, wild.runtime.looks)


def test_a_process_that_has_not_seen_the_thaw_holds_nothing_back_for_good() -> None:
    unseen_thaw(nothing)


def test_these_simulations_find_the_bugs_that_they_are_for() -> None:
    with pytest.raises(Violation, match="at once"):
        unseen_thaw(looks_once)
    found = 0
    for place in range(without_faults(frozen_and_thawed, "agent:echo")[1]):
        try:
            frozen_and_thawed(place, FaultAt(place, Fault.CRASH_BEFORE), "agent:echo", forgets_early)
        except Violation:
            found += 1
    assert found


def unseen_thaw(bug: Callable[[World], None]) -> None:
    """What is started after a thaw, by a process that takes the switch for one that holds."""
    with world("chain") as late:
        bug(late)
        late.dispatching = [late.runtime]
        persistently(late, "all", freezes=True)
        assert late.runtime.looks.known()
        persistently(late, "all", freezes=False)
        late.deliver(SWEEP)
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
