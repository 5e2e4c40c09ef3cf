"""Executions recorded as cassettes, taken again in tests, and with changes, from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.cli.conftest import Awr, only_document
from tests.model_server import ModelServer, Reply, Request, calls, error, serving, text

from workflow_runtime.testing.cassettes import Replays

SECRET = "canary-7f3a9b21"
KEY = "sk-canary0123456789abcdef"
TOOLS = '''
from workflow_runtime.sdk import tool

MADE = []

@tool(effects="none")
def find(order: str) -> dict[str, object]:
    """Find an order."""
    return {"order": order, "amount": 180}

@tool
def refund(order: str, amount: int) -> str:
    """Refund an order."""
    return f"refunded {amount}"

@tool
def notify(text: str, token: str) -> dict[str, str]:
    """Tell the customer."""
    return {"told": f"{text} {token}"}
'''
WORKFLOW = """
workflow:
  id: desk
  type: dag
  nodes:
    - {id: classify, type: agent, agent: classifier, inputs: {message: "${message}"}, outputs: {kind: "${output}"}}
    - {id: handle, type: agent, agent: desk, dependencies: [classify], inputs: {kind: "${classify.kind}"}}
    - {id: sign, type: control, subtype: approval, dependencies: [handle], prompt: "${handle}"}
    - id: tell
      type: tool
      tool: notify
      dependencies: [sign]
      inputs: {text: "${handle}", token: "${secrets.TOKEN}"}
      outputs: {told: "${output.told}", length: "${len(output.told)}"}
  outputs: {told: "${tell.told}"}
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKFLOW_SECRET_TOKEN", SECRET)
    definitions = tmp_path / "definitions"
    for folder in ("agents", "tools", "workflows"):
        (definitions / folder).mkdir(parents=True)
    (definitions / "tools" / "desk.py").write_text(TOOLS, "utf-8")
    (definitions / "workflows" / "desk.yaml").write_text(WORKFLOW, "utf-8")
    at = {"base_url": server.url}
    approved = {"tool": "refund", "approve": "${args.amount > 100}"}
    agents: list[dict[str, Any]] = [
        {"id": "classifier", "model": "openai:small", "instructions": "Classify.", **at},
        {"id": "desk", "model": "openai:large", "instructions": "Handle.", "tools": ["find", approved], **at},
    ]
    (definitions / "agents" / "agents.yaml").write_text(yaml.safe_dump({"agents": agents}), "utf-8")
    return tmp_path


def turn(request: Request) -> int:
    return sum(message["role"] == "assistant" for message in request["messages"])


def desk(request: Request) -> Reply:
    """What both models say; under other instructions, less is refunded."""
    if request["model"] == "small":
        return text("refund", model="small")
    told = str(request["messages"][0])
    amount = 180 if "Handle." in told else 90 if "half" in told else 360
    match turn(request):
        case 0:
            return calls(("find", {"order": "A-1"}), model="large")
        case 1:
            return calls(("refund", {"order": "A-1", "amount": amount}), model="large")
    return text(f"done: {amount}", model="large")


def record(awr: Awr, server: ModelServer, file: str) -> None:
    """Run `desk`, and make a cassette of it; no model answers any more."""
    server.answer(desk)
    ran = awr(
        "run", "definitions/workflows/desk.yaml", "--db", "runs.db", "--input", '{"message": "钱呢?"}',
        "--approve", "handle", "--approve", "sign", "--json",
    )  # fmt: skip
    document = only_document(ran.stdout)
    assert ran.exit_code == 0, ran.stdout
    recorded = awr("record", document["execution_id"], "--db", "runs.db", "-o", file)
    assert recorded.exit_code == 0, recorded.stderr
    server.requests.clear()
    server.answer(error(500))


@pytest.fixture
def cassette(project: Path, server: ModelServer, awr: Awr) -> Path:
    record(awr, server, "tests/cassettes/desk.json")
    return project / "tests" / "cassettes" / "desk.json"


@pytest.fixture
def replays(project: Path) -> Replays:
    return Replays(project / "definitions", project)


