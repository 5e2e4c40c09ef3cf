"""The built-in tools. Those with reach (`Reach`) exist everywhere and fail with ``not_allowed`` where they are off."""

from __future__ import annotations

from workflow_runtime.invokers.tools.builtin.database_query import database_query_function
from workflow_runtime.invokers.tools.builtin.echo import echo
from workflow_runtime.invokers.tools.builtin.http_request import http_request_function
from workflow_runtime.invokers.tools.builtin.lambda_invoke import lambda_invoke_function
from workflow_runtime.invokers.tools.builtin.publish_event import publish_event_function
from workflow_runtime.invokers.tools.builtin.send_email import send_email_function
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.invokers.tools.tool import Tool, describe
from workflow_runtime.sdk import MARK

BUILT_IN = "built-in"


def builtin_tools(reach: Reach, services: ToolServices) -> list[Tool]:
    """All of them, allowed to reach what ``reach`` says."""
    functions = (
        echo,
        http_request_function(reach, services),
        send_email_function(reach, services),
        database_query_function(reach, services),
        lambda_invoke_function(reach, services),
        publish_event_function(services),
    )
    marks = [(function, getattr(function, MARK)) for function in functions]
    return [describe(function, mark.id, mark.description, BUILT_IN) for function, mark in marks]
