"""What becomes of node runs: timeouts, leases, cancellations, secrets, and what the document says meanwhile. Virtual
time only.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import DISPATCH, TOPOLOGY, node_queue
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.ports import Table
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.messages import parse_order
from workflow_runtime.services.work.attempt import LEASE_SECONDS, RENEWAL_SECONDS
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import unpack_bytes
from workflow_runtime.storage.runs import RunStore

START = 1_700_000_000_000
MOCKS: dict[str, Any] = {
    "tools": {
        "echo": {"return": "${inputs}"},
        "slow": {"delay": 600, "return": {"done": True}},
        "brief": {"delay": 1, "return": 1},
        "fail": {"raise": {"type": "broken", "message": "坏了"}},
    },
    "agents": {"writer": {"return": {"text": "好"}}},
}
SECRET = "geheim-秘密"


def text_of(value: Any) -> str:
    return unpack_bytes(value).decode() if isinstance(value, bytes) and value[:1] in b"jz" else str(value)


class Local:
    """``wrap`` is put around the table."""

    def __init__(self, wrap: Callable[[Table], Any] = lambda table: table) -> None:
        self.clock = VirtualClock(START)
        backend = open_backend(None, self.clock)
        backend.ports = replace(backend.ports, table=wrap(backend.ports.table))
        self.local = LocalRuntime(
            backend, None, Mocks.load(MOCKS), environ={"WORKFLOW_SECRET_TOKEN": SECRET, "WORKFLOW_ENV_REGION": "eu"}
        )
        self.ports = backend.ports
        self.runs = RunStore(self.ports.table, self.ports.blobs)

    def start(self, nodes: str, input: Any = None, head: str = "") -> str:
        source = f"workflow:\n  id: w\n{head}  nodes:\n{nodes}"
        self.local.services.catalog.publish(source.encode())
        return self.local.services.starter.start("w", input)

    def run(self, nodes: str, input: Any = None, head: str = "") -> dict[str, Any]:
        execution_id = self.start(nodes, input, head)
        asyncio.run(self.local.run_until_ended(execution_id))
        return self.document(execution_id)

    def document(self, execution_id: str) -> dict[str, Any]:
        return self.local.services.documents.document(execution_id)

    def run_until(self, seconds: float, execution_id: str) -> dict[str, Any]:
        """Run on to a moment after the start."""
        until = START + int(seconds * 1000)
        watched: list[dict[str, Any]] = []

        async def watch() -> None:
            with self.clock.working():
                await self.clock.sleep((until - self.clock.now()) / 1000)
            watched.append(self.document(execution_id))

        async def both() -> None:
            watcher = asyncio.ensure_future(watch())
            await asyncio.sleep(0)
            await self.local.pump.run(lambda: bool(watched) or self.clock.now() > until)
            watcher.cancel()

        asyncio.run(both())
        return self.document(execution_id)


@pytest.fixture
def local() -> Iterator[Local]:
    opened = Local()
    yield opened
    opened.local.close()


def test_a_nodes_timeout_is_in_force(local: Local) -> None:
    document = local.run("    - {id: a, type: tool, tool: slow, timeout: 90s}\n")
    assert document["error"] == {"type": "timeout", "message": "no result within 90 s", "node": "a"}
    assert local.clock.now() == START + 90_000


def test_a_node_that_runs_long_keeps_its_lease() -> None:
    leases: list[int] = []

    class Watched:
        """A table that notes renewals of leases."""

        def __init__(self, table: Any) -> None:
            self._table = table

        def __getattr__(self, name: str) -> Any:
            return getattr(self._table, name)

        def change(self, key: Any, change: Any, *rest: Any) -> Any:
            if "lease_until" in change.set:
                leases.append(change.set["lease_until"] - local.clock.now())
            return self._table.change(key, change, *rest)

    local = Local(Watched)
    execution_id = local.start("    - {id: a, type: tool, tool: slow}\n")
    asyncio.run(local.local.run_until_ended(execution_id))
    node = local.document(execution_id)["node_executions"]["a"]
    assert (node["status"], node["attempts"]) == ("success", 1)
    assert len(leases) == pytest.approx(600 / RENEWAL_SECONDS, abs=1)
    assert set(leases) == {LEASE_SECONDS * 1000}


def test_what_was_ordered_and_not_claimed_when_its_scope_failed_never_runs(local: Local) -> None:
    nodes = "    - {id: bad, type: tool, tool: fail}\n" + "".join(
        f"    - {{id: n{number}, type: agent, agent: writer}}\n" for number in range(3)
    )
    execution_id = local.start(nodes)
    services, poller = local.local.services, local.local.backend.poller
    handler = _handlers(local)
    handler(DISPATCH, poller.receive(DISPATCH, 10))
    handler(node_queue("tool"), poller.receive(node_queue("tool"), 10))
    handler(DISPATCH, poller.receive(DISPATCH, 10))
    assert services.documents.status(execution_id) == "failed"
    document = local.document(execution_id)["node_executions"]
    assert {document[f"n{number}"]["status"] for number in range(3)} == {"cancelled"}
    while records := poller.receive(node_queue("agent"), 1):
        handler(node_queue("agent"), records)
    assert {run.status for run in local.runs.list(execution_id) if run.path != "bad"} == {"cancelled"}
    assert local.document(execution_id)["node_executions"]["n0"]["output"] is None


def test_a_run_of_an_execution_that_has_ended_is_closed_without_running(local: Local) -> None:
    execution_id = local.start("    - {id: a, type: tool, tool: echo}\n    - {id: b, type: tool, tool: fail}\n")
    poller = local.local.backend.poller
    handler = _handlers(local)
    handler(DISPATCH, poller.receive(DISPATCH, 10))
    records = poller.receive(node_queue("tool"), 10)
    (order_of_a,) = [each for each in records if parse_order(each.event_record["body"]).command.path == "a"]  # type: ignore[arg-type]
    header = keys.execution(execution_id, keys.HEADER)
    item = local.ports.table.get([header])[header]
    local.ports.table.put(type(item)(header, {**item.attributes, "status": "failed"}, item.index))
    handler(node_queue("tool"), [order_of_a])
    run = local.runs.get(execution_id, "a", 1)
    assert run is not None
    assert (run.status, run.output) == ("cancelled", None)
    assert poller.receive(DISPATCH, 10) == []


def _handlers(local: Local) -> Any:
    """What takes records of a queue as Lambda does."""
    functions = {source.queue: function for function in TOPOLOGY.functions for source in function.sources}

    def handle(queue: str, records: list[Any]) -> None:
        function = functions[queue]
        module = importlib.import_module(function.handler.rpartition(".")[0])
        handler = module.create(local.local.services, function)
        answer = handler({"Records": [record.event_record for record in records]}, LocalContext(function))
        if asyncio.iscoroutine(answer):
            answer = asyncio.run(answer)
        assert answer == {"batchItemFailures": []}
        local.local.backend.poller.delete(queue, [record.receipt_handle for record in records])

    return handle


def test_secrets_reach_the_tool_and_are_recorded_as_asterisks(local: Local) -> None:
    document = local.run(
        '    - {id: a, type: tool, tool: echo, inputs: {token: "${secrets.TOKEN}", list: ["x ${secrets.TOKEN}"]}}\n'
    )
    assert document["output"] == {"token": "***", "list": ["x ***"]}
    first = document["execution_id"]
    document = local.run('    - {id: a, type: tool, tool: echo, inputs: {token: "${number(secrets.TOKEN)}"}}\n')
    assert document["error"]["type"] == "execution_error"
    items = [item for each in (first, document["execution_id"]) for item in local.ports.table.query(f"EX#{each}")]
    assert len(items) > 6
    assert SECRET not in str([list(map(text_of, item.attributes.values())) for item in items])


def test_a_secret_that_is_not_there_fails_the_node(local: Local) -> None:
    document = local.run('    - {id: a, type: tool, tool: echo, inputs: {token: "${secrets.OTHER}"}}\n')
    assert document["error"]["type"] == "not_found"


@pytest.mark.parametrize(("tool", "status"), [("echo", "completed"), ("slow", "failed")])
def test_a_dynamic_target_may_only_be_one_of_those_allowed(local: Local, tool: str, status: str) -> None:
    nodes = '    - {id: a, type: tool, tool: "${which}", allow: [echo, brief]}\n'
    document = local.run(nodes, {"which": tool})
    assert document["status"] == status
    if status == "failed":
        assert document["error"]["type"] == "not_allowed"


def test_the_document_says_what_runs_what_waits_and_for_what(local: Local) -> None:
    nodes = (
        "    - {id: a, type: tool, tool: slow}\n"
        "    - {id: b, type: tool, tool: brief, dependencies: [a]}\n"
        "    - {id: c, type: tool, tool: slow}\n"
    )
    execution_id = local.start(nodes, head="  limits: {max_concurrency: 1}\n")
    pending = local.document(execution_id)
    assert (pending["status"], pending["ended_at"]) == ("pending", None)
    running = local.run_until(5, execution_id)["node_executions"]
    assert (running["a"]["status"], running["a"]["waiting_on"]) == ("running", None)
    assert (running["b"]["status"], running["b"]["waiting_on"]) == ("waiting", "dependency")
    assert (running["c"]["status"], running["c"]["waiting_on"]) == ("ready", "concurrency")


def test_the_document_lists_paths_that_led_nowhere_and_fields_that_were_missing(local: Local) -> None:
    nodes = (
        '    - {id: a, type: tool, tool: echo, inputs: {x: "${input.no.where}", y: 1}, outputs: [x, z]}\n'
        '    - {id: b, type: tool, tool: echo, inputs: {z: "${a.nothing}"}}\n'
    )
    document = local.run(nodes)
    a, b = document["node_executions"]["a"], document["node_executions"]["b"]
    assert a["output"] == {"x": None, "z": None}
    assert any("z" in warning for warning in a["warnings"])
    assert a["unresolved"] == ["input.no.where"]
    assert b["unresolved"] == ["a.nothing"]


def test_a_failed_execution_says_where_it_began(local: Local) -> None:
    document = local.run(
        "    - {id: 甲, type: tool, tool: fail}\n    - {id: 乙, type: tool, tool: brief, dependencies: [甲]}\n"
    )
    assert document["error"] == {"type": "broken", "message": "坏了", "node": "甲"}
    assert document["node_executions"]["甲"]["error"] == {"type": "broken", "message": "坏了"}
    assert document["node_executions"]["乙"]["status"] == "skipped"


def test_env_is_read_by_definitions(local: Local) -> None:
    assert local.run('    - {id: a, type: tool, tool: echo, inputs: {region: "${env.REGION}"}}\n')["output"] == {
        "region": "eu"
    }


def test_an_attempt_that_an_error_handler_grants_sees_what_the_first_one_saw(local: Local) -> None:
    handler = "  error_handlers: [{action: {type: retry, max_retries: 1, retry_delay: 60, jitter: none}}]\n"
    execution_id = local.start('    - {id: a, type: tool, tool: fail, inputs: {at: "${now}"}}\n', head=handler)
    asyncio.run(local.local.run_until_ended(execution_id))
    history = local.local.services.documents.history(execution_id, 0, 99)
    orders = [command for entry in history.entries for command in entry.commands if isinstance(command, RunNode)]
    assert [(order.attempt, order.at) for order in orders] == [(1, START), (2, START)]


def test_every_attempt_has_the_whole_timeout_and_timeouts_use_attempts_up(local: Local) -> None:
    retry = "retry_policy: {max_retries: 2, retry_delay: 10, backoff: fixed, jitter: none}"
    execution_id = local.start(f"    - {{id: a, type: tool, tool: slow, timeout: 90s, {retry}}}\n")
    asyncio.run(local.local.run_until_ended(execution_id))
    runs = local.local.services.documents.node(execution_id, "a").runs
    assert [(run.attempt, run.started_at - START, run.ended_at - START) for run in runs] == [
        (1, 0, 90_000),
        (2, 100_000, 190_000),
        (3, 200_000, 290_000),
    ]
    assert local.document(execution_id)["error"]["type"] == "timeout"