def change(project: Path, file: str, before: str, after: str) -> None:
    path = project / "definitions" / file
    content = path.read_text("utf-8")
    assert before in content
    path.write_text(content.replace(before, after), "utf-8")


def test_a_cassette_is_taken_again_without_models_tools_and_people(
    cassette: Path, replays: Replays, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORKFLOW_SECRET_TOKEN")
    result = replays(cassette)
    result.assert_completed().assert_output({"told": "done: 180 ***"})
    assert server.requests == []


def test_a_cassette_holds_no_secret(cassette: Path) -> None:
    content = cassette.read_text("utf-8")
    assert SECRET not in content
    assert "redacted" not in content, "they were hidden when they were recorded"
    assert "钱呢?" in content


def test_what_looks_like_a_key_is_hidden_whoever_said_it(
    project: Path,
    server: ModelServer,
    awr: Awr,
    replays: Replays,
) -> None:
    change(project, "tools/desk.py", '"amount": 180}', f'"amount": 180, "note": "paid with {KEY}"}}')
    record(awr, server, "desk.json")
    content = (project / "desk.json").read_text("utf-8")
    assert KEY not in content
    assert json.loads(content)["redacted"] == 1
    replays("desk.json").assert_completed()


def test_what_a_regular_expression_matches_is_hidden_too(cassette: Path, awr: Awr) -> None:
    id = json.loads(cassette.read_text("utf-8"))["execution_id"]
    recorded = awr("record", id, "--db", "runs.db", "--redact", "A-[0-9]+")
    assert "A-1" not in recorded.stdout
    assert json.loads(recorded.stdout)["redacted"] > 1


@pytest.mark.parametrize(
    ("file", "before", "after", "named"),
    [
        ("agents/agents.yaml", "Classify.", "Sort.", "classify: step model 1 was recorded as another one"),
        ("agents/agents.yaml", "Handle.", "Do it.", "handle: step model 1 was recorded as another one"),
        ("tools/desk.py", "Find an order.", "Look up an order.", "the tool `find`"),
        ("workflows/desk.yaml", '{message: "${message}"}', '{text: "${message}"}', "classify: step model 1"),
        ("workflows/desk.yaml", '{text: "${handle}", token', '{text: "x", token', "tell: the tool 'notify' is asked"),
    ],
)
def test_what_is_asked_otherwise_than_recorded_is_an_error_that_says_where(
    cassette: Path, project: Path, replays: Replays, server: ModelServer, file: str, before: str, after: str, named: str
) -> None:
    change(project, file, before, after)
    with pytest.raises(AssertionError, match=named):
        replays(cassette)
    assert server.requests == []


def what_if(awr: Awr, *words: str) -> dict[str, Any]:
    found = awr("whatif", "tests/cassettes/desk.json", "--json", *words)
    document: dict[str, Any] = only_document(found.stdout)
    return document


@pytest.mark.usefixtures("cassette")
def test_without_changes_nobody_is_asked_and_all_goes_as_recorded(server: ModelServer, awr: Awr) -> None:
    report = what_if(awr)
    assert report["departures"] == []
    assert (
        report["now"]["output"] == {"told": "done: 180 ***"} or report["now"]["output"] == report["recorded"]["output"]
    )
    assert server.requests == []


@pytest.mark.usefixtures("cassette")
def test_other_instructions_are_paid_from_the_first_request_that_differs(server: ModelServer, awr: Awr) -> None:
    server.answer(desk)
    report = what_if(awr, "--set", "agents.desk.instructions=Refund half.", "--call", "refund", "--call", "notify")
    assert report["departures"][0] == {
        "node": "handle", "requests_recorded": 0, "why": "its model is asked for something else",
    }  # fmt: skip
    assert [request["model"] for request in server.requests] == ["large"] * 3, "the classifier is as recorded"
    assert report["now"]["calls"]["handle"] == ['find({"order":"A-1"})', 'refund({"order":"A-1","amount":90})']
    assert report["now"]["usage"]["requests"] == 3
    assert report["recorded"]["usage"]["requests"] == 4


def test_requests_before_the_difference_are_free(
    cassette: Path,
    server: ModelServer,
    awr: Awr,
) -> None:
    """What `find` gives is another thing now: it is the third request that shows it."""
    content = json.loads(cassette.read_text("utf-8"))
    (handle,) = (visit for visit in content["visits"] if visit["path"] == "handle")
    (found,) = (step for step in handle["steps"] if step["name"] == "tool:find")
    found["result"] = {"value": {"order": "A-1", "amount": 170}}
    cassette.write_text(json.dumps(content), "utf-8")
    server.answer(desk)
    report = what_if(awr)
    assert report["departures"][0]["requests_recorded"] == 1
    assert len(server.requests) == 2


@pytest.mark.usefixtures("cassette")
def test_a_tool_with_effects_is_not_called_unasked(server: ModelServer, awr: Awr) -> None:
    server.answer(desk)
    found = awr("whatif", "tests/cassettes/desk.json", "--set", "agents.desk.instructions=Refund half.")
    assert found.exit_code == 3
    assert 'the record has no call refund({"order":"A-1","amount":90}); it may have effects' in found.stdout
    assert "--call TOOL" in found.stderr
    assert len(server.requests) == 2, "no model is told of it"


@pytest.mark.usefixtures("cassette")
def test_a_call_that_is_really_made_waits_for_who_must_approve_it(server: ModelServer, awr: Awr) -> None:
    server.answer(desk)
    words = ("whatif", "tests/cassettes/desk.json", "--set", "agents.desk.instructions=Refund double.")
    assert awr(*words, "--call", "refund").exit_code == 5
    refused = awr(*words)
    assert refused.exit_code == 3
    assert 'refund({"order":"A-1","amount":360})' in refused.stdout


@pytest.mark.usefixtures("cassette")
def test_mocks_answer_for_what_the_record_lacks(project: Path, server: ModelServer, awr: Awr) -> None:
    (project / "mocks.yaml").write_text(
        "agents: {desk: {return: mocked}}\ntools: {notify: {return: {told: nobody}}}\n", "utf-8"
    )
    report = what_if(awr, "--set", "agents.desk.instructions=Refund half.", "--mocks", "mocks.yaml")
    assert report["now"]["output"] == {"told": "nobody"}
    assert server.requests == []


@pytest.mark.usefixtures("cassette")
def test_another_model_answers_from_the_first_request_on(server: ModelServer, awr: Awr) -> None:
    server.answer(text("refund", model="other"))
    report = what_if(awr, "--model", "openai:other", "--call", "notify")
    assert {request["model"] for request in server.requests} == {"other"}
    assert [departure["node"] for departure in report["departures"]] == ["classify", "handle", "tell"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "nothing"], 2, "sets nothing"),
        (["--set", "agents.dsk.instructions=x"], 1, "Did you mean `desk`?"),
        (["--set", "agents.desk.instrctions=x"], 1, "Did you mean `instructions`?"),
        (["--set", "agents.desk.settings.temperature=warm"], 1, "`temperature`"),
        (["--set", "agents.desk.instructions=@none.md"], 1, "none.md cannot be read"),
        (["--call", "refnd"], 1, "Did you mean `refund`?"),
        (["--model", "gpt"], 1, "provider:name"),
    ],
)
@pytest.mark.usefixtures("cassette")
def test_wrong_changes_are_told_before_anything_runs(
    server: ModelServer,
    awr: Awr,
    words: list[str],
    code: int,
    message: str,
) -> None:
    found = awr("whatif", "tests/cassettes/desk.json", *words)
    assert found.exit_code == code
    assert message in found.stderr
    assert server.requests == []


