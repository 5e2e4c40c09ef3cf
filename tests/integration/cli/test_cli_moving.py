"""`awr export --all` and `awr import`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.integration.cli.conftest import Awr, only_document

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.express import ExpressStart

WORKFLOW = """
workflow:
  id: 搬家
  nodes:
    - {id: 问, type: tool, tool: echo, inputs: {名: "${名}"}}
  outputs: {名: "${问.名}"}
"""
WAITING = """
workflow:
  id: waiting
  nodes:
    - {id: wait, type: control, subtype: wait, event: go}
"""


@pytest.fixture
def ended(awr: Awr) -> list[str]:
    """Executions of a.db that have completed, beside one that waits, and a limiter; b.db is an empty database."""
    Path("w.yaml").write_text(WORKFLOW, encoding="utf-8")
    Path("waiting.yaml").write_text(WAITING, encoding="utf-8")
    ids = []
    for name in ("王小明", "李雷"):
        ran = awr("run", "w.yaml", "--input", msgspec.json.encode({"名": name}).decode(), "--db", "a.db", "--json")
        ids.append(str(only_document(ran.stdout)["execution_id"]))
    assert awr("run", "waiting.yaml", "--db", "a.db", "--skip-time").exit_code == 5
    with LocalRuntime(open_backend(Path("a.db")), environ={}) as runtime:
        runtime.services.limits.put("model", {"concurrency": 4})
        runtime.services.limits.declare_fields({"shop": {"requests": "60/min"}})
        runtime.services.agents.publish("校对", b"{id: \xe6\xa0\xa1\xe5\xaf\xb9, model: test}", lambda _: True)
    open_backend(Path("b.db")).close()
    return ids


def test_workflows_limits_and_ended_executions_move(awr: Awr, ended: list[str]) -> None:
    exported = awr("export", "--all", "-o", "m.jsonl", "--db", "a.db")
    assert exported.exit_code == 0, exported.stderr
    assert exported.stdout == (
        "m.jsonl: 2 limits; 1 agent; 2 workflows; 1 execution left behind, still running; 2 executions\n"
    )
    imported = awr("import", "m.jsonl", "--db", "b.db")
    assert (imported.exit_code, imported.stdout) == (0, "m.jsonl: 2 limits; 1 agent; 2 workflows; 2 executions\n")
    for execution_id in ended:
        here, there = (awr("status", execution_id, "--json", "--db", db).stdout for db in ("a.db", "b.db"))
        assert only_document(here) == only_document(there)
        assert awr("replay", execution_id, "--db", "b.db").exit_code == 0
    with LocalRuntime(open_backend(Path("b.db")), environ={}) as runtime:
        limits = {str(limit["name"]): limit["source"] for limit in runtime.services.limits.list()}
        assert limits == {"model": "set", "shop": "declared"}


def test_both_may_be_repeated_and_go_on_where_they_were(awr: Awr, ended: list[str]) -> None:
    file = Path("m.jsonl")
    assert awr("export", "--all", "-o", file, "--db", "a.db").exit_code == 0
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:50])  # killed within the last line
    again = awr("export", "--all", "-o", file, "--db", "a.db")
    assert again.stdout == "m.jsonl: 2 limits; 1 execution left behind, still running; 1 execution\n"
    assert awr("export", "--all", "-o", file, "--db", "a.db").stdout.endswith("left behind, still running\n")
    assert awr("import", file, "--db", "b.db").exit_code == 0
    repeated = awr("import", file, "--db", "b.db")
    assert repeated.stdout.startswith("m.jsonl: 2 limits; 1 agent; 2 workflows; 2 executions already there")
    listed = only_document(awr("list", "搬家", "--json", "--db", "b.db").stdout)["executions"]
    assert {execution["execution_id"] for execution in listed} == set(ended)


@pytest.mark.usefixtures("ended")
def test_express_executions_move_although_the_list_of_all_lacks_them(awr: Awr) -> None:
    express = WORKFLOW.replace("id: 搬家", "id: 快\n  durability: express")
    with LocalRuntime(open_backend(Path("a.db")), environ={}) as runtime:
        services = runtime.services
        services.catalog.publish(express.encode())
        starts: list[ExpressStart] = []
        execution_id = services.starter.start("快", {"名": "韩梅"}, run_express=starts.append)
        assert services.express_now is not None
        asyncio.run(services.express_now.run(starts[0], 60))
    assert awr("export", "--all", "-o", "m.jsonl", "--db", "a.db").exit_code == 0
    assert awr("import", "m.jsonl", "--db", "b.db").exit_code == 0
    here, there = (awr("status", execution_id, "--json", "--db", db).stdout for db in ("a.db", "b.db"))
    assert only_document(here) == only_document(there)
    assert awr("export", "--all", "-o", "m.jsonl", "--db", "a.db").stdout.endswith("left behind, still running\n")


@pytest.mark.usefixtures("ended")
def test_a_workflow_that_is_refused_is_named(awr: Awr) -> None:
    bad = {"workflow": "bad", "mark": "bad version 1", "source": "workflow: {id: bad, nodes: [{id: a, type: tol}]}"}
    Path("m.jsonl").write_bytes(b'{"awr_export": 1}\n' + msgspec.json.encode(bad) + b"\n")
    refused = awr("import", "m.jsonl", "--db", "b.db")
    assert refused.exit_code == 1
    assert "bad:" in refused.stderr
    assert "`tol` is not a type of node" in refused.stderr


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(
    "text",
    [
        "{}\n",
        '{"awr_export": 99}\n',
        '{"awr_export": "1"}\n',
        "no\n",
        "[]\n",
        "no end of line",
        '{"awr_export": 1}\n7\n',
        '{"awr_export": 1}\n{"workflow": "w"}\n',
    ],
)
def test_what_is_no_export_is_refused(awr: Awr, text: str) -> None:
    Path("m.jsonl").write_text(text)
    for words in (("import", "m.jsonl", "--db", "b.db"), ("export", "--all", "-o", "m.jsonl", "--db", "a.db")):
        refused = awr(*words)
        assert (refused.exit_code, Path("m.jsonl").read_text()) == (1, text)
        assert "m.jsonl" in refused.stderr


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("text", ["", "{", '{"awr_export":1}'])
def test_an_export_that_was_killed_within_its_first_line_begins_anew(awr: Awr, text: str) -> None:
    Path("m.jsonl").write_text(text)
    assert awr("export", "--all", "-o", "m.jsonl", "--db", "a.db").exit_code == 0
    assert awr("import", "m.jsonl", "--db", "b.db").exit_code == 0


def test_all_needs_a_file_and_one_execution_a_name(awr: Awr) -> None:
    assert awr("export", "--all").exit_code == 2
    assert awr("export").exit_code == 2
    assert awr("export", "ex-1", "--all", "-o", "f").exit_code == 2
