"""Requests made from the OpenAPI document, valid and not: every answer is one that the document describes.

Longer by hand: ``FUZZ_EXAMPLES=500 pytest tests/integration/api/test_api_fuzz.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.frontends.api.openapi import openapi_document
from workflow_runtime.runtime.in_process import LocalRuntime

from .conftest import GREETING, YAML, Api, Reply

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
CONFIG = Path(__file__).parents[2] / "schemathesis.toml"

API = Api(LocalRuntime(open_backend()))
HOOKS = "  triggers: [{type: webhook, endpoint: hook, auth_required: false, input: {got: '${body}'}}]\n  nodes:"
API.publish(GREETING.replace("  nodes:", HOOKS))
ENDED = API.run()
API("PUT", "/agents/helper", "{id: helper, model: test}", YAML)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The handler as a WSGI application."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    headers = {name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    event = API.event(environ["REQUEST_METHOD"], "/", environ["wsgi.input"].read(size), headers)
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["rawQueryString"] = environ.get("QUERY_STRING", "")
    reply = Reply(asyncio.run(API.handler(event, None)))
    start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", list(reply.headers.items()))
    return [reply.body]


schema = schemathesis.openapi.from_dict(openapi_document(), config=SchemathesisConfig.from_path(CONFIG))
schema.app = application


@schema.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:  # noqa: ARG001
    """Every other request is about something that there is."""
    known = {
        "workflow_id": "greeting",
        "agent_id": "helper",
        "execution_id": ENDED,
        "path": "done",
        "endpoint": "hook",
        "scope": "agent:none",
        "limiter": "openai",
        "approval_id": "none",
        "session_id": "none",
    }
    if not path_parameters or len(unquote(str(path_parameters))) % 2:
        return path_parameters
    return {name: known[name] for name in path_parameters}


@schema.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:  # noqa: ARG001
    """Waits are short here: nothing runs meanwhile."""
    if isinstance(query, dict) and isinstance(query.get("wait"), int | float) and 0 < query["wait"] <= 25:
        query["wait"] = 0
    return query


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_every_answer_is_as_described(case: Any) -> None:
    case.validate_response(case.call())
