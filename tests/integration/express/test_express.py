"""Express executions: the whole of one in one invocation, recorded once, at its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from msgspec.structs import replace
from tests.integration.api.conftest import JSON, YAML, Api, Reply

from workflow_runtime.backends.clock import RealClock
from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine.advance import new_execution
from workflow_runtime.engine.events import ChildEnded, Event
from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import RetryableError
from workflow_runtime.plan.policies import CallTerms
from workflow_runtime.ports import Message, Queues, Refusal
from workflow_runtime.runtime.express import ExpressRunner
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.express import ExpressNow, ExpressOrder, ExpressStart, order_with, parse_express
from workflow_runtime.services.messages import parse_mail
from workflow_runtime.storage import keys
from workflow_runtime.storage.headers import RECORD
from workflow_runtime.testing import WorkflowTester

Result = TypeVar("Result")

QUICK = """
workflow:
  id: 快
  durability: express
  nodes:
    - {id: 一, type: tool, tool: echo, inputs: {x: "${input.x}"}}
    - {id: 二, type: tool, tool: echo, dependencies: [一], inputs: {y: "${一.x}"}}
"""
PARENT = """
workflow:
  id: parent
  durability: express
  nodes:
    - {id: child, type: sub_workflow, workflow_id: 快, inputs: {x: "${input.x}"}}
    - {id: last, type: tool, tool: echo, dependencies: [child], inputs: {got: "${child.y}"}}
"""


@pytest.fixture(params=[WorkflowTester.embedded, WorkflowTester.simulated_aws], ids=["embedded", "aws"])
def tester(request: pytest.FixtureRequest) -> Iterator[WorkflowTester]:
    with request.param() as made:
        yield made


@pytest.fixture
def embedded() -> Iterator[WorkflowTester]:
    with WorkflowTester.embedded() as made:
        yield made


@pytest.fixture
def api() -> Iterator[Api]:
    with LocalRuntime(open_backend()) as runtime:
        made = Api(runtime)
        made.publish(QUICK)
        yield made


def execute(api: Api, workflow: str = "快", x: Any = 1, seconds: int = 10, **headers: str) -> Reply:
    body = msgspec.json.encode({"input": {"x": x}}).decode()
    url = f"/workflows/{workflow}/execute?wait={seconds}"
    return api("POST", url, body, JSON | {name.replace("_", "-"): value for name, value in headers.items()})


def rows(runtime: Runtime, execution_id: str) -> list[str]:
    """What the table holds of an execution, by sort key."""
    return [item.key.sort for item in runtime.ports.table.query(keys.execution(execution_id, "").partition)]


def test_an_express_execution_ends_like_any_other(tester: WorkflowTester) -> None:
    tester.publish(QUICK)
    result = tester.run("快", {"x": "你好"})
    assert (result.status, result.output) == ("completed", {"y": "你好"})
    standard = QUICK.replace("  durability: express\n", "").replace("id: 快", "id: 慢")
    tester.publish(standard)
    other = tester.run("慢", {"x": "你好"})
    shapes = [{path: entry["status"] for path, entry in each.nodes.items()} for each in (result, other)]
    assert shapes[0] == shapes[1] == {"一": "success", "二": "success"}


def test_somebody_who_waits_gets_the_document_and_one_item_is_all_that_is_stored(api: Api) -> None:
    reply = execute(api, x="你")
    assert reply.status == 200
    assert (reply.json["status"], reply.json["output"]) == ("completed", {"y": "你"})
    assert rows(api.runtime.services, reply.json["execution_id"]) == [keys.HEADER]


def test_it_is_shown_like_any_other(api: Api) -> None:
    execution_id = execute(api, x=[1, 2]).json["execution_id"]
    document = api("GET", f"/executions/{execution_id}?include=input,output,nodes").json
    assert document["input"] == {"x": [1, 2]}
    assert {path: node["output"] for path, node in document["node_executions"].items()} == {
        "一": {"x": [1, 2]},
        "二": {"y": [1, 2]},
    }
    history = api("GET", f"/executions/{execution_id}/history").json["items"]
    assert [entry["version"] for entry in history] == list(range(1, len(history) + 1))
    assert api("GET", f"/executions/{execution_id}/why").json["waits"] == []
    assert api("GET", f"/executions/{execution_id}/nodes/%E4%B8%80").json["output"] == {"x": [1, 2]}
    listed = api("GET", "/executions?workflow=%E5%BF%AB").json["items"]
    assert [each["execution_id"] for each in listed] == [execution_id]


def test_a_record_that_is_large_is_stored_apart(api: Api) -> None:
    texts = [random.Random(number).randbytes(3_000).hex() for number in range(4)]
    nodes = "".join(f"    - {{id: n{number}, type: tool, tool: echo, inputs: {{x: '${{input.x[{number}]}}'}}}}\n"
                    for number in range(4))  # fmt: skip
    api.publish(f"workflow:\n  id: wide\n  durability: express\n  nodes:\n{nodes}")
    execution_id = execute(api, "wide", x=texts).json["execution_id"]
    key = keys.execution(execution_id, keys.HEADER)
    assert isinstance(api.runtime.ports.table.get([key])[key].attributes[RECORD], str)
    document = api("GET", f"/executions/{execution_id}?include=input,nodes").json
    assert document["input"] == {"x": texts}
    assert document["node_executions"]["n3"]["output"] == {"x": texts[3]}


def test_a_wait_takes_its_time_in_memory(embedded: WorkflowTester) -> None:
    embedded.publish(QUICK.replace("dependencies: [一]", "dependencies: [w]") + WAIT)
    before = embedded.now
    result = embedded.run("快", {"x": 1})
    assert result.status == "completed"
    assert (embedded.now - before).total_seconds() == 20


WAIT = "    - {id: w, type: control, subtype: wait, seconds: 20, dependencies: [一]}\n"


def test_it_ends_within_a_minute_whatever_its_nodes_do(embedded: WorkflowTester) -> None:
    embedded.mock_tool("slow", {"a": 1}, delay=3600)
    embedded.publish(QUICK.replace("tool: echo, dependencies", "tool: slow, dependencies"))
    before = embedded.now
    result = embedded.run("快", {"x": 1})
    assert (result.status, result.error["type"]) == ("failed", "timeout")
    assert (embedded.now - before).total_seconds() == pytest.approx(60, abs=1)


def test_retries_fallbacks_and_compensation_work_within(embedded: WorkflowTester) -> None:
    definition = """
