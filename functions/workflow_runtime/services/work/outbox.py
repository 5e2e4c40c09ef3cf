"""In the worker: effects that are committed with the record of a call, and sent right after it.

A write of another table happens in the transaction that records what the call came to: both or neither. What goes to a
queue or a bus is written there in the same transaction, as an item of the outbox, and sent from there: by the worker as
soon as it has recorded, and by another one when the sweep finds that it was not. So nothing is sent of a call that was
not recorded, and nothing that was is lost; what was sent by a worker that died before noting it is sent again, under
the same id.
"""

from __future__ import annotations

import logging

from workflow_runtime.errors import RetryableError
from workflow_runtime.invokers.committing import ToCommit
from workflow_runtime.ports import BusEvent, EffectRefused, Outgoing, Ports, QueueMessage, TableWrite
from workflow_runtime.services.messages import Delivery, delivery_body
from workflow_runtime.services.patience import PatientCalls
from workflow_runtime.services.upkeep.dead_letters import DeadLetters
from workflow_runtime.storage.outbox import LETTERS, OPEN, Commit, Entry
from workflow_runtime.storage.stores import Stores

logger = logging.getLogger(__name__)


class Outbox:
    """``dead_letters`` takes what is refused for good."""

    def __init__(self, ports: Ports, stores: Stores, dead_letters: DeadLetters) -> None:
        self._ports = ports
        self._store = stores.outbox
        self._dead_letters = dead_letters

    async def commit(self, execution_id: str, pool: str, to_commit: ToCommit) -> Commit | None:
        """What is to be written with the record of a call. What may not be stored is sent now, before the record.
        Raises `NodeError`."""
        effect = to_commit.effect
        if effect is None:
            return None
        if isinstance(effect, TableWrite):
            return Commit(write=effect)
        patiently = PatientCalls(self._ports, _named(effect))
        if to_commit.holds_secrets:
            await patiently(self._send, effect)
            return None
        now = self._ports.clock.now()
        return Commit(outbox=(await patiently(self._store.item, execution_id, pool, effect, now),))

    async def send_recorded(self, execution_id: str, commit: Commit | None) -> None:
        """Send what was written with a record. The sweep sees to it that what cannot be sent now is sent later."""
        for item in commit.outbox if commit is not None else ():
            try:
                await self._ports.offload(self.deliver, execution_id, str(item.attributes["id"]))
            except RetryableError as error:
                fields = {"execution_id": execution_id, "outbox": item.attributes["id"], "reason": str(error)}
                logger.warning("what was recorded is sent later", extra=fields)

    def deliver(self, execution_id: str, id: str) -> None:
        """Send what waits under this id, unless it was sent. Raises `RetryableError`."""
        entry = self._store.get(execution_id, id)
        if entry is None or entry.status != OPEN:
            return
        effect = self._store.effect(entry)
        try:
            self._send(effect)
        except EffectRefused as error:
            self._refuse(entry, error.message)
        else:
            self._store.end(entry, effect, self._ports.clock.now())

    def deliver_all(self, execution_id: str) -> None:
        """Send all that waits of an execution. Raises `RetryableError`."""
        for entry in self._store.open_of(execution_id):
            self.deliver(execution_id, entry.id)

    def _refuse(self, entry: Entry, reason: str) -> None:
        """Known to people before it is off the list: a repeat changes nothing."""
        delivery = Delivery(entry.execution_id, entry.id)
        self._dead_letters.record(f"{LETTERS}{entry.id}", delivery_body(delivery), reason, delivery)
        self._store.refuse(entry, reason)

    def _send(self, effect: Outgoing) -> None:
        """Raises `EffectRefused`, `RetryableError`."""
        try:
            if isinstance(effect, QueueMessage):
                self._ports.outlets.send_message(effect)
            elif effect.bus:
                self._ports.outlets.put_event(effect)
            else:
                for refusal in self._ports.bus.publish([BusEvent(effect.source, effect.topic, effect.detail)]):
                    raise EffectRefused("execution_error", f"the event bus refused the event: {refusal.reason}")
        except ValueError as error:  # the request itself is wrong, and stays so
            raise EffectRefused("validation_error", f"{_named(effect)}: {error}") from error


def _named(effect: Outgoing) -> str:
    if isinstance(effect, QueueMessage):
        return f"the queue {effect.queue}"
    return f"the bus {effect.bus}" if effect.bus else "the event bus"
