"""Functions that run no agents import none of their code: neither when they start, nor when the API is used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.architecture.sources import FUNCTIONS

from workflow_runtime.deployment.topology import EXPRESS_POOL, TOPOLOGY

AGENTS = (
    "pydantic_ai",
    "mcp",
    "fastmcp",
    "genai_prices",
    "workflow_runtime.invokers.agents",
    "workflow_runtime.invokers.tools",
)
HANDLERS = sorted(
    {
        function.handler.rpartition(".")[0]
        for function in TOPOLOGY.functions
        if function.pool is None or function.pool == EXPRESS_POOL
    }
)
USED = """
import asyncio, json
from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime

def ask(method, path, body=None):
    event = {"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {"content-type": "application/json"},
             "requestContext": {"stage": "$default", "http": {"method": method, "path": path}},
             "body": json.dumps(body) if body is not None else "", "isBase64Encoded": False}
    return asyncio.run(handler(event, None))

with open_backend() as backend:
    runtime = Runtime(backend.ports, invokers=dict, secrets=EnvironmentSecrets({}))
    handler = workflow_runtime.handlers.api.create(runtime, TOPOLOGY.function("api"))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    answers = [ask("POST", "/mcp", call), ask("GET", "/approvals"), ask("GET", "/sessions"), ask("GET", "/executions")]
    assert [answer["statusCode"] for answer in answers] == [200] * 4, answers
"""


def imported(code: str) -> list[str]:
    """What code of agents a fresh process has, once it has run this."""
    told = f"\nimport sys; print([name for name in sys.modules if name.startswith({AGENTS!r})])"
    environment = {**os.environ, "PYTHONPATH": str(FUNCTIONS), "POWERTOOLS_METRICS_DISABLED": "true"}
    ran = subprocess.run(
        [sys.executable, "-c", code + told], capture_output=True, text=True, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1:]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_that_runs_no_agent_imports_no_code_of_agents(handler: str) -> None:
    assert imported(f"import {handler}") == ["[]"]


def test_the_api_answers_without_code_of_agents() -> None:
    assert imported(f"import workflow_runtime.handlers.api{USED}") == ["[]"]


def test_what_is_looked_for_is_there_where_agents_run() -> None:
    assert imported("import workflow_runtime.invokers.agents.run") != ["[]"]
