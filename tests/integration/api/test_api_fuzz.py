"""Requests made from the OpenAPI document, valid and not: every answer is one that the document describes.

Longer by hand: ``FUZZ_EXAMPLES=500 pytest tests/integration/api/test_api_fuzz.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, Phase, settings

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.frontends.api.openapi import openapi_document
from workflow_runtime.runtime.in_process import LocalRuntime

from .conftest import GREETING, YAML, Api, Reply

if TYPE_CHECKING:
    from schemathesis.schemas import BaseSchema

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))  # of each operation, beside those that its schemas have
STEP = 1 if "FUZZ_EXAMPLES" in os.environ else 2  # of the requests, each so-manieth is made
CONFIG = Path(__file__).parents[2] / "schemathesis.toml"

OPERATIONS = [
    f"{method.upper()} {path}"
    for path, methods in openapi_document()["paths"].items()
    for method in methods
    if method in ("get", "put", "post", "delete", "patch")
]
HOOKS = "  triggers: [{type: webhook, endpoint: hook, auth_required: false, input: {got: '${body}'}}]\n  nodes:"


def respond(
    api: Api, runner: asyncio.Runner, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """The handler as a WSGI application."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    headers = {name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    event = api.event(environ["REQUEST_METHOD"], "/", environ["wsgi.input"].read(size), headers)
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["rawQueryString"] = environ.get("QUERY_STRING", "")
    reply = Reply(runner.run(api.handler(event, None)))
    start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", list(reply.headers.items()))
    return [reply.body]


@pytest.fixture(scope="module")
def described() -> Iterator[BaseSchema]:
    """The document, with an API behind it that has something of most kinds."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig

    api = Api(LocalRuntime(open_backend()))
    api.publish(GREETING.replace("  nodes:", HOOKS))
    api("PUT", "/agents/helper", "{id: helper, model: test}", YAML)
    schema = schemathesis.openapi.from_dict(openapi_document(), config=SchemathesisConfig.from_path(CONFIG))
    schema.hook("map_path_parameters")(partial(about_what_there_is, api.run()))
    schema.hook("map_query")(without_waits)
    with asyncio.Runner() as runner:
        schema.app = partial(respond, api, runner)
        yield schema


def about_what_there_is(
    ended: str,
    context: Any,  # noqa: ARG001
    path_parameters: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """Every other request is about something that there is, as an execution that has ``ended``."""
    known = {
        "workflow_id": "greeting",
        "agent_id": "helper",
        "execution_id": ended,
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


def without_waits(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:  # noqa: ARG001
    """Waits are short here: nothing runs meanwhile."""
    if isinstance(query, dict) and isinstance(query.get("wait"), int | float) and 0 < query["wait"] <= 25:
        query["wait"] = 0
    return query


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_as_described(described: BaseSchema, label: str) -> None:
    """Requests are those that schemathesis makes of an operation's schemas, and random ones."""
    from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test

    numbers = count(OPERATIONS.index(label))

    def answer(case: Any) -> None:
        if next(numbers) % STEP == 0:
            case.validate_response(case.call())

    limits = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    config = HypothesisTestConfig(project=described.config, modes=list(HypothesisTestMode), explicit_settings=limits)
    method, path = label.split(" ")
    create_test(operation=described[path][method], test_func=answer, config=config)()
