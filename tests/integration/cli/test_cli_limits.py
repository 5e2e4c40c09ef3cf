"""`awr limits`, and what `awr why` and `awr list` tell of those who wait."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.dev.dev_process import DevProcess
from tests.processes.living import eventually

WORKFLOW = """
workflow:
  id: 限
  limits: {code: {requests: 60/min}, whole: {concurrency: 1}}
  limiter: whole
  nodes:
    - {id: a, type: tool, tool: echo, limiter: code}
    - {id: b, type: tool, tool: echo, limiter: code, dependencies: a}
"""
LIMITS = "limits: {openai: {requests: 60/min, concurrency: 20}}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An `awr dev` of its own: limits would hold back what other tests start."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "definitions").mkdir()
    (folder / "definitions" / "limits.yaml").write_text(LIMITS, "utf-8")
    with DevProcess(folder / "log", "--definitions", folder / "definitions") as process:
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
def test_limiters_are_declared_set_paused_and_deleted(awr: Awr, tmp_path: Path) -> None:
    declared = "openai  requests 60/min, concurrency 20  declared\n"
    assert text(awr, "limits") == declared
    assert text(awr, "limits", "set", "openai", "--requests", "5/s", "--weight", "3") == (
        "openai  requests 5/s, concurrency 20, weight 3  set\n  0 held\n"
    )
    shown = (
        "openai  requests 5/s, concurrency 20, weight 3, budget $5/day  set\n  0 held, $0.00 of $5.00 drawn until …\n"
    )
    assert text(awr, "limits", "set", "openai", "--usd", "5/day") == shown, "what it does not name stays"
    changed = text(awr, "limits", "set", "openai", "--usd", "none", "--concurrency", "0", "--weight", "1")
    assert changed == "openai  requests 5/s  set\n  0 held\n"
    shown = only_document(awr("limits", "show", "openai", "--json").stdout)
    assert (shown["source"], shown["declared"]) == ("set", {"requests": "60/min", "concurrency": 20})
    assert text(awr, "limits", "pause", "openai").endswith("0 held, paused\n")
    assert text(awr, "limits", "resume", "openai").endswith("0 held\n")
    assert text(awr, "limits", "delete", "openai") == (
        "deleted openai; in force again: requests 60/min, concurrency 20\n"
    )
    keyed = text(awr, "limits", "set", "accounts", "--key", "${tenant}", "--concurrency", "2")
    assert keyed.endswith("  nobody has waited yet, for any value of its key\n")
    assert awr("limits", "delete", "accounts").exit_code == 0
    assert text(awr, "limits") == declared
    (tmp_path / "other.yaml").write_text("limits: {mail: {concurrency: 2}}", "utf-8")
    assert text(awr, "limits", "declare", tmp_path / "other.yaml") == "declared mail\n"
    assert text(awr, "limits") == "mail  concurrency 2  declared\n", "those that the file does not name are gone"


@pytest.mark.usefixtures("dev")
def test_who_waits_and_in_which_place_is_told(awr: Awr) -> None:
    assert awr("publish", "w.yaml").exit_code == 0
    assert awr("limits", "pause", "限/code").exit_code == 0
    first, second = (awr("start", "限").stdout.strip() for _ in range(2))

    def waiting_on(execution: str, *words: str) -> list[tuple[str, list[str]]]:
        waits = only_document(awr("why", execution, *words, "--json").stdout)["waits"]
        return [(one["waiting_on"], one["on"]) for one in waits]

    eventually(lambda: waiting_on(first, "a") == [("limiter", ["限/code"])])
    eventually(lambda: [cause for cause, _ in waiting_on(second)] == ["limiter"])
    assert "moved by `awr limits resume 限/code`: it is paused" in text(awr, "why", first)
    why = text(awr, "why", second)
    assert "the execution  waits: limiter" in why
    assert "place 1 of 1 in the line of `限/whole`, of which 1 slots are taken" in why
    assert "0 held, 1 wait, paused" in text(awr, "limits", "show", "限/code")
    assert text(awr, "limits", "show", "限/whole").endswith("  1 held, 1 wait\n"), "slots say nothing of when"
    assert awr("cancel", second).exit_code == 0
    assert awr("limits", "resume", "限/code").exit_code == 0
    assert only_document(awr("status", second, "--watch", "--json").stdout)["status"] == "cancelled"
    assert awr("status", first, "--watch").exit_code == 0


@pytest.mark.usefixtures("dev")
def test_wrong_usage_and_what_is_not_there_are_told(awr: Awr, tmp_path: Path) -> None:
    refused = awr("limits", "set", "openai", "--requests", "5")
    assert (refused.exit_code, "`5` is not a rate" in refused.stderr) == (1, True)
    unknown = awr("limits", "show", "无")
    assert (unknown.exit_code, "no limiter '无'" in unknown.stderr) == (1, True)
    assert awr("limits", "delete", "无").exit_code == 1
    for name in ("a b", "type:humans", "agent:", "w/x/y", "${x}", "*x"):
        nobody = awr("limits", "set", name, "--concurrency", "1")
        assert (nobody.exit_code, "nothing can name a limiter" in nobody.stderr) == (1, True), name
    for words in (["set"], ["set", "openai"], ["show"], ["list", "--requests", "1/s"], ["nonsense"]):
        assert awr("limits", *words).exit_code == 2, words
    (tmp_path / "bad.yaml").write_text("limits:\n  a: {requests: 60}\n  b: {burst: 2, concurrency: 1}\n", "utf-8")
    bad = awr("limits", "declare", tmp_path / "bad.yaml")
    assert bad.exit_code == 1
    assert "bad.yaml:2:17: error WF224: the number 60 is not a rate" in bad.stderr
    assert "bad.yaml:3:14: error WF216: `burst` is for a rate of `requests`" in bad.stderr
