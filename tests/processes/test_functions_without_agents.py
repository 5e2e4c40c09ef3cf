"""Functions that run no agents import none of their code: neither when they start, nor when the API is used."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from functools import cache

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
ANSWERS = "answers of the API"
PROGRAM = f"""
import asyncio, importlib, json, sys
loaded = {{}}

def note(step):
    known = {{name for names in loaded.values() for name in names}}
    loaded[step] = [name for name in sys.modules if name.startswith({AGENTS!r}) and name not in known]

for module in {HANDLERS!r}:
    importlib.import_module(module)
    note(module)

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.handlers import api
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime

def ask(method, path, body=None):
    event = {{"version": "2.0", "rawPath": path, "rawQueryString": "",
             "headers": {{"content-type": "application/json"}},
             "requestContext": {{"stage": "$default", "http": {{"method": method, "path": path}}}},
             "body": json.dumps(body) if body is not None else "", "isBase64Encoded": False}}
    return asyncio.run(handler(event, None))

with open_backend() as backend:
    runtime = Runtime(backend.ports, invokers=dict, secrets=EnvironmentSecrets({{}}))
    handler = api.create(runtime, TOPOLOGY.function("api"))
    call = {{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {{}}}}
    answers = [ask("POST", "/mcp", call), ask("GET", "/approvals"), ask("GET", "/sessions"), ask("GET", "/executions")]
    assert [answer["statusCode"] for answer in answers] == [200] * 4, answers
note({ANSWERS!r})
print(json.dumps(loaded))
"""


@cache
def loaded() -> dict[str, list[str]]:
    """What code of agents each step added in one process that imports all handlers, and then answers as the API."""
    environment = {**os.environ, "PYTHONPATH": str(FUNCTIONS), "POWERTOOLS_METRICS_DISABLED": "true"}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, list[str]] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_that_runs_no_agent_imports_no_code_of_agents(handler: str) -> None:
    assert loaded()[handler] == []


def test_the_api_answers_without_code_of_agents() -> None:
    assert loaded()[ANSWERS] == []


def test_what_is_looked_for_is_there_where_agents_run() -> None:
    importlib.import_module("workflow_runtime.invokers.agents.run")
    there = {name for name in AGENTS if name in sys.modules}
    assert {"pydantic_ai", "workflow_runtime.invokers.agents", "workflow_runtime.invokers.tools"} <= there
