"""`awr cancel --workflow` and the like: one request about many executions."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.cli.test_cli_remote import dev, dev_url  # noqa: F401  fixtures

WORKFLOW = "workflow: {id: 批量, nodes: [{id: 等, type: control, subtype: wait, event: 来}]}"


@pytest.mark.usefixtures("dev")
def test_many_are_counted_then_cancelled_and_refusals_told_by_reason(awr: Awr) -> None:
    Path("w.yaml").write_text(WORKFLOW, "utf-8")
    assert awr("publish", "w.yaml").exit_code == 0
    ids = [awr("start", "批量").stdout.strip() for _ in range(3)]
    looked = awr("cancel", "--workflow", "批量", "--dry-run")
    assert looked.stdout.splitlines()[0] == "would cancel: 3 executions of 批量"
    assert sorted(line.strip() for line in looked.stdout.splitlines()[1:]) == sorted(ids)
    assert awr("cancel", "--workflow", "批量", "--older-than", "1h").stdout == "cancel: 0 of 0 executions of 批量\n"
    done = awr("cancel", "--workflow", "批量", "--reason", "停业", "--key", "k")
    assert (done.exit_code, done.stdout) == (0, "cancel: 3 of 3 executions of 批量\n")
    for id in ids:
        assert awr("status", id, "--watch").exit_code == 4
    again = awr("cancel", "--workflow", "批量", "--status", "cancelled")
    assert again.stdout == "cancel: 0 of 3 executions of 批量\nnot needed: 3\n"
    refused = awr("suspend", "--workflow", "批量", "--status", "cancelled", "--json")
    assert refused.exit_code == 1
    (reason,) = only_document(refused.stdout)["refused"]
    assert (reason["count"], len(reason["execution_ids"])) == (3, 3)
    assert "refused: 3: the execution has ended" in awr("suspend", "--workflow", "批量", "--status", "cancelled").stdout


@pytest.mark.usefixtures("dev")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "name one execution, or many by --workflow"),
        (("ex-1", "--workflow", "w"), 2, "name one execution, or many by --workflow"),
        (("ex-1", "--dry-run"), 2, "of which --workflow?"),
        (("--workflow", "无"), 1, "workflow '无' is not published"),
        (("--workflow", "批量", "--older-than", "soon"), 1, "not a duration: 'soon'; write 500ms, 90s"),
    ],
)
def test_wrong_usage_is_told(awr: Awr, words: tuple[str, ...], code: int, message: str) -> None:
    Path("w.yaml").write_text(WORKFLOW, "utf-8")
    assert awr("publish", "w.yaml").exit_code == 0
    done = awr("cancel", *words)
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr
