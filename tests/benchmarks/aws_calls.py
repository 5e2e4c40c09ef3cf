"""Counts what the AWS adapters ask for and what that costs: requests by operation, DynamoDB's read and write units.

Units follow DynamoDB's rules (Developer Guide, "Read and write requests"): a write takes a unit per started KB of the
larger of the item before and after, a consistent read one per started 4 KB of each item (of all items together for a
query), an eventually consistent one half of that, failed conditions and absent items one at least; a change of an
indexed item is written to the index too, twice if its key moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID

from workflow_runtime.ports import LISTED_ATTRIBUTES, Poller, SqsRecord
from workflow_runtime.storage import keys

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
INDEXES = ((("index_pk", "index_sk"), None), (("listing_pk", "listing_sk"), LISTED_ATTRIBUTES))
"""Keys, and what is copied besides; None: all of the item."""
PRICES_AS_OF = "November 2026"
PRICES = {"write_units": 0.625, "read_units": 0.125, "sqs_requests": 0.40, "fifo_requests": 0.10, "invocations": 0.20}
"""Dollars per million, list prices of us-east-1. ``fifo_requests``: what those of FIFO queues cost besides, which are
among the SQS requests."""
SHOWN = tuple(name for name in PRICES if name != "fifo_requests")
SQS_OF_LAMBDA = ("ReceiveMessage", "DeleteMessageBatch")  # made by Lambda's poller, charged all the same


class Meter:
    """Listens to the clients and the poller of simulated AWS. What items were and are, it sees in moto."""

    def __init__(self, backend: Any) -> None:
        clients = backend.clients
        backend.poller = _Counted(backend.poller, self)
        self._tables = get_backend("dynamodb")[DEFAULT_ACCOUNT_ID][clients.dynamodb.meta.region_name]
        self.requests: Counter[str] = Counter()
        self.write_units = 0
        self.read_units = 0.0
        self.fifo_requests = 0
        for name in ("dynamodb", "sqs", "s3", "events", "scheduler"):
            client = getattr(clients, name)
            events = (client() if callable(client) else client).meta.events  # the scheduler's is made when it is needed
            events.register(f"provide-client-params.{name}", self._asked)
            events.register(f"after-call.{name}", self._answered)
        self._asked_for: dict[str, Any] = {}

    def reset(self) -> None:
        self.requests.clear()
        self.write_units = self.fifo_requests = 0
        self.read_units = 0.0

    def polled(self, operation: str, queue: str) -> None:
        """Lambda's poller has received messages, or deleted some."""
        self.requests[f"sqs.{operation}"] += 1
        self.fifo_requests += queue.endswith(".fifo")

    def sqs_requests(self) -> int:
        """Without receives that found nothing, which an idle poller makes too."""
        return sum(count for name, count in self.requests.items() if name.startswith("sqs."))

    def counts(self) -> dict[str, float]:
        """What was asked for, by the names in `PRICES`."""
        return {
            "write_units": self.write_units,
            "read_units": self.read_units,
            "sqs_requests": self.sqs_requests(),
            "fifo_requests": self.fifo_requests,
            "invocations": self.invocations(),
        }

    def invocations(self) -> int:
        """Of Lambda functions: each receive that found messages is one."""
        return self.requests["sqs.ReceiveMessage"]

    def _asked(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._asked_for = params
        operation = model.name
        if operation in ("PutItem", "UpdateItem", "DeleteItem"):
            key = params.get("Key") or {name: params["Item"][name] for name in ("pk", "sk")}
            self._before = self._stored(params["TableName"], key)
            self._key = key

    def _answered(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        service, operation = model.service_model.service_name, model.name
        if operation.startswith("ChangeMessageVisibility"):
            return  # of what takes longer than five seconds, as nothing does that is counted here but on a slow machine
        if operation == "Query" and {"S": keys.FREEZES} in self._asked_for["ExpressionAttributeValues"].values():
            return  # a process looks at the switches every few seconds, whatever it does
        self.requests[f"{service}.{operation}"] += 1
        if service == "sqs" and self._asked_for["QueueUrl"].endswith(".fifo"):
            self.fifo_requests += 1
        if service == "dynamodb":
            self._count_units(operation, parsed)

    def _count_units(self, operation: str, parsed: dict[str, Any]) -> None:
        if operation in ("PutItem", "UpdateItem", "DeleteItem"):
            self.write_units += written(self._before, self._stored(self._asked_for["TableName"], self._key))
        elif operation == "BatchWriteItem":
            for requests in self._asked_for["RequestItems"].values():
                for each in requests:  # deleted ones are small here, and stand in no index
                    self.write_units += written(None, each["PutRequest"]["Item"]) if "PutRequest" in each else 1
        elif operation == "GetItem":
            self.read_units += units(size(parsed.get("Item")), READ_UNIT_BYTES) * self._share(self._asked_for)
        elif operation == "BatchGetItem":
            for table, items in parsed["Responses"].items():
                share = self._share(self._asked_for["RequestItems"][table])
                self.read_units += sum(units(size(item), READ_UNIT_BYTES) for item in items) * share
        elif operation == "Query":
            self.read_units += units(sum(map(size, parsed["Items"])), READ_UNIT_BYTES)

    def _stored(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        item = self._tables.get_item(table, key)
        return None if item is None else {name: {value.type: value.value} for name, value in item.attrs.items()}

    def _share(self, request: Mapping[str, Any]) -> float:
        """What a read takes of what a consistent one does."""
        return 1 if request.get("ConsistentRead") else 0.5


class _Counted:
    """A poller that tells of the requests which one on AWS makes."""

    def __init__(self, poller: Poller, meter: Meter) -> None:
        self._poller = poller
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def receive(self, queue: str, maximum: int) -> Sequence[SqsRecord]:
        records = self._poller.receive(queue, maximum)
        if records:
            self._meter.polled("ReceiveMessage", queue)
        return records

    def delete(self, queue: str, receipt_handles: Sequence[str]) -> None:
        self._poller.delete(queue, receipt_handles)
        if receipt_handles:
            self._meter.polled("DeleteMessageBatch", queue)


def dollars_per_million(counts: Mapping[str, float]) -> float:
    """What a million of something cost that takes so many units and requests (by the names in `PRICES`)."""
    return sum(counts.get(name, 0) * price for name, price in PRICES.items())


def written(before: dict[str, Any] | None, after: dict[str, Any] | None) -> int:
    """Write units of turning one item into the other, indexes included."""
    cost = units(max(size(before), size(after)), WRITE_UNIT_BYTES)
    for names, copied in INDEXES:
        old, new = _copy(before, names, copied), _copy(after, names, copied)
        if old == new:
            continue
        moved = old is not None and new is not None and any(old[name] != new[name] for name in names)
        cost += (
            units(size(old), WRITE_UNIT_BYTES) + units(size(new), WRITE_UNIT_BYTES)
            if moved
            else units(max(size(old), size(new)), WRITE_UNIT_BYTES)
        )
    return cost


def _copy(item: dict[str, Any] | None, keys: Any, copied: Any) -> dict[str, Any] | None:
    """What an index holds of an item; None: it does not stand there."""
    if item is None or keys[0] not in item:
        return None
    if copied is None:
        return item
    shown = ("pk", "sk", *keys, *copied)
    return {name: value for name, value in item.items() if name in shown}


def units(total: int, unit_bytes: int) -> int:
    return max(1, -(-total // unit_bytes))


def size(item: dict[str, Any] | None) -> int:
    """Bytes of an item by DynamoDB's formula: names and values; a number takes a byte per two digits, and one more."""
    total = 0
    for name, typed in (item or {}).items():
        ((kind, value),) = typed.items()
        total += len(name.encode())
        total += (
            (len(value.lstrip("-")) + 1) // 2 + 1
            if kind == "N"
            else 1
            if kind in ("NULL", "BOOL")
            else len(_bytes(value))
        )
    return total


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
