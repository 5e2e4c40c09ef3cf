"""The tables, queues and buses of others on simulated AWS: each is made when it is first written or sent to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from workflow_runtime.backends.aws.backend import Clients
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import BusMessage, EffectRefused, Outlets, Put, QueueMessage, Table, TableWrite
from workflow_runtime.ports.effect_checks import FIFO, check_event, check_message, check_write
from workflow_runtime.ports.effects import KeyValue

_plain = TypeDeserializer().deserialize


class OtherTables:
    """A table before which those of others are made."""

    def __init__(self, table: Table, clients: Clients) -> None:
        self._table = table
        self._client = clients.dynamodb

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._table, name)
        return method

    def transact(self, puts: Sequence[Put], write: TableWrite | None = None) -> None:
        if write is not None:
            check_write(write)
            if write.table not in self._client.list_tables()["TableNames"]:
                self._create(write)
            self._check_key(write)
        self._table.transact(puts, write)

    def items(self, table: str) -> list[dict[str, Json]]:
        """All items of a table, by their keys."""
        if table not in self._client.list_tables()["TableNames"]:
            return []
        names = [part["AttributeName"] for part in self._client.describe_table(TableName=table)["Table"]["KeySchema"]]
        rows = self._client.scan(TableName=table)["Items"]
        found = [{name: _json(_plain(value)) for name, value in row.items()} for row in rows]
        return sorted(found, key=lambda item: [(isinstance(item[name], str), item[name]) for name in names])

    def _check_key(self, write: TableWrite) -> None:
        """moto does not, for puts in transactions."""
        table = self._client.describe_table(TableName=write.table)["Table"]
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
        if types != {name: _type(value) for name, value in write.key.items()}:
            raise EffectRefused("validation_error", f"table {write.table}: the key does not match its schema")

    def _create(self, write: TableWrite) -> None:
        attributes: Any = [{"AttributeName": name, "AttributeType": _type(value)} for name, value in write.key.items()]
        schema: Any = [
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(write.key, ("HASH", "RANGE"), strict=False)
        ]
        self._client.create_table(
            TableName=write.table, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=attributes, KeySchema=schema
        )


class OtherOutlets:
    """Outlets before which the queues and buses of others are made; what was sent is kept, to be looked at."""

    def __init__(self, outlets: Outlets, clients: Clients) -> None:
        self._outlets = outlets
        self._clients = clients
        self.messages: list[QueueMessage] = []
        self.events: list[BusMessage] = []

    def send_message(self, message: QueueMessage) -> None:
        check_message(message)
        fifo: Any = {"FifoQueue": "true"} if message.queue.endswith(FIFO) else {}
        urls = self._clients.sqs.list_queues(QueueNamePrefix=message.queue).get("QueueUrls", [])
        if not any(url.rpartition("/")[2] == message.queue for url in urls):
            self._clients.sqs.create_queue(QueueName=message.queue, Attributes=fifo)
        self._outlets.send_message(message)
        self.messages.append(message)

    def put_event(self, event: BusMessage) -> None:
        check_event(event)
        buses = self._clients.events.list_event_buses()["EventBuses"]
        if event.bus not in [bus["Name"] for bus in buses] and not event.bus.startswith("arn:"):
            self._clients.events.create_event_bus(Name=event.bus)
        self._outlets.put_event(event)
        self.events.append(event)


def _type(value: KeyValue) -> str:
    return "S" if isinstance(value, str) else "N"


def _json(value: Any) -> Json:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case list():
            return [_json(each) for each in value]
        case dict():
            return {name: _json(each) for name, each in value.items()}
    return value
