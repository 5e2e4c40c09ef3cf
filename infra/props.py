"""What a deployment may choose. The defaults are for production: encrypted, kept when the stack is deleted, closed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns

from infra.bundling import PYTHON, ROOT
from workflow_runtime.deployment.settings import IDENTITY_CLAIM, RETENTION_DAYS, RETENTION_DAYS_MAX, SECRETS_PREFIX
from workflow_runtime.deployment.topology import SPARE_POOL
from workflow_runtime.ports import BATCH_MESSAGES_MAX

ITEMS_ENTRY = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([^*?,$]*\*|[^*?,$]+)")
"""A bucket, and in it one file or what begins alike: IAM would take any other ``*`` or ``?`` for more than is meant."""

OTHERS = {
    "tables": re.compile(r"[a-zA-Z0-9_.-]+\*?"),
    "queues": re.compile(r"[a-zA-Z0-9_-]+(\*|\.fifo)?"),
    "buses": re.compile(r"[/.\-_A-Za-z0-9]+\*?|arn:[^\s*?,]+\*?"),
}
"""Names, of which a part stands at least: a ``*`` alone would be the runtime's own, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the built-in tools of a worker pool may reach; empty: that tool is off. Entries as `tools.reach` says.

    The pool's role gets what the entries need and no more, so in a deployment ``database`` takes cluster ARNs,
    ``functions`` function names or ARNs (a final ``*`` matches any rest). ``email`` needs the SES identities (ARNs) to
    send from, ``database`` the secrets (ARNs) to log in with.

    ``tables`` and ``queues``: names, in the account and region of the deployment; ``buses``: names or ARNs (a final
    ``*`` matches any rest); ``effects_keys``: ARNs of KMS keys that these are encrypted with.

    ``items``: files of S3 that loops may read items from, ``bucket/key`` (a final ``*`` matches any rest), of the pool
    `ITEMS_POOL`, which reads them; ``items_keys``: ARNs of KMS keys that they are encrypted with.
    """

    http: tuple[str, ...] = ()
    email: tuple[str, ...] = ()
    email_identities: tuple[str, ...] = ()
    database: tuple[str, ...] = ()
    database_secrets: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    buses: tuple[str, ...] = ()
    effects_keys: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    items_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.email) != bool(self.email_identities):
            raise ValueError("email: name both the recipients and the identities to send from")
        if bool(self.database) != bool(self.database_secrets):
            raise ValueError("database: name both the clusters and the secrets to log in with")
        for area, pattern in OTHERS.items():
            for entry in getattr(self, area):
                if not pattern.fullmatch(entry):
                    raise ValueError(f"{area}: {entry!r} is not a name, perhaps with a final *")
        for entry in self.items:
            if not ITEMS_ENTRY.fullmatch(entry):
                raise ValueError(f"items: {entry!r} is not a bucket/key, perhaps with a final *")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """What is special about a worker pool. ``concurrency_max``: batches at once, if not as in the topology; at least 2.
    ``batch_size``: orders that one process carries out side by side, 1 to 10, if not as in the topology.

    ``secrets_prefix``: of the names in Secrets Manager that are ``${secrets.NAME}`` there, if not as for the others:
    its nodes then read these secrets and no others, and the other pools read none of them unless a prefix begins like
    theirs.
    ``agents``: it runs agents, so it gets their packages (as the pool `AGENTS_POOL` does anyway). ``bedrock_models``:
    ARNs of the models and inference profiles it may invoke. ``environment``: further variables, a provider's settings
    for instance. ``statements``: further rights of its role, for what its own tools call. ``layers``: further packages.
    """

    concurrency_max: int | None = None
    batch_size: int | None = None
    memory_mb: int | None = None
    secrets_prefix: str = ""
    agents: bool = False
    reach: Reach = Reach()
    bedrock_models: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    statements: tuple[iam.PolicyStatement, ...] = ()
    layers: tuple[lambda_.ILayerVersion, ...] = ()

    def __post_init__(self) -> None:
        if self.batch_size is not None and not 1 <= self.batch_size <= BATCH_MESSAGES_MAX:
            raise ValueError(f"batch_size: from 1 to {BATCH_MESSAGES_MAX} orders, not {self.batch_size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The VPC that functions run in. Its subnets need a way to AWS: NAT, or endpoints for all services used."""

    vpc: ec2.IVpc
    subnets: ec2.SubnetSelection | None = None
    security_groups: tuple[ec2.ISecurityGroup, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """Who issues the bearer tokens that the API takes (in place of IAM signatures), and for whom."""

    issuer: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Requests per second, and how many at once after a pause; API Gateway answers more with 429."""

    rate: int
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmThroughput:
    """Units a second. AWS charges once for raising them, and never lowers them."""

    reads: int
    writes: int

    def __post_init__(self) -> None:
        if self.reads < WARM_READS_MIN or self.writes < WARM_WRITES_MIN:
            raise ValueError(f"warm_throughput: at least {WARM_READS_MIN} reads and {WARM_WRITES_MIN} writes a second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Web pages of these origins may call the API."""

    origins: tuple[str, ...]
    max_age: Duration = Duration.hours(1)  # noqa: RUF009  immutable


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """Events on another bus of this account and region (its ARN) that match ``pattern`` are passed to the runtime's."""

    bus_arn: str
    pattern: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """An OpenTelemetry collector that takes traces by OTLP/HTTP at ``<endpoint>/v1/traces``; ``headers`` go with them.
    A Lambda extension of the collector listens at ``http://localhost:4318``; give its layer to the pools. ``content``:
    it gets what models, tools and nodes said, too, without secrets."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The functions' code as a container image in ECR: one made from `container/Dockerfile`, with /definitions.

    ``tag_or_digest``: a digest (``sha256:…``) is what was tested; a tag may have become another image.
    """

    repository: ecr.IRepository
    tag_or_digest: str


ITEMS_POOL = SPARE_POOL  # the pool that reads items of loops
WARM_READS_MIN, WARM_WRITES_MIN = 12_000, 4_000  # DynamoDB: what every table on demand is ready for
AGENTS_POOL = "agent"  # the pool that runs agents unless their nodes choose another
POOL_NAME = re.compile(r"(?=.{1,40}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")  # what definitions may name


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeProps:
    """All that a deployment of the runtime may choose.

    Data: ``removal_policy`` and ``deletion_protection`` of the table, the bucket and the logs; ``key`` encrypts them,
    the queues and the bus instead of AWS's own keys. ``retention_days``: executions are
    kept at least so long after their end, and at most twice that.
    ``warm_throughput``: what the table and its indexes are ready for at once; without, a new table takes 4,000 writes a
    second, and twice its peak so far within half an hour.
    Workers: ``pools`` by name, where something is special about them; names that the topology does not have become new
    pools, which nodes choose by ``pool: name``. ``environment``: what workflows read as ``${env.NAME}``.
    ``secrets_prefix``: of the names in Secrets Manager that are ``${secrets.NAME}``. ``definitions``: the folder with
    the agents and tools that workers load.
    Functions: ``reserved_concurrency`` by function; ``snap_start`` for those that the topology says somebody waits for.
    ``image``: what runs in them instead of a bundle with layers; Lambda has no SnapStart and no layers for images.
    ``mocks_for_tests``: a file of mocks that take the place of all agents and tools. Never in production.
    Events: ``forwarding`` from other buses; ``publisher_accounts``: other accounts that may put events on the bus.
    ``archive_days``: how long its events can be replayed.
    ``approvals_topic``: gets a text for people whenever somebody is asked for an approval; the pattern for adapters to
    mail and chat. Its policy lets EventBridge publish, if the topic is made in the same application.
    API: ``jwt`` in place of IAM, and its ``identity_claim``, which says who the caller is; ``speaking_for_others``:
    callers (IAM principals, or values of that claim) who may answer approvals in somebody else's name; ``cors``;
    ``throttle`` of all routes, ``open_throttle`` of each without authorizer.
    ``alarm_topic``: who is told of alarms. ``collector``: who gets traces of executions.
    """

    removal_policy: RemovalPolicy = (
        RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    )  # a first deployment that fails leaves none
    deletion_protection: bool = True
    key: kms.IKey | None = None
    retention_days: int = RETENTION_DAYS
    log_level: str = "INFO"
    log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH
    network: Network | None = None

    pools: Mapping[str, WorkerPool] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets_prefix: str = SECRETS_PREFIX
    definitions: Path = ROOT / "definitions"
    mocks_for_tests: Path | None = None

    architecture: lambda_.Architecture = lambda_.Architecture.ARM_64
    wheels_for_python: str = PYTHON
    reserved_concurrency: Mapping[str, int] = field(default_factory=dict)
    snap_start: bool = True
    image: Image | None = None

    forwarding: tuple[Forwarding, ...] = ()
    publisher_accounts: tuple[str, ...] = ()
    archive_days: int = 14
    warm_throughput: WarmThroughput | None = None

    jwt: Jwt | None = None
    identity_claim: str = IDENTITY_CLAIM
    speaking_for_others: tuple[str, ...] = ()
    cors: Cors | None = None
    collector: Collector | None = None
    throttle: Throttle = Throttle(rate=500, burst=1000)
    open_throttle: Throttle = Throttle(rate=50, burst=100)

    alarm_topic: sns.ITopic | None = None
    approvals_topic: sns.ITopic | None = None

    def __post_init__(self) -> None:
        prefixes = {name: pool.secrets_prefix for name, pool in self.pools.items() if pool.secrets_prefix}
        for name, prefix in prefixes.items():
            others = {"the other functions": self.secrets_prefix, **prefixes}
            for other, wider in others.items():
                if other != name and prefix.startswith(wider):
                    raise ValueError(f"pools: secrets of {name}, {prefix!r}, could be read by {other}, {wider!r}")
        if self.image is not None and (self.mocks_for_tests or any(pool.layers for pool in self.pools.values())):
            raise ValueError("image: what mocks or layers would add is put into the image itself")
        if not 1 <= self.retention_days <= RETENTION_DAYS_MAX:
            raise ValueError(f"retention_days: from 1 to {RETENTION_DAYS_MAX}, not {self.retention_days}")
        for name in self.pools:
            if not POOL_NAME.fullmatch(name):
                raise ValueError(f"pools: {name!r} is not a name; small letters, digits and single hyphens, at most 40")
            if self.pools[name].reach.items and name != ITEMS_POOL:
                raise ValueError(f"pools: items of loops are read in the pool {ITEMS_POOL!r}, not in {name!r}")
