"""F7: poison. It ends in a visible dead letter (P6), and what is not poison goes on (P8)."""

from __future__ import annotations

import pytest
from tests.simulation.delivery.faults import Crash
from tests.simulation.delivery.world import START, World, world

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded, Poked
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.ports import Message
from workflow_runtime.services.messages import Order, mail_message, order_message
from workflow_runtime.storage.stores import Stores

NEVER_ORDERED = RunNode("a", 9, "tool", START)


def mail(world: World, body: str) -> None:
    number = str(len(world.history))
    world.raw.queues.send(
        DISPATCH, [Message(body, group=world.execution_id, deduplication_id=f"poison{number}{hash(body)}")]
    )


def letters(world: World) -> list[object]:
    return [letter["reason"] for letter in Stores(world.raw).dead_letters.documents(world.execution_id)]


@pytest.mark.parametrize("body", ["{", "[]", '{"execution_id": 1}', "文"])
def test_p6_a_body_that_is_no_event_is_buried_at_once_and_the_rest_of_its_group_goes_on(body: str) -> None:
    with world("chain") as poisoned:
        poisoned.start()
        mail(poisoned, body)
        poisoned.drain()
        poisoned.check_end(dead_letters=1)
        assert poisoned.document()["status"] == "completed"


def test_p6_poison_alone_in_a_batch_is_buried_too() -> None:
    with world("chain") as poisoned:
        poisoned.start()
        poisoned.drain()
        mail(poisoned, "not even JSON")
        poisoned.drain()
        poisoned.check_end(dead_letters=1)


@pytest.mark.parametrize(
    "event",
    [
        NodeSucceeded("run:nowhere#1", START, "nowhere", 1),
        NodeSucceeded("run:a#9", START, "a", 9),
        NodeSucceeded("run:c#1", START, "c", 1),
        NodeFailed("run:a#9", START, "a", 9, ErrorDocument("x", "y"), NEVER_ORDERED),
        NodeSucceeded("run:~outputs#1", START, "~outputs", 1),
    ],
    ids=lambda event: event.event_id,
)
@pytest.mark.parametrize("started", [False, True])
def test_p6_an_event_that_no_state_could_take_is_refused_and_recorded(event: object, started: bool) -> None:
    with world("chain") as poisoned:
        poisoned.start()
        if started:
            poisoned.deliver(DISPATCH)
        poisoned.raw.queues.send(DISPATCH, [mail_message(poisoned.execution_id, event, "x")])  # type: ignore[arg-type]
        poisoned.drain()
        poisoned.check_end(dead_letters=1)
        assert poisoned.document()["status"] == "completed"


def test_p6_events_of_unknown_executions_become_dead_letters() -> None:
    with world("chain") as poisoned:
        poisoned.start()
        poisoned.raw.queues.send(DISPATCH, [mail_message("ex-unknown", Poked("poke:1", START), "x")])
        poisoned.drain()
        poisoned.check_end()
        poisoned.execution_id = "ex-unknown"
        assert letters(poisoned) == ["there is no such execution"]


@pytest.mark.parametrize("poison", ["unparseable", "unknown execution", "unknown plan"])
def test_p6_orders_that_nobody_can_carry_out_become_dead_letters(poison: str) -> None:
    with world("chain") as poisoned:
        poisoned.start()
        known = poisoned.plan.hash
        messages = {
            "unparseable": Message("{"),
            "unknown execution": order_message(Order("ex-unknown", known, 1, START, RunNode("a", 1, "tool", START))),
            "unknown plan": order_message(Order(poisoned.execution_id, "0" * 40, 1, START, NEVER_ORDERED)),
        }
        poisoned.raw.queues.send("node-tool", [messages[poison]])
        poisoned.drain()
        place = {"unparseable": "DEAD", "unknown execution": "EX#ex-unknown"}.get(poison, f"EX#{poisoned.execution_id}")
        prefix = "" if place == "DEAD" else "DEAD#"
        assert len(poisoned.raw.table.query(place, prefix)) == 1
        assert poisoned.document()["status"] == "completed"


def test_p3_p6_a_node_that_always_kills_its_worker_fails_after_the_attempts_of_the_policy() -> None:
    with world("chain") as poisoned:

        def die(_: object) -> object:
            assert poisoned.current is not None
            poisoned.current.dead = True
            raise Crash

        poisoned.behaviours["b"] = die
        poisoned.start()
        poisoned.drain()
        poisoned.check_end()
        document = poisoned.document()
        assert document["status"] == "failed"
        assert document["error"]["type"] == "worker_lost"
        assert document["node_executions"]["b"]["attempts"] == 3
        assert sum(count for (_, path, _), count in poisoned.effects.counts.items() if path == "b") == 3


def test_p8_a_worker_that_dies_before_it_claims_costs_no_attempt() -> None:
    with world("chain") as unlucky:
        unlucky.start()
        unlucky.deliver(DISPATCH)
        records = unlucky.receive("node-tool")
        dead = unlucky.invocation("node-tool", records)
        dead.dead = True
        unlucky.run_at_once(dead)
        unlucky.drain()
        unlucky.check_end()
        assert unlucky.document()["node_executions"]["a"]["attempts"] == 1


def test_p6_an_order_that_no_queue_takes_is_a_dead_letter_and_a_recorded_failure_of_its_node() -> None:
    with world("chain") as refused:
        refused.queues.refuse = 1
        refused.start()
        refused.drain()
        refused.check_end(dead_letters=1)
        node = refused.document()["node_executions"]["a"]
        assert (refused.document()["status"], node["status"], node["error"]["type"]) == (
            "failed",
            "failed",
            "execution_error",
        )


def test_an_order_that_only_waits_never_becomes_a_dead_letter() -> None:
    """A node runs for 15 minutes, and a duplicate of its order comes more often than its queue allows."""
    with world("chain") as busy:

        async def work(_: object) -> dict[str, int]:
            await busy.clock.sleep(850)
            return {"x": 1}

        busy.behaviours["a"] = work
        busy.start()
        busy.deliver(DISPATCH)
        (order,) = busy.receive("node-tool")
        busy.raw.queues.send("node-tool", [Message(str(order.event_record["body"]))])
        worker = busy.invocation("node-tool", [order])
        while not worker.done:
            busy.turn(worker)
            if busy.effects.counts:
                busy.deliver("node-tool")
        busy.drain()
        busy.check_end()
        assert busy.document()["status"] == "completed"
        assert busy.document()["node_executions"]["a"]["attempts"] == 1
