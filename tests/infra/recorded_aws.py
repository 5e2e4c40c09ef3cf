"""The functions as deployed, on simulated AWS, each call of theirs written down as what IAM would have to allow.

Every function has a runtime of its own, made from the environment that the template gives it, so that a call is known
to be its; what else is called (creating resources, polling queues) is not theirs and not written down.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.handlers
from botocore.awsrequest import AWSResponse
from moto.backends import get_backend
from msgspec.structs import replace
from tests.ahead_clock import AheadClock

from workflow_runtime.backends.aws.items import PARTITION_ATTRIBUTE
from workflow_runtime.backends.embedded.backend import run_at_once
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.ports import in_turn
from workflow_runtime.runtime.aws import aws_runtime
from workflow_runtime.storage.keys import LIMITERS

REGION = simulated.REGION
ACCOUNT = "123456789012"  # moto's
ROUNDS_MAX = 2000

# IAM's action of an API operation, where it is not the operation's own name.
ACTIONS = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}

OF_LIMITERS = "/limits"
"""Stands behind the table's ARN for its items of limiters, which statements of their own are for."""

Call = tuple[str, str]
"""An IAM action, and the ARN of the resource that it was on."""


class Recorder:
    """Collects calls by function while it listens. Clients must be made meanwhile.

    ``fails`` is asked of every call of a function, by service and operation, whether AWS is out of order.
    """

    def __init__(self) -> None:
        self.calls: dict[str, set[Call]] = {function.name: set() for function in TOPOLOGY.functions}
        self.fails: Callable[[str, str], bool] = _nothing_fails
        self._function: str | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Every client of every session made inside tells of its calls."""
        built_in = botocore.handlers.BUILTIN_HANDLERS
        mine = [("before-parameter-build", self._hear), ("before-call", self._perhaps_fail)]
        botocore.handlers.BUILTIN_HANDLERS = [*built_in, *mine]
        try:
            yield
        finally:
            botocore.handlers.BUILTIN_HANDLERS = built_in

    @contextmanager
    def attributed(self, function: str) -> Iterator[None]:
        """Calls inside are this function's, whichever thread makes them."""
        self._function = function
        try:
            yield
        finally:
            self._function = None

    def _hear(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self._function is not None:
            service = model.service_model.signing_name
            self.calls[self._function] |= set(calls(service, model.name, params))

    def _perhaps_fail(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        if self._function is None or not self.fails(model.service_model.signing_name, model.name):
            return None
        error = {"Code": "InternalServerError", "Message": "out of order"}
        return AWSResponse("", 500, {}, None), {"Error": error, "ResponseMetadata": {}}


def _nothing_fails(service: str, operation: str) -> bool:  # noqa: ARG001  all are asked alike
    return False


def calls(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Call]:
    """What IAM checks for an operation. Raises `AssertionError` for a service that nobody described here."""
    here = f"{REGION}:{ACCOUNT}"
    action = ACTIONS.get(f"{service}:{operation}", f"{service}:{operation}")
    match service:
        case "dynamodb":
            if operation == "TransactWriteItems":  # asks for the rights of what it holds
                yield from (
                    call
                    for entry in params["TransactItems"]
                    for kind, part in entry.items()
                    for call in calls(service, f"{kind}Item", part)
                )
                return
            tables = [params["TableName"]] if "TableName" in params else list(params["RequestItems"])
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            of = OF_LIMITERS if not index and _is_of_limiters(params) else ""
            yield from ((action, f"arn:aws:dynamodb:{here}:table/{table}{index}{of}") for table in tables)
        case "s3":
            if operation == "ListObjectsV2":
                yield "s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}"
                return
            here = f"arn:aws:s3:::{params['Bucket']}/{params['Key']}"
            if operation == "CopyObject":  # of an object onto itself
                yield from ((f"s3:{name}", here) for name in ("GetObject", "PutObject"))
                return
            yield action, here
            if operation == "GetObject":  # without it S3 does not tell what is missing from what is forbidden
                yield "s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}"
        case "sqs":
            yield action, f"arn:aws:sqs:{here}:{params['QueueUrl'].rpartition('/')[2]}"
        case "events":
            buses = {entry["EventBusName"] for entry in params["Entries"]}
            yield from ((action, f"arn:aws:events:{here}:event-bus/{bus}") for bus in buses)
        case "scheduler":
            yield action, f"arn:aws:scheduler:{here}:schedule/{params['GroupName']}/{params['Name']}"
            if "Target" in params:
                yield "iam:PassRole", params["Target"]["RoleArn"]
        case "secretsmanager":
            yield action, f"arn:aws:secretsmanager:{here}:secret:{params['SecretId']}-AbCdEf"
        case _:
            raise AssertionError(f"{service}:{operation}: on which resource?")


def _is_of_limiters(params: Mapping[str, Any]) -> bool:
    """Whether an operation is about items of limiters. Raises `AssertionError` where it is about others, too: neither
    of the statements allows that."""
    found = {key.startswith(LIMITERS) for key in _leading_keys(params)}
    assert len(found) == 1, f"of limiters and others at once: {params}"
    return found.pop()


def _leading_keys(params: Mapping[str, Any]) -> Iterator[str]:
    """The partition keys that an operation names."""
    if "KeyConditionExpression" in params:
        yield params["ExpressionAttributeValues"][":p"]["S"]
    rows = [params[name] for name in ("Key", "Item") if name in params]
    for requested in params.get("RequestItems", {}).values():
        if isinstance(requested, list):  # writes
            rows += [write.get("PutRequest", {}).get("Item") or write["DeleteRequest"]["Key"] for write in requested]
        else:
            rows += requested["Keys"]
    yield from (row[PARTITION_ATTRIBUTE]["S"] for row in rows)


class RecordedSystem:
    """Simulated AWS with every function on it. ``environments``: their variables in the template; what those refer to
    gets its simulated name. ``further``: variables that a test adds to all.
    """

    def __init__(
        self,
        environments: Callable[[Mapping[str, str]], Mapping[str, Mapping[str, str]]],
        recorder: Recorder,
        further: Mapping[str, str],
    ) -> None:
        self.recorder = recorder
        self.clock = AheadClock()
        self.backend = simulated.open_backend(self.clock)
        self.physical = self.backend.settings.to_environment()
        self._environments = environments(self.physical)
        self._further = further
        self._handlers: dict[str, Callable[[dict[str, Any], Any], Any]] = {}
        self.metrics: list[tuple[str, int]] = []

    def client(self, service: str) -> Any:
        """A client of the test's own."""
        return boto3.client(service, region_name=REGION)

    def close(self) -> None:
        self.backend.close()

    def invoke(self, name: str, event: dict[str, Any]) -> Any:
        """What Lambda does: the function's handler, in its environment."""
        function = TOPOLOGY.function(name)
        with self.recorder.attributed(name):
            if name not in self._handlers:
                environment = {**self._environments[name], **self._further}
                runtime = aws_runtime(environment, lambda *metric: self.metrics.append(metric), self.clock)
                # moto reads, decides and writes without a lock: of two threads, both could find a condition met
                runtime.ports = replace(runtime.ports, together=in_turn, offload=run_at_once)
                module = importlib.import_module(function.handler.rpartition(".")[0])
                self._handlers[name] = module.create(runtime, function)
            answer = self._handlers[name](event, LocalContext(function))
            return asyncio.run(_result(answer)) if inspect.isawaitable(answer) else answer

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The API's answer to a request, as JSON; raises `AssertionError` unless it is a success."""
        answer = self.invoke("api", http_event(method, path, body, headers))
        assert answer["statusCode"] < 300, f"{method} {path}: {answer['statusCode']} {answer['body']}"
        text = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"]
        return json.loads(text) if text else None

    def deliver(self) -> bool:
        """One batch of every queue to its function. False when all were empty."""
        delivered = False
        for function in TOPOLOGY.functions:
            for source in function.sources:
                if not self._holds_visible(source.queue):  # asking moto itself is a tenth of a call through boto3
                    continue
                records = self.backend.poller.receive(source.queue, min(source.batch_size, 10))
                if records:
                    delivered = True
                    answer = self.invoke(function.name, {"Records": [record.event_record for record in records]})
                    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
                    done = [each.receipt_handle for each in records if each.event_record["messageId"] not in failed]
                    self.backend.poller.delete(source.queue, done)
        return delivered

    def _holds_visible(self, queue: str) -> bool:
        name = self.backend.settings.queue_urls[queue].rpartition("/")[2]
        return bool(get_backend("sqs")[ACCOUNT][REGION].queues[name].messages)

    def settle(self) -> None:
        """Deliver until nothing is left that can be received now."""
        for _ in range(ROUNDS_MAX):
            if not self.deliver():
                return
        raise AssertionError("the queues are never empty")

    def drain(self) -> None:
        """Deliver all there is, letting time pass until the next can be received whenever all are hidden."""
        for _ in range(ROUNDS_MAX):
            self.settle()
            if self.backend.poller.next_visible_at() is None:
                return
            self.pass_time(self.clock.seconds_until_visible())
        raise AssertionError("the queues are never empty")

    @contextmanager
    def failing(self, fails: Callable[[str, str], bool]) -> Iterator[None]:
        """AWS is out of order for the calls that ``fails`` (service, operation) names."""
        self.recorder.fails = fails
        try:
            yield
        finally:
            self.recorder.fails = _nothing_fails

    def pass_time(self, seconds: int) -> None:
        self.clock.pass_time(seconds)
        self.backend.scheduler.fire()


def http_event(method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A request as API Gateway's HTTP API passes it to Lambda (payload format 2.0)."""
    rawpath, _, query = path.partition("?")
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    kind = "application/yaml" if isinstance(body, str) else "application/json"
    given = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": rawpath,
        "rawQueryString": query,
        "headers": {"host": "api.example", "content-type": kind, **given},
        "requestContext": {
            "http": {"method": method, "path": rawpath, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
            "requestId": re.sub(r"\W", "", f"{method}{rawpath}"),
            "stage": "$default",
        },
        "body": text,
        "isBase64Encoded": False,
    }


async def _result(answer: Any) -> Any:
    return await answer
