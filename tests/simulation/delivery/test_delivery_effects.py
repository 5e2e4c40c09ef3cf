"""Effects that are committed with records, under faults: whatever call of a port a worker dies at, another table is
written exactly once, and what goes to queues and buses is sent at least once, under one id, and only once it is
recorded.

``DELIVERY_EVERY_FAULT=1`` tries every kind of fault at every call; otherwise crashes at one in 10.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel
from tests.simulation.delivery.faults import FAULTS, Fault, NoFaults, Plan, at_every_call
from tests.simulation.delivery.invariants import CANARY, require
from tests.simulation.delivery.world import World, world
from tests.unit.invokers.agents.visits import Scripted

from workflow_runtime.errors import RetryableError
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.tools.invoker import ToolInvoker
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.ports import BusMessage, EffectRefused, Outlets, Ports, QueueMessage
from workflow_runtime.storage.due import SHARDS
from workflow_runtime.storage.stores import Stores

STEP = 10
OPEN = Reach(tables=("*",), queues=("*",), buses=("*",))
TURNS = (
    [
        ("dynamodb_write", {"table": "orders", "key": {"id": "A7"}, "add": {"count": 1}}),
        ("sqs_send", {"queue": "work", "body": "A7"}),
    ],
    [("publish_event", {"topic": "saved", "payload": {}, "bus": "other"})],
    [("dynamodb_write", {"table": "orders", "key": {"id": "A7"}, "add": {"count": 1}, "needs": {"count": 7}})],
    "done",
)
AGENT = {"id": "a", "model": "openai:x", "tools": ["dynamodb_write", "sqs_send", "publish_event"]}


class Watched:
    """Outlets that only take what is recorded, and in the outbox."""

    def __init__(self, outlets: Outlets) -> None:
        self._outlets = outlets
        self.world: World | None = None

    def send_message(self, message: QueueMessage) -> None:
        self._check(message.id)
        self._outlets.send_message(message)

    def put_event(self, event: BusMessage) -> None:
        self._check(event.id)
        self._outlets.put_event(event)

    def _check(self, id: str) -> None:
        assert self.world is not None
        items = self.world.raw.table.query(f"EX#{self.world.execution_id}")
        waiting = [item for item in items if item.key.sort == f"OUT#{id}"]
        require(waiting, f"{id} is sent and not in the outbox")
        ended = [item for item in items if "RUN#" in item.key.sort and item.attributes["status"] == "success"]
        done = [item for item in items if "STEP#" in item.key.sort and item.attributes["st"] == "done"]
        records = [str(item.attributes.get("output", item.attributes.get("r"))) for item in (*ended, *done)]
        require(any(id in record for record in records), f"{id} is sent, and no record says so")


@contextmanager
def watched(name: str, seed: int, faults: Plan) -> Any:
    seen: list[Watched] = []

    def planted(ports: Ports) -> Ports:
        seen.append(Watched(ports.outlets))
        return replace(ports, outlets=seen[0])

    with world(name, seed, faults, planted=planted) as disturbed:
        seen[0].world = disturbed
        yield disturbed


class Closed:
    """Outlets that take nothing while ``error`` says why."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error
        self.outlets: Outlets | None = None

    def planted(self, ports: Ports) -> Ports:
        self.outlets = ports.outlets
        return replace(ports, outlets=self)

    def send_message(self, message: QueueMessage) -> None:
        assert self.outlets is not None
        if self.error is not None:
            raise self.error
        self.outlets.send_message(message)

    def put_event(self, event: BusMessage) -> None:
        assert self.outlets is not None
        if self.error is not None:
            raise self.error
        self.outlets.put_event(event)


def swept(disturbed: World, hours: int = 2) -> None:
    """Let time pass, with its sweeps."""
    for _ in range(hours * 4):
        disturbed.clock.time += 900_000
        disturbed.run_at_once(disturbed.sweeping())
        disturbed.drain()


def lived(disturbed: World) -> object:
    """What became of a world: nothing may depend on its faults but how often something was sent."""
    disturbed.start()
    disturbed.live_until(lambda: False)
    disturbed.drain()
    outbox = Stores(disturbed.raw).outbox
    for _ in range(20):
        if not outbox.open_of(disturbed.execution_id):
            break
        disturbed.clock.time += 200_000
        disturbed.run_at_once(disturbed.sweeping())
        disturbed.drain()
    disturbed.check_end()
    messages, events = disturbed.backend.messages_to("work"), disturbed.backend.events_on("other")
    assert len(messages) <= 2, "a single fault repeats a message once"
    assert len(events) <= 2, "a single fault repeats an event once"
    document: Any = disturbed.document()
    sent = {(message.id, message.body) for message in messages}, {(event.id, event.detail) for event in events}
    return document["status"], document["output"], disturbed.backend.items_of("orders"), sent