workflow:
  id: saga
  durability: express
  nodes:
    - {id: book, type: tool, tool: book, compensate: {tool: unbook}}
    - id: pay
      type: tool
      tool: pay
      dependencies: [book]
      retry_policy: {max_retries: 2, retry_delay: 1}
"""
    for tool in ("book", "unbook", "pay"):
        embedded.mock_tool(tool, {"did": tool})
    embedded.fail("pay", times=2)
    embedded.publish(definition)
    assert embedded.run("saga").status == "completed"
    embedded.fail("pay")
    failed = embedded.run("saga")
    assert (failed.status, len(embedded.calls("unbook"))) == ("failed", 1)


def test_an_express_child_that_is_awaited_runs_within(tester: WorkflowTester) -> None:
    tester.publish(QUICK)
    tester.publish(PARENT)
    result = tester.run("parent", {"x": 7})
    assert (result.status, result.output) == ("completed", {"got": 7})
    child = tester.result(result.nodes["child"]["child"])
    assert (child.status, child.output) == ("completed", {"y": 7})
    assert child.document["parent"]["execution_id"] == result.document["execution_id"]


def test_a_standard_execution_awaits_an_express_child(tester: WorkflowTester) -> None:
    tester.publish(QUICK)
    tester.publish(PARENT.replace("  durability: express\n", ""))
    result = tester.run("parent", {"x": 7})
    assert (result.status, result.output) == ("completed", {"got": 7})


def test_a_child_that_only_a_formula_names_and_is_not_express_fails_its_node(embedded: WorkflowTester) -> None:
    embedded.publish(QUICK)
    embedded.publish(PARENT.replace("workflow_id: 快", 'workflow_id: "${input.which}", allow: [快]'))
    embedded.publish(QUICK.replace("  durability: express\n", ""))
    result = embedded.run("parent", {"x": 1, "which": "快"})
    assert result.status == "failed"
    assert result.error["type"] == "child_start_failed"
    assert "not express" in result.error["message"]


def test_a_mock_stands_in_for_an_awaited_child(embedded: WorkflowTester) -> None:
    embedded.publish(QUICK)
    embedded.publish(PARENT)
    embedded.mock_workflow("快", {"y": "mocked"})
    assert embedded.run("parent", {"x": 1}).output == {"got": "mocked"}


@pytest.mark.parametrize("operation", ["cancel", "suspend", "resume", "skip", "compensate", "retry"])
def test_what_has_ended_in_its_invocation_cannot_be_controlled(api: Api, operation: str) -> None:
    execution_id = execute(api).json["execution_id"]
    body = '{"node": "一"}' if operation == "skip" else "{}"
    reply = api("POST", f"/executions/{execution_id}/{operation}", body, JSON)
    assert (reply.status, reply.code) == (409, "refused")
    assert "one invocation" in reply.json["detail"]


def test_a_failed_one_is_started_anew_by_retry_once_for_a_key(api: Api) -> None:
    api("POST", "/workflows", QUICK.replace("id: 快", "id: bad").replace("tool: echo, inputs", MISSING, 1), YAML)
    failed = execute(api, "bad").json
    assert failed["status"] == "failed"
    url = f"/executions/{failed['execution_id']}/retry"
    first = api("POST", url, "{}", JSON | {"Idempotency-Key": "k"})
    again = api("POST", url, "{}", JSON | {"Idempotency-Key": "k"})
    assert first.status == 202
    assert first.json["execution_id"] == again.json["execution_id"] != failed["execution_id"]
    asyncio.run(api.runtime.run_until_ended(first.json["execution_id"]))
    anew = api("GET", f"/executions/{first.json['execution_id']}?include=input").json
    assert (anew["input"], anew["correlation_id"]) == ({"x": 1}, failed["execution_id"])
    refused = api("POST", url, '{"from": "一"}', JSON)
    assert (refused.status, refused.code) == (409, "refused")


MISSING = 'tool: http_request, inputs: {url: "http://127.0.0.1:1/"}, metadata'


def test_a_key_gives_one_execution(api: Api) -> None:
    first = execute(api, Idempotency_Key="k")
    again = execute(api, Idempotency_Key="k")
    assert (first.status, again.status) == (200, 200)
    assert first.json["execution_id"] == again.json["execution_id"]
    other = execute(api, x=2, Idempotency_Key="k")
    assert (other.status, other.code) == (409, "conflict")


def test_without_waiting_it_is_queued_and_found_at_once(api: Api) -> None:
    reply = api("POST", "/workflows/快/execute", '{"input": {"x": 1}}', JSON)
    assert (reply.status, reply.json["status"]) == (202, "pending")
    execution_id = reply.json["execution_id"]
    assert api("GET", f"/executions/{execution_id}").json["status"] == "pending"
    assert api("POST", f"/executions/{execution_id}/suspend", "{}", JSON).status == 409
    asyncio.run(api.runtime.run_until_ended(execution_id))
    assert api("GET", f"/executions/{execution_id}").json["output"] == {"y": 1}
    assert [each["execution_id"] for each in api("GET", "/executions").json["items"]] == [execution_id]


def test_one_that_waits_to_begin_can_be_cancelled(api: Api) -> None:
    execution_id = api("POST", "/workflows/快/execute", '{"input": {"x": 1}}', JSON).json["execution_id"]
    assert api("POST", f"/executions/{execution_id}/cancel", "{}", JSON).status == 202
    asyncio.run(api.runtime.run_until_ended(execution_id))
    assert api("GET", f"/executions/{execution_id}").json["status"] == "cancelled"


def test_a_frozen_workflow_begins_none_and_a_thaw_begins_them(embedded: WorkflowTester) -> None:
    embedded.publish(QUICK)
    embedded.freeze(workflow="快")
    execution_id = embedded.start("快", {"x": 1})
    assert embedded.result(execution_id).status == "pending"
    embedded.thaw(workflow="快")
    assert embedded.finish(execution_id).status == "completed"


def test_a_limiter_without_room_is_throttled(embedded: WorkflowTester) -> None:
    embedded.mock_tool("slow", {"y": 1}, delay=20)
    embedded.publish(
        """
