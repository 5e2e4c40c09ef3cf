"""What is shown of express executions that have ended: runs, usage, dead letters, the order of nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.integration.api.conftest import JSON, Api
from tests.integration.cli.conftest import awr as awr

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.ports import EffectRefused, Outlets, QueueMessage
from workflow_runtime.runtime.express import ExpressRunner
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.express import ExpressOrder
from workflow_runtime.storage.express import EXECUTIONS_KEPT_MAX
from workflow_runtime.testing import WorkflowTester

WORKFLOW = """
workflow:
  id: asked
  durability: express
  nodes:
    - {id: first, type: tool, tool: echo, inputs: {x: "${x}"}}
    - {id: answer, type: agent, agent: helper, dependencies: [first], inputs: {q: "${first.x}"}}
"""
SENDS = """
workflow:
  id: sends
  durability: express
  nodes: [{id: tell, type: tool, tool: sqs_send, inputs: {queue: work, body: hello}}]
"""


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    folder = tmp_path / "definitions"
    (folder / "agents").mkdir(parents=True)
    (folder / "agents" / "helper.yaml").write_text("{id: helper, model: test}")
    (folder / "workflows").mkdir()
    (folder / "workflows" / "asked.yaml").write_text(WORKFLOW)
    return folder


@pytest.fixture
def api(definitions: Path) -> Iterator[Api]:
    with LocalRuntime(open_backend(), definitions) as runtime:
        made = Api(runtime)
        made.publish(WORKFLOW)
        yield made


def run(api: Api, x: int) -> str:
    reply = api("POST", "/workflows/asked/execute?wait=25", f'{{"input": {{"x": {x}}}}}', JSON)
    assert reply.json["status"] == "completed", reply.json
    return str(reply.json["execution_id"])


def test_what_is_recorded_for_a_cassette_has_every_run(api: Api) -> None:
    taken = api.runtime.services.taken.whole(run(api, 7))
    assert [(each.path, each.status) for each in taken.runs] == [("answer", "success"), ("first", "success")]


def test_usage_counts_each_execution_of_a_list_however_many_there_are(api: Api) -> None:
    count = EXECUTIONS_KEPT_MAX + 2
    for x in range(count):
        run(api, x)
    usage = api("GET", f"/usage?workflow=asked&limit={count}").json
    assert usage["executions"] == count
    assert usage["total"]["requests"] == count
    assert usage["by_agent"]["helper"]["requests"] == count


def test_a_result_has_the_path_that_an_execution_took(definitions: Path) -> None:
    with WorkflowTester.embedded(definitions) as tester:
        assert tester.run("asked", {"x": 1}).path == ("first", "answer")


def test_what_ran_is_told_while_awr_runs_it(definitions: Path, awr: Any) -> None:
    ran = awr("run", definitions / "workflows" / "asked.yaml", "--definitions", definitions, "--input", '{"x": 1}')
    assert ran.exit_code == 0, ran.stderr
    assert [line.split()[2:4] for line in ran.stderr.splitlines() if " s  success" in line] == [
        ["success", "first"],
        ["success", "answer"],
    ]


class Refusing(Outlets):
    def send_message(self, message: QueueMessage) -> None:
        raise EffectRefused("execution_error", f"nobody takes {message.body}")


def test_dead_letters_are_those_of_its_record_and_those_that_came_after_it() -> None:
    with LocalRuntime(open_backend()) as runtime:
        services = runtime.services
        services.catalog.publish(SENDS.encode(), "sends.yaml", scheduled=False)
        order = ExpressOrder(services.starter.start("sends", {}))
        refusing = services.within(replace(services.ports, outlets=Refusing()))
        asyncio.run(ExpressRunner(refusing).run(order))
        services.dead_letters.record("m", "a body", "given up by its queue", order)
        api = Api(runtime)
        listed = api("GET", f"/dead-letters?execution={order.execution_id}").json["items"]
        told = services.documents.dead_letters(order.execution_id)
        for letters in (listed, told):
            assert len(letters) == 2, letters
            assert any("nobody takes hello" in str(letter) for letter in letters)
