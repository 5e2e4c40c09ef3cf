"""`ports.Bus` on EventBridge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workflow_runtime.backends.aws.batching import Indexed, send_in_batches
from workflow_runtime.backends.aws.faults import Patience, sleep_up_to, translated
from workflow_runtime.backends.aws.tracing import Trace, no_trace
from workflow_runtime.backends.limits import event_bytes, event_refusal
from workflow_runtime.ports import BUS_ENTRY_BYTES_MAX, BusEvent, Refusal

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

# Entries of an answer with HTTP 200 can fail; these failures pass.
_PASSING = frozenset({"ThrottlingException", "InternalFailure", "InternalException", "ServiceUnavailable"})


class EventBridgeBus:
    """See `ports.Bus`. An event may be published twice when a response is lost."""

    def __init__(
        self,
        client: EventBridgeClient,
        bus_name: str,
        pause: Callable[[float], None] = sleep_up_to,
        trace: Trace = no_trace,
    ) -> None:
        self._client = client
        self._bus_name = bus_name
        self._pause = pause
        self._trace = trace

    def publish(self, events: Sequence[BusEvent]) -> list[Refusal]:
        return send_in_batches(events, event_refusal, event_bytes, BUS_ENTRY_BYTES_MAX, self._publish_batch)

    def _publish_batch(self, batch: list[Indexed[BusEvent]]) -> list[Refusal]:
        refusals = []
        patience = Patience("publishing events", self._pause)
        while batch:
            with translated("publishing events"):
                answer = self._client.put_events(Entries=[self._entry(event) for _, event in batch])
            again = []
            if answer["FailedEntryCount"]:
                for (index, event), result in zip(batch, answer["Entries"], strict=True):
                    code = result.get("ErrorCode")
                    if code in _PASSING:
                        again.append((index, event))
                    elif code is not None:
                        refusals.append(Refusal(index, f"{code}: {result.get('ErrorMessage', '')}"))
            progress = len(again) < len(batch)
            batch = again
            if batch:
                patience.wait(progress=progress)
        return refusals

    def _entry(self, event: BusEvent) -> Any:
        entry = {
            "EventBusName": self._bus_name,
            "Source": event.source,
            "DetailType": event.detail_type,
            "Detail": event.detail,
        }
        trace = self._trace()
        return entry if trace is None else {**entry, "TraceHeader": trace}
