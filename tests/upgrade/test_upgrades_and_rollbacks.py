"""Executions under way survive an upgrade and a rollback, however the functions are replaced one by one.

The other version is that of the last release, as it was deployed (`pack.py`). Both work on one database in turn, each
serving some of the functions: what one wrote and sent, items and messages alike, the other reads and goes on from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.seeds import for_seeds

from workflow_runtime.deployment.topology import TOPOLOGY

HERE = Path(__file__).parent
NEW = HERE.parents[1] / "functions"
START = 1_700_000_000_000
WHEEL_BYTES_MAX = 1_000_000
TURN_SECONDS = 120
TURNS_MAX = 12
FED = tuple(function.name for function in TOPOLOGY.functions if function.sources)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release's code."""
    (wheel,) = HERE.glob("*.whl")
    assert wheel.stat().st_size < WHEEL_BYTES_MAX
    folder = tmp_path_factory.mktemp("release")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


class Deployment:
    """A database, and the time of its next turn."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._time = START

    def turn(self, version: Path, functions: tuple[str, ...] = FED, *more: Path) -> dict[str, Any]:
        environment = {**os.environ, "PYTHONPATH": str(version), "PYTHONHASHSEED": "0"}
        words = [str(self._database), str(self._time), ",".join(functions), *map(str, more)]
        done = subprocess.run(
            [sys.executable, HERE / "turn.py", *words],
            env=environment,
            cwd=self._database.parent,
            capture_output=True,
            text=True,
            timeout=TURN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        self._time += 61_000  # waits of the definitions end, and retried messages are visible again
        documents: dict[str, Any] = json.loads(done.stdout)["documents"]
        return documents


def outcomes(documents: dict[str, Any]) -> list[Any]:
    """What no version may change."""
    return sorted((document for document in documents.values()), key=lambda document: str(document["workflow_id"]))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """How all of it ends where nothing is replaced."""
    deployment = Deployment(tmp_path_factory.mktemp("calm") / "w.db")
    documents = deployment.turn(NEW, FED, HERE / "definitions.yaml")
    for _ in range(TURNS_MAX):
        if _ended(documents):
            return outcomes(documents)
        documents = deployment.turn(NEW)
    raise AssertionError("it does not end")


def _ended(documents: dict[str, Any]) -> bool:
    return all(document["status"] in ("completed", "failed") for document in documents.values())


def finish(deployment: Deployment, version: Path) -> list[Any]:
    for _ in range(TURNS_MAX):
        documents = deployment.turn(version)
        if _ended(documents):
            return outcomes(documents)
    raise AssertionError([document for document in documents.values() if document["status"] == "running"])


def test_what_the_release_began_is_ended_by_this_version(old: Path, expected: list[Any], tmp_path: Path) -> None:
    deployment = Deployment(tmp_path / "w.db")
    deployment.turn(old, ("dispatch",), HERE / "definitions.yaml")
    assert finish(deployment, NEW) == expected


def test_what_this_version_began_is_ended_by_the_release(old: Path, expected: list[Any], tmp_path: Path) -> None:
    deployment = Deployment(tmp_path / "w.db")
    deployment.turn(NEW, ("dispatch",), HERE / "definitions.yaml")
    assert finish(deployment, old) == expected


@for_seeds(range(2))
def test_functions_replaced_one_by_one_and_back_change_no_outcome(
    old: Path, expected: list[Any], tmp_path: Path, seed: int
) -> None:
    """At every moment each function is of either version; in the end all are of one."""
    random = Random(seed)
    deployment = Deployment(tmp_path / f"{seed}.db")
    deployment.turn(random.choice((old, NEW)), (), HERE / "definitions.yaml")
    for _ in range(4):
        new = tuple(name for name in FED if random.random() < 0.5)
        deployment.turn(NEW, new)
        deployment.turn(old, tuple(name for name in FED if name not in new))
    assert finish(deployment, random.choice((old, NEW))) == expected
