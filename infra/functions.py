"""One Lambda per function of the topology: code and layers, its own role and log group, queues that feed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.assets import RUNTIME, Layers, function_code, layers
from infra.bundling import MOCKS_FILE
from infra.events import Events
from infra.grants import Grants
from infra.logs import log_group
from infra.names import construct_id
from infra.props import AGENTS_POOL, Image, Reach, RuntimeProps, WorkerPool
from infra.storage import Storage
from infra.suppressions import accept
from workflow_runtime.deployment.settings import (
    ENV_PREFIX,
    EXPRESS_VARIABLE,
    ITEMS_ALLOW,
    POOLS_VARIABLE,
    SCHEDULED_QUEUES,
    Callers,
    Settings,
    queues_used,
)
from workflow_runtime.deployment.topology import DISPATCH, EXPRESS_POOL, POOLS, EventSource, Function, Topology
from workflow_runtime.invokers.tools.reach import SETTINGS

ALIAS = "live"
IMAGE_DEFINITIONS = "/definitions"
IMAGE_ENTRYPOINT = ("python", "-m", "awslambdaric")  # the client of Lambda's runtime API
POLLERS_MIN = 2  # AWS: the least maximum concurrency of an event source


class Functions(Construct):
    """``functions`` by their names in the topology, and ``targets``: what is to be invoked, which is an alias of a
    version where SnapStart needs one.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        topology: Topology,
        storage: Storage,
        queues: Mapping[str, sqs.Queue],
        events: Events,
        props: RuntimeProps,
    ) -> None:
        super().__init__(scope, id)
        self._topology, self._storage, self._queues, self._events = topology, storage, queues, events
        self._props = props
        self._grants = Grants(self, storage, queues, events, props)
        self._packages = _Bundled(self, props) if props.image is None else _Imaged(props.image)
        self.log_groups: dict[str, logs.LogGroup] = {}
        self.functions: dict[str, lambda_.Function] = {}
        self.targets: dict[str, lambda_.IFunction] = {}
        for function in topology.functions:
            made = self._function(function)
            self.functions[function.name] = made
            self.targets[function.name] = self._target(function, made)
            for source in function.sources:
                self._feed(function, source)
        for function in topology.functions:
            for name in function.invokes:
                self._let_invoke(function, name)
        self._deploy_in_order()

    def _let_invoke(self, function: Function, name: str) -> None:
        """``name``: the function that runs express executions."""
        made, target = self.functions[function.name], self.targets[name]
        made.add_environment(EXPRESS_VARIABLE, target.function_arn)
        made.add_to_role_policy(
            iam.PolicyStatement(sid="RunExpress", actions=["lambda:InvokeFunction"], resources=[target.function_arn])
        )

    def _deploy_in_order(self) -> None:
        """The dispatcher before all that sends to it: what they say anew it knows then. What it orders anew, workers of
        the version before leave in their queues until they are replaced.
        """
        (receiver,) = (
            function.name
            for function in self._topology.functions
            if any(source.queue == DISPATCH for source in function.sources)
        )
        for name, made in self.functions.items():
            if name != receiver:
                made.node.add_dependency(self.targets[receiver])

    def _function(self, function: Function) -> lambda_.Function:
        props, pool = self._props, self._pool(function)
        id = construct_id(function.name)
        log = self.log_groups[function.name] = log_group(self, f"{id}Logs", props)
        network = props.network
        made = lambda_.Function(
            self,
            id,
            description=f"Workflow runtime: {function.name}",
            **self._packages.of(function, pool),
            architecture=props.architecture,
            timeout=Duration.seconds(function.timeout_seconds),
            memory_size=pool.memory_mb or function.memory_mb,
            environment=self._environment(function),
            environment_encryption=props.key,
            role=self._role(function, log),
            log_group=log,
            tracing=lambda_.Tracing.ACTIVE,
            # Every execution goes round through queues. Lambda takes that for a runaway after 16 rounds, and stops it.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
            reserved_concurrent_executions=props.reserved_concurrency.get(function.name),
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if self._snaps(function) else None,
            vpc=network.vpc if network else None,
            vpc_subnets=network.subnets if network else None,
            security_groups=list(network.security_groups) or None if network else None,
        )
        _accept_findings(made)
        return made

    def _snaps(self, function: Function) -> bool:
        return self._props.snap_start and function.snap_start and self._props.image is None

    def _target(self, function: Function, made: lambda_.Function) -> lambda_.IFunction:
        if not self._snaps(function):
            return made
        return lambda_.Alias(self, f"{construct_id(function.name)}Live", alias_name=ALIAS, version=made.current_version)

    def _pool(self, function: Function) -> WorkerPool:
        """What is special about the function's pool; nothing for functions that are not workers."""
        return self._props.pools.get(function.pool, WorkerPool()) if function.pool else WorkerPool()

    def _environment(self, function: Function) -> dict[str, str]:
        """Exactly what the function's `Settings` are read from, and its name in the topology."""
        props, pool = self._props, self._pool(function)
        queues = queues_used(self._topology, function.name)
        settings = Settings(
            table_name=self._storage.table.table_name,
            bucket_name=self._storage.bucket.bucket_name,
            bus_name=self._events.bus.event_bus_name,
            queue_urls={name: self._queues[name].queue_url for name in queues},
            queue_arns={name: self._queues[name].queue_arn for name in SCHEDULED_QUEUES} if function.schedules else {},
            schedule_group=self._events.group.schedule_group_name if function.schedules else "",
            schedule_role_arn=self._events.scheduler_role.role_arn if function.schedules else "",
            log_level=props.log_level,
            secrets_prefix=pool.secrets_prefix or props.secrets_prefix,
            retention_days=props.retention_days,
            tool_allow_lists=_allow_lists(pool.reach),
        )
        variables = {name: value for name, value in settings.to_environment().items() if value}
        if props.image is not None:
            variables["DEFINITIONS_DIR"] = IMAGE_DEFINITIONS
        if function.pool and props.mocks_for_tests is not None:
            variables["MOCKS_FILE_FOR_TESTS"] = MOCKS_FILE
        workflow = {f"{ENV_PREFIX}{name}": value for name, value in props.environment.items()}
        service = {"POWERTOOLS_SERVICE_NAME": Stack.of(self).stack_name}
        if function.http:
            service |= _chosen_callers(props)
        if function.pool or function.name == "dispatch":
            service |= _collector(props)
        added = [name for name in self._topology.pools if name not in POOLS]
        if self._topology.is_express:
            added.append(EXPRESS_POOL)
        if added:
            service[POOLS_VARIABLE] = ",".join(added)
        return {"FUNCTION": function.name, **service, **variables, **workflow, **pool.environment}

    def _role(self, function: Function, log: logs.LogGroup) -> iam.Role:
        id = construct_id(function.name)
        role = iam.Role(
            self,
            f"{id}Role",
            description=f"Workflow runtime: what {function.name} may do",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        )
        self._grants.fill(role, function, log, self._pool(function))
        return role

    def _feed(self, function: Function, source: EventSource) -> None:
        concurrency = self._pool(function).concurrency_max or source.concurrency_max
        mapping = lambda_.EventSourceMapping(
            self,
            f"{construct_id(function.name)}From{construct_id(source.queue)}",
            target=self.targets[function.name],
            event_source_arn=self._queues[source.queue].queue_arn,
            batch_size=self._pool(function).batch_size or source.batch_size,
            max_concurrency=max(concurrency, POLLERS_MIN) if concurrency else None,
            report_batch_item_failures=True,
        )
        rule = "Serverless::Serverless-LambdaEventSourceMappingDestination"
        accept(mapping, rule, "A source that is a queue has no such destination: its redrive policy takes dead letters")


