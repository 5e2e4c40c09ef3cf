"""The harness finds what it is there to find: each planted bug turns it red within 2,000 seeds.

``PLANTED_REPORT=1`` looks through them from the first on, and prints how many each took; otherwise the one that found
it then is tried first. Directed schedules find what these do not: `test_directed_bugs`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.simulation.delivery import scenarios
from tests.simulation.delivery.bugs import (
    BUGS,
    Bug,
    Tampered,
    newest_first_sweep,
    unknown_events_buried,
)
from tests.simulation.delivery.invariants import Violation
from tests.simulation.delivery.wild import tell
from tests.simulation.delivery.world import world

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.ports import Message
from workflow_runtime.runtime.services import EnvironmentSecrets, Runtime
from workflow_runtime.services.upkeep.sweep import PAGE, SWEEP_SECONDS_MAX
from workflow_runtime.storage import keys
from workflow_runtime.storage.due import Due, shard_of
from workflow_runtime.storage.records import Globals, Header
from workflow_runtime.storage.stores import Stores

SEEDS_MAX = 2_000
FOUND_AT = {
    "a header without its condition": 778,
    "marked as published before it is": 248,
    "a compensation run twice": 295,
}
"""The first seeds that found what takes many."""
START = 1_700_000_000_000


def seed_that_finds(bug: Bug, likely: int) -> tuple[int, BaseException] | None:
    for seed in dict.fromkeys((likely, *range(SEEDS_MAX))):
        name = scenarios.NAMES[seed % len(scenarios.NAMES)]
        try:
            tell(name, seed, planted=bug)
        except (Exception, Violation) as error:
            return seed, error
    return None


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    reports = bool(os.environ.get("PLANTED_REPORT"))
    found = seed_that_finds(BUGS[name], 0 if reports else FOUND_AT.get(name, 0))
    assert found is not None, f"{name} was not found within {SEEDS_MAX} seeds"
    if reports:
        with capsys.disabled():
            print(f"\n{name}: {found[0] + 1} seeds: {type(found[1]).__name__}: {str(found[1])[:100]}")


# -- found by a directed schedule


def what_is_due_longest_is_looked_after(planted: Bug) -> bool:
    """While as many become due in a minute as one sweep can look after."""
    clock = VirtualClock(START)
    with open_backend(None, clock) as backend:
        ports = planted(replace(backend.ports, table=Slow(backend.ports.table, clock)))
        services = Runtime(ports, dict, secrets=EnvironmentSecrets({}))
        calm = Stores(backend.ports)

        def due(number: int) -> Due:
            id = next(f"e{number}x{salt}" for salt in range(1_000) if shard_of(f"e{number}x{salt}") == 0)
            header = Header(
                execution_id=id,
                workflow_id="w",
                workflow_version=1,
                plan_hash="p",
                status=ExecutionStatus.RUNNING,
                started_at=clock.now(),
                input_hash="",
            )
            calm.executions.create(header, Globals({}, {}, {}))
            made = Due(id, clock.now(), clock.now())
            calm.due.put(made)
            return made

        oldest = due(0)
        for minute in range(5):
            for number in range(PAGE + 10):
                clock.advance_to(clock.now() + 1)
                due(minute * 1_000 + number + 1)
            services.sweep.sweep(0)
            clock.advance_to(clock.now() + 60_000)
        (item,) = backend.ports.table.get([keys.execution(oldest.execution_id, keys.DUE)]).values()
        return item.attributes["at"] != oldest.at


class Slow(Tampered):
    """Looking after an execution takes a while."""

    def __init__(self, table: Any, clock: VirtualClock) -> None:
        super().__init__(table)
        self._clock = clock

    def query(self, *arguments: Any, **named: Any) -> Any:
        self._clock.advance_to(self._clock.now() + SWEEP_SECONDS_MAX * 1000 // PAGE)
        return self._port.query(*arguments, **named)


def test_a_sweep_that_looks_at_the_newest_first_is_found() -> None:
    assert what_is_due_longest_is_looked_after(lambda ports: ports)
    assert not what_is_due_longest_is_looked_after(newest_first_sweep)


def dead_letters_of_a_newer_event(read: Callable[[str], str]) -> int:
    """An event of a newer version comes in the middle of an upgrade."""
    with world("chain") as wild:
        execution_id = wild.start()
        body = json.dumps({"execution_id": execution_id, "event": {"event": "from_the_future"}}, separators=(",", ":"))
        wild.raw.queues.send(DISPATCH, [Message(body, group=execution_id, deduplication_id="new")])
        for _ in range(3):
            records = wild.receive(DISPATCH)
            for record in records:
                record.event_record["body"] = read(str(record.event_record["body"]))
            wild.run_at_once(wild.invocation(DISPATCH, records))
            wild.clock.time += 120_000
        return wild.dead_letters()


def test_unknown_events_that_are_buried_are_found() -> None:
    assert dead_letters_of_a_newer_event(lambda body: body) == 0
    assert dead_letters_of_a_newer_event(unknown_events_buried) == 1
