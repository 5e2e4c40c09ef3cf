"""Handlers of the topology's functions, made for a runtime in this process."""

from __future__ import annotations

import importlib
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from workflow_runtime.backends.embedded.pump import Handler
from workflow_runtime.deployment.topology import Function, Topology

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime


def handler_of(function: Function, runtime: Runtime) -> Handler:
    """The handler that Lambda would run for this function, made for this runtime."""
    handler: Handler = _module_of(function).create(runtime, function)
    return handler


def import_handlers(topology: Topology) -> None:
    """Import the modules of all handlers that take events of queues."""
    for function in topology.functions:
        if function.sources:
            _module_of(function)


def handler_for_first_event(function: Function, runtime: Runtime) -> Handler:
    """The same, imported and made when the first event comes: a process that runs one workflow needs two or three."""
    made = cache(partial(handler_of, function, runtime))
    return lambda event, context: made()(event, context)


def _module_of(function: Function) -> Any:
    return importlib.import_module(function.handler.rpartition(".")[0])
