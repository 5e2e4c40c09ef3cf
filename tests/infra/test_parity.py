"""The template says what the topology says: each queue, feed, rule, schedule, grant, variable and handler."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from infra.grants import BLOB_ACTIONS, POLLING_ACTIONS, TABLE_ACTIONS
from infra.names import construct_id
from infra.storage import BLOB_PREFIX
from tests.infra.deployed import Deployed, arn, listed

from workflow_runtime.backends.aws.items import INDEX, LISTING
from workflow_runtime.deployment.settings import (
    SCHEDULED_QUEUES,
    Settings,
    arn_variable,
    queue_variable,
    queues_used,
)
from workflow_runtime.deployment.topology import FUNCTION_TIMEOUT_TO_VISIBILITY, TOPOLOGY, Function, Queue

functions = pytest.mark.parametrize("function", TOPOLOGY.functions, ids=lambda function: function.name)
queues = pytest.mark.parametrize("queue", TOPOLOGY.queues, ids=lambda queue: queue.name)


@queues
def test_each_queue_is_as_the_topology_says(shipped: Deployed, queue: Queue) -> None:
    made = shipped.queue(queue.name)
    assert made["VisibilityTimeout"] == queue.visibility_seconds
    assert made["MessageRetentionPeriod"] == queue.retention_seconds
    assert made.get("FifoQueue", False) is queue.fifo
    if queue.fifo:  # high throughput
        assert (made["DeduplicationScope"], made["FifoThroughputLimit"]) == ("messageGroup", "perMessageGroupId")
    redrive = made.get("RedrivePolicy")
    if queue.dead_letters is None:
        assert redrive is None
    else:
        assert redrive == {
            "deadLetterTargetArn": shipped.queue_arn(queue.dead_letters),
            "maxReceiveCount": queue.receives_max,
        }


def test_there_are_no_other_queues_and_functions(shipped: Deployed) -> None:
    assert len(shipped.of_type("AWS::SQS::Queue")) == len(TOPOLOGY.queues)
    assert len(shipped.of_type("AWS::Lambda::Function")) == len(TOPOLOGY.functions)
    feeds = sum(len(function.sources) for function in TOPOLOGY.functions)
    assert len(shipped.of_type("AWS::Lambda::EventSourceMapping")) == feeds


@functions
def test_each_function_is_as_the_topology_says(shipped: Deployed, function: Function) -> None:
    made = shipped.function(function.name)
    assert made["Handler"] == function.handler
    assert made["Timeout"] == function.timeout_seconds
    assert made["MemorySize"] == function.memory_mb
    assert made["TracingConfig"] == {"Mode": "Active"}
    assert made["RecursiveLoop"] == "Allow"
    assert "ReservedConcurrentExecutions" not in made


@functions
def test_each_handler_imports(function: Function) -> None:
    module, _, name = function.handler.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


@functions
def test_each_function_is_fed_as_the_topology_says(shipped: Deployed, function: Function) -> None:
    for source in function.sources:
        mapping = shipped.source(function.name, source.queue)
        assert mapping["EventSourceArn"] == shipped.queue_arn(source.queue)
        invoked = str(mapping["FunctionName"])
        assert (
            shipped.paths[f"Functions/{construct_id(function.name)}{'Live' if function.snap_start else ''}"] in invoked
        )
        assert mapping["BatchSize"] == source.batch_size
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        scaling = mapping.get("ScalingConfig", {})
        assert scaling.get("MaximumConcurrency", 0) == source.concurrency_max
        visibility = TOPOLOGY.queue(source.queue).visibility_seconds
        assert visibility >= FUNCTION_TIMEOUT_TO_VISIBILITY * function.timeout_seconds


@functions
def test_each_function_has_exactly_the_variables_that_its_settings_are_read_from(
    shipped: Deployed, function: Function
) -> None:
    made = dict(shipped.function(function.name)["Environment"]["Variables"])
    assert made.pop("FUNCTION") == function.name
    assert made.pop("POWERTOOLS_SERVICE_NAME") == "Test"
    settings = Settings.from_environment({name: str(value) for name, value in made.items()}, function=function.name)
    said = {name: value for name, value in settings.to_environment().items() if value}
    assert said == {name: str(value) for name, value in made.items()}
    assert settings.local is False


@functions
def test_each_variable_names_the_right_resource(shipped: Deployed, function: Function) -> None:
    made = shipped.function(function.name)["Environment"]["Variables"]
    assert made["TABLE_NAME"] == {"Ref": shipped.paths["Storage/Table"]}
    assert made["BUCKET_NAME"] == {"Ref": shipped.paths["Storage/Blobs"]}
    assert made["BUS_NAME"] == {"Ref": shipped.paths["Events/Bus"]}
    for queue in queues_used(TOPOLOGY, function.name):
        assert made[queue_variable(queue)] == {"Ref": shipped.queue_id(queue)}
    if function.schedules:
        assert made["SCHEDULE_ROLE_ARN"] == arn(shipped.paths["Events/SchedulerRole"])
        assert made["SCHEDULE_GROUP"] == shipped.at("Events/Schedules")["Name"]
        for queue in SCHEDULED_QUEUES:
            assert made[arn_variable(queue)] == shipped.queue_arn(queue)


@functions
def test_each_function_may_do_what_the_topology_grants_and_nothing_else(shipped: Deployed, function: Function) -> None:
    expected = set(_expected(shipped, function))
    assert {(action, str(resource)) for action, resource in shipped.allowed(function.name)} == expected


def _expected(shipped: Deployed, function: Function) -> Any:
    """(action, resource) by the topology alone."""

    def each(actions: Any, *resources: Any) -> Any:
        return ((action, str(resource)) for action in actions for resource in resources)

    table, bucket = arn(shipped.paths["Storage/Table"]), arn(shipped.paths["Storage/Blobs"])
    log = arn(shipped.paths[f"Functions/{construct_id(function.name)}Logs"])
    yield from each(("logs:CreateLogStream", "logs:PutLogEvents"), log)
    yield from each(("xray:PutTraceSegments", "xray:PutTelemetryRecords"), "*")
    for call in (*function.table, *function.limits):
        yield from each((f"dynamodb:{name}" for name in TABLE_ACTIONS.get(call, ())), table)
        if call == "query_index":
            for index in (INDEX, LISTING) if function.lists else (INDEX,):
                yield from each(("dynamodb:Query",), {"Fn::Join": ["", [table, f"/index/{index}"]]})
    for blob_call in function.blobs:
        objects = {"Fn::Join": ["", [bucket, f"/{BLOB_PREFIX}*"]]}
        yield from each((f"s3:{name}" for name in BLOB_ACTIONS[blob_call]), objects)
        if blob_call == "get":
            yield from each(("s3:ListBucket",), bucket)
    for source in function.sources:
        yield from each((f"sqs:{name}" for name in POLLING_ACTIONS), shipped.queue_arn(source.queue))
        if source.hides:
            yield from each(("sqs:ChangeMessageVisibility",), shipped.queue_arn(source.queue))
    yield from each(("sqs:SendMessage",), *map(shipped.queue_arn, function.sends))
    if function.publishes:
        yield from each(("events:PutEvents",), arn(shipped.paths["Events/Bus"]))
    prefix: list[Any] = ["arn:", {"Ref": "AWS::Partition"}, ":{}:", {"Ref": "AWS::Region"}, ":"]
    if function.secrets:
        yield from each(("secretsmanager:GetSecretValue",), _own(prefix, "secretsmanager", ":secret:workflow/*"))
    if function.schedules:
        group = shipped.at("Events/Schedules")["Name"]
        actions = {"put": ("Create", "Update"), "create": ("Create",), "delete": ("Delete",)}
        verbs = [f"scheduler:{verb}Schedule" for call in function.schedules for verb in actions[call]]
        yield from each(verbs, _own(prefix, "scheduler", f":schedule/{group}/*"))
        yield from each(("iam:PassRole",), arn(shipped.paths["Events/SchedulerRole"]))


def _own(prefix: list[Any], service: str, rest: str) -> Any:
    parts = [part.format(service) if isinstance(part, str) else part for part in prefix]
    return {"Fn::Join": ["", [*parts, {"Ref": "AWS::AccountId"}, rest]]}


def test_each_rule_passes_events_to_its_queue_and_keeps_what_it_cannot(shipped: Deployed) -> None:
    assert len(shipped.of_type("AWS::Events::Rule")) == len(TOPOLOGY.rules)
    for rule in TOPOLOGY.rules:
        path = f"Events/Rule{construct_id(rule.name)}"
        made = shipped.at(path)
        assert made["EventPattern"] == rule.pattern
        assert made["EventBusName"] == {"Ref": shipped.paths["Events/Bus"]}
        (target,) = made["Targets"]
        assert target["Arn"] == shipped.queue_arn(rule.queue)
        assert target["DeadLetterConfig"] == {"Arn": shipped.queue_arn("dead-letters")}
        for queue in (rule.queue, "dead-letters"):
            allowed = [each for each in queue_policy(shipped, queue) if each["Effect"] == "Allow"]
            sources = [each["Condition"]["ArnEquals"]["aws:SourceArn"] for each in allowed]
            assert arn(shipped.paths[path]) in sources


def test_each_tick_comes_as_often_as_the_topology_says(shipped: Deployed) -> None:
    assert len(shipped.of_type("AWS::Scheduler::Schedule")) == len(TOPOLOGY.ticks)
    for tick in TOPOLOGY.ticks:
        made = shipped.at(f"Events/Tick{construct_id(tick.name)}")
        assert made["ScheduleExpression"] == tick.expression
        assert made["Target"]["Arn"] == shipped.queue_arn(tick.queue)
        role = shipped.at(f"Events/Tick{construct_id(tick.name)}RolePolicy")["PolicyDocument"]["Statement"]
        assert [(each["Action"], each["Resource"]) for each in role] == [
            ("sqs:SendMessage", shipped.queue_arn(tick.queue))
        ]


def test_schedules_may_send_to_the_scheduled_queues_and_nothing_else(shipped: Deployed) -> None:
    (statement,) = shipped.at("Events/SchedulerRolePolicy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert set(map(str, statement["Resource"])) == {str(shipped.queue_arn(queue)) for queue in SCHEDULED_QUEUES}


def queue_policy(shipped: Deployed, queue: str) -> list[dict[str, Any]]:
    for policy in shipped.of_type("AWS::SQS::QueuePolicy").values():
        if policy["Queues"] == [{"Ref": shipped.queue_id(queue)}]:
            statements: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
            return statements
    raise AssertionError(f"the queue {queue} has no policy")


def test_the_http_function_answers_every_route(shipped: Deployed) -> None:
    (http,) = (function for function in TOPOLOGY.functions if function.http)
    (integration,) = shipped.of_type("AWS::ApiGatewayV2::Integration").values()
    assert integration["PayloadFormatVersion"] == "2.0"
    assert integration["IntegrationUri"] == {"Ref": shipped.paths[f"Functions/{construct_id(http.name)}Live"]}
    made = shipped.of_type("AWS::ApiGatewayV2::Route").values()
    routes = {each["RouteKey"]: each["AuthorizationType"] for each in made}
    assert {route for route, kind in routes.items() if kind == "NONE"} == set(http.open_routes)
    assert set(routes.values()) == {"NONE", "AWS_IAM"}


def test_every_policy_of_a_function_is_its_own(shipped: Deployed) -> None:
    roles = [str(each["Role"]) for each in shipped.of_type("AWS::Lambda::Function").values()]
    assert len(set(roles)) == len(TOPOLOGY.functions)
    for policy in shipped.of_type("AWS::IAM::Policy").values():
        assert len(listed(policy["Roles"])) == 1
    for role in shipped.of_type("AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role


@functions
def test_items_of_limiters_have_a_statement_of_their_own(shipped: Deployed, function: Function) -> None:
    statements = shipped.statements(function.name)
    conditions = {sid: statements[sid]["Condition"] for sid in ("Table", "Limits") if sid in statements}
    of_limiters = {"dynamodb:LeadingKeys": ["LIMIT#*"]}
    expected = {"Table": {"ForAllValues:StringNotLike": of_limiters}}
    if function.limits:
        expected["Limits"] = {"ForAllValues:StringLike": of_limiters}
    assert conditions == expected
