"""Every choice that a deployment has, made: what it changes in the template, and that cdk-nag and cfn-lint agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from infra.props import (
    Collector,
    Cors,
    Forwarding,
    Image,
    Jwt,
    Network,
    Reach,
    RuntimeProps,
    Throttle,
    WarmThroughput,
    WorkerPool,
)
from infra.runtime import WorkflowRuntime
from tests.infra.deployed import Deployed, arn, listed, synthesize
from tests.infra.policies import Template
from tests.infra.test_template import lint_findings

from workflow_runtime.backends.aws.files import S3Files
from workflow_runtime.backends.otlp import collector_of
from workflow_runtime.deployment.settings import Callers, Settings, deployed_topology
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.errors import NodeError
from workflow_runtime.ports import File

SUBNETS = ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1")
OPEN_ROUTES = {route for function in TOPOLOGY.functions for route in function.open_routes}
ACCOUNT, REGION = "111122223333", "eu-central-1"
MODEL = f"arn:aws:bedrock:{REGION}::foundation-model/anthropic.claude-sonnet-4-5"
IDENTITY = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/example.com"
CLUSTER = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:orders"
LOGIN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:orders-login-a1b2c3"
ITEMS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
EFFECTS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/effects"
OTHER_BUS = f"arn:aws:events:{REGION}:210987654321:event-bus/theirs"
DEFAULT_BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
PARTNER = "444455556666"
BUCKET_PATTERN = {"source": ["aws.s3"], "detail": {"bucket": {"name": [{"prefix": "incoming-"}]}}}


def chosen(scope: Stack) -> RuntimeProps:
    """Everything that can be chosen, chosen differently."""
    key = kms.Key(scope, "Key", enable_key_rotation=True)
    vpc = ec2.Vpc.from_vpc_attributes(
        scope,
        "Vpc",
        vpc_id="vpc-0123456789abcdef0",
        availability_zones=[f"{REGION}a", f"{REGION}b"],
        private_subnet_ids=list(SUBNETS),
        private_subnet_route_table_ids=["rtb-0123456789abcdef0"] * len(SUBNETS),
    )
    topic = sns.Topic.from_topic_arn(scope, "Alarms", f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms")
    return RuntimeProps(
        removal_policy=RemovalPolicy.DESTROY,
        deletion_protection=False,
        key=key,
        retention_days=30,
        log_level="DEBUG",
        log_retention=logs.RetentionDays.ONE_WEEK,
        network=Network(vpc=vpc),
        pools={
            "agent": WorkerPool(bedrock_models=(MODEL,), memory_mb=2048, concurrency_max=7),
            "tool": WorkerPool(
                concurrency_max=1,
                reach=Reach(
                    http=("*.example.com", "api.internal"),
                    email=("@example.com",),
                    email_identities=(IDENTITY,),
                    database=(CLUSTER,),
                    database_secrets=(LOGIN,),
                    functions=("orders-*",),
                    tables=("orders", "returns-*"),
                    queues=("work.fifo",),
                    buses=("shop", OTHER_BUS),
                    effects_keys=(EFFECTS_KEY,),
                    items=("orders/in/*", "orders/名单.csv"),
                    items_keys=(ITEMS_KEY,),
                ),
                environment={"ORDERS_TABLE": "orders"},
                statements=(
                    iam.PolicyStatement(
                        sid="Orders",
                        actions=["dynamodb:GetItem"],
                        resources=[f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders"],
                    ),
                ),
            ),
            "payments": WorkerPool(reach=Reach(http=("pay.example.com",)), secrets_prefix="payments/"),
        },
        warm_throughput=WarmThroughput(reads=20_000, writes=10_000),
        environment={"REGION": REGION},
        collector=Collector(endpoint="https://otlp.example.com", headers={"authorization": "Bearer a,b"}, content=True),
        secrets_prefix="orders/",
        reserved_concurrency={"dispatch": 50, "api": 20},
        snap_start=False,
        forwarding=(Forwarding(bus_arn=DEFAULT_BUS, pattern=BUCKET_PATTERN),),
        publisher_accounts=(PARTNER,),
        archive_days=3,
        identity_claim="email",
        speaking_for_others=("portal", "desk"),
        approvals_topic=sns.Topic(scope, "Approvals", enforce_ssl=True, master_key=key),
        jwt=Jwt(issuer="https://login.example.com", audience=("workflows",), scopes=("workflows/use",)),
        cors=Cors(origins=("https://app.example.com",)),
        throttle=Throttle(rate=10, burst=20),
        open_throttle=Throttle(rate=1, burst=2),
        alarm_topic=topic,
    )


@pytest.fixture(scope="session")
def chosen_stack(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return synthesize(tmp_path_factory.mktemp("chosen"), chosen)


def variables(deployed: Deployed, function: str) -> dict[str, Any]:
    made: dict[str, Any] = deployed.function(function)["Environment"]["Variables"]
    return made


def test_cdk_nag_and_cfn_lint_agree(chosen_stack: Deployed) -> None:
    assert [report["violations"] for report in chosen_stack.findings] == [[] for _ in chosen_stack.findings]
    assert lint_findings(chosen_stack) == []


def test_what_may_go_goes_with_the_stack(chosen_stack: Deployed) -> None:
    for path in ("Storage/Table", "Storage/Blobs", "Functions/DispatchLogs"):
        assert chosen_stack.template["Resources"][chosen_stack.paths[path]]["DeletionPolicy"] == "Delete"
    assert chosen_stack.at("Storage/Table")["DeletionProtectionEnabled"] is False


def test_the_key_encrypts_everything_that_is_kept(chosen_stack: Deployed) -> None:
    (key,) = chosen_stack.of_type("AWS::KMS::Key")
    arn = {"Fn::GetAtt": [key, "Arn"]}
    assert chosen_stack.at("Storage/Table")["SSESpecification"]["KMSMasterKeyId"] == arn
    (bucket,) = chosen_stack.at("Storage/Blobs")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] == arn
    assert all(queue["KmsMasterKeyId"] == arn for queue in chosen_stack.of_type("AWS::SQS::Queue").values())
    assert all(log["KmsKeyId"] == arn for log in chosen_stack.of_type("AWS::Logs::LogGroup").values())
    assert all(each["KmsKeyArn"] == arn for each in chosen_stack.of_type("AWS::Lambda::Function").values())
    assert chosen_stack.at("Events/Bus")["KmsKeyIdentifier"] == arn


def test_those_who_send_to_queues_may_use_the_key(chosen_stack: Deployed) -> None:
    (key,) = chosen_stack.of_type("AWS::KMS::Key").values()
    services = {
        str(principal["Service"])
        for statement in key["KeyPolicy"]["Statement"]
        if "Service" in (principal := statement["Principal"])
    }
    assert {"events.amazonaws.com"} <= services
    assert any("logs." in service for service in services)
    for role in ("Events/SchedulerRolePolicy", "Events/TickSweepRolePolicy"):
        statements = chosen_stack.at(role)["PolicyDocument"]["Statement"]
        assert {"kms:Decrypt", "kms:GenerateDataKey"} <= {a for each in statements for a in listed(each["Action"])}
    for function in TOPOLOGY.functions:
        assert "kms:GenerateDataKey" in {action for action, _ in chosen_stack.allowed(function.name)}


def test_functions_run_in_the_vpc(chosen_stack: Deployed) -> None:
    for function in TOPOLOGY.functions:
        assert chosen_stack.function(function.name)["VpcConfig"]["SubnetIds"] == list(SUBNETS)
        assert "ec2:CreateNetworkInterface" in {action for action, _ in chosen_stack.allowed(function.name)}


def test_pools_have_their_own_concurrency_memory_and_variables(chosen_stack: Deployed) -> None:
    agent = chosen_stack.source("run_node_agent", "node-agent")
    tool = chosen_stack.source("run_node_tool", "node-tool")
    assert agent["ScalingConfig"] == {"MaximumConcurrency": 7}
    assert tool["ScalingConfig"] == {"MaximumConcurrency": 2}, "AWS takes no less"
    assert chosen_stack.function("run_node_agent")["MemorySize"] == 2048
    assert variables(chosen_stack, "run_node_tool")["ORDERS_TABLE"] == "orders"
    assert "ORDERS_TABLE" not in variables(chosen_stack, "run_node_agent")


def test_a_pool_can_be_added(chosen_stack: Deployed) -> None:
    added = chosen_stack.function("run_node_payments")
    assert added["Handler"] == "workflow_runtime.handlers.run_node.handler"
    assert chosen_stack.source("run_node_payments", "node-payments")["ScalingConfig"] == {"MaximumConcurrency": 100}
    made = {name: str(value) for name, value in variables(chosen_stack, "run_node_payments").items()}
    assert made["TOOLS_HTTP_ALLOW"] == "pay.example.com"
    topology = deployed_topology(made)
    assert topology.pools == ("agent", "tool", "payments")
    for name in ("dispatch", "sweep", "run_node_payments"):
        made = {name: str(value) for name, value in variables(chosen_stack, name).items()}
        settings = Settings.from_environment(made, function=name, topology=deployed_topology(made))
        assert settings.queue_urls["node-payments"]
    for name in ("dispatch", "sweep"):
        assert str(chosen_stack.queue_arn("node-payments")) in queues_sent_to(chosen_stack, name)
    assert str(chosen_stack.queue_arn("node-payments")) not in queues_sent_to(chosen_stack, "run_node_tool")


def queues_sent_to(deployed: Deployed, function: str) -> set[str]:
    """Where a function may send."""
    return {str(resource) for action, resource in deployed.allowed(function) if action == "sqs:SendMessage"}


def test_only_the_pool_with_reach_has_it(chosen_stack: Deployed) -> None:
    made = variables(chosen_stack, "run_node_tool")
    assert made["TOOLS_HTTP_ALLOW"] == "*.example.com,api.internal"
    assert made["TOOLS_DATABASE_ALLOW"] == CLUSTER
    allowed = {(action, str(resource)) for action, resource in chosen_stack.allowed("run_node_tool")}
    reached = {
        ("ses:SendEmail", IDENTITY),
        ("rds-data:ExecuteStatement", CLUSTER),
        ("secretsmanager:GetSecretValue", LOGIN),
        ("dynamodb:GetItem", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders"),
    }
    assert reached <= allowed
    named = {
        sid: {"".join(map(str, each["Fn::Join"][1])).rpartition(":")[2] for each in listed(statement["Resource"])}
        for sid, statement in chosen_stack.statements("run_node_tool").items()
        if sid in ("Tables", "Queues")
    }
    assert named == {"Tables": {"table/orders", "table/returns-*"}, "Queues": {"work.fifo"}}
    statements = chosen_stack.statements("run_node_tool")
    writes = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
    assert set(statements["Tables"]["Action"]) == writes
    assert set(statements["Queues"]["Action"]) == {"sqs:SendMessage", "sqs:GetQueueUrl"}
    assert ("events:PutEvents", OTHER_BUS) in allowed
    [shop] = (each for each in statements["Buses"]["Resource"] if each != OTHER_BUS)
    assert str(shop).endswith(":event-bus/shop']]}")
    assert {("kms:Decrypt", EFFECTS_KEY), ("kms:GenerateDataKey", EFFECTS_KEY)} <= allowed
    lists = ("TOOLS_TABLES_ALLOW", "TOOLS_QUEUES_ALLOW", "TOOLS_BUSES_ALLOW")
    assert [made[name] for name in lists] == ["orders,returns-*", "work.fifo", f"shop,{OTHER_BUS}"]
    assert any(action == "lambda:InvokeFunction" and "orders-*" in resource for action, resource in allowed)
    assert ("kms:Decrypt", ITEMS_KEY) in allowed
    for function in TOPOLOGY.functions:
        if function.name not in ("run_node_tool", "run_node_payments"):
            assert not any(name.startswith("TOOLS_") for name in variables(chosen_stack, function.name))
            actions = {action for action, _ in chosen_stack.allowed(function.name)}
            assert actions.isdisjoint({"ses:SendEmail", "rds-data:ExecuteStatement", "lambda:InvokeFunction"})
    models = [resource for action, resource in chosen_stack.allowed("run_node_agent") if action.startswith("bedrock:")]
    assert set(models) == {MODEL}


FILES = [
    *[("orders", key) for key in ("in/a.csv", "in/", "in", "名单.csv", "名单.csv.bak", "IN/a.csv", "x/in/a.csv")],
    ("orders2", "in/a.csv"),
    ("order", "s/in/a.csv"),
]


@pytest.mark.parametrize(("bucket", "key"), FILES)
def test_loops_read_what_the_role_allows_and_nothing_else(chosen_stack: Deployed, bucket: str, key: str) -> None:
    made = {name: str(value) for name, value in variables(chosen_stack, "run_node_tool").items()}
    files = S3Files(NoS3(), Settings.from_environment(made, function="run_node_tool").item_files)
    permissions = Template(chosen_stack.template, {"SCHEDULE_GROUP": "schedules"}).permissions("run_node_tool")
    is_allowed = any(each.allows("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}") for each in permissions)
    with pytest.raises(Asked if is_allowed else NodeError):
        files.find(bucket, key)
    with pytest.raises(Asked if is_allowed else NodeError):
        files.read(bucket, key, File(1, "v"), 0, 1)


class Asked(Exception):
    """S3 was."""


class NoS3:
    """Where every request would go."""

    def __getattr__(self, name: str) -> Any:
        raise Asked(name)


TOO_WIDE = ["orders", "*", "*/in.csv", "orders*", "orders/", "orders/a*b", "orders/a?", "Or/a", "o/a,b"]


@pytest.mark.parametrize("area", ["tables", "queues", "buses"])
@pytest.mark.parametrize("entry", ["*", "", "a*b", "a b", "a,b", "a?", "**"])
def test_an_entry_that_is_no_name_is_refused(area: str, entry: str) -> None:
    with pytest.raises(ValueError, match=f"{area}: "):
        Reach(**{area: (entry,)})


@pytest.mark.parametrize("entry", TOO_WIDE)
def test_entries_that_would_open_more_than_they_say_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="items: "):
        Reach(items=(entry,))


def test_items_are_read_in_the_tool_pool_only() -> None:
    with pytest.raises(ValueError, match="are read in the pool 'tool', not in 'agent'"):
        RuntimeProps(pools={"agent": WorkerPool(reach=Reach(items=("orders/*",)))})


def test_in_the_shipped_stack_no_tool_reaches_anything(shipped: Deployed) -> None:
    for function in TOPOLOGY.functions:
        assert not any(name.startswith("TOOLS_") for name in variables(shipped, function.name))


def test_workflows_read_the_environment_and_their_own_secrets(chosen_stack: Deployed) -> None:
    for function in TOPOLOGY.functions:
        assert variables(chosen_stack, function.name)["WORKFLOW_ENV_REGION"] == REGION
        assert variables(chosen_stack, function.name)["SECRETS_PREFIX"] == "orders/"
        assert variables(chosen_stack, function.name)["LOG_LEVEL"] == "DEBUG"
    secrets = [
        str(resource)
        for action, resource in chosen_stack.allowed("run_node_agent")
        if action == "secretsmanager:GetSecretValue"
    ]
    assert len(secrets) == 1
    assert "secret:orders/*" in secrets[0]


def test_a_pool_may_have_secrets_that_no_other_reads(chosen_stack: Deployed) -> None:
    def read_by(function: str) -> str:
        allowed = chosen_stack.allowed(function)
        return str([resource for action, resource in allowed if action == "secretsmanager:GetSecretValue"])

    assert variables(chosen_stack, "run_node_payments")["SECRETS_PREFIX"] == "payments/"
    assert "secret:payments/*" in read_by("run_node_payments")
    assert "secret:orders/*" not in read_by("run_node_payments")
    assert "secret:payments/*" not in read_by("run_node_tool")


@pytest.mark.parametrize("prefix", ["workflow/", "workflow/pay/", "other/pay/"])
def test_secrets_of_a_pool_that_others_could_read_are_refused(prefix: str) -> None:
    pools = {"pay": WorkerPool(secrets_prefix=prefix), "other": WorkerPool(secrets_prefix="other/")}
    with pytest.raises(ValueError, match="could be read by"):
        RuntimeProps(pools=pools)


def test_the_table_is_warm_where_it_is_asked_for(shipped: Deployed, chosen_stack: Deployed) -> None:
    table = chosen_stack.at("Storage/Table")
    for part in (table, *table["GlobalSecondaryIndexes"]):
        assert part["WarmThroughput"] == {"ReadUnitsPerSecond": 20_000, "WriteUnitsPerSecond": 10_000}
    assert "WarmThroughput" not in shipped.at("Storage/Table")
    with pytest.raises(ValueError, match="at least"):
        WarmThroughput(reads=1, writes=10_000)


def test_concurrency_is_reserved_where_it_is_asked_for(chosen_stack: Deployed) -> None:
    reserved = {
        function.name: chosen_stack.function(function.name).get("ReservedConcurrentExecutions")
        for function in TOPOLOGY.functions
    }
    assert {name: count for name, count in reserved.items() if count} == {"dispatch": 50, "api": 20}


def test_without_snap_start_functions_are_invoked_themselves(chosen_stack: Deployed) -> None:
    assert chosen_stack.of_type("AWS::Lambda::Alias") == {}
    assert all("SnapStart" not in each for each in chosen_stack.of_type("AWS::Lambda::Function").values())


def test_functions_run_on_the_chosen_architecture(chosen_stack: Deployed, imaged_stack: Deployed) -> None:
    """`tests/e2e` deploys layers of the architecture of its machine."""
    for stack, architecture in ((chosen_stack, "arm64"), (imaged_stack, "x86_64")):
        functions = stack.of_type("AWS::Lambda::Function").values()
        assert {tuple(each["Architectures"]) for each in functions} == {(architecture,)}


def test_snap_start_is_on_where_somebody_waits(shipped: Deployed) -> None:
    for function in TOPOLOGY.functions:
        expected = {"ApplyOn": "PublishedVersions"} if function.snap_start else None
        assert shipped.function(function.name).get("SnapStart") == expected


def test_events_of_another_bus_are_passed_on(chosen_stack: Deployed) -> None:
    made = chosen_stack.at("Events/Forward1")
    assert made["EventPattern"] == BUCKET_PATTERN
    assert made["EventBusName"] == "default"
    assert made["Targets"][0]["Arn"] == {"Fn::GetAtt": [chosen_stack.paths["Events/Bus"], "Arn"]}
    assert made["Targets"][0]["DeadLetterConfig"] == {"Arn": chosen_stack.queue_arn("dead-letters")}


def test_another_account_may_put_events_but_not_in_the_runtimes_name(chosen_stack: Deployed) -> None:
    policies = [each["Statement"] for each in chosen_stack.of_type("AWS::Events::EventBusPolicy").values()]
    (allowed,) = (each for each in policies if each["Effect"] == "Allow")
    assert PARTNER in str(allowed["Principal"])
    assert allowed["Condition"] == {"StringNotEquals": {"events:source": "workflow-runtime"}}


def test_the_archive_is_kept_for_as_long_as_asked(
    shipped: Deployed, chosen_stack: Deployed, imaged_stack: Deployed
) -> None:
    (archive,) = shipped.of_type("AWS::Events::Archive").values()
    assert archive["RetentionDays"] == 14
    assert archive["EventPattern"]["source"] == [{"anything-but": "workflow-runtime"}], "what may come in again"
    (archive,) = chosen_stack.of_type("AWS::Events::Archive").values()
    assert archive["RetentionDays"] == 3
    assert imaged_stack.of_type("AWS::Events::Archive") == {}


def test_the_archive_is_encrypted_with_the_key_and_may_use_it(chosen_stack: Deployed) -> None:
    (archive,) = chosen_stack.of_type("AWS::Events::Archive").values()
    (bus,) = chosen_stack.of_type("AWS::Events::EventBus").values()
    [(id, key)] = chosen_stack.of_type("AWS::KMS::Key").items()
    assert archive["KmsKeyIdentifier"] == arn(id)
    allowed = {each["Sid"]: each for each in key["KeyPolicy"]["Statement"] if "Sid" in each}
    assert allowed["ArchiveLooks"]["Action"] == "kms:DescribeKey"
    assert set(allowed["Archive"]["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncrypt*"}
    for statement in (allowed["Archive"], allowed["ArchiveLooks"]):
        assert (statement["Effect"], statement["Principal"]) == ("Allow", {"Service": "events.amazonaws.com"})
    context = allowed["Archive"]["Condition"]["StringEquals"]["kms:EncryptionContext:aws:events:event-bus:arn"]
    assert str(context["Fn::Join"][1][-1]).endswith(f":event-bus/{bus['Name']}")


def test_bearer_tokens_take_the_place_of_signatures(chosen_stack: Deployed) -> None:
    routes = {each["RouteKey"]: each for each in chosen_stack.of_type("AWS::ApiGatewayV2::Route").values()}
    open_routes = {route for route, each in routes.items() if each["AuthorizationType"] == "NONE"}
    assert open_routes == OPEN_ROUTES
    for route in routes.keys() - open_routes:
        assert routes[route]["AuthorizationType"] == "JWT"
        assert routes[route]["AuthorizationScopes"] == ["workflows/use"]
    (authorizer,) = chosen_stack.of_type("AWS::ApiGatewayV2::Authorizer").values()
    assert authorizer["JwtConfiguration"] == {"Audience": ["workflows"], "Issuer": "https://login.example.com"}


def test_workers_and_the_dispatcher_know_the_collector(shipped: Deployed, chosen_stack: Deployed) -> None:
    for function in ("run_node_agent", "run_node_payments", "dispatch"):
        found = collector_of(variables(chosen_stack, function))
        assert found is not None
        assert found.service == "Test"
        assert collector_of(variables(shipped, "dispatch")) is None
    assert variables(chosen_stack, "dispatch")["OTEL_EXPORTER_OTLP_HEADERS"] == "authorization=Bearer%20a%2Cb"
    assert variables(chosen_stack, "run_node_agent")["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] == "true"
    assert collector_of(variables(chosen_stack, "sweep")) is None


def test_the_api_knows_who_its_callers_are(shipped: Deployed, chosen_stack: Deployed) -> None:
    assert Callers.from_environment(variables(chosen_stack, "api")) == Callers(
        "email",
        frozenset({"portal", "desk"}),
        issuer="https://login.example.com",
        scopes=("workflows/use",),
        web_origins=frozenset({"https://app.example.com"}),
    )
    assert Callers.from_environment(variables(shipped, "api")) == Callers()
    assert "SPEAKING_FOR_OTHERS" not in variables(chosen_stack, "dispatch")


def test_people_are_told_by_the_topic(shipped: Deployed, chosen_stack: Deployed) -> None:
    rule = chosen_stack.at("Events/Approvals")
    assert rule["EventPattern"] == {"source": ["workflow-runtime"], "detail-type": ["approval.requested"]}
    (target,) = rule["Targets"]
    assert "DeadLetterConfig" in target
    assert target["InputTransformer"]["InputPathsMap"]["detail-approval_id"] == "$.detail.approval_id"
    assert "Events/Approvals" not in shipped.paths


def test_the_api_is_throttled_logged_and_open_to_named_pages(chosen_stack: Deployed) -> None:
    (stage,) = chosen_stack.of_type("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 10
    limits = {
        each: (own["ThrottlingRateLimit"], own["ThrottlingBurstLimit"]) for each, own in stage["RouteSettings"].items()
    }
    assert limits == dict.fromkeys(OPEN_ROUTES, (1, 2))
    assert "$context.requestId" in stage["AccessLogSettings"]["Format"]
    (api,) = chosen_stack.of_type("AWS::ApiGatewayV2::Api").values()
    assert api["CorsConfiguration"]["AllowOrigins"] == ["https://app.example.com"]


def test_alarms_reach_the_topic(shipped: Deployed, chosen_stack: Deployed) -> None:
    for alarm in chosen_stack.of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"]
    assert all("AlarmActions" not in alarm for alarm in shipped.of_type("AWS::CloudWatch::Alarm").values())


def test_a_pool_that_is_configured_still_runs_what_it_ran(chosen_stack: Deployed) -> None:
    agents = {"Ref": chosen_stack.paths["Functions/AgentsLayer"]}
    assert agents in chosen_stack.function("run_node_agent")["Layers"]
    assert agents not in chosen_stack.function("run_node_payments")["Layers"]


@pytest.mark.parametrize("name", ["Payments", "a_b", "支付", "a" * 41, ""])
def test_a_pool_that_no_node_could_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        RuntimeProps(pools={name: WorkerPool()})


def test_concurrency_of_a_function_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no function dispatcher"):
        WorkflowRuntime(Stack(App(), "Wrong"), "Runtime", RuntimeProps(reserved_concurrency={"dispatcher": 5}))


@pytest.mark.parametrize("reach", [{"email": ("@example.com",)}, {"database": (CLUSTER,)}])
def test_reach_without_what_it_needs_is_refused(reach: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="name both"):
        Reach(**reach)


def test_two_stacks_of_one_app_do_not_share_names(shipped: Deployed) -> None:
    """Nothing has a name of its own that a second stack would clash with, but what is named after the stack."""
    app = App()
    assert Stack(app, "Other").stack_name != "Test"
    named = {"QueueName", "TableName", "BucketName", "FunctionName", "RoleName", "LogGroupName", "AlarmName"}
    for id, resource in shipped.template["Resources"].items():
        if resource["Type"] in ("AWS::Lambda::Alias", "AWS::Lambda::Version", "AWS::Lambda::EventSourceMapping"):
            continue
        if resource["Type"] != "AWS::Lambda::Permission":
            assert named.isdisjoint(resource.get("Properties", {})), id


def imaged(scope: Stack) -> RuntimeProps:
    """An image in place of the bundle."""
    repository = ecr.Repository.from_repository_name(scope, "Repository", "awr")
    topic = sns.Topic(scope, "Alarms", enforce_ssl=True)
    return RuntimeProps(
        image=Image(repository=repository, tag_or_digest=DIGEST),
        architecture=lambda_.Architecture.X86_64,
        alarm_topic=topic,
        archive_days=0,
    )


DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(scope="session")
def imaged_stack(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return synthesize(tmp_path_factory.mktemp("imaged"), imaged)


def test_an_image_runs_every_function_by_a_command_of_its_own(imaged_stack: Deployed) -> None:
    for function in TOPOLOGY.functions:
        made = imaged_stack.function(function.name)
        assert made["PackageType"] == "Image"
        assert str(made["Code"]["ImageUri"]).count(DIGEST) == 1
        entrypoint = ["python", "-m", "awslambdaric"]
        assert made["ImageConfig"] == {"EntryPoint": entrypoint, "Command": [function.handler]}
        assert made["Environment"]["Variables"]["DEFINITIONS_DIR"] == "/definitions"
        assert not {"Runtime", "Handler", "Layers", "SnapStart"} & made.keys()
    assert imaged_stack.of_type("AWS::Lambda::LayerVersion") == imaged_stack.of_type("AWS::Lambda::Alias") == {}


def test_cdk_nag_and_cfn_lint_agree_with_an_image(imaged_stack: Deployed) -> None:
    assert [report["violations"] for report in imaged_stack.findings] == [[] for _ in imaged_stack.findings]
    assert lint_findings(imaged_stack) == []


def test_layers_and_mocks_do_not_go_with_an_image() -> None:
    stack = Stack(App(), "S")
    repository = ecr.Repository.from_repository_name(stack, "R", "awr")
    layer = lambda_.LayerVersion.from_layer_version_arn(stack, "L", f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:l:1")
    with pytest.raises(ValueError, match="into the image itself"):
        RuntimeProps(
            image=Image(repository=repository, tag_or_digest="v1"), pools={"tool": WorkerPool(layers=(layer,))}
        )


def test_the_pool_express_adds_a_function_that_the_api_invokes(tmp_path: Path) -> None:
    pools = {"express": WorkerPool(agents=True, memory_mb=2048, reach=Reach(http=("api.example.com",)))}
    deployed = synthesize(tmp_path, lambda _: RuntimeProps(pools=pools))
    made = deployed.function("run_express")
    assert (made["Handler"], made["MemorySize"]) == ("workflow_runtime.handlers.run_express.handler", 2048)
    invoked = [resource for action, resource in deployed.allowed("api") if action == "lambda:InvokeFunction"]
    assert len(invoked) == 1
    api = {name: str(value) for name, value in variables(deployed, "api").items()}
    assert deployed_topology(api).is_express
    assert Settings.from_environment(api, function="api", topology=deployed_topology(api)).express_function
    assert str(deployed.queue_arn("node-express")) in queues_sent_to(deployed, "dispatch")
    own = {name: str(value) for name, value in variables(deployed, "run_express").items()}
    assert own["TOOLS_HTTP_ALLOW"] == "api.example.com"
    assert Settings.from_environment(own, function="run_express", topology=deployed_topology(own)).secrets_prefix


def test_without_the_pool_express_there_is_no_such_function(chosen_stack: Deployed) -> None:
    api = {name: str(value) for name, value in variables(chosen_stack, "api").items()}
    assert not deployed_topology(api).is_express
    assert "EXPRESS_FUNCTION" not in api
