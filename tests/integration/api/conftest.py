"""An API in this process: requests become API Gateway events (payload version 2.0) for the real handler."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.handlers import api as handler_module
from workflow_runtime.runtime.in_process import LocalRuntime

YAML = {"Content-Type": "application/yaml"}
JSON = {"Content-Type": "application/json"}

GREETING = """
workflow:
  id: greeting
  name: 问候
  nodes:
    - {id: 称呼, type: tool, tool: echo, inputs: {name: "${name}"}}
    - {id: done, type: control, subtype: pass, dependencies: [称呼], inputs: {text: "你好 ${称呼.name}"}}
"""


class Reply:
    """An answer of the API."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.status: int = answer["statusCode"]
        self.headers: dict[str, str] = answer["headers"]
        body = answer["body"]
        self.body = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The code of the problem document that this answer must be."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        assert self.json["status"] == self.status
        assert self.json["type"].startswith("urn:agent-workflow-runtime:problem:")
        return str(self.json["code"])


class Api:
    def __init__(self, runtime: LocalRuntime, stage: str = "$default") -> None:
        self.runtime = runtime
        self.stage = stage
        self.handler = handler_module.create(runtime.services, TOPOLOGY.function("api"))

    def event(self, method: str, url: str, body: str | bytes = "", headers: dict[str, str] | None = None) -> Any:
        parts = urlsplit(url)
        path = parts.path if self.stage == "$default" else f"/{self.stage}{parts.path}"
        encoded = isinstance(body, bytes)
        return {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": parts.query,
            "headers": headers or {},
            "requestContext": {"stage": self.stage, "http": {"method": method, "path": path}},
            "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
            "isBase64Encoded": encoded,
        }

    async def ask(self, method: str, url: str, body: str | bytes = "", headers: dict[str, str] | None = None) -> Reply:
        return Reply(await self.handler(self.event(method, url, body, headers), None))

    def __call__(self, method: str, url: str, body: str | bytes = "", headers: dict[str, str] | None = None) -> Reply:
        return asyncio.run(self.ask(method, url, body, headers))

    def publish(self, source: str = GREETING) -> str:
        reply = self("POST", "/workflows", source, YAML)
        assert reply.status in (200, 201), reply.body
        return str(reply.json["workflow_id"])

    def start(self, workflow_id: str = "greeting", input: Any = None, headers: dict[str, str] | None = None) -> Reply:
        body = msgspec.json.encode({"input": input or {"name": "小明"}}).decode()
        return self("POST", f"/workflows/{quote(workflow_id)}/execute", body, JSON | (headers or {}))

    def run(self, workflow_id: str = "greeting", input: Any = None) -> str:
        """The id of an execution that has ended."""
        reply = self.start(workflow_id, input)
        assert reply.status == 202, reply.body
        execution_id = str(reply.json["execution_id"])
        asyncio.run(self.runtime.run_until_ended(execution_id))
        return execution_id


@pytest.fixture
def api() -> Iterator[Api]:
    with LocalRuntime(open_backend()) as runtime:
        yield Api(runtime)
