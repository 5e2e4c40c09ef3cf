"""What becomes of what waits in an outbox: it is sent once, and refused for good when nobody ever takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.ports import BusEvent, BusMessage, QueueMessage, Refusal
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.upkeep.dead_letters import DeadLetters
from workflow_runtime.services.work.outbox import Outbox
from workflow_runtime.storage.outbox import REFUSED, SENT
from workflow_runtime.storage.stores import Stores

WRONG = "the request is wrong"


class Invalid:
    """A bus, queues and other buses that call every request invalid, as boto3 does with what AWS never takes."""

    def publish(self, events: Sequence[BusEvent]) -> list[Refusal]:  # noqa: ARG002
        raise ValueError(WRONG)

    def send_message(self, message: QueueMessage) -> None:  # noqa: ARG002
        raise ValueError(WRONG)

    def put_event(self, event: BusMessage) -> None:  # noqa: ARG002
        raise ValueError(WRONG)


class Sent:
    """Queues that note what is sent."""

    def __init__(self) -> None:
        self.messages: list[QueueMessage] = []

    def send_message(self, message: QueueMessage) -> None:
        self.messages.append(message)


@pytest.mark.parametrize("status", [SENT, REFUSED])
def test_what_was_sent_or_refused_is_not_sent_when_its_delivery_comes_again(status: str) -> None:
    with open_backend(None, VirtualClock(1_700_000_000_000)) as backend:
        outlets: Any = Sent()
        ports = replace(backend.ports, outlets=outlets)
        stores = Stores(ports)
        outbox = Outbox(ports, stores, DeadLetters(ports, stores, Mailer(ports, lambda: "0" * 32)))
        message = QueueMessage(id="i", queue="q", body="b")
        ports.table.put(stores.outbox.item("ex-1", "tool", message, ports.clock.now()))
        entry = stores.outbox.get("ex-1", "i")
        assert entry is not None
        if status == SENT:
            outbox.deliver("ex-1", "i")
            assert outlets.messages == [message]
        else:
            stores.outbox.refuse(entry, "no")
        sent = len(outlets.messages)
        outbox.deliver("ex-1", "i")
        outbox.deliver_all("ex-1")
        assert len(outlets.messages) == sent
        ended = stores.outbox.get("ex-1", "i")
        assert ended is not None
        assert ended.status == status


@pytest.mark.parametrize("bus", ["", "other"])
def test_what_is_invalid_to_whom_it_is_for_is_refused_for_good(bus: str) -> None:
    with open_backend(None, VirtualClock(1_700_000_000_000)) as backend:
        ports = replace(backend.ports, bus=Invalid(), outlets=Invalid())
        stores = Stores(ports)
        outbox = Outbox(ports, stores, DeadLetters(ports, stores, Mailer(ports, lambda: "0" * 32)))
        event = BusMessage(id="i", source="s", topic="t", detail="{}", bus=bus)
        ports.table.put(stores.outbox.item("ex-1", "tool", event, ports.clock.now()))
        outbox.deliver_all("ex-1")
        entry = stores.outbox.get("ex-1", "i")
        assert entry is not None
        assert entry.status == REFUSED
        [letter] = stores.dead_letters.documents("ex-1")
        assert WRONG in str(letter["reason"])
