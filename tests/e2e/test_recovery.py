"""What takes time on the deployed runtime, which passes while the other tests run: the last of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.deployment import SLOW_SECONDS
from tests.e2e.emulator import eventually
from tests.e2e.system import System

RECOVERY_SECONDS_MAX = 400  # a dead worker's lease (90 s), and its message's timeout
SCHEDULE_SECONDS_MAX = 240  # a minute, and the emulator looks every 10 s


@pytest.fixture(scope="module", autouse=True)
def _last(system: System) -> Iterator[None]:
    """The functions would go on to run, every minute, beside the tests of other folders."""
    yield
    system.emulator.stop()


def test_the_sweep_runs_every_minute(system: System) -> None:
    eventually(lambda: system.logged("Sweep"), SCHEDULE_SECONDS_MAX, "the sweep was called")


def test_an_execution_survives_the_death_of_its_worker(system: System, lost: str) -> None:
    document = system.engine.wait(lost, RECOVERY_SECONDS_MAX)
    assert document["status"] == "completed", document["error"]
    assert document["output"] == {"slept": SLOW_SECONDS}
    assert document["node_executions"]["long"]["attempts"] == 2  # type: ignore[index,call-overload]
    assert document["node_executions"]["begin"]["attempts"] == 1  # type: ignore[index,call-overload]
