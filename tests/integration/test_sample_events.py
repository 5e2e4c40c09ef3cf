"""The samples in `events/`: one for every function and trigger, each taken by its handler, none out of date.

``REWRITE_GOLDEN=1`` writes those that queues bring anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.integration.sample_story import DEFINITIONS, MOCKS, SAMPLES, SECRETS, Event, Story
from typer.testing import CliRunner, Result

from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.frontends.cli.app import app

FUNCTIONS = {function.name for function in TOPOLOGY.functions}

# In this order, each finds what those before have left.
ORDER = (
    *("api/create_workflow", "api/get_workflow", "api/start_execution", "api/start_ticket"),
    *("dispatch/poked", "run_node_agent/order", "run_node_tool/order", "dispatch/node_succeeded"),
    *("api/get_execution", "api/get_node", "api/list_executions"),
    *("ingest_event/eventbridge_batch", "ingest_event/schedule", "deliver_timer/timers"),
    *("dead_letter/order", "dead_letter/mail", "limit_pump/nudge", "sweep/tick", "api/receive_hook"),
    *("api/put_workflow", "api/delete_workflow"),
)

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def told() -> Mapping[str, Event]:
    return Story().tell()


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    runner = CliRunner()

    def call(function: str, file: Path, *more: str) -> Result:
        words = ["invoke", function, str(file), "--definitions", str(DEFINITIONS), "--mocks", str(MOCKS)]
        return runner.invoke(app, [*words, "--db", str(tmp_path / "story.db"), *more])

    return call


def test_samples_of_queues_are_what_the_story_tells(told: Mapping[str, Event]) -> None:
    stale = []
    for name, event in told.items():
        path = SAMPLES / f"{name}.json"
        text = json.dumps(event, ensure_ascii=False, indent=2) + "\n"
        if os.environ.get("REWRITE_GOLDEN") == "1":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    assert stale == [], "REWRITE_GOLDEN=1 rewrites them"


def test_every_function_and_every_trigger_of_it_has_a_sample() -> None:
    files = [path for path in SAMPLES.glob("*/*.json") if path.parent.name in FUNCTIONS]
    events = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    arns = {record["eventSourceARN"] for event in events for record in event.get("Records", [])}
    queues = {source.queue for function in TOPOLOGY.functions for source in function.sources}
    assert {arn.rpartition(":awr-")[2] for arn in arns} == queues
    assert {path.parent.name for path in files} == FUNCTIONS
    assert {f"{path.parent.name}/{path.stem}" for path in files} == set(ORDER), "each has its place in the order"


def test_awr_invoke_takes_every_sample_in_the_order_of_the_story(invoke: Invoke) -> None:
    answers = {}
    for name in ORDER:
        result = invoke(name.partition("/")[0], SAMPLES / f"{name}.json")
        assert result.exit_code == 0, f"{name}: {result.stderr}"
        answers[name] = json.loads(result.stdout)
        if not name.startswith("api/"):
            assert answers[name] == {"batchItemFailures": []}, name
    statuses = {name: answer["statusCode"] for name, answer in answers.items() if "statusCode" in answer}
    assert statuses == {
        "api/create_workflow": 201,
        "api/get_workflow": 200,
        "api/put_workflow": 200,
        "api/start_execution": 202,
        "api/start_ticket": 202,
        "api/get_execution": 200,
        "api/get_node": 200,
        "api/list_executions": 200,
        "api/receive_hook": 404,
        "api/delete_workflow": 204,
    }
    assert json.loads(answers["api/get_execution"]["body"])["status"] == "completed"


def test_awr_invoke_says_what_was_sent_beside_the_answer(invoke: Invoke) -> None:
    invoke("api", SAMPLES / "api" / "create_workflow.json")
    text = invoke("api", SAMPLES / "api" / "start_execution.json")
    assert text.stderr.splitlines() == ["sent to dispatch.fifo: 1"]
    document = json.loads(invoke("dispatch", SAMPLES / "dispatch" / "poked.json", "--json").stdout)
    assert document["answer"] == {"batchItemFailures": []}
    assert document["sent"] == {"node-tool": 1}
    assert document["published"] == {"execution.started": 1}


def test_awr_invoke_refuses_unknown_functions_and_events_of_others(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("dispach", SAMPLES / "dispatch" / "poked.json")
    assert result.exit_code == 2
    assert "dispatch, perhaps?" in result.stderr
    for function, name, message in (
        ("api", "dispatch/poked", "is not a request of an HTTP API"),
        ("dispatch", "api/get_workflow", "what dispatch takes are messages of dispatch.fifo"),
        ("sweep", "dispatch/poked", "what sweep takes are messages of sweep"),
        ("dead_letter", "sweep/tick", "messages of dead-letters or dead-letters.fifo"),
    ):
        result = invoke(function, SAMPLES / f"{name}.json")
        assert result.exit_code == 1
        assert message in result.stderr
    for text, message in (
        ("{", "is not valid JSON"),
        ("[]", "is not an event"),
        ('{"Records": []}', "is not a batch"),
        ('{"Records": [{"body": "", "body": "{}"}]}', "the key `Records[0].body` stands twice in the event"),
    ):
        file = tmp_path / "event.json"
        file.write_text(text, encoding="utf-8")
        result = invoke("dispatch", file)
        assert result.exit_code == 1
        assert message in result.stderr


def test_a_message_that_is_wanted_again_is_told_by_the_exit_code(invoke: Invoke, tmp_path: Path) -> None:
    event = json.loads((SAMPLES / "run_node_tool" / "order.json").read_text(encoding="utf-8"))
    order = json.loads(event["Records"][0]["body"])
    event["Records"][0]["body"] = json.dumps({**order, "plan_hash": "0" * 64})  # which may only be late
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event), encoding="utf-8")
    assert invoke("run_node_tool", file).exit_code == 3
