"""Bringing dead letters back: what its queue gave up is handed in again, once the reason is gone.

Everything handed in is recognised when it was not needed: events by their ids, timers by the state, events of the bus
by what they were handed over for. A letter that was handed in is marked, so that the same request again does nothing.
Letters of one execution go in the order in which their messages were sent.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import InvalidEvent, RetryableError
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Message, Ports
from workflow_runtime.services.intake.bus_events import parse_body
from workflow_runtime.services.messages import (
    UnknownMessage,
    parse_delivery,
    parse_mail,
    parse_order,
    parse_timer,
)
from workflow_runtime.storage.dead_letters import Letter, LetterStore
from workflow_runtime.storage.outbox import LETTERS
from workflow_runtime.storage.stores import Stores

if TYPE_CHECKING:
    from workflow_runtime.services.intake.events import Ingest
    from workflow_runtime.services.timers import Timers

Outcome: TypeAlias = Literal["sent", "would_send", "left"]


class Redriven(msgspec.Struct, frozen=True):
    """What became of a dead letter. ``why``: it was left; "" otherwise."""

    letter: Letter
    outcome: Outcome
    why: str = ""


class RedrivePage(msgspec.Struct, frozen=True):
    """Letters in order, the first sent first. ``next``: where the next page begins; None: there is none."""

    letters: tuple[Redriven, ...]
    next: str | None


class Redrive:
    """Raises `RetryableError`; what was handed in by then is marked."""

    def __init__(self, ports: Ports, stores: Stores, timers: Timers, ingest: Ingest) -> None:
        self._ports = ports
        self._letters: LetterStore = stores.dead_letters
        self._executions = stores.executions
        self._due = stores.due
        self._outbox = stores.outbox
        self._timers = timers
        self._ingest = ingest

    def redrive(
        self, execution_id: str | None, limit: int, after: str | None = None, *, dry_run: bool = False
    ) -> RedrivePage:
        """Hand in the next letters of an execution, or of all; ``dry_run``: only say which."""
        found, next = self._letters.list(execution_id, limit, after)
        named = {letter.execution_id for letter in found} - {""}
        headers = self._executions.headers(sorted(named))
        living = {id for id, header in headers.items() if not header.status.terminal}
        blocked: set[str] = set()
        done: list[Redriven] = []
        for letter in found:
            why = self._left_because(letter, living, blocked)
            if why:
                done.append(Redriven(letter, "left", why))
            elif dry_run:
                done.append(Redriven(letter, "would_send"))
            else:
                done.append(self._hand_in(letter, blocked))
        return RedrivePage(tuple(done), next)

    def _left_because(self, letter: Letter, living: set[str], blocked: set[str]) -> str:
        if letter.redriven_at:
            return "it was brought back already"
        if letter.execution_id in blocked:
            return "one that was sent before it cannot be brought back yet"
        if letter.identity.startswith(LETTERS):
            return ""  # whatever became of the execution
        if letter.execution_id and letter.execution_id not in living:
            return "its execution has ended, or there is none"
        return ""

    def _hand_in(self, letter: Letter, blocked: set[str]) -> Redriven:
        try:
            why = self._take(letter)
        except UnknownMessage as error:
            blocked.add(letter.execution_id)  # its order must not change
            return Redriven(letter, "left", f"this version does not know it: {error}")
        if why:
            return Redriven(letter, "left", why)
        now = self._ports.clock.now()
        self._letters.mark(letter, now)
        return Redriven(replace(letter, redriven_at=now), "sent")

    def _take(self, letter: Letter) -> str:
        """Hand it in by what it is; why that cannot be done, or "". Raises `UnknownMessage`, `RetryableError`."""
        body = self._letters.body(letter)
        for hand_in in (self._mail, self._order, self._timer, self._delivery):
            try:
                hand_in(letter, body)
            except InvalidEvent:
                continue
            return ""
        if letter.execution_id:
            return "nothing that the runtime can read"
        try:
            parse_body(body)
        except InvalidEvent as error:
            return str(error)
        taken = self._ingest.take(body, letter.identity, self._ingest.triggers_of)
        if taken.fault is not None:
            raise RetryableError(f"an event could not be taken: {taken.fault}") from taken.fault
        self._ingest.send(taken.mails)
        return ""

    def _mail(self, letter: Letter, body: str) -> None:
        """As it was, and one after the other: a batch that is refused in part would be sent out of order."""
        execution_id = parse_mail(body).execution_id
        identity = hashlib.sha256(f"redrive:{letter.identity}:{self._ports.clock.now()}".encode()).hexdigest()
        refusals = self._ports.queues.send(DISPATCH, [Message(body, group=execution_id, deduplication_id=identity)])
        if refusals:
            raise RetryableError(f"the mailbox of {execution_id} refused an event: {refusals[0].reason}")

    def _order(self, _: Letter, body: str) -> None:
        """The sweep sends it again if no worker has it and none had; of one that was given up, the node has failed, and
        its policies had their say."""
        self._due.hasten(parse_order(body).execution_id, self._ports.clock.now())

    def _delivery(self, _: Letter, body: str) -> None:
        """The sweep has it sent."""
        delivery = parse_delivery(body)
        self._outbox.reopen(delivery.execution_id, delivery.outbox, self._ports.clock.now())

    def _timer(self, _: Letter, body: str) -> None:
        self._timers.deliver(parse_timer(body))


def letter_json(letter: Letter) -> dict[str, Json]:
    """What a list shows of a dead letter."""
    return {
        "id": letter.identity,
        "execution_id": letter.execution_id or None,
        "reason": letter.reason,
        "at": iso_time(letter.at),
        "redriven_at": iso_time(letter.redriven_at) if letter.redriven_at else None,
    }


def redriven_json(one: Redriven) -> dict[str, Json]:
    """The same, and what became of it."""
    return {**letter_json(one.letter), "outcome": one.outcome, "why": one.why or None}
