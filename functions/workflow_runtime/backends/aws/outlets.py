"""`ports.Outlets` on SQS and EventBridge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.bus import EventBridgeBus
from workflow_runtime.backends.aws.faults import error_code, sleep_up_to, translated
from workflow_runtime.ports import BusEvent, BusMessage, EffectRefused, QueueMessage
from workflow_runtime.ports.effect_checks import FIFO, check_event, check_message, deduplication_id
from workflow_runtime.ports.effects import ID_ATTRIBUTE

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_NOT_ALLOWED = frozenset({"AccessDenied", "AccessDeniedException"})


class AwsOutlets:
    """See `ports.Outlets`. ``own_queues``: URLs of the runtime's, ``own_bus``: the name of
    its bus; they are not any other's."""

    def __init__(
        self,
        sqs: SQSClient,
        events: EventBridgeClient,
        own_queues: Collection[str],
        own_bus: str,
        pause: Callable[[float], None] = sleep_up_to,
    ) -> None:
        self._sqs = sqs
        self._events = events
        self._own_queues = frozenset(own_queues)
        self._own_bus = own_bus
        self._pause = pause
        self._urls: dict[str, str] = {}

    def send_message(self, message: QueueMessage) -> None:
        check_message(message)
        request: dict[str, Any] = {
            "QueueUrl": self._url(message.queue),
            "MessageBody": message.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in {**message.attributes, ID_ATTRIBUTE: message.id}.items()
            },
        }
        if message.group is not None:
            request["MessageGroupId"] = message.group
        if message.queue.endswith(FIFO):
            request["MessageDeduplicationId"] = deduplication_id(message)
        elif message.delay_seconds:
            request["DelaySeconds"] = message.delay_seconds
        what = f"sending to the queue {message.queue}"
        with _refusals(what, message.queue):
            self._sqs.send_message(**request)

    def put_event(self, event: BusMessage) -> None:
        check_event(event)
        if event.bus in (self._own_bus, ""):
            raise EffectRefused("not_allowed", f"{event.bus} is the runtime's own bus: leave out `bus`")
        bus = EventBridgeBus(self._events, event.bus, self._pause)
        for refusal in bus.publish([BusEvent(event.source, event.topic, event.detail)]):
            raise EffectRefused("not_found", f"the bus {event.bus} refused the event: {refusal.reason}")

    def _url(self, queue: str) -> str:
        with suppress(KeyError):
            return self._urls[queue]
        what = f"looking for the queue {queue}"
        with _refusals(what, queue):
            url = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        if url in self._own_queues:
            raise EffectRefused("not_allowed", f"the queue {queue} is one of the runtime's own")
        self._urls[queue] = url
        return url


@contextmanager
def _refusals(what: str, queue: str) -> Iterator[None]:
    """Turns what SQS refuses for good into `EffectRefused`, and the other errors into what `ports` promises."""
    try:
        with translated(what):
            try:
                yield
            except ClientError as error:
                code = error_code(error)
                if code in _NO_QUEUE:
                    raise EffectRefused("not_found", f"there is no queue {queue}") from error
                if code in _NOT_ALLOWED:
                    message = f"the role of this worker pool may not send to the queue {queue}"
                    raise EffectRefused("not_allowed", message) from error
                raise
    except ValueError as error:
        raise EffectRefused("validation_error", str(error)) from error
