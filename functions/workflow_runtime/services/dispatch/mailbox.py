"""A batch of `dispatch.fifo`: records grouped by execution, each group taken as one, in order; groups side by side."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from workflow_runtime.errors import InvalidEvent, RetryableError
from workflow_runtime.ports import Grouped, Together
from workflow_runtime.services.dispatch.dispatcher import Delivery, Dispatcher
from workflow_runtime.services.dispatch.pacing import backoff_seconds
from workflow_runtime.services.messages import UnknownMessage, parse_mail
from workflow_runtime.services.tally import Tally
from workflow_runtime.storage.dead_letters import sending_order

logger = logging.getLogger(__name__)


class MailboxBatch:
    """Takes all groups ``together`` when the first record is asked for; the others are then known. Each group is taken
    once, whatever becomes of it.

    ``records``: as Lambda delivers them. A body that nobody can read becomes a dead letter at once: delivered again,
    it would hold up its group. One that a newer version sent does so, until that version takes it. Groups for which
    there is no time left go back at once. ``tally``: adds up what senders have counted. ``grouped``: what all of them
    commit may be one transaction.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        records: Sequence[Mapping[str, Any]],
        together: Together,
        tally: Tally | None = None,
        grouped: Grouped = nullcontext,
    ) -> None:
        self._grouped = grouped
        self._dispatcher = dispatcher
        self._together = together
        self._tally = tally
        self._groups: dict[str, list[Mapping[str, Any]]] = {}
        self._taken: dict[str, bool] = {}
        self.postponed: dict[str, int] = {}
        for record in records:
            group = record["attributes"]["MessageGroupId"]
            self._groups.setdefault(group, []).append(record)

    def take(self, message_id: str) -> bool:
        """Whether this record was taken; if not, it and the rest of its group must be delivered again.

        ``postponed`` then names the group's receipts, and the seconds after which to look again.
        """
        if self._groups:
            groups, self._groups = self._groups, {}
            try:
                with self._grouped():
                    self._together([partial(self._take_if_possible, *group) for group in groups.items()])
            except RetryableError as error:
                logger.warning("a batch of events is tried again later", extra={"reason": str(error)})
                self._taken.clear()
        return self._taken.get(message_id, False)

    def _take_if_possible(self, group: str, records: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._take_group(group, records)
        except Exception:  # no reason to deliver the other groups again
            logger.exception("a group of events is tried again later", extra={"execution_id": group})

    def _take_group(self, group: str, records: Sequence[Mapping[str, Any]]) -> None:
        deliveries: list[Delivery] = []
        accepted: list[tuple[Mapping[str, Any], int]] = []  # each with how many are deliveries by then
        for place, record in enumerate(records):
            try:
                deliveries += self._deliveries(group, record)
                accepted.append((record, len(deliveries)))
            except UnknownMessage as error:
                logger.warning(
                    "an event waits for a newer version", extra={"execution_id": group, "reason": str(error)}
                )
                self._taken |= {left["messageId"]: False for left in records[place:]}
                break
            except InvalidEvent as error:
                self._taken[record["messageId"]] = self._refuse(group, record, str(error))
        count = self._dispatcher.dispatch(group, deliveries)
        for record, end in accepted:
            self._taken[record["messageId"]] = end <= count
        failed = next((place for place, record in enumerate(records) if not self._taken[record["messageId"]]), None)
        if failed is not None:  # what follows it in the group comes again too: the whole group waits as long
            left = records[failed:]
            in_time = not self._dispatcher.budget.is_short
            seconds = backoff_seconds(max(_receives(record) for record in left)) if in_time else 0
            self.postponed |= {record["receiptHandle"]: seconds for record in left}

    def _deliveries(self, group: str, record: Mapping[str, Any]) -> list[Delivery]:
        mail = parse_mail(record["body"])
        if mail.execution_id != group:
            raise InvalidEvent(f"an event for {mail.execution_id} in the mailbox of {group}")
        if mail.counts and self._tally is not None and _receives(record) == 1:
            self._tally.take(mail.counts)
        sent_at = int(record["attributes"]["SentTimestamp"])
        return [Delivery(event, _receives(record), sent_at) for event in mail.events]

    def _refuse(self, group: str, record: Mapping[str, Any], reason: str) -> bool:
        try:
            attributes = record["attributes"]
            sent = sending_order(int(attributes["SentTimestamp"]), int(attributes.get("SequenceNumber") or 0))
            self._dispatcher.record_dead_letter(group, record["messageId"], reason, record["body"], sent)
        except RetryableError:
            return False
        return True


def _receives(record: Mapping[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])