class _Bundled:
    """Code and layers, built here."""

    def __init__(self, scope: Construct, props: RuntimeProps) -> None:
        self._code = function_code(
            definitions=props.definitions, python=props.wheels_for_python, mocks_for_tests=props.mocks_for_tests
        )
        self._layers: Layers = layers(scope, architecture=props.architecture, python=props.wheels_for_python)

    def of(self, function: Function, pool: WorkerPool) -> dict[str, Any]:
        """What of `lambda_.Function`'s arguments says what runs in it."""
        agents = [self._layers.agents] if pool.agents or function.pool == AGENTS_POOL else []
        found = [self._layers.core, *agents, *pool.layers]
        return {"code": self._code, "handler": function.handler, "runtime": RUNTIME, "layers": found}


class _Imaged:
    """One image for all functions, of which each has a command of its own."""

    def __init__(self, image: Image) -> None:
        self._image = image

    def of(self, function: Function, pool: WorkerPool) -> dict[str, Any]:  # noqa: ARG002  the image has it all
        """As `_Bundled.of`."""
        code = lambda_.Code.from_ecr_image(
            self._image.repository,
            tag_or_digest=self._image.tag_or_digest,
            entrypoint=list(IMAGE_ENTRYPOINT),
            cmd=[function.handler],
        )
        return {"code": code, "handler": lambda_.Handler.FROM_IMAGE, "runtime": lambda_.Runtime.FROM_IMAGE}


def _accept_findings(function: lambda_.Function) -> None:
    for rule in ("AwsSolutions::AwsSolutions-L1", "Serverless::Serverless-LambdaLatestVersion"):
        accept(function, rule, "The version that the layers' wheels are for (bundling.PYTHON); AWS maintains it")
    accept(function, "Serverless::Serverless-LambdaDLQ", "Never invoked asynchronously: queues and the API call it")
    accept(
        function,
        "Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish",
        "Its current version is published, and its alias is what is invoked",
    )


def _chosen_callers(props: RuntimeProps) -> dict[str, str]:
    """Who callers of the API are, where that is not as by default."""
    callers, default = (
        Callers(
            props.identity_claim,
            frozenset(props.speaking_for_others),
            props.jwt.issuer if props.jwt else "",
            props.jwt.scopes if props.jwt else (),
            frozenset(props.cors.origins if props.cors else ()),
        ),
        Callers(),
    )
    chosen, usual = callers.to_environment(), default.to_environment()
    return {name: value for name, value in chosen.items() if value != usual[name]}


def _collector(props: RuntimeProps) -> dict[str, str]:
    """OpenTelemetry's own variables, as `backends.otlp` reads them."""
    if props.collector is None:
        return {}
    headers = ",".join(f"{name}={quote(value)}" for name, value in props.collector.headers.items())
    named = {"OTEL_EXPORTER_OTLP_HEADERS": headers} if headers else {}
    content = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"} if props.collector.content else {}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": props.collector.endpoint, **named, **content}


def _allow_lists(reach: Reach) -> dict[str, str]:
    lists = {variable: ",".join(getattr(reach, area)) for area, variable in SETTINGS.items()}
    lists[ITEMS_ALLOW] = ",".join(reach.items)
    return {variable: text for variable, text in lists.items() if text}
