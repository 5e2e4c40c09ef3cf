"""What each function may do, from what the topology says that it calls: its own actions on its own resources.

Besides, `lambda_.Function` lets a role with tracing write to X-Ray, whose actions know no resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.events import Events
from infra.props import RuntimeProps, WorkerPool
from infra.storage import BLOB_PREFIX, Storage
from infra.suppressions import accept_wildcard
from workflow_runtime.backends.aws.items import INDEXES
from workflow_runtime.deployment.topology import (
    CUSTOM_SOURCE,
    EXPRESS_POOL,
    LIFECYCLE_SOURCE,
    BlobCall,
    Function,
    ScheduleCall,
    TableCall,
)
from workflow_runtime.ports import IndexName
from workflow_runtime.storage.keys import LIMITERS

TABLE_ACTIONS: Mapping[TableCall, tuple[str, ...]] = {
    "get": ("GetItem", "BatchGetItem"),
    "put": ("PutItem",),
    "update": ("UpdateItem",),
    "change": ("UpdateItem",),
    "put_all": ("PutItem", "BatchWriteItem"),
    "transact": ("PutItem",),  # DynamoDB asks for the rights of what a transaction holds
    "delete": ("DeleteItem",),
    "delete_all": ("BatchWriteItem",),
    "query": ("Query",),
}  # `query_index` is Query on an index
SCHEDULE_ACTIONS: Mapping[ScheduleCall, tuple[str, ...]] = {
    "put": ("Create", "Update"),
    "create": ("Create",),
    "delete": ("Delete",),
}
BLOB_ACTIONS: Mapping[BlobCall, tuple[str, ...]] = {
    "get": ("GetObject",),
    "put": ("PutObject",),
    "renew": ("GetObject", "PutObject"),
}
POLLING_ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")  # by Lambda, in the function's name
NETWORK_ACTIONS = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
TABLE_WRITES = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
LISTED = "An entry of the allow-list, as it was written"
TRACING_REASON = "X-Ray's actions, and Lambda's on network interfaces, know no resources"


@dataclass(frozen=True, slots=True)
class Grant:
    """Allowed ``actions`` on ``resources``; ``reason`` is why one of them ends in a wildcard."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    reason: str = ""
    conditions: Mapping[str, object] | None = None

    def to(self, role: iam.Role) -> None:
        """Add it to the role's policy, unless there is nothing in it."""
        if not (self.actions and self.resources):
            return
        conditions = dict(self.conditions) if self.conditions else None
        role.add_to_policy(
            iam.PolicyStatement(
                sid=self.sid, actions=list(self.actions), resources=list(self.resources), conditions=conditions
            )
        )
        for resource in self.resources:
            if self.reason and "*" in resource:
                accept_wildcard(role, resource, self.reason)


