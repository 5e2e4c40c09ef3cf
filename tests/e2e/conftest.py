"""The emulator, installed by `setup`, with the synthesized stack deployed; once as it comes, once with every call
checked.
"""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.emulator import SETUP, eventually
from tests.e2e.system import System, deployed


@pytest.fixture(scope="session")
def _installed() -> None:
    done = subprocess.run([SETUP], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"NOT TESTED END TO END: {SETUP} cannot install the emulator: {done.stderr.strip()[-500:]}"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def assembly(_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.e2e.deployment import synthesize  # starts Node

    return synthesize(tmp_path_factory.mktemp("synthesized"))


@pytest.fixture(scope="session")
def system(assembly: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with deployed(assembly, tmp_path_factory.mktemp("emulator")) as system:
        yield system


@pytest.fixture(scope="session")
def lost(system: System) -> str:
    """An execution whose worker was killed while it ran a node; `test_recovery` sees how it ends."""
    system.publish("slow")
    execution_id = system.engine.execute_workflow("slow")

    def runs() -> bool:
        nodes = system.engine.get_execution_status(execution_id)["node_executions"]
        return nodes["long"]["status"] == "running"  # type: ignore[index,call-overload]

    eventually(runs, 240, "the slow node runs")
    assert system.emulator.kill_workers(system.function("RunNodeTool")) > 0
    return execution_id


@pytest.fixture(scope="module")
def secure_system(assembly: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with deployed(assembly, tmp_path_factory.mktemp("secure"), secure=True) as system:
        yield system
