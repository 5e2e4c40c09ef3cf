"""F1–F3 on the delivery protocol: a fault at any single port call of a run, then redelivery (promises P1 to P6, P8,
P10).

Crashes at every call of one workflow and every ninth of the others, other faults more seldom, or more (`faults`).
"""

from __future__ import annotations

from functools import cache

import pytest
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.bugs import Bug, no_bug
from tests.simulation.delivery.faults import CRASHES, Fault, FaultAt, places, possible
from tests.simulation.delivery.world import world

_OTHERS = tuple(fault for fault in Fault if fault not in CRASHES)


@cache
def calls_of(name: str) -> tuple[str, list[tuple[str, str]]]:
    """The outcome without faults, and which functions make which port calls until then."""
    with world(name, others=scenarios.STARTED.get(name, ())) as calm:
        calm.start()
        calm.drain()
        calm.check_end()
        return calm.outcome(), calm.called


def undisturbed(name: str) -> tuple[str, list[str]]:
    """The outcome without faults, and the port calls that lead to it."""
    outcome, called = calls_of(name)
    return outcome, [method for _, method in called]


@cache
def crashes(fault: Fault) -> dict[str, list[int]]:
    """Where each workflow crashes, in one run after the other. All together, each function crashes at each kind of call
    that it makes."""
    seen: set[tuple[str, str]] = set()
    found = {}
    for name in scenarios.NAMES:
        able = [call for call in calls_of(name)[1] if fault in possible(call[1])]
        chosen = set(places(undisturbed(name)[1], fault, 1 if name == "chain" else 9, name))
        seen |= {able[place] for place in chosen}
        for place, call in enumerate(able):
            if call not in seen:
                seen.add(call)
                chosen.add(place)
        found[name] = sorted(chosen)
    return found


def survives(name: str, place: int, fault: Fault, seed: int, planted: Bug = no_bug) -> None:
    expected, _ = undisturbed(name)
    plan = FaultAt(place, fault)
    with world(name, seed, plan, planted=planted) as disturbed:
        disturbed.start()
        disturbed.drain()
        if plan.happened:
            disturbed.check_end()
            assert disturbed.outcome() == expected, f"{fault.value} at call {place} of {name}"
            if fault in (Fault.LOST, Fault.REFUSED_NOW):  # nothing died: no attempt is used up, nothing has to be found
                assert {attempt for _, _, attempt in disturbed.effects.counts} == {1}
                assert disturbed.sweeps == 0


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_p8_every_workflow_ends_and_its_journal_replays_to_its_state(name: str) -> None:
    undisturbed(name)


@pytest.mark.parametrize("name", scenarios.NAMES)
@pytest.mark.parametrize("fault", CRASHES, ids=lambda fault: fault.name)
def test_p2_p3_p4_p5_p8_a_crash_at_any_call_changes_no_outcome(name: str, fault: Fault) -> None:
    for place in crashes(fault)[name]:
        survives(name, place, fault, seed=place)


@pytest.mark.parametrize("name", scenarios.NAMES)
@pytest.mark.parametrize("fault", _OTHERS, ids=lambda fault: fault.name)
def test_p2_p6_p8_a_lost_answer_or_a_throttle_at_any_call_changes_no_outcome(name: str, fault: Fault) -> None:
    for place in places(undisturbed(name)[1], fault, 3 if name == "chain" else 16, name):
        survives(name, place, fault, seed=place)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_p1_the_same_start_key_creates_one_execution_whatever_happens_to_the_starter(fault: Fault) -> None:
    for place in range(8):
        with world("chain", place, FaultAt(place, fault)) as disturbed:
            first = disturbed.start()
            disturbed.execution_id = ""
            assert disturbed.start() == first
            disturbed.drain()
            disturbed.check_end()
            headers = disturbed.calm.documents.status(first)
            assert headers == "completed"


def test_p10_a_new_version_never_reaches_a_running_execution() -> None:
    with world("chain") as running:
        running.start()
        running.runtime.stores.workflows.publish(scenarios.plan("diamond"), b"", 0)
        changed = scenarios.source("chain").replace(b"id: c,", b"id: renamed,")
        running.runtime.catalog.publish(changed)
        running.execution_id = ""
        assert running.start(), "the same key still answers the first execution"
        running.drain()
        running.check_end()
        assert "c" in running.document()["node_executions"]
