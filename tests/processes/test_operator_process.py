"""`awr operator` as a process: between the stand-in and a real `awr serve`, until SIGTERM; and what it says when it
cannot begin."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
from tests.custom_resources import check
from tests.integration.dev.dev_process import FUNCTIONS, SERVE, DevProcess
from tests.integration.operator.kubernetes_api import NAMESPACE, KubernetesApi
from tests.integration.operator.objects import echo
from tests.ports import reserved_port

from workflow_runtime.frontends.api.route import Scope
from workflow_runtime.frontends.operator.resources import Kind
from workflow_runtime.frontends.serve.tokens import add_token

AWR = (sys.executable, "-c", "from workflow_runtime.frontends.cli import main; main()", "operator")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("KUBERNETES_", "AWR_"))}
PATIENCE_SECONDS = 120


def test_it_publishes_to_a_server_with_its_token_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    token = add_token(tmp_path / "tokens.yaml", "operator", [Scope.READ, Scope.RUN, Scope.OPERATE])

    async def use(server: DevProcess, health: int) -> None:
        kubernetes = KubernetesApi(check)
        kubernetes.apply(Kind.WORKFLOW, "greeting", echo())
        kubernetes.apply(Kind.RUN, "first", {"workflow": "greeting"})
        async with kubernetes.served() as url:
            words = ("--kubernetes-url", url, "--namespace", NAMESPACE, "--resync", "1", "--health-port", str(health))
            variables = {**ENVIRONMENT, "PYTHONPATH": str(FUNCTIONS), "AWR_URL": server.url, "AWR_TOKEN": token}
            process = await asyncio.create_subprocess_exec(*AWR, *words, env=variables, stderr=subprocess.PIPE)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while kubernetes.status(Kind.RUN, "first").get("phase") != "Completed":
                        await asyncio.sleep(0.05)
                async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
                    answer = await client.get(f"http://127.0.0.1:{health}/health/live")
                assert answer.json() == {"status": "ok"}
                assert kubernetes.status(Kind.WORKFLOW, "greeting")["version"] == 1
                process.terminate()
                _, said = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
                assert process.returncode == 0, said.decode()
                assert kubernetes.lease_holder("awr-operator") == ""
                assert b"Traceback" not in said
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    arguments = ("--db", tmp_path / "awr.db", "--tokens", tmp_path / "tokens.yaml")
    with reserved_port() as health, DevProcess(tmp_path / "log", *arguments, program=SERVE) as server:
        asyncio.run(use(server, health))


def test_outside_of_a_pod_it_says_what_it_needs() -> None:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(FUNCTIONS)}
    ended = subprocess.run(AWR, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == 1
    assert "--kubernetes-url" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_no_address_of_kubernetes_is_refused_at_once() -> None:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(FUNCTIONS)}
    words = (*AWR, "--kubernetes-url", "nope")
    done = subprocess.run(words, env=environment, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 2
    assert b"--kubernetes-url is not an http:// or https:// address: 'nope'" in done.stderr