@pytest.mark.usefixtures("project")
def test_only_what_has_ended_by_itself_can_be_recorded(server: ModelServer, awr: Awr) -> None:
    server.answer(desk)
    ran = awr("run", "definitions/workflows/desk.yaml", "--db", "runs.db", "--input", '{"message": "x"}', "--json")
    id = only_document(ran.stdout)["execution_id"]
    recorded = awr("record", id, "--db", "runs.db")
    assert recorded.exit_code == 1
    assert "only what has ended can be recorded" in recorded.stderr


@pytest.fixture
def third_turn(project: Path, server: ModelServer, awr: Awr) -> Path:
    """The third execution of an agent in one session, recorded."""
    agent = {"id": "friend", "model": "openai:m", "base_url": server.url, "session": "${customer}"}
    (project / "definitions" / "agents" / "friend.yaml").write_text(yaml.safe_dump(agent), "utf-8")
    nodes = '[{id: say, type: agent, agent: friend, inputs: {customer: x, q: "${q}"}}]'
    file = project / "definitions" / "workflows" / "talk.yaml"
    file.write_text(f"workflow: {{id: talk, type: dag, nodes: {nodes}, outputs: {{a: '${{say}}'}}}}", "utf-8")
    server.answer(text("one"), text("two"), text("three"))
    for number in range(3):
        ran = awr("run", file, "--db", "runs.db", "--input", f'{{"q": "{number}"}}', "--json")
    assert len(server.requests[-1]["messages"]) == 5
    awr("record", only_document(ran.stdout)["execution_id"], "--db", "runs.db", "-o", "talk.json")
    server.requests.clear()
    return project / "talk.json"


