"""The Python SDK: publish workflows, start executions, see how they end; in this process or over HTTP.

``engine``      `WorkflowEngine`, what people use; ``sync`` its twin for code without an event loop
``connection``  what an engine needs of either side
``local``       a connection to a runtime in this process, which runs in the background of the caller's event loop
``remote``      a connection to `awr dev` or a deployed API; ``calls`` how it is called, ``signing`` SigV4 for it
``limits``      quotas and rates, which become limiters
``events``      the engine's `EventBus`; ``following`` reads events from the histories that a remote side has
``errors``      what calls raise, the same on both sides

Imports services through `runtime`, and `httpx` and botocore only when a remote engine is made.
"""

from workflow_runtime.frontends.client.engine import WorkflowEngine
from workflow_runtime.frontends.client.errors import (
    Conflict,
    EngineError,
    InvalidDefinition,
    InvalidInput,
    NotAuthorized,
    NotFound,
    TooLarge,
    Unavailable,
    WaitTimeout,
)
from workflow_runtime.frontends.client.events import EXECUTION_EVENTS, Event, EventBus, Handler, Subscription
from workflow_runtime.frontends.client.limits import ResourceQuota, Scheduler
from workflow_runtime.frontends.client.sync import SyncEventBus, SyncWorkflowEngine

__all__ = [
    "EXECUTION_EVENTS",
    "Conflict",
    "EngineError",
    "Event",
    "EventBus",
    "Handler",
    "InvalidDefinition",
    "InvalidInput",
    "NotAuthorized",
    "NotFound",
    "ResourceQuota",
    "Scheduler",
    "Subscription",
    "SyncEventBus",
    "SyncWorkflowEngine",
    "TooLarge",
    "Unavailable",
    "WaitTimeout",
    "WorkflowEngine",
]
