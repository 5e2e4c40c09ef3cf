"""The built-in tools. Those with reach (`Reach`) exist everywhere and fail with ``not_allowed`` where they are off."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec.structs import replace

from workflow_runtime.invokers.tools.builtin.database_query import database_query_function
from workflow_runtime.invokers.tools.builtin.dynamodb_write import dynamodb_write_function
from workflow_runtime.invokers.tools.builtin.echo import echo
from workflow_runtime.invokers.tools.builtin.http_request import http_request_function
from workflow_runtime.invokers.tools.builtin.lambda_invoke import lambda_invoke_function
from workflow_runtime.invokers.tools.builtin.publish_event import publish_event_function
from workflow_runtime.invokers.tools.builtin.send_email import send_email_function
from workflow_runtime.invokers.tools.builtin.sqs_send import sqs_send_function
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.invokers.tools.tool import Tool, tool_of
from workflow_runtime.sdk import MARK

BUILT_IN = "built-in"


def builtin_tools(reach: Reach, services: ToolServices) -> list[Tool]:
    """All of them, allowed to reach what ``reach`` says."""
    functions = _functions(reach, services)
    return [
        replace(tool, function=function, built_in=True) for tool, function in zip(_described(), functions, strict=True)
    ]


def _functions(reach: Reach, services: ToolServices) -> tuple[Callable[..., Any], ...]:
    return (
        echo,
        http_request_function(reach, services),
        send_email_function(reach, services),
        database_query_function(reach, services),
        lambda_invoke_function(reach, services),
        publish_event_function(reach),
        sqs_send_function(reach),
        dynamodb_write_function(reach),
    )


@cache
def _described() -> tuple[Tool, ...]:
    """Each tool as its signature says; whatever a function may reach, its signature is the same."""
    marks = [(function, getattr(function, MARK)) for function in _functions(Reach(), ToolServices())]
    return tuple(tool_of(function, mark.id, mark.description, BUILT_IN, mark.effects) for function, mark in marks)