class Grants:
    """Fills the roles of functions."""

    def __init__(
        self, scope: Construct, storage: Storage, queues: Mapping[str, sqs.Queue], events: Events, props: RuntimeProps
    ) -> None:
        self._stack = Stack.of(scope)
        self._storage = storage
        self._queues = queues
        self._events = events
        self._props = props

    def fill(self, role: iam.Role, function: Function, log: logs.LogGroup, pool: WorkerPool) -> None:
        """All that the topology grants to the function, and what the props of its pool add."""
        accept_wildcard(role, "*", TRACING_REASON)
        writing = Grant("Logs", ("logs:CreateLogStream", "logs:PutLogEvents"), (log.log_group_arn,))
        for grant in (writing, *self._granted(function, pool), *self._pool(pool)):
            grant.to(role)
        for statement in pool.statements:
            role.add_to_policy(statement)

    def _granted(self, function: Function, pool: WorkerPool) -> Iterator[Grant]:
        yield from self._table(function)
        yield from self._blobs(function)
        yield from self._messages(function)
        if function.schedules:
            yield from self._schedules(function)
        if function.publishes:
            yield self._publishing(function)
        if function.secrets:
            prefix = pool.secrets_prefix or self._props.secrets_prefix
            names = self._arn("secretsmanager", "secret", f"{prefix}*")
            reason = "Which secrets workflows name is not known here; the prefix is the deployment's or the pool's own"
            yield Grant("Secrets", ("secretsmanager:GetSecretValue",), (names,), reason)
        if self._props.key is not None:
            yield Grant("Key", ("kms:Decrypt", "kms:GenerateDataKey"), (self._props.key.key_arn,))
        if self._props.network is not None:
            yield Grant("Network", NETWORK_ACTIONS, ("*",), TRACING_REASON)

    def _publishing(self, function: Function) -> Grant:
        """Only the dispatcher speaks as the runtime; tools publish under any other name. In an express execution both
        are in one function."""
        own = [LIFECYCLE_SOURCE, CUSTOM_SOURCE]
        allowed = {"StringNotEquals": LIFECYCLE_SOURCE} if function.pool else {"StringEquals": own}
        if function.pool == EXPRESS_POOL:
            return Grant("Publish", ("events:PutEvents",), (self._events.bus.event_bus_arn,))
        conditions = {operator: {"events:source": sources} for operator, sources in allowed.items()}
        return Grant("Publish", ("events:PutEvents",), (self._events.bus.event_bus_arn,), conditions=conditions)

    def _pool(self, pool: WorkerPool) -> Iterator[Grant]:
        """What its built-in tools may reach, and its models."""
        reach = pool.reach
        called = tuple(map(self._function_arn, reach.functions))
        yield Grant("Email", ("ses:SendEmail",), reach.email_identities)
        yield Grant("Database", ("rds-data:ExecuteStatement",), reach.database)
        yield Grant("DatabaseLogin", ("secretsmanager:GetSecretValue",), reach.database_secrets)
        yield Grant("Functions", ("lambda:InvokeFunction",), called, LISTED)
        items = tuple(f"arn:{self._stack.partition}:s3:::{entry}" for entry in reach.items)
        yield Grant("Items", ("s3:GetObject",), items, LISTED)
        yield Grant("ItemsKeys", ("kms:Decrypt",), reach.items_keys)
        yield Grant(
            "Tables", TABLE_WRITES, tuple(self._arn("dynamodb", "table", name, "/") for name in reach.tables), LISTED
        )
        sending = ("sqs:SendMessage", "sqs:GetQueueUrl")
        yield Grant("Queues", sending, tuple(self._arn("sqs", "", name, "") for name in reach.queues), LISTED)
        yield Grant("Buses", ("events:PutEvents",), tuple(map(self._bus_arn, reach.buses)), LISTED)
        yield Grant("EffectsKeys", ("kms:Decrypt", "kms:GenerateDataKey"), reach.effects_keys)
        models = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
        yield Grant("Models", models, pool.bedrock_models, "An entry of the pool's models, as it was written")

    def _table(self, function: Function) -> Iterator[Grant]:
        table = self._storage.table.table_arn
        for sid, calls, operator in (
            ("Table", function.table, "ForAllValues:StringNotLike"),
            ("Limits", function.limits, "ForAllValues:StringLike"),
        ):
            actions = _distinct(f"dynamodb:{name}" for call in calls for name in TABLE_ACTIONS.get(call, ()))
            keys = {operator: {"dynamodb:LeadingKeys": [f"{LIMITERS}*"]}}
            yield Grant(sid, actions, (table,), conditions=keys)
        read: list[IndexName] = ["index"] if "query_index" in function.table else []
        read += ["listing"] if function.lists else []
        yield Grant("Index", ("dynamodb:Query",), tuple(f"{table}/index/{INDEXES[name][0]}" for name in read))

    def _blobs(self, function: Function) -> Iterator[Grant]:
        bucket = self._storage.bucket
        actions = _distinct(f"s3:{name}" for call in function.blobs for name in BLOB_ACTIONS[call])
        reason = "Objects are named by execution; any function may meet any execution"
        yield Grant("Blobs", actions, (bucket.arn_for_objects(f"{BLOB_PREFIX}*"),), reason)
        if "get" in function.blobs:  # else S3 answers 403 for an object that is not there, in place of 404
            yield Grant("MissingBlobs", ("s3:ListBucket",), (bucket.bucket_arn,))

    def _messages(self, function: Function) -> Iterator[Grant]:
        def arns(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(self._queues[name].queue_arn for name in names)

        polling = tuple(f"sqs:{action}" for action in POLLING_ACTIONS)
        yield Grant("Poll", polling, arns(source.queue for source in function.sources))
        hides = arns(source.queue for source in function.sources if source.hides)
        yield Grant("Hide", ("sqs:ChangeMessageVisibility",), hides)
        yield Grant("Send", ("sqs:SendMessage",), arns(function.sends))

    def _schedules(self, function: Function) -> Iterator[Grant]:
        verbs = _distinct(verb for call in function.schedules for verb in SCHEDULE_ACTIONS[call])
        actions = tuple(f"scheduler:{verb}Schedule" for verb in verbs)
        reason = "Schedules are named by execution; the group is this deployment's own"
        yield Grant("Schedules", actions, (self._events.schedules_arn,), reason)
        to_scheduler = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
        role = self._events.scheduler_role.role_arn
        yield Grant("PassSchedulerRole", ("iam:PassRole",), (role,), conditions=to_scheduler)

    def _function_arn(self, name: str) -> str:
        return name if name.startswith("arn:") else self._arn("lambda", "function", name)

    def _bus_arn(self, name: str) -> str:
        return name if name.startswith("arn:") else self._arn("events", "event-bus", name, "/")

    def _arn(self, service: str, kind: str, name: str, between: str = ":") -> str:
        here = f"{self._stack.region}:{self._stack.account}"
        return f"arn:{self._stack.partition}:{service}:{here}:{kind}{between}{name}"


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
