"""awr run, in this process."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.cli.conftest import PROJECT, Awr, only_document

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.frontends.cli.app import COMMANDS
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.in_process import LocalRuntime

DEFINITIONS = PROJECT / "definitions"


@pytest.mark.parametrize("language", ["", "en"], ids=["chinese", "english"])
@pytest.mark.parametrize("name", ["customer_support", "parallel_research"])
def test_the_shipped_workflows_run_with_their_mocks(awr: Awr, name: str, language: str) -> None:
    result = awr(
        "run",
        DEFINITIONS / language / f"workflows/{name}.yaml",
        "--mocks",
        DEFINITIONS / language / f"mocks/{name}.yaml",
        "--input",
        f"@{PROJECT / 'events' / language / name}.input.json",
        "--skip-time",
        "--json",
    )
    document = only_document(result.stdout)
    assert result.exit_code == 0
    assert document["status"] == "completed"
    assert document["workflow_id"] == name


@pytest.mark.parametrize("language", ["", "en"], ids=["chinese", "english"])
@pytest.mark.parametrize("name", ["incident_response", "order_state_machine", "subscription_lifecycle"])
def test_the_command_at_the_head_of_a_shipped_chart_plays_it_to_its_end(
    awr: Awr, name: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    source = (DEFINITIONS / language / f"workflows/{name}.yaml").read_text("utf-8")
    head = "\n".join(line.removeprefix("#") for line in source.partition("\nworkflow:")[0].splitlines())
    command = re.search(r"^ +awr (run (?:.*\\\n)*.*)$", head, re.MULTILINE)
    assert command is not None
    result = awr(*shlex.split(command[1].replace("\\\n", " ")))
    assert (result.exit_code, "not taken" in result.stderr) == (0, False), result.stderr
    assert f"{name} version 1 completed" in result.stdout


def test_a_run_says_what_happens_and_ends_with_a_summary(awr: Awr, chain: Path, mocks: Callable[..., Path]) -> None:
    result = awr("run", chain, "--mocks", mocks(), "-i", '{"n": 1}')
    assert result.exit_code == 0
    assert [line.split()[2:4] for line in result.stderr.splitlines()[1:]] == [["success", id] for id in "abc"]
    title, _, *rows = result.stdout.splitlines()
    assert title.startswith("chain version 1 completed in ")
    assert rows[0].startswith("✓ a  success")
    assert rows[0].endswith('{"n":1}')
    assert json.loads(result.stdout.partition("output\n")[2]) == {"answer": 42}
    assert "\x1b" not in result.output
    assert all(line == line.rstrip() for line in result.output.splitlines())


def test_delays_pass_at_once_with_skip_time(awr: Awr, chain: Path, mocks: Callable[..., Path]) -> None:
    result = awr("run", chain, "--mocks", mocks(600), "--skip-time", "--timeout", "150")
    assert result.exit_code == 0
    assert "completed in 10 m 00 s" in result.stdout


def test_a_failed_run_names_the_node_and_exits_3(awr: Awr, chain: Path) -> None:
    mocks = Path("failing.yaml")
    mocks.write_text("agents: {thinker: {raise: {type: tired, message: not today}}}\n", "utf-8")
    result = awr("run", chain, "--mocks", mocks)
    assert result.exit_code == 3
    assert "failed: node b: tired: not today" in result.stdout
    assert "✗ b" in result.stdout
    assert "--verbose" in result.stderr
    document = awr("run", chain, "--mocks", mocks, "--json")
    assert document.exit_code == 3
    assert only_document(document.stdout)["error"]["type"] == "tired"


@pytest.mark.parametrize(
    ("input", "code", "words"),
    [
        ("{", 1, "truncated"),
        ('{"n":\n  1,}', 1, "--input:2:5"),
        ("[1]", 1, "must be a JSON object, not a list"),
        ("null", 0, ""),
        ("@nowhere.json", 1, "nowhere.json"),
        ("@.", 1, "cannot be read"),
        ("chain.yaml", 1, "write --input @chain.yaml"),
        ("-", 1, "to read stdin, write --input @-"),
        ("", 1, "not valid JSON"),
        ("[" * 100_000, 1, "not valid JSON"),
        ('{"a": NaN}', 1, "not valid JSON"),
        ('{"n": 1, "n": 2}', 1, "the key `n` stands twice in the input: --input keep one of them"),
        ("@twice.json", 1, "the key `o.n` stands twice in the input: twice.json"),
        ("@huge.json", 1, "bytes"),
    ],
)
def test_a_wrong_input_is_refused_and_said(
    awr: Awr, chain: Path, mocks: Callable[..., Path], input: str, code: int, words: str
) -> None:
    if input == "@huge.json":
        Path("huge.json").write_text(json.dumps({"x": "y" * 11_000_000}))
    Path("twice.json").write_text('{"o": {"n": 1,\n"n": 2}}')
    result = awr("run", chain, "--mocks", mocks(), "--json", "--input", input)
    document = only_document(result.stdout)
    assert result.exit_code == code
    if code:
        assert document["error"]["code"] == "invalid_input"
        assert words in f"{document['error']['message']} {document['error'].get('hint')}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("start", "x", "--wait", "soon"), "Invalid value for '--wait': must be a number"),
        (("start", "x", "--wait", "-1"), "Invalid value for '--wait': must be at least 0"),
        (("run", "chain.yaml", "--timeout", "0"), "Invalid value for '--timeout': must be at least 0.001"),
        (("run", "chain.yaml", "--backend", "mot"), "Invalid value for '--backend': 'mot' is not one of"),
        (("list", "--limit", "x"), "Invalid value for '--limit': must be a whole number"),
    ],
)
@pytest.mark.usefixtures("chain")
def test_a_wrong_value_of_an_option_is_told_without_python(awr: Awr, words: tuple[str, ...], said: str) -> None:
    result = awr(*words, "--json")
    assert result.exit_code == 2
    assert only_document(result.stdout)["error"]["message"].startswith(said)


def test_an_input_can_come_from_stdin_and_must_match_the_schema(awr: Awr) -> None:
    path = DEFINITIONS / "workflows/parallel_research.yaml"
    mocks = DEFINITIONS / "mocks/parallel_research.yaml"
    good = awr("run", path, "--mocks", mocks, "-i", "@-", "--skip-time", stdin=b'\xef\xbb\xbf{"topic": "x"}')
    bad = awr("run", path, "--mocks", mocks, "-i", "@-", "--json", stdin='{"topic": 1}')
    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert "topic" in only_document(bad.stdout)["error"]["message"]


def test_a_wrong_workflow_is_not_started(awr: Awr, chain: Path) -> None:
    Path("bad.yaml").write_text("workflow: {id: bad, nodes: [{id: a, type: what}]}\n", "utf-8")
    for words in (["bad.yaml"], [chain, "--with", "bad.yaml"]):
        result = awr("run", *words, "--json")
        error = only_document(result.stdout)["error"]
        assert (result.exit_code, error["code"]) == (1, "invalid_definition")
        assert error["findings"][0]["file"] == "bad.yaml"


def test_warnings_of_the_workflow_are_shown_on_stderr(awr: Awr, chain: Path) -> None:
    result = awr("run", chain, "--json")
    assert result.exit_code == 3
    assert "agent `thinker` is not registered" in result.stderr
    assert only_document(result.stdout)["status"] == "failed"


def test_wrong_mocks_are_findings(awr: Awr, chain: Path) -> None:
    Path("mocks.yaml").write_text("agents: {thinker: {retrun: 1}}\n", "utf-8")
    result = awr("run", chain, "--mocks", "mocks.yaml", "--json")
    assert result.exit_code == 1
    assert "retrun" in only_document(result.stdout)["error"]["findings"][0]["message"]


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere.yaml"],
        ["."],
        [],
        ["chain.yaml", "--mocks", "nowhere.yaml"],
        ["chain.yaml", "--with", "nowhere.yaml"],
        ["chain.yaml", "--definitions", "chain.yaml"],
        ["chain.yaml", "--timeout", "soon"],
        ["chain.yaml", "--timeout", "0"],
        ["chain.yaml", "--timeout", "nan"],
        ["chain.yaml", "--db", "."],
        ["chain.yaml", "--backend", "azure"],
        ["chain.yaml", "--backend", "moto", "--db", "x.db"],
        ["chain.yaml", "--backend", "moto", "--skip-time"],
        ["--resume", "ex-1"],
        ["--resume", "ex-1", "--db", "nowhere.db"],
        ["chain.yaml", "another.yaml"],
        ["chain.yaml", "--nope"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("chain")
def test_wrong_usage_exits_2_with_the_reason(awr: Awr, words: list[str]) -> None:
    shown, document = awr("run", *words), awr("run", "--json", *words)
    assert shown.exit_code == document.exit_code == 2
    assert shown.stdout == ""
    assert only_document(document.stdout)["error"]["message"] in shown.stderr
    assert not Path("nowhere.db").exists()


def test_a_file_that_is_no_database_is_refused(awr: Awr, chain: Path) -> None:
    Path("x.db").write_text("this is not a database, whatever its name says " * 50)
    result = awr("run", chain, "--db", "x.db", "--json")
    assert (result.exit_code, only_document(result.stdout)["error"]["code"]) == (1, "database_invalid")


def test_a_database_in_use_is_refused(awr: Awr, chain: Path) -> None:
    with open_backend(Path("x.db")):
        result = awr("run", chain, "--db", "x.db", "--json")
    assert (result.exit_code, only_document(result.stdout)["error"]["code"]) == (1, "database_locked")


def test_a_timeout_exits_124_and_can_be_resumed(awr: Awr, chain: Path, mocks: Callable[..., Path]) -> None:
    for seconds in ("0.3", "3", "30"):  # what this machine takes until `b` runs
        result = awr("run", chain, "--mocks", mocks(3600), "--db", f"{seconds}.db", "--timeout", seconds, "--json")
        document = only_document(result.stdout)
        assert result.exit_code == 124
        assert document["status"] == "running"
        if f"timed out after {seconds} s while b ran" in result.stderr:
            break
    assert f"timed out after {seconds} s while b ran" in result.stderr
    command = result.stderr.partition("resume: awr ")[2].split()
    assert command[:3] == ["run", str(chain), "--resume"]
    resumed = awr(*command[:-1], mocks(), "--json")
    entries = only_document(resumed.stdout)["node_executions"]
    assert resumed.exit_code == 0
    assert entries["a"] == document["node_executions"]["a"]
    assert [entries[id]["attempts"] for id in "abc"] == [1, 2, 1]


def test_the_only_open_execution_is_resumed_without_its_id(awr: Awr, chain: Path, mocks: Callable[..., Path]) -> None:
    for _ in range(2):
        assert awr("run", chain, "--db", "runs.db", "--mocks", mocks(3600), "--timeout", "0.2").exit_code == 124
    several = awr("run", "--resume", "--db", "runs.db")
    assert several.exit_code == 2
    first, second = re.findall(r"ex-[0-9a-f-]+ \(chain\)", several.stderr)
    assert first != second
    named = awr("run", "--resume", first.split()[0], "--db", "runs.db", "--mocks", mocks())
    assert named.exit_code == 0, named.stderr
    begun = awr("run", chain, "--db", "one.db", "--mocks", mocks(3600), "--timeout", "0.2")
    (id,) = re.findall(r"started (\S+)", begun.stderr)
    one = awr("run", "--resume", "--db", "one.db", "--mocks", mocks())
    assert one.exit_code == 0, one.stderr
    assert f"resumed {id}" in one.stderr
    none = awr("run", "--db", "one.db", "--resume")
    assert none.exit_code == 1
    assert "there is no execution in one.db that has not ended" in none.stderr


def test_a_run_begins_with_the_execution_s_id(awr: Awr, chain: Path, mocks: Callable[..., Path]) -> None:
    result = awr("run", chain, "--mocks", mocks(), "--json")
    assert result.stderr.splitlines()[0] == f"started {only_document(result.stdout)['execution_id']}"


def test_commands_about_executions_read_a_database_file(awr: Awr, chain: Path, mocks: Callable[..., Path]) -> None:
    ran = only_document(awr("run", chain, "--db", "runs.db", "--mocks", mocks(), "--json").stdout)
    id = ran["execution_id"]
    assert only_document(awr("status", id, "--db", "runs.db", "--json").stdout) == ran
    listed = only_document(awr("list", "chain", "--db", "runs.db", "--json").stdout)["executions"]
    assert [(each["execution_id"], each["status"]) for each in listed] == [(id, "completed")]
    assert only_document(awr("history", id, "--db", "runs.db", "--json").stdout)["entries"][0]["version"] == 1
    assert "b  agent [success]" in awr("graph", "--execution", id, "--db", "runs.db", "--format", "text").stdout
    unknown = awr("status", "ex-0", "--db", "runs.db")
    assert unknown.exit_code == 1
    assert "ex-0" in unknown.stderr


def test_every_command_about_an_execution_takes_a_database_file(
    awr: Awr, chain: Path, mocks: Callable[..., Path]
) -> None:
    """A command that is added takes one too; what ``awr logs`` searches, the logs of Lambda, is in no file."""
    awr("run", chain, "--db", "runs.db", "--mocks", mocks())
    others = {"tools", "agents", "start", "logs"}  # their ID is no execution's, or not in a file
    more = {"signal": ["go"], "skip": ["a"], "delegate": ["--to", "李雷"]}
    asked = [name for name in COMMANDS if re.search(r"Usage:.*\b(ID|EXECUTION)\b", awr(name, "--help").stdout)]
    assert others < set(asked)
    for name in asked:
        if name not in others:
            result = awr(name, "ex-0", *more.get(name, ()), "--db", "runs.db")
            expected = (0, "no dead letters") if name == "redrive" else (1, "'ex-0'")
            assert (result.exit_code, expected[1] in result.stderr) == (expected[0], True), name


def test_resuming_what_has_ended_shows_it_again(awr: Awr, chain: Path, mocks: Callable[..., Path]) -> None:
    first = only_document(awr("run", chain, "--mocks", mocks(), "--db", "x.db", "--json").stdout)
    again = awr("run", "--resume", first["execution_id"], "--db", "x.db", "--json")
    assert again.exit_code == 0
    assert only_document(again.stdout) == first
    unknown = awr("run", "--resume", "ex-unknown", "--db", "x.db", "--json")
    assert (unknown.exit_code, only_document(unknown.stdout)["error"]["code"]) == (1, "not_found")
    assert awr("run", "--resume", first["execution_id"], "--db", "x.db", "-i", "{}").exit_code == 2


def test_an_execution_that_nothing_can_move_exits_5_and_says_why(
    awr: Awr, chain: Path, mocks: Callable[..., Path]
) -> None:
    execution_id = _interrupted(chain, mocks(3600), Path("x.db"))
    with sqlite3.connect("x.db") as database:
        database.execute("DELETE FROM messages WHERE queue LIKE 'node-%'")
        poison = ("dispatch.fifo", "nonsense", execution_id, "poison", 0, 0)
        columns = "queue, body, group_id, deduplication_id, sent_at, visible_at"
        database.execute(f"INSERT INTO messages ({columns}) VALUES (?, ?, ?, ?, ?, ?)", poison)
    database.close()
    result = awr("run", "--resume", execution_id, "--db", "x.db", "--json")
    assert result.exit_code == 5
    assert only_document(result.stdout)["status"] == "running"
    assert "waiting: nothing more can happen by itself" in result.stderr
    assert "b (running) waits for a worker" in result.stderr
    assert "dead letters: 1" in result.stderr
    assert f"--resume {execution_id} --db x.db" in result.stderr


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("{id: kid, type: sub_workflow, workflow_id: child}", "kid (running) waits for its execution ex-"),
        (
            "{id: each, type: control, subtype: loop, items: [1], distribution: executions, body: [NEWS]}",
            "each (running) waits for its passes, which executions of their own run",
        ),
    ],
)
def test_a_node_whose_executions_wait_says_so(awr: Awr, tmp_path: Path, node: str, said: str) -> None:
    news = "{id: news, type: control, subtype: wait, event: go}"
    for id, nodes in (("child", news), ("parent", node.replace("NEWS", news))):
        (tmp_path / f"{id}.yaml").write_text(f"workflow: {{id: {id}, nodes: [{nodes}]}}\n", encoding="utf-8")
    result = awr("run", tmp_path / "parent.yaml")
    assert result.exit_code == 5
    assert said in result.stderr


def _interrupted(workflow: Path, mocks: Path, database: Path) -> str:
    """An execution whose node b was being run when its process died."""
    with LocalRuntime(open_backend(database), None, Mocks.load(mocks)) as runtime:
        services = runtime.services
        execution_id = services.starter.start(services.catalog.publish(workflow.read_bytes()).plan.workflow_id, {})

        def b_runs() -> bool:
            return services.documents.document(execution_id)["node_executions"]["b"]["status"] == "running"

        asyncio.run(runtime.pump.run(b_runs))
        return execution_id


def test_a_mock_of_what_does_not_exist_is_an_error_with_the_likely_name(awr: Awr) -> None:
    Path("w.yaml").write_text("workflow: {id: w, nodes: [{id: a, type: agent, agent: asker}]}\n", "utf-8")
    Path("mocks.yaml").write_text("agents: {asker: {return: 1}, askre: {return: 2}}\n", "utf-8")
    result = awr("run", "w.yaml", "--mocks", "mocks.yaml")
    assert result.exit_code == 1
    assert (
        "mocks.yaml:1:30: error WF607: no workflow calls the agent `askre`, and it is not registered" in result.stderr
    )
    assert "Did you mean `asker`?" in result.stderr


def test_invoking_a_function_with_such_a_mock_calls_nothing(awr: Awr) -> None:
    Path("definitions/workflows").mkdir(parents=True)
    Path("definitions/workflows/w.yaml").write_text(
        "workflow: {id: w, nodes: [{id: a, type: agent, agent: asker}]}\n", "utf-8"
    )
    Path("mocks.yaml").write_text("agents: {asker: {return: 1}, askre: {return: 2}}\n", "utf-8")
    Path("event.json").write_text('{"requestContext": {}}', "utf-8")
    result = awr("invoke", "api", "event.json", "--definitions", "definitions", "--mocks", "mocks.yaml")
    assert result.exit_code == 1
    assert "nothing was called" in result.stderr
    assert "Did you mean `asker`?" in result.stderr
    Path("mocks.yaml").write_text("agents: {asker: {return: 1}}\n", "utf-8")
    assert awr("invoke", "api", "event.json", "--definitions", "definitions", "--mocks", "mocks.yaml").exit_code == 0
