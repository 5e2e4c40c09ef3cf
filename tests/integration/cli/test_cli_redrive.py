"""`awr redrive`, and the SDK's side of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document

from workflow_runtime.backends.clock import RealClock
from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.frontends.client.engine import WorkflowEngine
from workflow_runtime.services.messages import Mail, mail_body
from workflow_runtime.storage.stores import Stores

WAITS = """
workflow:
  id: 门
  type: state_machine
  initial_state: shut
  final_states: [open]
  states:
    - {name: shut, transitions: [{event: push, target: open}]}
    - {name: open, type: final}
"""


@pytest.fixture
def stuck(tmp_path: Path) -> tuple[Path, str]:
    """A file with an execution that waits for an event, which its queue gave up."""
    db = tmp_path / "w.db"

    async def start() -> str:
        async with WorkflowEngine.local(db=db) as engine:
            await engine.create_workflow(WAITS)
            return await engine.execute_workflow("门", wait=5)

    execution_id = asyncio.run(start())
    with open_backend(db, RealClock()) as backend:
        mail = Mail(execution_id, SignalReceived("signal:1", 1, "push", id="1"))
        Stores(backend.ports).dead_letters.put(execution_id, "m1", "mail: given up by its queue", mail_body(mail), 1)
    return db, execution_id


def test_dead_letters_are_listed_and_brought_back_once(awr: Awr, stuck: tuple[Path, str]) -> None:
    db, execution_id = stuck
    listed = awr("redrive", "--db", db)
    assert listed.stdout.startswith(execution_id)
    assert "given up by its queue" in listed.stdout
    assert "would be brought back: " in awr("redrive", "--all", "--dry-run", "--db", db).stdout
    assert awr("redrive", execution_id, "--db", db).stdout.startswith("brought back: ")
    assert only_document(awr("status", execution_id, "--db", db, "--json").stdout)["status"] == "completed"
    again = only_document(awr("redrive", "--all", "--db", db, "--json").stdout)["dead_letters"]
    assert [one["outcome"] for one in again] == ["left"]
    assert "brought back at" in awr("redrive", "--db", db).stdout


def test_the_sdk_brings_them_back_too(stuck: tuple[Path, str]) -> None:
    db, execution_id = stuck

    async def redrive() -> None:
        async with WorkflowEngine.local(db=db) as engine:
            (letter,) = await engine.list_dead_letters(execution_id)
            assert letter["id"] == "m1"
            assert [one["outcome"] for one in await engine.redrive(dry_run=True)] == ["would_send"]
            assert [one["outcome"] for one in await engine.redrive(execution_id)] == ["sent"]
            assert (await engine.wait(execution_id, 5))["status"] == "completed"
            assert [one["outcome"] for one in await engine.redrive()] == ["left"]

    asyncio.run(redrive())


@pytest.mark.parametrize("words", [("x", "--all"), ("--dry-run",)])
def test_what_is_meant_must_be_said(awr: Awr, words: tuple[str, ...]) -> None:
    assert awr("redrive", *words).exit_code == 2


def test_without_any_the_list_says_so(awr: Awr, tmp_path: Path) -> None:
    db = tmp_path / "w.db"
    with open_backend(db, RealClock()):
        pass
    assert "no dead letters" in awr("redrive", "--db", db).stderr
    assert only_document(awr("redrive", "--all", "--db", db, "--json").stdout) == {"dead_letters": []}
