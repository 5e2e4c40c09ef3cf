"""Dead letters come back: in order, once, and only what has an effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import DEAD_LETTERS_FIFO, DISPATCH, TIMERS
from workflow_runtime.engine.events import SignalReceived, TimerFired
from workflow_runtime.ports import Item, Present
from workflow_runtime.runtime.services import EnvironmentSecrets, Runtime
from workflow_runtime.services.dispatch.dispatcher import Delivery
from workflow_runtime.services.messages import Mail, Timer, mail_body, mail_message, parse_mail, timer_body
from workflow_runtime.storage.dead_letters import sending_order

START = 1_700_000_000_000
WAITS = """
workflow:
  id: 收
  type: state_machine
  initial_state: open
  final_states: [over]
  variables: {seen: []}
  states:
    - name: open
      transitions:
        - {event: put, actions: [{set_variable: {name: seen, value: "${seen + [event.data.n]}"}}]}
        - {event: end, target: over}
    - {name: over, type: final}
"""


class Town:
    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.backend: Backend = open_backend(None, self.clock)
        self.ports = self.backend.ports
        self.services = Runtime(self.ports, dict, secrets=EnvironmentSecrets({}))
        self.services.catalog.publish(WAITS.encode())

    def start(self) -> str:
        execution_id = self.services.starter.start("收")
        self.deliver()
        return execution_id

    def deliver(self) -> None:
        while records := self.backend.poller.receive(DISPATCH, 10):
            for record in records:
                mail = parse_mail(str(record.event_record["body"]))
                assert self.services.dispatcher.dispatch(mail.execution_id, [Delivery(mail.event)]) == 1
            self.backend.poller.delete(DISPATCH, [record.receipt_handle for record in records])

    def die(self, execution_id: str, number: int, *, name: str = "put") -> None:
        """An event that nobody could take."""
        body = mail_body(Mail(execution_id, SignalReceived(f"signal:{number}", START, name, {"n": number}, id="x")))
        attributes = {"SentTimestamp": str(START + number), "SequenceNumber": str(10**19 + number)}
        self.services.dead_letters.take({"body": body, "messageId": f"m{99 - number}", "attributes": attributes})

    def outcomes(self, execution_id: str | None = None, **options: Any) -> list[str]:
        return [one.outcome for one in self.services.redrive.redrive(execution_id, 100, **options).letters]

    def seen(self, execution_id: str) -> Any:
        return self.services.documents.document(execution_id)["variables"]["seen"]


@pytest.fixture
def town() -> Iterator[Town]:
    made = Town()
    yield made
    made.backend.close()


def test_events_come_back_in_the_order_in_which_they_were_sent(town: Town) -> None:
    execution_id, other = town.start(), town.start()
    for number in (3, 1, 2):
        town.die(execution_id, number)
    town.die(other, 4)
    assert town.outcomes(execution_id) == ["sent"] * 3
    town.deliver()
    assert (town.seen(execution_id), town.seen(other)) == ([1, 2, 3], [])
    assert town.outcomes() == ["left", "left", "left", "sent"]
    town.deliver()
    assert (town.seen(execution_id), town.seen(other)) == ([1, 2, 3], [4])


def test_the_same_request_again_changes_nothing(town: Town) -> None:
    execution_id = town.start()
    town.die(execution_id, 1)
    assert town.outcomes(dry_run=True) == ["would_send"]
    assert town.outcomes() == ["sent"]
    assert town.outcomes() == ["left"]
    assert town.outcomes(dry_run=True) == ["left"]
    town.deliver()
    assert town.seen(execution_id) == [1]


def test_an_event_that_comes_back_twice_takes_effect_once(town: Town) -> None:
    """Whoever brought it back may have died before it was marked."""
    execution_id = town.start()
    town.die(execution_id, 1)
    (letter,), _ = town.services.stores.dead_letters.list(execution_id, 9, None)
    assert town.outcomes() == ["sent"]
    town.ports.table.update(letter.key, {"redriven_at": 0}, Present("letter"))
    town.clock.advance_to(START + 400_000)
    assert town.outcomes() == ["sent"]
    town.deliver()
    assert town.seen(execution_id) == [1]


def test_pages_go_on_where_the_last_one_ended(town: Town) -> None:
    execution_id = town.start()
    for number in range(1, 6):
        town.die(execution_id, number)
    for of in (execution_id, None):
        after, found = None, []
        while True:
            page = town.services.redrive.redrive(of, 2, after, dry_run=True)
            found += [one.letter.identity for one in page.letters]
            after = page.next
            if after is None:
                break
        assert found == ["m98", "m97", "m96", "m95", "m94"]


def test_what_has_no_effect_any_more_is_left(town: Town) -> None:
    execution_id = town.start()
    town.die(execution_id, 1)
    town.services.signalling.send(execution_id, "end")
    town.deliver()
    (one,) = town.services.redrive.redrive(execution_id, 9).letters
    assert (one.outcome, one.why) == ("left", "its execution has ended, or there is none")
    town.die("nobody", 2)
    assert town.outcomes() == ["left", "left"]


def test_what_nobody_can_read_is_left_and_holds_up_nothing(town: Town) -> None:
    execution_id = town.start()
    letters = town.services.stores.dead_letters
    letters.put(execution_id, "bad", "unreadable", "no event", START, sending_order(START, 0))
    letters.put("", "worse", "unreadable", "{", START)
    town.die(execution_id, 1)
    assert sorted(town.outcomes()) == ["left", "left", "sent"]


def test_an_event_of_a_newer_version_waits_and_so_does_what_follows_it(town: Town) -> None:
    execution_id, other = town.start(), town.start()
    body = json.dumps({"execution_id": execution_id, "event": {"event": "from_the_future", "x": 1}})
    town.services.stores.dead_letters.put(execution_id, "new", "given up", body, START, sending_order(START, 1))
    town.die(execution_id, 1)
    town.die(other, 2)
    found = town.services.redrive.redrive(None, 9).letters
    assert [one.outcome for one in found] == ["left", "left", "sent"]
    assert "does not know it" in found[0].why
    assert "sent before it" in found[1].why


def test_a_message_comes_back_as_it_was_with_fields_that_this_version_does_not_know(town: Town) -> None:
    execution_id = town.start()
    body = mail_body(Mail(execution_id, SignalReceived("signal:1", START, "put", {"n": 1}, id="x")))
    newer = body[:-1] + ',"from_the_future":7}'
    town.services.stores.dead_letters.put(execution_id, "new", "given up", newer, START)
    assert town.outcomes() == ["sent"]
    (record,) = town.backend.poller.receive(DISPATCH, 10)
    assert record.event_record["body"] == newer


def test_a_timer_is_delivered_when_it_is_due(town: Town) -> None:
    execution_id = town.start()
    letters = town.services.stores.dead_letters
    letters.put(execution_id, "due", "given up", timer_body(Timer(execution_id, "t1", START)), START)
    letters.put(execution_id, "far", "given up", timer_body(Timer(execution_id, "t2", START + 60_000)), START)
    assert town.outcomes() == ["sent", "sent"]
    (record,) = town.backend.poller.receive(DISPATCH, 10)
    event = parse_mail(str(record.event_record["body"])).event
    assert isinstance(event, TimerFired)
    assert event.timer == "t1"
    town.clock.advance_to(START + 60_000)
    assert len(town.backend.poller.receive(TIMERS, 10)) == 1


def test_an_event_that_the_engine_could_not_take_comes_back_once_it_can(town: Town) -> None:
    """It was refused by a fault of ours; its commit said so and took nothing."""
    execution_id = town.start()
    event = SignalReceived("signal:7", START, "put", {"n": 7}, id="x")
    dispatcher = town.services.dispatcher
    dispatcher.record_dead_letter(execution_id, "signal:7", "a fault", mail_body(Mail(execution_id, event)))
    assert town.outcomes(execution_id) == ["sent"]
    town.deliver()
    assert town.seen(execution_id) == [7]


def test_a_letter_of_an_earlier_version_is_brought_back_by_its_execution(town: Town) -> None:
    execution_id = town.start()
    town.die(execution_id, 1)
    (letter,), _ = town.services.stores.dead_letters.list(execution_id, 9, None)
    town.ports.table.put(Item(letter.key, {"letter": letter.held, "at": START}))
    (one,) = town.services.redrive.redrive(execution_id, 9).letters
    assert (one.outcome, one.letter.reason) == ("sent", "mail: given up by its queue")


def test_letters_of_the_fifo_queue_come_back_too(town: Town) -> None:
    execution_id = town.start()
    message = mail_message(execution_id, SignalReceived("signal:1", START, "put", {"n": 1}, id="x"), "i")
    town.ports.queues.send(DISPATCH, [message])
    for _ in range(101):
        town.backend.poller.receive(DISPATCH, 10)
        town.clock.advance_to(town.clock.now() + 3_600_000)
    (record,) = town.backend.poller.receive(DEAD_LETTERS_FIFO, 10)
    town.services.dead_letters.take(record.event_record)
    assert town.outcomes() == ["sent"]
    town.deliver()
    assert town.seen(execution_id) == [1]