workflow:
  id: 快
  durability: express
  limits: {少: {concurrency: 1}}
  nodes:
    - {id: 一, type: tool, tool: slow, limiter: 少}
    - {id: 二, type: tool, tool: slow, limiter: 少}
"""
    )
    result = embedded.run("快")
    assert result.status == "failed"
    assert result.error["type"] == "throttled"
    assert "少" in result.error["message"]


def test_a_workflow_with_a_limiter_of_its_own_waits_in_line(embedded: WorkflowTester) -> None:
    embedded.mock_tool("slow", {"y": 1}, delay=20)
    embedded.publish(
        """
workflow:
  id: 快
  durability: express
  limiter: 一个
  limits: {一个: {concurrency: 1}}
  nodes:
    - {id: 一, type: tool, tool: slow}
"""
    )
    before = embedded.now
    ids = [embedded.start("快", {"x": number}) for number in range(3)]
    assert {embedded.finish(execution_id).status for execution_id in ids} == {"completed"}
    assert (embedded.now - before).total_seconds() >= 60


LATER = """
from workflow_runtime.sdk import NodeContext, pending, tool

@tool(effects="none")
def later(context: NodeContext):
    "Waits for its token."
    assert context.task_token
    return pending()
"""


def test_a_tool_that_would_wait_for_its_token_fails(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "later.py").write_text(LATER)
    with WorkflowTester.embedded(tmp_path) as made:
        made.publish(QUICK.replace("tool: echo, inputs", "tool: later, metadata", 1))
        result = made.run("快", {"x": 1})
    assert result.status == "failed"
    assert "cannot wait for its token" in result.error["message"]


class Cut(BaseException):
    """The invocation ends here."""


class CutAt:
    """Ports whose ``place``-th call ends the invocation, before or after it was made; None counts them."""

    def __init__(self, place: int | None, *, after: bool) -> None:
        self.made = 0
        self._place = place
        self._after = after

    def of(self, port: Any) -> Any:
        cutting = self

        class Port:
            def __getattr__(self, name: str) -> Any:
                found = getattr(port, name)
                return cutting.call(found) if callable(found) else found

        return Port()

    def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.made += 1
            mine = self.made == self._place
            if mine and not self._after:
                raise Cut
            result = function(*arguments, **named)
            if mine:
                raise Cut
            return result

        return called


def cut(services: Runtime, cutting: CutAt) -> Runtime:
    """The same runtime, whose calls of what is shared are cut."""
    ports = services.ports
    seen = replace(ports, table=cutting.of(ports.table), blobs=cutting.of(ports.blobs), queues=cutting.of(ports.queues))
    other = services.within(seen)
    other.__dict__.pop("looks", None)
    return other


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("is_stored", [False, True], ids=["brought", "stored"])
def test_whichever_call_is_its_last_another_invocation_brings_it_to_its_end(
    api: Api, after: bool, is_stored: bool
) -> None:
    services = api.runtime.services
    api.publish(PARENT)
    counting = CutAt(None, after=after)
    asyncio.run(ExpressRunner(cut(services, counting)).run(started(services, is_stored)))
    assert counting.made >= 3
    for place in range(1, counting.made + 1):
        order = started(services, is_stored)
        with pytest.raises(Cut):
            asyncio.run(ExpressRunner(cut(services, CutAt(place, after=after))).run(order))
        asyncio.run(ExpressRunner(services).run(order))
        document = services.documents.document(order.execution_id)
        assert (document["status"], document["output"]) == ("completed", {"got": 7}), place


def started(services: Runtime, is_stored: bool) -> ExpressOrder:
    starts: list[ExpressStart] = []
    execution_id = services.starter.start("parent", {"x": 7}, run_express=None if is_stored else starts.append)
    return ExpressOrder(execution_id) if is_stored else order_with(services.ports, starts[0])


class Overheard:
    """Queues that keep what is sent to mailboxes."""

    def __init__(self, queues: Queues) -> None:
        self.events: list[Event] = []
        self._queues = queues

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queues, name)

    def send(self, _queue: str, messages: Sequence[Message]) -> list[Refusal]:
        self.events += [parse_mail(message.body).event for message in messages]
        return []


def test_an_invocation_that_begins_again_hears_of_calls_that_an_earlier_one_made(api: Api) -> None:
    api.publish(PARENT)
    services = api.runtime.services
    parent = execute(api, "parent", x=7).json["execution_id"]
    child = services.documents.document(parent)["node_executions"]["child"]["child"]
    heard = Overheard(services.ports.queues)
    inner = services.within(replace(services.ports, queues=heard))
    plan = services.documents.plan(services.documents.header(parent).plan_hash)
    origin = new_execution(plan, parent, 1, 1)
    started_by = Parent(parent, "t", notify=True)
    inner.starter.start_call("快", "tool:echo", CallTerms(), child, {}, origin, started_by, "")
    [event] = heard.events
    assert isinstance(event, ChildEnded)
    assert (event.execution_id, event.status, event.output) == (child, "completed", {"y": 7})


def test_of_two_invocations_of_one_execution_the_first_to_record_it_decides(api: Api) -> None:
    services = api.runtime.services
    starts: list[ExpressStart] = []
    services.starter.start("快", {"x": 1}, run_express=starts.append)
    order = order_with(services.ports, starts[0])
    runner = ExpressRunner(services)

    async def both() -> None:
        await asyncio.gather(runner.run(order), runner.run(order))

    asyncio.run(both())
    assert rows(services, order.execution_id) == [keys.HEADER]
    assert services.documents.status(order.execution_id) == "completed"


def test_what_was_recorded_stays_whatever_a_later_invocation_comes_to(api: Api) -> None:
    services = api.runtime.services
    starts: list[ExpressStart] = []
    services.starter.start("快", {"x": 1}, run_express=starts.append)
    [first] = starts
    later = replace(first, data=replace(first.data, input={"x": 2}))
    for start in (first, later):
        asyncio.run(ExpressRunner(services).run(order_with(services.ports, start)))
    assert services.documents.document(first.header.execution_id)["output"] == {"y": 1}


def test_one_that_was_cancelled_before_it_was_recorded_stays_cancelled(api: Api) -> None:
    services = api.runtime.services
    execution_id = services.starter.start("快", {"x": 1})
    start = ExpressStart(services.documents.header(execution_id), services.stores.executions.globals(execution_id))
    services.control.ask("cancel", execution_id)
    asyncio.run(api.runtime.run_until_ended(execution_id))
    asyncio.run(ExpressRunner(services).run(order_with(services.ports, start)))
    assert services.documents.status(execution_id) == "cancelled"


def test_one_that_takes_longer_than_somebody_waits_is_stored_and_found(api: Api) -> None:
    slow = QUICK.replace("dependencies: [一]", "dependencies: [w]") + WAIT.replace("20", "3")
    api.publish(slow.replace("id: 快", "id: slow"))

    async def story() -> tuple[Reply, str]:
        body = '{"input": {"x": 1}}'
        reply = await api.ask("POST", "/workflows/slow/execute?wait=1", body, JSON)
        execution_id = reply.json["execution_id"]
        refused = await api.ask("POST", f"/executions/{execution_id}/cancel", "{}", JSON)
        assert (refused.status, refused.code) == (409, "refused")
        documents = api.runtime.services.documents
        async with asyncio.timeout(120):
            while not documents.status(execution_id).terminal:
                await asyncio.sleep(0.05)
        return reply, str(documents.document(execution_id)["status"])

    reply, status = asyncio.run(story())
    assert (reply.status, reply.json["status"], status) == (202, "pending", "completed")


class CountingClock(RealClock):
    """Waits for nothing: what would be waited for is counted, and time moves on by it."""

    def __init__(self) -> None:
        self.waited_seconds = 0.0

    def now(self) -> int:
        return super().now() + round(self.waited_seconds * 1000)

    async def sleep(self, seconds: float) -> None:
        self.waited_seconds += seconds
        await asyncio.sleep(0)

    async def within(self, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
        work.close()
        self.waited_seconds += seconds
        raise TimeoutError


def test_who_waits_waits_as_long_as_asked_whatever_happens_meanwhile() -> None:
    clock = CountingClock()

    async def never(_: ExpressOrder) -> None:
        await asyncio.Event().wait()

    with LocalRuntime(open_backend(clock=clock)) as runtime:
        services = runtime.services
        services.express_now = ExpressNow(services.ports, never, services.starter)
        api = Api(runtime)
        api.publish(QUICK)
        assert execute(api, seconds=10).status == 202
    assert 9 < clock.waited_seconds <= 10


@pytest.mark.parametrize("error", [RetryableError("out of memory"), ValueError("a bug")], ids=["known", "unknown"])
def test_one_whose_invocation_failed_runs_again(api: Api, error: Exception) -> None:
    services = api.runtime.services

    async def fails(_: ExpressOrder) -> None:
        raise error

    starts: list[ExpressStart] = []
    execution_id = services.starter.start("快", {"x": 1}, run_express=starts.append)
    asyncio.run(ExpressNow(services.ports, fails, services.starter).run(starts[0], 1))
    assert services.documents.status(execution_id) == "pending"
    asyncio.run(api.runtime.run_until_ended(execution_id))
    assert services.documents.status(execution_id) == "completed"


def test_one_that_its_queue_gave_up_has_failed(api: Api) -> None:
    services = api.runtime.services
    execution_id = services.starter.start("快", {"x": 1})
    body = msgspec.json.encode(ExpressOrder(execution_id)).decode()
    assert parse_express(body) == ExpressOrder(execution_id)
    services.dead_letters.take({"body": body, "messageId": "m", "attributes": {}})
    asyncio.run(api.runtime.run_until_ended(execution_id))
    document = services.documents.document(execution_id)
    assert (document["status"], document["error"]["type"]) == ("failed", "worker_lost")
    assert services.documents.dead_letters(execution_id)
