"""Definitions taken into use while the server runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.server.reload import Files, Reloader
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.in_process import LocalRuntime

WORKFLOW = (
    "workflow:\n  id: small\n  nodes: [{id: a, type: agent, agent: asker}]\n  outputs: {said: '${a.text}', n: %s}\n"
)
MOCKS = "agents: {asker: {return: {text: %s}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    definitions = tmp_path / "definitions"
    (definitions / "workflows").mkdir(parents=True)
    (definitions / "workflows" / "small.yaml").write_text(WORKFLOW % 1)
    (tmp_path / "mocks.yaml").write_text(MOCKS % "one")
    return tmp_path


@pytest.fixture
def runtime(folder: Path) -> Iterator[LocalRuntime]:
    mocks = Mocks.load(folder / "mocks.yaml")
    runtime = LocalRuntime(open_backend(), folder / "definitions", mocks, environ={})
    yield runtime
    asyncio.run(runtime.stop())


@pytest.fixture
def reloader(folder: Path, runtime: LocalRuntime) -> Reloader:
    reloader = Reloader(runtime, folder / "definitions", folder / "mocks.yaml")
    reloader.publish_all()
    return reloader


def taken(reloader: Reloader, files: set[Path]) -> None:
    asyncio.run(reloader.take(files))


def version(runtime: LocalRuntime, workflow_id: str = "small") -> int:
    return runtime.services.catalog.version(workflow_id).number


def said(runtime: LocalRuntime) -> str:
    async def run() -> str:
        runtime.start()
        execution_id = runtime.services.starter.start("small")
        await runtime.wait_ended(execution_id, 100)
        text = str(runtime.services.documents.document(execution_id)["output"]["said"])
        await runtime.stop()
        return text

    return asyncio.run(run())


def test_files_that_are_new_changed_or_gone_are_seen_once(folder: Path) -> None:
    definitions, mocks = folder / "definitions", folder / "mocks.yaml"
    files = Files(definitions, mocks)
    assert files.changed() == set()
    new, old = definitions / "agents.yaml", definitions / "workflows" / "small.yaml"
    tool = definitions / "mine.py"
    tool.write_text("")
    new.write_text("agents: []")
    (definitions / "notes.txt").write_text("nobody reads this")
    os.utime(mocks, (1, 1))
    old.unlink()
    assert files.changed() == {new, old, mocks, tool}
    assert files.changed() == set()


def test_a_changed_workflow_is_its_next_version(reloader: Reloader, runtime: LocalRuntime, folder: Path) -> None:
    file = folder / "definitions" / "workflows" / "small.yaml"
    taken(reloader, {file})
    assert version(runtime) == 1
    file.write_text(WORKFLOW % 2)
    taken(reloader, {file})
    assert version(runtime) == 2


def test_a_broken_workflow_is_shown_and_the_last_good_version_stays(
    reloader: Reloader, runtime: LocalRuntime, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = folder / "definitions" / "workflows" / "small.yaml"
    file.write_text("workflow: {id: small, nodez: []}")
    taken(reloader, {file})
    assert version(runtime) == 1
    assert "WF" in caplog.text
    assert "was not published; a version from before stays" in caplog.text
    file.unlink()
    taken(reloader, {file})
    assert version(runtime) == 1


def test_a_new_workflow_is_published(reloader: Reloader, runtime: LocalRuntime, folder: Path) -> None:
    with pytest.raises(RequestError):
        version(runtime, "new")
    file = folder / "definitions" / "workflows" / "new.yaml"
    file.write_text((WORKFLOW % 1).replace("small", "new"))
    taken(reloader, {file})
    assert version(runtime, "new") == 1


def test_changed_mocks_and_agents_answer_the_next_call(reloader: Reloader, runtime: LocalRuntime, folder: Path) -> None:
    file = folder / "mocks.yaml"
    file.write_text(MOCKS % "two")
    taken(reloader, {file})
    assert said(runtime) == "two"


def test_a_changed_python_tool_runs_from_the_next_call_on(
    reloader: Reloader, runtime: LocalRuntime, folder: Path
) -> None:
    small = folder / "definitions" / "workflows" / "small.yaml"
    small.write_text("workflow: {id: small, nodes: [{id: a, type: tool, tool: say}], outputs: {said: '${a}'}}")
    tool = folder / "definitions" / "tools" / "mine.py"
    tool.parent.mkdir()
    for word in ("one", "two"):
        tool.write_text(f"from workflow_runtime.sdk import tool\n@tool\ndef say(): return {word!r}\n")
        taken(reloader, {tool, small})
    assert said(runtime) == "two"


def test_broken_mocks_and_agents_are_shown_and_the_last_good_ones_stay(
    reloader: Reloader, runtime: LocalRuntime, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "mocks.yaml").write_text("agents: {asker: {returns: 1}}")
    agents = folder / "definitions" / "agents"
    agents.mkdir()
    (agents / "one.yaml").write_text("{id: one, nonsense: 1}")
    taken(reloader, {folder / "mocks.yaml", agents / "one.yaml"})
    assert "stay unchanged" in caplog.text
    (folder / "mocks.yaml").write_text(MOCKS % "two")
    taken(reloader, {agents / "one.yaml"})
    assert "nonsense" in caplog.text
    assert said(runtime) == "one"


def test_a_second_file_of_a_workflow_is_not_published_until_the_first_gives_way(
    reloader: Reloader, runtime: LocalRuntime, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = folder / "definitions" / "workflows" / "small.yaml"
    second = folder / "definitions" / "workflows" / "twin.yaml"
    second.write_text(WORKFLOW % 2)
    taken(reloader, {second})
    assert version(runtime) == 1
    assert f"{first} defines the workflow `small`, too" in caplog.text
    first.write_text((WORKFLOW % 1).replace("small", "other"))
    taken(reloader, {first})
    assert version(runtime) == 2
    assert version(runtime, "other") == 1


def test_a_mock_of_what_nothing_calls_is_shown(
    reloader: Reloader, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "mocks.yaml").write_text("agents: {asker: {return: 1}, askre: {return: 2}}\n")
    taken(reloader, {folder / "mocks.yaml"})
    assert "no workflow calls the agent `askre`" in caplog.text
    assert "Did you mean `asker`?" in caplog.text
    assert "the agent `asker`" not in caplog.text
