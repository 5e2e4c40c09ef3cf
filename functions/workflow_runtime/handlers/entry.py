"""Lambda's entry point for a handler."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from workflow_runtime.deployment.topology import Function
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent
from workflow_runtime.runtime.services import Runtime

ON_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME"  # a variable that Lambda sets


def on_lambda(create: Callable[[Runtime, Function], Handler]) -> Callable[[LambdaEvent, Any], Any]:
    """Lambda's entry point for a handler. Which function it is, is said by the variable ``FUNCTION`` (a name in
    `topology`).

    Elsewhere a handler's module is imported for its ``create`` alone, so nothing is made before somebody calls this.
    """

    @cache
    def made() -> Callable[[LambdaEvent, Any], Any]:
        from workflow_runtime.handlers.observed import observed

        return observed(create, os.environ, now=ON_LAMBDA in os.environ)

    if ON_LAMBDA in os.environ:
        made()
    return lambda event, context: made()(event, context)
