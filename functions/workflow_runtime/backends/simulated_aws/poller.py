"""`ports.Poller` on SQS, for simulated AWS: on AWS itself, Lambda's event source mappings do this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workflow_runtime.backends.aws.faults import translated
from workflow_runtime.backends.simulated_aws.moto_state import queue_in
from workflow_runtime.ports import BATCH_MESSAGES_MAX, Clock, SqsRecord

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

POLL_MILLISECONDS = 50  # how soon to look again while there is any message


class SqsPoller:
    """See `ports.Poller`. ``urls``: the queues by name; ``polled``: those that `next_visible_at` looks at (None: all).

    SQS does not tell when a hidden message becomes visible: as long as there is any, `next_visible_at` says "soon".
    """

    def __init__(
        self, client: SQSClient, urls: Mapping[str, str], clock: Clock, polled: Sequence[str] | None = None
    ) -> None:
        self._client = client
        self._urls = urls
        self._clock = clock
        self._polled = tuple(urls if polled is None else polled)

    def receive(self, queue: str, maximum: int) -> list[SqsRecord]:
        if not 1 <= maximum <= BATCH_MESSAGES_MAX:
            raise ValueError(f"a receive is of 1 to {BATCH_MESSAGES_MAX} messages, not {maximum}")
        url = self._url(queue)
        if not self._simulated(url).messages:  # those that are visible
            return []
        with translated(f"receiving from {queue}"):
            answer = self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=maximum,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
                WaitTimeSeconds=0,
            )
        return [self._record(url, message) for message in answer.get("Messages", [])]

    def _record(self, url: str, message: Any) -> SqsRecord:
        account, name = url.rsplit("/", 2)[-2:]
        region = self._client.meta.region_name
        return SqsRecord(
            message["ReceiptHandle"],
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": {},  # the runtime sends none
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{region}:{account}:{name}",
                "awsRegion": region,
            },
        )

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None:
        url = self._url(queue)
        handles = list(dict.fromkeys(receipt_handles))
        for start in range(0, len(handles), BATCH_MESSAGES_MAX):
            batch = handles[start : start + BATCH_MESSAGES_MAX]
            with translated(f"deleting from {queue}"):  # stale receipts come back as failed entries
                self._client.delete_message_batch(
                    QueueUrl=url,
                    Entries=[{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(batch)],
                )

    def next_visible_at(self, *, without: str = "") -> int | None:
        for queue in self._polled:
            if queue == without:
                continue
            simulated = self._simulated(self._url(queue))
            if (
                simulated.approximate_number_of_messages
                or simulated.approximate_number_of_messages_not_visible
                or simulated.approximate_number_of_messages_delayed
            ):
                return self._clock.now() + POLL_MILLISECONDS
        return None

    def _simulated(self, url: str) -> Any:
        return queue_in(self._client.meta.region_name, url.rpartition("/")[2])

    def _url(self, queue: str) -> str:
        url = self._urls.get(queue)
        if url is None:
            raise ValueError(f"there is no queue {queue}")
        return url
