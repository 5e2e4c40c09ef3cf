"""What a deployed function learns from its environment variables, once, as one typed value."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from workflow_runtime.errors import RequestError
from workflow_runtime.topology import TOPOLOGY, Topology

DEFINITIONS_DIRECTORY = "definitions"
LOG_LEVEL = "INFO"
SECRETS_PREFIX = "workflow/"  # of names in Secrets Manager
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_ALLOW_LIST = re.compile(r"TOOLS_[A-Z]+_ALLOW")
_TRUTH = {"1": True, "true": True, "yes": True, "": False, "0": False, "false": False, "no": False}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the runtime's resources are, and what built-in tools may reach (nothing, unless listed).

    ``queue_urls`` go by the names of `topology`. ``local``: not on AWS, so there is no Lambda around.
    ``tool_allow_lists``: the variables named ``TOOLS_…_ALLOW``, as they are, for `tooling.reach`.
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

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], *, function: str | None = None, topology: Topology = TOPOLOGY
    ) -> Settings:
        """Read the environment of ``function`` (a name in the topology; None: of one that uses every queue).

        Raises `RequestError` ``settings_invalid``, which names every variable that is missing or wrong.
        """
        queues = queues_used(topology, function)
        variables = {"TABLE_NAME", "BUCKET_NAME", "BUS_NAME", *map(queue_variable, queues)}
        problems = [f"{name} is missing" for name in sorted(variables) if not environ.get(name)]
        log_level = environ.get("LOG_LEVEL", LOG_LEVEL).upper()
        if log_level not in LOG_LEVELS:
            problems.append(f"LOG_LEVEL is {log_level}, not one of {', '.join(LOG_LEVELS)}")
        local = _TRUTH.get(environ.get("LOCAL", "").lower())
        if local is None:
            problems.append(f"LOCAL is {environ['LOCAL']}, not 1 or 0")
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
        )

    def to_environment(self) -> dict[str, str]:
        """The variables that `from_environment` reads these settings back from; CDK and the local runner set them."""
        return {
            "TABLE_NAME": self.table_name,
            "BUCKET_NAME": self.bucket_name,
            "BUS_NAME": self.bus_name,
            **{queue_variable(name): url for name, url in self.queue_urls.items()},
            "DEFINITIONS_DIR": self.definitions_directory,
            "LOG_LEVEL": self.log_level,
            "SECRETS_PREFIX": self.secrets_prefix,
            "LOCAL": str(int(self.local)),
            **self.tool_allow_lists,
        }


def queue_variable(queue: str) -> str:
    """The environment variable with a queue's URL: ``dispatch.fifo`` is in ``QUEUE_URL_DISPATCH_FIFO``."""
    return "QUEUE_URL_" + re.sub(r"[^A-Z0-9]", "_", queue.upper())


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
