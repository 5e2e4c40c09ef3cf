"""The image's recipe: linted, with every dependency locked, and with what it starts as the code has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import MappingProxyType

import yaml
from infra.functions import IMAGE_ENTRYPOINT

FOLDER = Path(__file__).parents[2] / "infra" / "container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def test_the_recipe_is_without_findings() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run([hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_everything_that_is_installed_has_a_hash() -> None:
    for name in ("requirements.txt", "build.txt"):
        text = (FOLDER / name).read_text()
        locked = re.findall(r"^\S+==.*(?:\n    --hash=\S+)*", text, re.MULTILINE)
        assert locked
        assert all("--hash=sha256:" in entry for entry in locked)
    assert DOCKERFILE.count("--require-hashes") == 2


def test_the_image_runs_nothing_as_root_and_writes_only_its_data() -> None:
    final = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001$", final, re.MULTILINE)
    server = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["awr"]
    assert server["read_only"]
    assert server["cap_drop"] == ["ALL"]


def test_what_the_image_starts_is_a_command_with_these_options() -> None:
    found = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    [command, *arguments] = json.loads(found.group(1))
    program = "from workflow_runtime.frontends.cli import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", program, command, "--help"], capture_output=True, text=True, check=True
    )
    options = [argument for argument in arguments if argument.startswith("--")]
    assert options
    assert all(option in told.stdout for option in options)


def test_compose_mounts_what_is_there() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    sources = [volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    files = [source for source in sources if source.startswith(".")]
    assert files
    assert all((FOLDER / file).exists() for file in files)


def test_the_image_has_what_lambda_starts_it_with(tmp_path: Path) -> None:
    """Lambda's side is an HTTP API; a request of it is answered by the function that the command names."""
    assert IMAGE_ENTRYPOINT[-1] in (FOLDER / "requirements.txt").read_text()
    handler = tmp_path / "function.py"
    handler.write_text("def handler(event, context):\n    return {'taken': event['value']}\n")
    answered: list[bytes] = []
    has_answered = Event()

    class RuntimeApi(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if answered:
                has_answered.set()  # one event is enough
                self._answer(500)
            else:
                arn = f"arn:aws:lambda:eu-central-1:{'1' * 12}:function:f"
                event = {"Aws-Request-Id": "1", "Deadline-Ms": "9999999999999", "Invoked-Function-Arn": arn}
                self._answer(200, b'{"value": 7}', {f"Lambda-Runtime-{name}": value for name, value in event.items()})

        def do_POST(self) -> None:
            answered.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(202)

        def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})) -> None:
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        variables = {**os.environ, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}"}
        command = [sys.executable, *IMAGE_ENTRYPOINT[1:], "function.handler"]
        process = subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL)
        try:
            has_answered.wait(150)
        finally:
            process.kill()
            process.wait()
            api.shutdown()
    assert answered == [b'{"taken": 7}']
