"""The stack that `cdk deploy` makes: it only composes."""

from __future__ import annotations

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from infra.props import RuntimeProps
from infra.runtime import WorkflowRuntime
from workflow_runtime.deployment.topology import TOPOLOGY, Topology


class WorkflowRuntimeStack(Stack):
    """One `WorkflowRuntime`; keyword arguments are the stack's (``env``, ``tags``, ``termination_protection`` …)."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        props: RuntimeProps | None = None,
        *,
        topology: Topology = TOPOLOGY,
        **stack: Any,
    ) -> None:
        super().__init__(scope, id, **stack)
        self.runtime = WorkflowRuntime(self, "Runtime", props, topology=topology)
