"""Puts the runtime of a deployed function together."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from workflow_runtime.deployment.metrics import count_attempt
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.runtime.environment import collector, workflow_env
from workflow_runtime.runtime.foundation import RunExpress
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.tally import CountingQueues, Tally

if TYPE_CHECKING:
    from workflow_runtime.deployment.settings import Settings
    from workflow_runtime.invokers.invocation import Invoker
    from workflow_runtime.invokers.mocks import Mocks
    from workflow_runtime.plan.catalogue import Catalogue
    from workflow_runtime.ports import Clock

WORKER_LOST_EXIT_CODE = 70  # EX_SOFTWARE: Lambda starts a fresh process for the next event


def _packaged_catalogue(definitions: Path) -> Catalogue | None:
    """The catalogue that the deployment packaged: the API publishes, and imports nobody's code to check names. None:
    it packaged none.
    """
    from workflow_runtime.plan.catalogue import FILE_NAME, decode_catalogue

    file = definitions / FILE_NAME
    return decode_catalogue(file.read_bytes()) if file.is_file() else None


def aws_runtime(environ: Mapping[str, str], count: Callable[[str, int], None], clock: Clock | None = None) -> Runtime:
    """The runtime of a deployed function, from its environment. Raises `RequestError` naming what is missing."""
    from workflow_runtime.backends.aws.backend import build_ports
    from workflow_runtime.backends.aws.secrets import SecretsManagerSecrets
    from workflow_runtime.backends.aws.tracing import trace_in
    from workflow_runtime.deployment.settings import Callers, Settings, deployed_topology
    from workflow_runtime.deployment.topology import EXPRESS_POOL

    topology = deployed_topology(environ)
    function = environ.get("FUNCTION")
    settings = Settings.from_environment(environ, function=function, topology=topology)
    definitions = Path(settings.definitions_directory)
    publishes = function is not None and topology.function(function).http
    ports = build_ports(settings, clock=clock, topology=topology, trace=trace_in(environ))
    tally = Tally(ports.clock.now)
    ports = replace(ports, traces=collector(environ), queues=CountingQueues(ports.queues, tally))

    def invokers() -> dict[NodeType, Invoker]:
        # With these come pydantic and all tools: only workers need them.
        from workflow_runtime.invokers.tools.reach import Reach
        from workflow_runtime.runtime.registries import Registries

        reach = Reach.from_settings(settings.tool_allow_lists)
        registries = Registries(
            definitions, _mocks_for_tests(settings), reach=reach, publications=runtime.published_agents
        )
        return registries.invokers(ports.clock)

    runtime = Runtime(
        ports,
        invokers,
        secrets=SecretsManagerSecrets(settings.secrets_prefix),
        env=workflow_env(environ),
        catalogue=_packaged_catalogue(definitions) if publishes else None,
        end_process=lambda: os._exit(WORKER_LOST_EXIT_CODE),
        count=_both(count, tally.count),
        attempt_ended=_both(partial(count_attempt, count), tally.attempt_ended),
        tally=tally,
        pools=(*topology.pools, EXPRESS_POOL) if topology.is_express else topology.pools,
        run_express=_express(settings.express_function),
        callers=Callers.from_environment(environ),
        retention_days=settings.retention_days,
    )
    return runtime


def _both(first: Callable[..., None], second: Callable[..., None]) -> Callable[..., None]:
    """What tells both of them."""

    def tell(*said: object) -> None:
        first(*said)
        second(*said)

    return tell


def _express(function: str) -> RunExpress | None:
    if not function:
        return None
    from workflow_runtime.backends.aws.invocation import InvokedFunction
    from workflow_runtime.services.express import ORDER, express_body

    invoked = InvokedFunction(function)
    return lambda order: invoked({ORDER: express_body(order)})


def _mocks_for_tests(settings: Settings) -> Mocks | None:
    if settings.mocks_file_for_tests is None:
        return None
    from workflow_runtime.invokers.mocks import Mocks

    logging.getLogger(__name__).warning("agents and tools are mocked: %s", settings.mocks_file_for_tests)
    return Mocks.load(settings.mocks_file_for_tests)
