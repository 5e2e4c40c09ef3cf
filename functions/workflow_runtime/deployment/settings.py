"""What a deployed function learns from its environment variables, once, as one typed value."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from workflow_runtime.deployment.topology import EVENTS, TIMERS, TOPOLOGY, Topology, with_pools
from workflow_runtime.errors import RequestError

DEFINITIONS_DIRECTORY = "definitions"
LOG_LEVEL = "INFO"
SECRETS_PREFIX = "workflow/"  # of names in Secrets Manager
ENV_PREFIX = "WORKFLOW_ENV_"  # only variables named so are readable as ${env.NAME}: the others hold credentials
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

RETENTION_DAYS = 90  # at least so long, and at most twice that, executions are kept after their end

RETENTION_DAYS_MAX = 3650

IDENTITY_CLAIM = "sub"  # of a JWT: who the caller is

POOLS_VARIABLE = "WORKER_POOLS"
EXPRESS_VARIABLE = "EXPRESS_FUNCTION"
SCHEDULED_QUEUES = (TIMERS, EVENTS)  # where schedules send

ITEMS_ALLOW = "TOOLS_ITEMS_ALLOW"
"""The files of S3 that loops may read items from: ``bucket/key``, with commas; a final ``*`` matches any rest."""
_ALLOW_LIST = re.compile(r"TOOLS_[A-Z]+_ALLOW")
_TRUTH = {"1": True, "true": True, "yes": True, "": False, "0": False, "false": False, "no": False}


class Callers(msgspec.Struct, frozen=True):
    """Who callers of the API are.

    - ``identity_claim``: of a JWT, the claim that says so
    - ``speaking_for_others``: those who may answer approvals in somebody else's name: the backend of a web page, say
    - ``issuer``, ``scopes``: who issues the JWTs, and what they must grant; "": requests are signed by IAM
    - ``web_origins``: the origins of web pages that may call (``*``: any)
    """

    identity_claim: str = IDENTITY_CLAIM
    speaking_for_others: frozenset[str] = frozenset()
    issuer: str = ""
    scopes: tuple[str, ...] = ()
    web_origins: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Callers:
        """``IDENTITY_CLAIM``, ``JWT_ISSUER``; and, with commas, ``SPEAKING_FOR_OTHERS`` (IAM principals or subjects),
        ``JWT_SCOPES``, ``WEB_ORIGINS``."""

        def listed(variable: str) -> tuple[str, ...]:
            return tuple(filter(None, (name.strip() for name in environ.get(variable, "").split(","))))

        return cls(
            environ.get("IDENTITY_CLAIM") or IDENTITY_CLAIM,
            frozenset(listed("SPEAKING_FOR_OTHERS")),
            environ.get("JWT_ISSUER", ""),
            listed("JWT_SCOPES"),
            frozenset(listed("WEB_ORIGINS")),
        )

    def to_environment(self) -> dict[str, str]:
        """The variables that `from_environment` reads; CDK sets them."""
        return {
            "IDENTITY_CLAIM": self.identity_claim,
            "SPEAKING_FOR_OTHERS": ",".join(sorted(self.speaking_for_others)),
            "JWT_ISSUER": self.issuer,
            "JWT_SCOPES": ",".join(self.scopes),
            "WEB_ORIGINS": ",".join(sorted(self.web_origins)),
        }


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the runtime's resources are, and what built-in tools may reach (nothing, unless listed).

    ``queue_urls`` and ``queue_arns`` go by the names of `topology`; the latter, ``schedule_group`` and
    ``schedule_role_arn`` (which sends when a schedule is due) are for functions that make schedules. ``local``: not on
    AWS, so there is no Lambda around.
    ``retention_days``: how long executions are kept after their end, at least; at most twice that.
    ``tool_allow_lists``: the variables named ``TOOLS_…_ALLOW``, as they are, for `tools.reach` and `item_files`.
    ``mocks_file_for_tests``: answers in place of agents and tools. Deployed code holds no such file, unless a test put
    it there; workers warn of it whenever they start.
    ``express_function``: runs express executions; "": the deployment has none, or it is not for this function to call.
    """

    table_name: str
    bucket_name: str
    bus_name: str
    queue_urls: dict[str, str]
    definitions_directory: str = DEFINITIONS_DIRECTORY
    log_level: str = LOG_LEVEL
    local: bool = False
    tool_allow_lists: dict[str, str] = {}
    secrets_prefix: str = SECRETS_PREFIX
    mocks_file_for_tests: str | None = None
    schedule_group: str = ""
    schedule_role_arn: str = ""
    queue_arns: dict[str, str] = {}
    express_function: str = ""
    retention_days: int = RETENTION_DAYS

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], *, function: str | None = None, topology: Topology = TOPOLOGY
    ) -> Settings:
        """Read the environment of ``function`` (a name in the topology; None: of one that uses every queue).

        Raises `RequestError` ``settings_invalid``, which names every variable that is missing or wrong.
        """
        queues = queues_used(topology, function)
        variables = {"TABLE_NAME", "BUCKET_NAME", "BUS_NAME", *map(queue_variable, queues)}
        schedules = function is None or topology.function(function).schedules
        if schedules:
            variables |= {"SCHEDULE_GROUP", "SCHEDULE_ROLE_ARN", *map(arn_variable, SCHEDULED_QUEUES)}
        if function is not None and topology.function(function).invokes:
            variables.add(EXPRESS_VARIABLE)
        problems = [f"{name} is missing" for name in sorted(variables) if not environ.get(name)]
        log_level = environ.get("LOG_LEVEL", LOG_LEVEL).upper()
        if log_level not in LOG_LEVELS:
            problems.append(f"LOG_LEVEL is {log_level}, not one of {', '.join(LOG_LEVELS)}")
        local = _TRUTH.get(environ.get("LOCAL", "").lower())
        if local is None:
            problems.append(f"LOCAL is {environ['LOCAL']}, not 1 or 0")
        retention = environ.get("RETENTION_DAYS") or str(RETENTION_DAYS)
        if not (retention.isascii() and retention.isdigit() and 1 <= int(retention) <= RETENTION_DAYS_MAX):
            problems.append(f"RETENTION_DAYS is {retention}, not a number of days from 1 to {RETENTION_DAYS_MAX}")
        if problems or local is None:
            raise RequestError("settings_invalid", f"environment variables: {'; '.join(problems)}")
        return cls(
            table_name=environ["TABLE_NAME"],
            bucket_name=environ["BUCKET_NAME"],
            bus_name=environ["BUS_NAME"],
            queue_urls={queue: environ[queue_variable(queue)] for queue in queues},
            definitions_directory=environ.get("DEFINITIONS_DIR") or DEFINITIONS_DIRECTORY,
            log_level=log_level,
            local=local,
            tool_allow_lists={name: text for name, text in environ.items() if _ALLOW_LIST.fullmatch(name)},
            secrets_prefix=environ.get("SECRETS_PREFIX") or SECRETS_PREFIX,
            mocks_file_for_tests=environ.get("MOCKS_FILE_FOR_TESTS") or None,
            schedule_group=environ["SCHEDULE_GROUP"] if schedules else "",
            schedule_role_arn=environ["SCHEDULE_ROLE_ARN"] if schedules else "",
            queue_arns={queue: environ[arn_variable(queue)] for queue in SCHEDULED_QUEUES} if schedules else {},
            retention_days=int(retention),
            express_function=environ.get(EXPRESS_VARIABLE, ""),
        )

    @property
    def item_files(self) -> tuple[str, ...]:
        """The entries of `ITEMS_ALLOW`."""
        return tuple(entry.strip() for entry in self.tool_allow_lists.get(ITEMS_ALLOW, "").split(",") if entry.strip())

    def to_environment(self) -> dict[str, str]:
        """The variables that `from_environment` reads these settings back from; CDK and the local runner set them."""
        return {
            "TABLE_NAME": self.table_name,
            "BUCKET_NAME": self.bucket_name,
            "BUS_NAME": self.bus_name,
            **{queue_variable(name): url for name, url in self.queue_urls.items()},
            **{arn_variable(name): arn for name, arn in self.queue_arns.items()},
            "SCHEDULE_GROUP": self.schedule_group,
            "SCHEDULE_ROLE_ARN": self.schedule_role_arn,
            "DEFINITIONS_DIR": self.definitions_directory,
            "LOG_LEVEL": self.log_level,
            "SECRETS_PREFIX": self.secrets_prefix,
            "MOCKS_FILE_FOR_TESTS": self.mocks_file_for_tests or "",
            "LOCAL": str(int(self.local)),
            "RETENTION_DAYS": str(self.retention_days),
            EXPRESS_VARIABLE: self.express_function,
            **self.tool_allow_lists,
        }


