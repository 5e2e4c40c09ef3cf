"""`awr freeze`, `awr thaw`, and what `awr list` and `awr why` tell of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.dev.dev_process import DevProcess
from tests.processes.living import eventually

WORKFLOW = "workflow: {id: 客服, nodes: [{id: 写, type: agent, agent: 作者}]}"
MOCKS = "agents: {作者: {return: {text: 好}}}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An `awr dev` of its own: freezes would hold what other tests start."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "definitions").mkdir()
    (folder / "mocks.yaml").write_text(MOCKS, "utf-8")
    options = ("--mocks", folder / "mocks.yaml", "--definitions", folder / "definitions")
    with DevProcess(folder / "log", *options) as process:
        yield process.url


@pytest.fixture
def dev(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.yaml").write_text(WORKFLOW, "utf-8")
    monkeypatch.setenv("AWR_URL", server)


def text(awr: Awr, *words: object) -> str:
    """What is shown, without times."""
    done = awr(*words)
    assert done.exit_code == 0, done.stderr
    return re.sub(r"20\d\d-\S+Z", "…", done.stdout + done.stderr)


@pytest.mark.usefixtures("dev")
def test_what_is_frozen_is_shown_everywhere_and_goes_on_after_the_thaw(awr: Awr) -> None:
    assert awr("publish", "w.yaml").exit_code == 0
    assert text(awr, "freeze", "--workflow", "客服", "--reason", "胡说") == "frozen: workflow:客服  since …: 胡说\n"
    assert text(awr, "freeze", "--workflow", "客服").startswith("frozen already: workflow:客服")
    execution_id = awr("start", "客服").stdout.strip()
    assert "frozen: workflow:客服  since …: 胡说" in text(awr, "list", "客服")
    assert text(awr, "list").rstrip().endswith("frozen")
    eventually(lambda: "the execution  waits: frozen" in text(awr, "why", execution_id))
    why = text(awr, "why", execution_id)
    assert "moved by a thaw of `workflow:客服`, frozen since …: 胡说" in why
    assert text(awr, "freeze") == "workflow:客服  since …: 胡说\n"
    assert text(awr, "thaw", "--workflow", "客服") == "thawed: workflow:客服\n"
    assert awr("status", execution_id, "--watch").exit_code == 0


@pytest.mark.usefixtures("dev")
def test_wrong_usage_and_what_is_not_there_are_told(awr: Awr) -> None:
    assert text(awr, "freeze") == "nothing is frozen\n"
    assert only_document(awr("freeze", "--json").stdout) == {"freezes": []}
    assert awr("freeze", "--all", "--agent", "a").exit_code == 2
    assert awr("thaw").exit_code == 2
    unknown = awr("freeze", "--workflow", "无")
    assert (unknown.exit_code, "not published" in unknown.stderr) == (1, True)
    assert awr("thaw", "--agent", "a").exit_code == 1
