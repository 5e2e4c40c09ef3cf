"""Creates the runtime's resources from the topology by API, for simulated AWS; CDK does it on AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workflow_runtime.backends.aws.items import INDEX, INDEXES, LISTING
from workflow_runtime.backends.aws.schedules import EventBridgeSchedules
from workflow_runtime.backends.clock import RealClock
from workflow_runtime.backends.limits import (
    EXPIRES_ATTRIBUTE,
    PARTITION_ATTRIBUTE,
    SORT_ATTRIBUTE,
)
from workflow_runtime.deployment.settings import Settings
from workflow_runtime.deployment.topology import Queue, Topology
from workflow_runtime.ports import LISTED_ATTRIBUTES, Schedule

if TYPE_CHECKING:
    from workflow_runtime.backends.aws.backend import Clients


def create_resources(topology: Topology, clients: Clients, prefix: str = "awr") -> Settings:
    """Create the table, the bucket, the bus and its rules, all queues and the schedules of ticks: ``<prefix>-…``."""
    table_name, bucket_name, bus_name = f"{prefix}-table", f"{prefix}-blobs", f"{prefix}-bus"
    _create_table(clients, table_name)
    region: Any = clients.s3.meta.region_name
    clients.s3.create_bucket(Bucket=bucket_name, CreateBucketConfiguration={"LocationConstraint": region})
    clients.events.create_event_bus(Name=bus_name)
    urls: dict[str, str] = {}
    arns: dict[str, str] = {}
    for queue in sorted(topology.queues, key=lambda queue: queue.dead_letters is not None):  # dead letters first
        urls[queue.name] = _create_queue(clients, queue, prefix, arns)
        arns[queue.name] = queue_arn(clients, urls[queue.name])
    group, role_arn = f"{prefix}-schedules", "arn:aws:iam::123456789012:role/scheduler"  # which nobody checks
    clients.scheduler().create_schedule_group(Name=group)
    for rule in topology.rules:
        name = f"{prefix}-{rule.name}"
        clients.events.put_rule(Name=name, EventBusName=bus_name, EventPattern=json.dumps(rule.pattern))
        target: Any = {"Id": rule.queue, "Arn": arns[rule.queue]}
        clients.events.put_targets(Rule=name, EventBusName=bus_name, Targets=[target])
    schedules = EventBridgeSchedules(clients.scheduler, group, role_arn, arns, RealClock())
    for tick in topology.ticks:
        schedules.put(Schedule(tick.schedule_name, tick.queue, "{}", expression=tick.expression))
    return Settings(
        table_name=table_name,
        bucket_name=bucket_name,
        bus_name=bus_name,
        queue_urls=urls,
        local=True,
        schedule_group=group,
        schedule_role_arn=role_arn,
        queue_arns=arns,
    )


def queue_arn(clients: Clients, url: str) -> str:
    """Of a queue by its URL, which ends in its account and name."""
    account, name = url.rsplit("/", 2)[-2:]
    return f"arn:aws:sqs:{clients.sqs.meta.region_name}:{account}:{name}"


def _create_table(clients: Clients, name: str) -> None:
    projections: dict[str, Any] = {
        INDEX: {"ProjectionType": "ALL"},
        LISTING: {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(LISTED_ATTRIBUTES)},
    }
    indexes: Any = [
        {"IndexName": index, "KeySchema": _key_schema(partition, sort), "Projection": projections[index]}
        for index, partition, sort in INDEXES.values()
    ]
    attributes = (PARTITION_ATTRIBUTE, SORT_ATTRIBUTE, *(key for _, *keys in INDEXES.values() for key in keys))
    clients.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": "S"} for attribute in attributes],
        KeySchema=_key_schema(PARTITION_ATTRIBUTE, SORT_ATTRIBUTE),
        GlobalSecondaryIndexes=indexes,
    )
    clients.dynamodb.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES_ATTRIBUTE}
    )
    clients.dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def _key_schema(partition: str, sort: str) -> list[Any]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def _create_queue(clients: Clients, queue: Queue, prefix: str, arns: dict[str, str]) -> str:
    attributes: dict[Any, str] = {
        "VisibilityTimeout": str(queue.visibility_seconds),
        "MessageRetentionPeriod": str(queue.retention_seconds),
    }
    if queue.fifo:
        attributes["FifoQueue"] = "true"
    if queue.dead_letters is not None:
        policy = {"deadLetterTargetArn": arns[queue.dead_letters], "maxReceiveCount": queue.receives_max}
        attributes["RedrivePolicy"] = json.dumps(policy)
    return clients.sqs.create_queue(QueueName=f"{prefix}-{queue.name}", Attributes=attributes)["QueueUrl"]