def test_a_turn_of_a_session_is_taken_again_with_those_before_it(
    third_turn: Path, replays: Replays, project: Path, awr: Awr, server: ModelServer
) -> None:
    cassette = json.loads(third_turn.read_text("utf-8"))
    [visit] = cassette["visits"]
    assert [turn["number"] for turn in visit["session"]] == [1, 2]
    assert "in_session" not in visit
    replays(third_turn).assert_output({"a": "three"})
    assert server.requests == []
    server.answer(text("brief"))
    changed = awr("whatif", third_turn, "--set", "agents.friend.instructions=Be brief.")
    assert changed.exit_code == 0, changed.stdout
    [request] = server.requests
    assert [message["content"] for message in request["messages"][1:]] == ['{"customer":"x","q":"0"}', "one",
        '{"customer":"x","q":"1"}', "two", '{"customer":"x","q":"2"}']  # fmt: skip
    change(project, "workflows/talk.yaml", 'q: "${q}"', "q: other")
    with pytest.raises(AssertionError, match="does not answer what is asked now"):
        replays(third_turn)


def test_nothing_secret_of_turns_before_is_recorded(
    project: Path, server: ModelServer, awr: Awr, third_turn: Path, replays: Replays
) -> None:
    server.answer(text(f"it is {KEY}"), text("four"))
    file = project / "definitions/workflows/talk.yaml"
    for number in (3, 4):
        ran = awr("run", file, "--db", "runs.db", "--input", f'{{"q": "{number}"}}', "--json")
    awr("record", only_document(ran.stdout)["execution_id"], "--db", "runs.db", "-o", "later.json")
    recorded = (project / "later.json").read_text("utf-8")
    assert KEY not in recorded
    assert "it is ***" in recorded
    replays(project / "later.json").assert_output({"a": "four"})
    assert third_turn.is_file()


def test_turns_that_are_gone_when_it_is_recorded_are_not_made_up(
    project: Path, server: ModelServer, awr: Awr, third_turn: Path, replays: Replays
) -> None:
    cassette = json.loads(third_turn.read_text("utf-8"))
    deleted = awr("sessions", "delete", "friend", "x", "--db", "runs.db")
    assert deleted.exit_code == 0, deleted.stderr
    server.answer(text("anew"), text("again"), text("more"))
    for number in range(3):
        awr("run", project / "definitions/workflows/talk.yaml", "--db", "runs.db", "--input", f'{{"q": "{number}"}}')
    awr("record", cassette["execution_id"], "--db", "runs.db", "-o", "gone.json")
    [visit] = json.loads((project / "gone.json").read_text("utf-8"))["visits"]
    assert (visit["in_session"], "session" in visit) == (True, False)
    replays(project / "gone.json").assert_output({"a": "three"})
    changed = awr("whatif", "gone.json", "--set", "agents.friend.instructions=Be brief.")
    assert changed.exit_code == 3
    assert "the turns of its session are not recorded" in changed.stdout
