"""`lambda_invoke`: calls an AWS Lambda function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools.builtin.aws_errors import call_aws
from workflow_runtime.invokers.tools.builtin.foreign_json import read_json
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.language.json_values import Json
from workflow_runtime.sdk import NodeContext, tool

PAYLOAD_BYTES_MAX = 6 * 1024 * 1024  # Lambda: a synchronous call
ASYNC_PAYLOAD_BYTES_MAX = 1024 * 1024  # Lambda: an asynchronous one
ERROR_CHARACTERS_MAX = 300


def lambda_invoke_function(reach: Reach, services: ToolServices) -> Callable[..., Any]:
    @tool(
        description="Calls a Lambda function and returns what it returns; "
        "with `asynchronous`, returns {accepted: true} at once."
    )
    def lambda_invoke(function: str, context: NodeContext, payload: Any = None, asynchronous: bool = False) -> Any:
        reach.check("functions", "lambda_invoke", "the function", function)
        data = msgspec.json.encode(payload)
        limit = ASYNC_PAYLOAD_BYTES_MAX if asynchronous else PAYLOAD_BYTES_MAX
        if len(data) > limit:
            raise NodeError("validation_error", f"the payload is larger than {limit} bytes")
        response = call_aws(
            f"Lambda {function}",
            services.clients("lambda").invoke,
            FunctionName=function,
            InvocationType="Event" if asynchronous else "RequestResponse",
            Payload=data,
        )
        if asynchronous:
            return {"accepted": True}
        answer = _decoded(function, response["Payload"].read(), context)
        if response.get("FunctionError"):
            raise NodeError("execution_error", f"the function {function} failed: {_reason(answer)}")
        return answer

    return lambda_invoke


def _decoded(function: str, data: bytes, context: NodeContext) -> Json:
    try:
        return read_json(data.decode(), "the answer", context.warn) if data else None
    except ValueError:
        raise NodeError("execution_error", f"the function {function} did not return JSON") from None


def _reason(answer: Json) -> str:
    if not isinstance(answer, dict):
        return "no reason given"
    text = f"{answer.get('errorType', 'Error')}: {answer.get('errorMessage', '')}"
    return text[:ERROR_CHARACTERS_MAX]
