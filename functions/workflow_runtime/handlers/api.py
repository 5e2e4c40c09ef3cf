"""HTTP API → the application: one request, one answer."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from workflow_runtime.deployment.topology import Function
from workflow_runtime.frontends.api.application import Application
from workflow_runtime.handlers.entry import on_lambda
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime


def create(runtime: Runtime, function: Function) -> Handler:  # noqa: ARG001  every handler is made alike
    application = Application(runtime)

    def handle(event: LambdaEvent, context: Any) -> Awaitable[dict[str, Any]]:
        return application.answer(event, context)

    return handle


handler = on_lambda(create)
