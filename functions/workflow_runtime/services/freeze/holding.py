"""Holding back: what a switch freezes becomes an item under it, instead of being done.

See the package for why nothing is lost on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from workflow_runtime.engine.events import CancelRequested, Event, Poked
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Clock
from workflow_runtime.services.freeze.looks import Looks, first_of
from workflow_runtime.services.freeze.scopes import scopes_of_start
from workflow_runtime.services.messages import Mail, Order, mail_body, order_message
from workflow_runtime.storage import keys
from workflow_runtime.storage.freezes import FreezeStore, Held, HeldKind
from workflow_runtime.storage.records import Header

ROUNDS_MAX = 5  # switches that are thawed or set anew while something is put under them


class Holder:
    def __init__(self, clock: Clock, freezes: FreezeStore, looks: Looks) -> None:
        self._clock = clock
        self._freezes = freezes
        self._looks = looks
        self._latest = 0

    def holds_start(self, header: Header, events: Sequence[Event]) -> bool:
        """Whether an execution must not begin; then ``events``, which came for it, are held with its start. Somebody's
        wish to cancel it is always heard. Raises `RetryableError`."""
        if any(isinstance(event, CancelRequested) for event in events):
            return False
        scopes = scopes_of_start(header.workflow_id)
        if first_of(scopes, self._looks.known()) is None:
            return False
        # What came for an execution is held in the order it came, also within a millisecond.
        self._latest = max(self._clock.now(), header.started_at, self._latest + 1)
        return self._hold(scopes, _held_start(header, events, self._latest))

    def holds_order(self, order: Order, scopes: Collection[str]) -> bool:
        """Whether an order that these scopes' switches concern must not be carried out; then it is held. Raises
        `RetryableError`."""
        if first_of(scopes, self._looks.known()) is None:
            return False
        command = order.command
        place = f"{command.at:015d}#{order.execution_id}#{keys.safe(command.path)}#{command.serial:06d}"
        held = Held(
            kind=HeldKind.ORDER,
            execution_id=order.execution_id,
            place=place,
            at=command.at,
            path=command.path,
            body=order_message(order).body.encode(),
        )
        return self._hold(scopes, [held])

    def _hold(self, scopes: Collection[str], held: Sequence[Held]) -> bool:
        """Put something under a switch that is known to hold. False: none does any more."""
        switch = first_of(scopes, self._looks.known())
        for _ in range(ROUNDS_MAX):
            if switch is None:
                return False
            self._freezes.hold(switch, held)
            found = first_of(scopes, self._looks.read())
            if found == switch:
                return True
            switch = found
        raise RetryableError("the switches that freeze this change all the time")


def _held_start(header: Header, events: Sequence[Event], now: int) -> list[Held]:
    """A start, always the same, and behind it the events that came with it, in order."""
    id = header.execution_id
    found = [Held(kind=HeldKind.START, execution_id=id, place=f"{header.started_at:015d}#{id}", at=header.started_at)]
    for index, event in enumerate(event for event in events if not isinstance(event, Poked)):
        place = f"{now:015d}#{id}#{index:03d}#{keys.safe(event.event_id)}"
        body = mail_body(Mail(id, event)).encode()
        found.append(Held(kind=HeldKind.EVENT, execution_id=id, place=place, at=now, body=body))
    return found
