"""Requests to the API's real handler, as API Gateway delivers them."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec
from tests.handlers.bench import Bench

from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY

FUNCTION = TOPOLOGY.function("api")


def ask(
    bench: Bench, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, query: str = ""
) -> Any:
    """Status and JSON of an answer."""
    handler = bench.api()

    async def handle() -> dict[str, Any]:
        answered: dict[str, Any] = await handler(event_of(method, path, body, headers, query), LocalContext(FUNCTION))
        return answered

    return answer_of(asyncio.run(handle()))


def event_of(method: str, path: str, body: Any, headers: dict[str, str] | None, query: str) -> dict[str, Any]:
    """A request as API Gateway delivers it (payload version 2.0)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", **(headers or {})},
        "requestContext": {"stage": "$default", "http": {"method": method, "path": path}},
        "body": base64.b64encode(msgspec.json.encode(body)).decode() if body is not None else "",
        "isBase64Encoded": body is not None,
    }


def answer_of(answered: dict[str, Any]) -> Any:
    """Status and JSON; no body is None."""
    body = answered["body"]
    text = base64.b64decode(body) if answered["isBase64Encoded"] else body
    return answered["statusCode"], msgspec.json.decode(text) if text else None
