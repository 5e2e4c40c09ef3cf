"""The log lines of one execution, from CloudWatch: by the query that the deployment saved for it (`infra`)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, Protocol

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from workflow_runtime.errors import RequestError

SAVED_QUERY = "one-execution"  # below the name of the stack; it has `PLACEHOLDER` where the execution's id belongs
PLACEHOLDER = "ex-…"
POLL_SECONDS = 1.0
POLLS_MAX = 120  # a query over a day of logs takes seconds

_EXECUTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # nothing that could change the query
_ENDED = ("Complete", "Failed", "Cancelled", "Timeout")


class LogsClient(Protocol):
    """What of CloudWatch Logs is used."""

    def describe_query_definitions(self, **arguments: Any) -> Any: ...

    def start_query(self, **arguments: Any) -> Any: ...

    def get_query_results(self, **arguments: Any) -> Any: ...


def create_client(profile: str | None = None, region: str | None = None) -> LogsClient:
    """With the credentials and the region of the environment, or of a profile. Raises `RequestError`."""
    try:
        client: LogsClient = boto3.Session(profile_name=profile, region_name=region).client("logs")
    except BotoCoreError as error:
        raise RequestError("not_authorized", str(error)) from error
    return client


class LogSearch:
    """``stack``: the name of the CloudFormation stack."""

    def __init__(self, client: LogsClient, stack: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._stack = stack
        self._pause = pause

    def lines(self, execution_id: str, start: int, end: int) -> list[dict[str, str]]:
        """Its log lines between two times (epoch ms), the oldest first, as their fields. Raises `RequestError`."""
        if not _EXECUTION_ID.fullmatch(execution_id):
            raise RequestError(
                "invalid_request", f"{json.dumps(execution_id, ensure_ascii=False)} is not an execution id"
            )
        try:
            saved = self._saved()
            query = saved["queryString"].replace(PLACEHOLDER, execution_id)
            started = self._client.start_query(
                logGroupNames=saved["logGroupNames"],
                startTime=start // 1000,
                endTime=end // 1000 + 1,
                queryString=query,
            )
            return self._results(started["queryId"])
        except (ClientError, BotoCoreError) as error:
            raise RequestError("logs_unavailable", f"CloudWatch Logs: {error}") from error

    def _saved(self) -> dict[str, Any]:
        name = f"{self._stack}/{SAVED_QUERY}"
        found = self._client.describe_query_definitions(queryDefinitionNamePrefix=name).get("queryDefinitions", [])
        for definition in found:
            if definition["name"] == name:
                query: dict[str, Any] = definition
                return query
        raise RequestError("not_found", f"there is no stack {self._stack} in this account and region: no query {name}")

    def _results(self, query_id: str) -> list[dict[str, str]]:
        for _ in range(POLLS_MAX):
            answer = self._client.get_query_results(queryId=query_id)
            if answer["status"] == "Complete":
                return [
                    {cell["field"]: cell["value"] for cell in row if cell["field"] != "@ptr"}
                    for row in answer["results"]
                ]
            if answer["status"] in _ENDED:
                raise RequestError("logs_unavailable", f"the query ended as {answer['status']}")
            self._pause(POLL_SECONDS)
        raise RequestError("logs_unavailable", "the query takes too long; ask for fewer hours")
