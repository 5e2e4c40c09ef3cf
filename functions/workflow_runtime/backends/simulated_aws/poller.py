"""`ports.Poller` on the queues of simulated AWS: on AWS itself, Lambda's event source mappings do this.

It calls moto's own methods, not the service's operations by a client: no adapter is in between, and most looks find
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workflow_runtime.backends.simulated_aws.moto_state import queues_in
from workflow_runtime.ports import BATCH_MESSAGES_MAX, Clock, SqsRecord

POLL_MILLISECONDS = 50  # how soon to look again while there is any message


class SimulatedPoller:
    """See `ports.Poller`. ``arns``: the queues by name; ``polled``: those that `next_visible_at` looks at (None: all).

    SQS does not tell when a hidden message becomes visible: as long as there is any, `next_visible_at` says "soon".
    """

    def __init__(self, arns: Mapping[str, str], clock: Clock, polled: Sequence[str] | None = None) -> None:
        self._arns = arns
        self._clock = clock
        self._polled = tuple(arns if polled is None else polled)

    def receive(self, queue: str, maximum: int) -> list[SqsRecord]:
        if not 1 <= maximum <= BATCH_MESSAGES_MAX:
            raise ValueError(f"a receive is of 1 to {BATCH_MESSAGES_MAX} messages, not {maximum}")
        queues, name, arn = self._place(queue)
        simulated = queues.get_queue(name)
        if not simulated.messages:  # those that are visible
            return []
        received = queues.receive_message(name, maximum, 0, simulated.visibility_timeout)
        return [_record(message, arn) for message in received]

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None:
        queues, name, _ = self._place(queue)
        receipts = [{"Id": handle, "ReceiptHandle": handle} for handle in receipt_handles]
        queues.delete_message_batch(name, receipts)  # it returns those that are stale

    def next_visible_at(self, *, without: str = "") -> int | None:
        for queue in self._polled:
            if queue == without:
                continue
            queues, name, _ = self._place(queue)
            simulated = queues.get_queue(name)
            if (
                simulated.approximate_number_of_messages
                or simulated.approximate_number_of_messages_not_visible
                or simulated.approximate_number_of_messages_delayed
            ):
                return self._clock.now() + POLL_MILLISECONDS
        return None

    def _place(self, queue: str) -> tuple[Any, str, str]:
        """moto's queues of its region, its name among them, and its ARN."""
        arn = self._arns.get(queue)
        if arn is None:
            raise ValueError(f"there is no queue {queue}")
        _, _, _, region, _, name = arn.split(":")
        return queues_in(region), name, arn


def _record(message: Any, arn: str) -> SqsRecord:
    """As Lambda gets it; the runtime sends no message attributes."""
    attributes = {
        "ApproximateReceiveCount": message.approximate_receive_count,
        "SentTimestamp": message.sent_timestamp,
        "SenderId": message.sender_id,
        "ApproximateFirstReceiveTimestamp": message.approximate_first_receive_timestamp,
        "MessageGroupId": message.group_id,
        "MessageDeduplicationId": message.deduplication_id,
        "SequenceNumber": message.sequence_number,
    }
    return SqsRecord(
        message.receipt_handle,
        {
            "messageId": message.id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {name: str(value) for name, value in attributes.items() if value is not None},
            "messageAttributes": {},
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": arn.split(":")[3],
        },
    )