def nodes(seed: int, faults: Plan) -> object:
    with watched("effects", seed, faults) as disturbed:
        invoke = ToolInvoker(ToolRegistry.load(None, reach=OPEN)).invoke
        disturbed.behaviours |= dict.fromkeys(("save", "tell", "shout", "last"), invoke)
        return lived(disturbed)


def agents(seed: int, faults: Plan) -> object:
    async def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        """In the event loop: time stands still meanwhile."""
        return Scripted(*TURNS)(messages, info)

    with watched("agent", seed, faults) as disturbed, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.yaml").write_text(repr(AGENT))
        registry = ToolRegistry.load(None, reach=OPEN)
        registered = AgentRegistry.load(Path(folder))
        agent = AgentInvoker(registered, lambda _: FunctionModel(model), registry, ToolInvoker(registry))
        disturbed.behaviours["a"] = agent.invoke
        return lived(disturbed)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("tale", [nodes, agents])
def test_a_fault_at_any_call_neither_loses_an_effect_nor_repeats_a_write(
    tale: Callable[..., object], fault: Fault
) -> None:
    at_every_call(tale, fault, step=STEP)


def played(disturbed: World) -> None:
    invoke = ToolInvoker(ToolRegistry.load(None, reach=OPEN)).invoke
    disturbed.behaviours |= dict.fromkeys(("save", "tell", "shout", "last"), invoke)
    disturbed.start()
    disturbed.live_until(lambda: False)
    disturbed.drain()


def test_what_cannot_be_sent_keeps_nothing_waiting_and_is_sent_when_it_can_be() -> None:
    closed = Closed(RetryableError("throttled"))
    with world("effects", planted=closed.planted) as disturbed:
        played(disturbed)
        assert disturbed.document()["status"] == "completed"
        outbox = Stores(disturbed.raw).outbox
        swept(disturbed)
        assert len(outbox.open_of(disturbed.execution_id)) == 2
        assert disturbed.backend.messages_to("work") == []
        closed.error = None
        swept(disturbed)
        assert outbox.open_of(disturbed.execution_id) == []
        assert len(disturbed.backend.messages_to("work")) == len(disturbed.backend.events_on("other")) == 1
        assert [outbox.due(shard, disturbed.clock.time * 2, 10) for shard in range(SHARDS)] == [[]] * SHARDS


def test_what_is_refused_for_good_is_a_dead_letter_and_can_be_brought_back() -> None:
    closed = Closed(EffectRefused("not_found", "there is no queue work"))
    with world("effects", planted=closed.planted) as disturbed:
        played(disturbed)
        assert disturbed.document()["status"] == "completed"
        letters, _ = Stores(disturbed.raw).dead_letters.list(disturbed.execution_id, 10, None)
        assert [letter.reason for letter in letters] == ["delivery: there is no queue work"] * 2
        swept(disturbed)
        assert disturbed.backend.messages_to("work") == [], "nobody tries again by himself"
        closed.error = None
        page = disturbed.runtime.redrive.redrive(disturbed.execution_id, 10)
        assert [one.outcome for one in page.letters] == ["sent", "sent"]
        swept(disturbed)
        assert len(disturbed.backend.messages_to("work")) == len(disturbed.backend.events_on("other")) == 1


def test_a_message_with_a_secret_is_sent_before_it_is_recorded_and_stored_nowhere() -> None:
    """Nobody watches these outlets: it is in no outbox."""
    with world("secret_effects") as disturbed:
        disturbed.behaviours["tell"] = ToolInvoker(ToolRegistry.load(None, reach=OPEN)).invoke
        disturbed.start()
        disturbed.live_until(lambda: False)
        disturbed.drain()
        [message] = disturbed.backend.messages_to("work")
        assert CANARY in message.body
        items = disturbed.raw.table.query(f"EX#{disturbed.execution_id}", "OUT#")
        assert items == []
        disturbed.check_end()


def test_the_effects_of_nodes_are_there() -> None:
    status, _, items, (messages, events) = nodes(0, NoFaults())  # type: ignore[misc]
    assert (status, len(messages), len(events)) == ("completed", 1, 1)
    [item] = items
    assert item["count"] == 2


def test_a_condition_that_does_not_hold_is_told_the_model_and_changes_nothing() -> None:
    status, _, items, (messages, events) = agents(0, NoFaults())  # type: ignore[misc]
    assert (status, len(messages), len(events)) == ("completed", 1, 1)
    assert items == [{"id": "A7", "count": 1}]
