"""Executions under way survive an upgrade and a rollback, however the functions are replaced one by one.

The other version is that of the last release, as it was deployed (`pack.py`). Both work on one database in turn, each
serving some of the functions: what one wrote and sent, items and messages alike, the other reads and goes on from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.seeds import for_seeds
from tests.upgrade import pack

from workflow_runtime.deployment.topology import TOPOLOGY

HERE = Path(__file__).parent
START = 1_700_000_000_000
TURNS_MAX = 12
FED = tuple(function.name for function in TOPOLOGY.functions if function.sources)


LONG = 600  # nodes: their marks are stored otherwise than those of a short graph
WAITS = 300  # so is what is waited for, if it is as much


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is executed: the workflows of the file, and one with a long graph."""
    nodes = [
        "{id: w, type: control, subtype: wait, duration: 30s}",
        *(f"{{id: w{n}, type: control, subtype: wait, duration: {n % 90 + 1}s}}" for n in range(WAITS)),
        *(f'{{id: n{n}, type: tool, tool: echo, dependencies: [w], when: "${{start > 5}}"}}' for n in range(LONG)),
        '{id: z, type: tool, tool: echo, dependencies: [w], inputs: {x: "${start}"}}',
    ]
    long = "\n".join(["workflow:", "  id: long", "  nodes:", *(f"    - {node}" for node in nodes)])
    path = tmp_path_factory.mktemp("definitions") / "definitions.yaml"
    path.write_text(f"{(HERE / 'definitions.yaml').read_text(encoding='utf-8')}---\n{long}\n", encoding="utf-8")
    return path


class Version:
    """A version of the runtime at work, in a process of its own."""

    def __init__(self, code: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE / "turn.py"],
            env={**os.environ, "PYTHONPATH": str(code), "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def turn(self, *words: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self._process.communicate()[1][-3000:]
        documents: dict[str, Any] = json.loads(answer)["documents"]
        return documents

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Version]:
    """The release."""
    assert pack.WHEEL.stat().st_size < pack.WHEEL_BYTES_MAX
    folder = tmp_path_factory.mktemp("release")
    pack.unpack(folder)
    with closing(Version(folder)) as version:
        yield version


@pytest.fixture(scope="module")
def new() -> Iterator[Version]:
    """What is tested."""
    with closing(Version(HERE.parents[1] / "functions")) as version:
        yield version


class Deployment:
    """A database, and the time of its next turn."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._time = START

    def turn(self, version: Version, functions: tuple[str, ...] = FED, *more: Path) -> dict[str, Any]:
        documents = version.turn(str(self._database), str(self._time), ",".join(functions), *map(str, more))
        self._time += 61_000  # waits of the definitions end, and retried messages are visible again
        return documents


def outcomes(documents: dict[str, Any]) -> list[Any]:
    """What no version may change."""
    return sorted((document for document in documents.values()), key=lambda document: str(document["workflow_id"]))


@pytest.fixture(scope="module")
def expected(new: Version, definitions: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """How all of it ends where nothing is replaced."""
    deployment = Deployment(tmp_path_factory.mktemp("calm") / "w.db")
    documents = deployment.turn(new, FED, definitions)
    for _ in range(TURNS_MAX):
        if _ended(documents):
            return outcomes(documents)
        documents = deployment.turn(new)
    raise AssertionError("it does not end")


HALFWAY = pytest.mark.parametrize("began", [("dispatch",), FED], ids=["ordered", "waiting"])
"""Which functions have worked on executions before the others replace them."""


def _ended(documents: dict[str, Any]) -> bool:
    return all(document["status"] in ("completed", "failed") for document in documents.values())


def finish(deployment: Deployment, version: Version) -> list[Any]:
    for _ in range(TURNS_MAX):
        documents = deployment.turn(version)
        if _ended(documents):
            return outcomes(documents)
    raise AssertionError([document for document in documents.values() if document["status"] == "running"])


@HALFWAY
def test_what_the_release_began_is_ended_by_this_version(
    old: Version, new: Version, definitions: Path, expected: list[Any], tmp_path: Path, began: tuple[str, ...]
) -> None:
    deployment = Deployment(tmp_path / "w.db")
    deployment.turn(old, began, definitions)
    assert finish(deployment, new) == expected


@HALFWAY
def test_what_this_version_began_is_ended_by_the_release(
    old: Version, new: Version, definitions: Path, expected: list[Any], tmp_path: Path, began: tuple[str, ...]
) -> None:
    deployment = Deployment(tmp_path / "w.db")
    deployment.turn(new, began, definitions)
    assert finish(deployment, old) == expected


@for_seeds(range(2))
def test_functions_replaced_one_by_one_and_back_change_no_outcome(
    old: Version, new: Version, definitions: Path, expected: list[Any], tmp_path: Path, seed: int
) -> None:
    """At every moment each function is of either version; in the end all are of one."""
    random = Random(seed)
    deployment = Deployment(tmp_path / f"{seed}.db")
    deployment.turn(random.choice((old, new)), (), definitions)
    for _ in range(4):
        replaced = tuple(name for name in FED if random.random() < 0.5)
        deployment.turn(new, replaced)
        deployment.turn(old, tuple(name for name in FED if name not in replaced))
    assert finish(deployment, random.choice((old, new))) == expected
