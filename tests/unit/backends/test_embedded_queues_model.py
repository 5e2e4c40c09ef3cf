"""Random use of the embedded queues, from printed seeds, against what SQS promises."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import EventSource, Function, Queue, Topology
from workflow_runtime.ports import Message

VISIBILITY_SECONDS = 30
TOPOLOGY_OF_MODEL = Topology(
    queues=(
        Queue("work", VISIBILITY_SECONDS),
        Queue("mail.fifo", VISIBILITY_SECONDS, fifo=True),
    ),
    functions=(Function("f", "f", 5, 128, sources=(EventSource("work", 10), EventSource("mail.fifo", 10))),),
)


class Model:
    """What was sent and not deleted, and when each message that is hidden becomes visible."""

    def __init__(self, path: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.path = path
        self.clock = VirtualClock(1_000_000)
        self.backend = self.open()
        self.sent = 0
        self.kept: dict[str, dict[str, str | None]] = {"work": {}, "mail.fifo": {}}  # body -> group
        self.hidden_until: dict[str, int] = {}
        self.receipts: dict[str, tuple[str, str]] = {}  # the latest of each message: body -> queue, handle

    def open(self) -> Backend:
        return open_backend(self.path, self.clock, TOPOLOGY_OF_MODEL)

    def send(self) -> None:
        queue = self.random.choice(["work", "mail.fifo"])
        messages = []
        for _ in range(self.random.randint(1, 12)):
            self.sent += 1
            body = f"{self.sent:06d}"
            if queue == "work":
                delay = self.random.choice([0, 0, 5, 60])
                messages.append(Message(body, delay_seconds=delay))
                self.kept[queue][body] = None
                if delay:
                    self.hidden_until[body] = self.clock.now() + delay * 1000
            else:
                group = self.random.choice("abcd")
                messages.append(Message(body, group=group, deduplication_id=body))
                self.kept[queue][body] = group
        assert self.backend.ports.queues.send(queue, messages) == []

    def receive(self) -> None:
        queue = self.random.choice(["work", "mail.fifo"])
        maximum = self.random.randint(1, 10)
        deliverable = self.deliverable(queue)
        records = self.backend.poller.receive(queue, maximum)
        bodies = [str(record.event_record["body"]) for record in records]
        assert len(bodies) == min(maximum, len(deliverable))
        assert set(bodies) <= set(deliverable)
        for group in "abcd":
            mine = [body for body in bodies if self.kept[queue][body] == group]
            waiting = [body for body in deliverable if self.kept[queue][body] == group]
            assert mine == waiting[: len(mine)]
        for record, body in zip(records, bodies, strict=True):
            self.receipts[body] = (queue, record.receipt_handle)
            self.hidden_until[body] = self.clock.now() + VISIBILITY_SECONDS * 1000

    def deliverable(self, queue: str) -> list[str]:
        hidden = {body for body in self.kept[queue] if self.hidden_until.get(body, 0) > self.clock.now()}
        blocked = {self.kept[queue][body] for body in hidden} - {None}
        return [body for body, group in self.kept[queue].items() if body not in hidden and group not in blocked]

    def delete(self) -> None:
        for body in self.random.sample(sorted(self.receipts), min(len(self.receipts), 4)):
            queue, handle = self.receipts.pop(body)
            self.backend.poller.delete(queue, [handle])
            if queue == "work" or self.hidden_until[body] > self.clock.now():
                del self.kept[queue][body]
                self.hidden_until.pop(body)

    def set_visibility(self) -> None:
        if self.receipts:
            body = self.random.choice(sorted(self.receipts))
            queue, handle = self.receipts[body]
            seconds = self.random.choice([0, 1, 60])
            self.backend.ports.queues.set_visibility(queue, {handle: seconds})
            if self.hidden_until[body] > self.clock.now():
                self.hidden_until[body] = self.clock.now() + seconds * 1000

    def pass_time(self) -> None:
        self.clock.advance_to(self.clock.now() + self.random.choice([1, 1000, 31_000]))

    def reopen(self) -> None:
        """As after a kill: what was in flight is visible at once, what is delayed stays so."""
        self.backend.close()
        self.backend = self.open()
        for body in [each for each in self.hidden_until if each in self.received]:
            self.hidden_until[body] = 0
        self.receipts.clear()

    @property
    def received(self) -> set[str]:
        return {body for (body,) in self.backend.database.read("SELECT body FROM messages WHERE receives > 0")}

    def check_next_visible_at(self) -> None:
        now = self.clock.now()
        announced = self.backend.poller.next_visible_at()
        times = [self.hidden_until.get(body, 0) for kept in self.kept.values() for body in kept]
        if any(self.deliverable(queue) for queue in self.kept):
            assert announced is not None
            assert announced <= now
        elif times:
            assert announced == min(time for time in times if time > now)
        else:
            assert announced is None


@pytest.mark.parametrize("seed", range(12))
def test_any_use_keeps_the_promises_of_sqs(tmp_path, seed):
    model = Model(tmp_path / "runtime.db", seed)
    steps = [
        model.send,
        model.receive,
        model.receive,
        model.delete,
        model.delete,
        model.set_visibility,
        model.pass_time,
    ]
    for _ in range(400):
        if model.random.random() < 0.01:
            model.reopen()
        else:
            model.random.choice(steps)()
        model.check_next_visible_at()
    model.clock.advance_to(model.clock.now() + 3_600_000)
    for queue, kept in model.kept.items():
        drained: list[str] = []
        while records := model.backend.poller.receive(queue, 10):
            drained += [str(record.event_record["body"]) for record in records]
            model.backend.poller.delete(queue, [record.receipt_handle for record in records])
        assert sorted(drained) == sorted(kept)
    assert model.backend.poller.next_visible_at() is None
    model.backend.close()
