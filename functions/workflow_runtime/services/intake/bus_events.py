"""What the queue `events` holds: events of the bus, and starts that schedules sent."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.invokers.invocation import ORIGIN_KEY
from workflow_runtime.language.expressions import EvaluationError, parse_iso
from workflow_runtime.language.json_values import DEPTH_MAX, Json, NotJson, read_json, to_json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.ports import Blobs
from workflow_runtime.services.catalog.triggers import Occasion, ScheduledStart
from workflow_runtime.services.intake.starts import is_correlation_id
from workflow_runtime.storage.payloads import INLINE_BYTES_MAX, is_large, pack_bytes

ADDRESS = "execution_id"  # in a detail: the execution that the event is for


class Way(msgspec.Struct, frozen=True):
    """How an event comes to an execution: under a correlation ``key``, by the trigger with the digest ``route``.

    ``to_wait``: a wait of the execution asked for it; else a trigger of the workflow. No key: its detail names the
    execution.
    """

    key: str | None = None
    route: str = ""
    to_wait: bool = False


ADDRESSED = Way()


class BusEvent(msgspec.Struct, frozen=True, rename={"detail_type": "detail-type"}, dict=True):
    """An event as EventBridge delivers it."""

    id: str
    source: str
    detail_type: str
    time: str
    detail: dict[str, Json]
    account: str = ""
    region: str = ""
    resources: list[Json] = []

    @cached_property
    def hops(self) -> int:
        """How many executions passed it on; 0 for one that none published. What callers say counts upward only."""
        mark = self.detail.get(ORIGIN_KEY)
        hops = mark.get("hops") if isinstance(mark, dict) else None
        return max(hops, 0) if isinstance(hops, int) and not isinstance(hops, bool) else 0

    @cached_property
    def correlation_id(self) -> str:
        """That of the execution which published it; "" if none did."""
        mark = self.detail.get(ORIGIN_KEY)
        found = mark.get("correlation_id") if isinstance(mark, dict) else None
        return found if isinstance(found, str) and is_correlation_id(found) else ""

    @cached_property
    def payload(self) -> dict[str, Json]:
        """The detail without the runtime's own mark."""
        return {name: value for name, value in self.detail.items() if name != ORIGIN_KEY}

    @cached_property
    def occasion(self) -> Occasion:
        names = {
            "detail": self.detail,
            "detail-type": self.detail_type,
            "source": self.source,
            "id": self.id,
            "time": self.time,
            "account": self.account,
            "region": self.region,
            "resources": self.resources,
        }
        return Occasion(self.id, parse_iso(self.time), self.payload, names)

    def signal(self, blobs: Blobs, execution_id: str, name: str, data: Json, way: Way = ADDRESSED) -> SignalReceived:
        """The event as an execution receives it; large data goes to the blob store first.

        One bus event may reach an execution under several names, and under each takes effect once, however many
        triggers bring it; a wait that asked for it by itself has it all the same.
        """
        identity = self.id if name == self.detail_type else f"{self.id}:{name}"
        if way.to_wait:
            identity = f"{identity}:{way.route}"
        encoded = msgspec.json.encode(data)
        packed = pack_bytes(encoded) if len(encoded) > INLINE_BYTES_MAX else b""  # as `payloads.pack` would
        blob = None
        if is_large(encoded, packed):
            blob = f"executions/{execution_id}/events/{hashlib.sha256(packed).hexdigest()[:40]}"
            blobs.put(blob, packed)
        return SignalReceived(
            f"signal:{identity}",
            self.occasion.at,
            name,
            data=data if blob is None else None,
            blob=blob,
            id=self.id,
            source=self.source,
            key=way.key,
            route=way.route,
            hops=self.hops,
        )


def parse_body(body: str) -> BusEvent | ScheduledStart:
    """Raises `InvalidEvent` for what is neither."""
    try:
        value: Any = read_json(body, DEPTH_MAX + 1)
        if isinstance(value, dict):  # the bounds of values are those of its fields
            value = {name: to_json(field, name) for name, field in value.items()}
        if isinstance(value, dict) and "schedule" in value and "detail-type" not in value:
            return msgspec.convert(value["schedule"], ScheduledStart)
        event = msgspec.convert(value, BusEvent)
        parse_iso(event.time)
        event = replace(event, detail_type=normalized(event.detail_type))
    except (msgspec.MsgspecError, NotJson, UnicodeError, EvaluationError) as error:
        raise InvalidEvent(f"not an event: {error}") from error
    return event
