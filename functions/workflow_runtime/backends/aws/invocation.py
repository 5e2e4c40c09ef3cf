"""Functions that others invoke and wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workflow_runtime.backends.aws.sessions import create_session
from workflow_runtime.errors import RetryableError
from workflow_runtime.language.json_values import Json

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CONNECT_SECONDS_MAX = 2
READ_SECONDS_MAX = 28  # nobody waits for longer: API Gateway gives up after 30
CONFIG = Config(
    connect_timeout=CONNECT_SECONDS_MAX,
    read_timeout=READ_SECONDS_MAX,
    retries={"total_max_attempts": 1},  # what was not answered may be running
    tcp_keepalive=True,
)


class InvokedFunction:
    """``function``: its name, or that of the alias to invoke, or their ARN."""

    def __init__(self, function: str, client: LambdaClient | None = None) -> None:
        self._function = function
        self._client = client or cast("LambdaClient", create_session().create_client("lambda", config=CONFIG))

    async def __call__(self, event: Mapping[str, Json]) -> None:
        """Returns when it has handled the event. Raises `RetryableError` when it failed, or that is not known."""
        await asyncio.to_thread(self._invoke, msgspec.json.encode(event))

    def _invoke(self, payload: bytes) -> None:
        try:
            answer = self._client.invoke(FunctionName=self._function, Payload=payload)
        except (BotoCoreError, ClientError) as error:
            raise RetryableError(f"{self._function}: {error}") from error
        if "FunctionError" in answer:
            reason = answer["Payload"].read(1000).decode(errors="replace")
            raise RetryableError(f"{self._function} failed: {reason}")
