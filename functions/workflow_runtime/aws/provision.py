"""Creates the runtime's resources from the topology by API, for simulated AWS; CDK does it on AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workflow_runtime.aws.table import INDEX
from workflow_runtime.service_limits import (
    INDEX_PARTITION_ATTRIBUTE,
    INDEX_SORT_ATTRIBUTE,
    PARTITION_ATTRIBUTE,
    SORT_ATTRIBUTE,
)
from workflow_runtime.settings import Settings
from workflow_runtime.topology import Queue, Topology

if TYPE_CHECKING:
    from workflow_runtime.aws.backend import Clients


def create_resources(topology: Topology, clients: Clients, prefix: str = "awr") -> Settings:
    """Create the table, the bucket, the bus and all queues, their names starting with ``prefix``."""
    table_name, bucket_name, bus_name = f"{prefix}-table", f"{prefix}-blobs", f"{prefix}-bus"
    _create_table(clients, table_name)
    region: Any = clients.s3.meta.region_name
    clients.s3.create_bucket(Bucket=bucket_name, CreateBucketConfiguration={"LocationConstraint": region})
    clients.events.create_event_bus(Name=bus_name)
    urls: dict[str, str] = {}
    for queue in sorted(topology.queues, key=lambda queue: queue.dead_letters is not None):  # dead letters first
        urls[queue.name] = _create_queue(clients, queue, prefix, urls)
    return Settings(table_name=table_name, bucket_name=bucket_name, bus_name=bus_name, queue_urls=urls, local=True)


def queue_arn(clients: Clients, url: str) -> str:
    answer = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return answer["Attributes"]["QueueArn"]


def _create_table(clients: Clients, name: str) -> None:
    attributes = (PARTITION_ATTRIBUTE, SORT_ATTRIBUTE, INDEX_PARTITION_ATTRIBUTE, INDEX_SORT_ATTRIBUTE)
    clients.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": "S"} for attribute in attributes],
        KeySchema=[
            {"AttributeName": PARTITION_ATTRIBUTE, "KeyType": "HASH"},
            {"AttributeName": SORT_ATTRIBUTE, "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": INDEX,
                "KeySchema": [
                    {"AttributeName": INDEX_PARTITION_ATTRIBUTE, "KeyType": "HASH"},
                    {"AttributeName": INDEX_SORT_ATTRIBUTE, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    clients.dynamodb.get_waiter("table_exists").wait(TableName=name)
    clients.dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def _create_queue(clients: Clients, queue: Queue, prefix: str, urls: dict[str, str]) -> str:
    attributes: dict[Any, str] = {
        "VisibilityTimeout": str(queue.visibility_seconds),
        "MessageRetentionPeriod": str(queue.retention_seconds),
    }
    if queue.fifo:
        attributes["FifoQueue"] = "true"
    if queue.dead_letters is not None:
        target = queue_arn(clients, urls[queue.dead_letters])
        attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": queue.receives_max})
    return clients.sqs.create_queue(QueueName=f"{prefix}-{queue.name}", Attributes=attributes)["QueueUrl"]
