"""The command line, called in this process or started as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import workflow_runtime.handlers.dispatch
import workflow_runtime.handlers.run_node  # noqa: F401
from workflow_runtime.frontends.cli.app import QUIET, app

PROJECT = Path(__file__).parents[3]
TERMINAL = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""Ctrl-C works as in a terminal: processes of tests that run in the background inherit that it is ignored."""
AWR = (sys.executable, "-c", f"{TERMINAL}; from workflow_runtime.frontends.cli import main; main()")
DEADLINE_SECONDS = 120  # of a subprocess: far beyond what it takes, so that a hang fails instead of blocking

Awr = Callable[..., Result]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test in a directory of its own; what `awr` sets in the environment is taken back."""
    for name in QUIET:
        monkeypatch.setenv(name, "")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def awr() -> Awr:
    """``awr("run", path)``: exit code, stdout and stderr of a call in this process."""
    runner = CliRunner()

    def call(*words: object, stdin: str | bytes | None = None) -> Result:
        return runner.invoke(app, [str(word) for word in words], input=stdin)

    return call


def only_document(stdout: str) -> Any:
    """The one JSON document on stdout: `json.loads` refuses anything before or after it."""
    assert stdout.endswith("}\n")
    return json.loads(stdout)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POWERTOOLS_")}
    return {**kept, "PYTHONPATH": str(PROJECT / "functions"), **(extra or {})}


def started(*words: object, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """`awr` as a process of its own, its streams piped."""
    return subprocess.Popen(
        [*AWR, *map(str, words)],
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def finished(*words: object, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process of its own."""
    process = started(*words, env=env)
    stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    return process.returncode, stdout, stderr


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Read stderr until a line holds these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """a → b → c, where b is an agent that only `mocks` know."""
    path = tmp_path / "chain.yaml"
    path.write_text(
        """\
workflow:
  id: chain
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {n: "${n}"}}
    - {id: b, type: agent, agent: thinker, inputs: {n: "${a.n}"}}
    - {id: c, type: tool, tool: echo, inputs: {answer: "${b.answer}"}}
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def mocks(tmp_path: Path) -> Callable[..., Path]:
    """``mocks(delay=60)``: a file that answers for the agent of `chain`."""

    def write(delay: float = 0) -> Path:
        path = tmp_path / f"mocks{delay:g}.yaml"
        path.write_text(f"agents: {{thinker: {{delay: {delay}, return: {{answer: 42}}}}}}\n", encoding="utf-8")
        return path

    return write