def deployed_topology(environ: Mapping[str, str]) -> Topology:
    """The topology with the worker pools that this deployment added: ``WORKER_POOLS`` names them, with commas."""
    names = [name for name in environ.get(POOLS_VARIABLE, "").split(",") if name]
    return with_pools(TOPOLOGY, names) if names else TOPOLOGY


def queue_variable(queue: str) -> str:
    """The environment variable with a queue's URL: ``dispatch.fifo`` is in ``QUEUE_URL_DISPATCH_FIFO``."""
    return f"QUEUE_URL_{_upper(queue)}"


def arn_variable(queue: str) -> str:
    """The environment variable with a queue's ARN, for schedules to send to."""
    return f"QUEUE_ARN_{_upper(queue)}"


def _upper(queue: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", queue.upper())


def queues_used(topology: Topology, function: str | None = None) -> tuple[str, ...]:
    """The queues that a function receives from or sends to; None: those of all functions. Raises `ValueError`."""
    if function is not None and all(each.name != function for each in topology.functions):
        raise ValueError(f"there is no function {function}")
    used = {
        queue
        for each in topology.functions
        if function in (None, each.name)
        for queue in (*each.sends, *(source.queue for source in each.sources))
    }
    return tuple(queue.name for queue in topology.queues if queue.name in used)
