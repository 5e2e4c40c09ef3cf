"""`ports.Queues` on SQS."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from workflow_runtime.backends.aws.batching import Indexed, send_in_batches
from workflow_runtime.backends.aws.faults import Patience, sleep_up_to, translated
from workflow_runtime.backends.aws.tracing import Trace, no_trace
from workflow_runtime.backends.limits import check_visibility, message_refusal
from workflow_runtime.deployment.topology import TOPOLOGY, Queue, Topology
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import BATCH_MESSAGES_MAX, MESSAGE_BYTES_MAX, Message, Refusal

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# A receipt that is no longer good: the message was deleted, received again, or its timeout ended.
_STALE = frozenset(
    {
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue",
    }
)


class SqsQueues:
    """See `ports.Queues`. A message may be sent twice when a response is lost; FIFO deduplication absorbs that.

    A FIFO message that is sent again comes after those of its batch that were not.
    """

    def __init__(
        self,
        client: SQSClient,
        queue_urls: Mapping[str, str],
        topology: Topology = TOPOLOGY,
        pause: Callable[[float], None] = sleep_up_to,
        trace: Trace = no_trace,
    ) -> None:
        self._client = client
        self._queue_urls = queue_urls
        self._queues = {queue.name: queue for queue in topology.queues}
        self._pause = pause
        self._trace = trace

    def send(self, queue: str, messages: Sequence[Message]) -> list[Refusal]:
        url = self._url(queue)
        known = self._queues[queue]
        return send_in_batches(
            messages,
            lambda message: message_refusal(known, message),
            lambda message: len(message.body.encode()),
            MESSAGE_BYTES_MAX,
            lambda batch: self._send_batch(url, known, batch),
        )

    def _send_batch(self, url: str, queue: Queue, batch: list[Indexed[Message]]) -> list[Refusal]:
        refusals = []
        patience = Patience(f"sending to {queue.name}", self._pause)
        trace = self._trace()
        while batch:
            entries: list[Any] = [_entry(number, message, trace) for number, (_, message) in enumerate(batch)]
            with translated(f"sending to {queue.name}"):
                answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
            again = []
            for failure in answer.get("Failed", []):
                index, message = batch[int(failure["Id"])]
                if failure["SenderFault"]:
                    refusals.append(Refusal(index, f"{failure['Code']}: {failure.get('Message', '')}"))
                else:
                    again.append((index, message))
            progress = len(again) < len(batch)
            batch = sorted(again, key=lambda indexed: indexed[0])
            if batch:
                patience.wait(progress=progress)
        return refusals

    def set_visibility(self, queue: str, seconds: Mapping[str, int]) -> None:
        for each in seconds.values():
            check_visibility(each)
        url = self._url(queue)
        pending = iter(seconds.items())
        while batch := list(islice(pending, BATCH_MESSAGES_MAX)):
            entries: list[Any] = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": each}
                for number, (receipt, each) in enumerate(batch)
            ]
            what = f"changing the visibility of messages of {queue}"
            with translated(what):
                answer = self._client.change_message_visibility_batch(QueueUrl=url, Entries=entries)
            failed = [failure for failure in answer.get("Failed", []) if failure["Code"] not in _STALE]
            if failed:
                raise RetryableError(f"{what}: {failed[0]['Code']}: {failed[0].get('Message', '')}")

    def _url(self, queue: str) -> str:
        url = self._queue_urls.get(queue)
        if url is None or queue not in self._queues:
            raise ValueError(f"there is no queue {queue}")
        return url


def _entry(number: int, message: Message, trace: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": str(number), "MessageBody": message.body}
    if message.group is not None:
        entry["MessageGroupId"] = message.group
    if message.deduplication_id is not None:
        entry["MessageDeduplicationId"] = message.deduplication_id
    if message.delay_seconds:
        entry["DelaySeconds"] = math.ceil(message.delay_seconds)
    if trace is not None:
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    return entry
