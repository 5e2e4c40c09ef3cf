"""Effects of tools in express executions: whichever call is the last of an invocation, another one writes other tables
no second time, and sends what was not sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.integration.express.test_express import Cut, CutAt, cut

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import QueueMessage
from workflow_runtime.runtime.express import ExpressRunner
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.express import ExpressOrder, ExpressStart, order_with

WORKFLOW = """
workflow:
  id: quick
  durability: express
  nodes:
    - {id: save, type: tool, tool: dynamodb_write, inputs:
       {table: orders, key: {id: "${input.id}"}, add: {count: 1}, needs: "${input.needs}"}}
    - {id: tell, type: tool, tool: sqs_send, dependencies: [save], inputs: {queue: work, body: "${input.id}"}}
"""


@pytest.fixture
def backend() -> Backend:
    return open_backend()


@pytest.fixture
def services(backend: Backend) -> Iterator[Runtime]:
    with LocalRuntime(backend) as runtime:
        runtime.services.catalog.publish(WORKFLOW.encode(), "quick.yaml", scheduled=False)
        yield runtime.services


def started(services: Runtime, id: str, needs: str | None = "absent") -> ExpressOrder:
    starts: list[ExpressStart] = []
    services.starter.start("quick", {"id": id, "needs": needs}, run_express=starts.append)
    return order_with(services.ports, starts[0])


def with_outlets(services: Runtime, cutting: CutAt) -> Runtime:
    other = cut(services, cutting)
    other.ports = replace(other.ports, outlets=cutting.of(other.ports.outlets))
    return other


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_invocation_that_does_the_work_again_does_not_write_again(
    services: Runtime, backend: Backend, after: bool
) -> None:
    counting = CutAt(None, after=after)
    asyncio.run(ExpressRunner(with_outlets(services, counting)).run(started(services, "first")))
    assert counting.made >= 4
    for place in range(1, counting.made + 1):
        order = started(services, f"order {place}")
        with pytest.raises(Cut):
            asyncio.run(ExpressRunner(with_outlets(services, CutAt(place, after=after))).run(order))
        asyncio.run(ExpressRunner(services).run(order))
        document = services.documents.document(order.execution_id)
        assert document["status"] == "completed", f"call {place}: {document['error']}"
    items = backend.items_of("orders")
    assert [item["count"] for item in items] == [1] * (counting.made + 1)
    messages = backend.messages_to("work")
    assert {message.body for message in messages} == {item["id"] for item in items}
    assert len({message.id for message in messages}) == len(items), "a repeat has the same id"


class Failing:
    """Outlets that take nothing so many times."""

    def __init__(self, backend: Backend, times: int) -> None:
        self._backend = backend
        self.times = times

    def send_message(self, message: QueueMessage) -> None:
        self.times -= 1
        if self.times >= 0:
            raise RetryableError("throttled")
        self._backend.outlets.send_message(message)


@pytest.mark.parametrize("times", [1, 2])
def test_what_could_not_be_sent_is_sent_before_the_execution_is_recorded(
    services: Runtime, backend: Backend, times: int
) -> None:
    """At once, at its end, or by another invocation."""
    order = started(services, "A")
    other = services.within(replace(services.ports, outlets=Failing(backend, times)))  # type: ignore[arg-type]
    if times == 2:
        with pytest.raises(RetryableError):
            asyncio.run(ExpressRunner(other).run(order))
        assert backend.messages_to("work") == []
    asyncio.run(ExpressRunner(other).run(order))
    assert services.documents.document(order.execution_id)["status"] == "completed"
    assert [message.body for message in backend.messages_to("work")] == ["A"]
    assert [item["count"] for item in backend.items_of("orders")] == [1]


def test_a_condition_that_does_not_hold_fails_the_node(services: Runtime, backend: Backend) -> None:
    order = started(services, "A", needs="present")
    asyncio.run(ExpressRunner(services).run(order))
    document = services.documents.document(order.execution_id)
    assert (document["status"], document["error"]["type"]) == ("failed", "condition_failed")
    assert backend.items_of("orders") == []
