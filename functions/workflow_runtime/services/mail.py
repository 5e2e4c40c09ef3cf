"""Putting events into the mailboxes of executions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.events import Event, Poked
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Ports, Refusal
from workflow_runtime.services.messages import Mail, mail_message


class Mailer:
    """``new_id`` gives a fresh identity per call."""

    def __init__(self, ports: Ports, new_id: Callable[[], str]) -> None:
        self._queues = ports.queues
        self._clock = ports.clock
        self._new_id = new_id

    def send(self, execution_id: str, event: Event, invocation: str | None = None) -> None:
        """Send one event. ``invocation``: the same for repeats of which the queue is to keep one (within five minutes).

        Raises `RetryableError`, also when the queue refuses the message for good: the caller's own message comes again,
        and becomes a dead letter if that never helps.
        """
        message = mail_message(execution_id, event, self._new_id() if invocation is None else invocation)
        if refusals := self._queues.send(DISPATCH, [message]):
            raise RetryableError(f"the mailbox of {execution_id} refused an event: {refusals[0].reason}")

    def send_all(self, mails: Sequence[Mail]) -> list[Refusal]:
        """Send any number in as few requests as possible; those that the queue refuses for good. Raises
        `RetryableError`.
        """
        messages = [mail_message(mail.execution_id, mail.event, self._new_id(), mail.then) for mail in mails]
        return self._queues.send(DISPATCH, messages)

    def poke(self, execution_id: str) -> None:
        """Have the dispatcher look at an execution; harmless at any time. Raises `RetryableError`."""
        self.send(execution_id, Poked(f"poke:{self._new_id()}", self._clock.now()))
