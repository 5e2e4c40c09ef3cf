"""The README tells the truth: what its ``console`` blocks show is what the commands print.

``REWRITE_GOLDEN=1`` writes the output of this machine into the README.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.dev.dev_process import DEADLINE_SECONDS, DevProcess

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n\$ (?P<command>[^\n]+)\n(?P<output>.*?)```", re.DOTALL)
REWRITE = os.environ.get("REWRITE_GOLDEN") == "1"

CUT = 90  # characters that are the same of lines that are cut: where depends on how long things took


def blocks() -> list[re.Match[str]]:
    return list(BLOCK.finditer(README.read_text(encoding="utf-8")))


def run(command: str) -> str:
    """What the command prints on a pipe, 100 columns wide."""
    program, *arguments = shlex.split(command)
    assert program == "awr"
    done = subprocess.run(
        [sys.executable, "-c", "from workflow_runtime.frontends.cli import main; main()", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT / "functions")},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    return done.stdout


def normal(output: str) -> list[str]:
    """Without what differs from run to run: ids, durations, and the spaces that align them."""
    output = re.sub(r"ex-[0-9a-f]{12}-[0-9a-f]+", "ex-…", output)
    output = re.sub(r"\d+(\.\d+)? m?s\b", "… ms", output)
    lines = [re.sub(r" +", " ", line).strip() for line in output.strip().splitlines()]
    return [line[:CUT] if line.endswith("…") else line for line in lines]


@pytest.mark.parametrize("command", [block["command"] for block in blocks()])
def test_a_command_of_the_readme_prints_what_the_readme_shows(command: str) -> None:
    output = run(command)
    block = next(block for block in blocks() if block["command"] == command)
    if REWRITE:
        text = README.read_text(encoding="utf-8")
        README.write_text(text.replace(block[0], f"```console\n$ {command}\n{output.rstrip()}\n```"), encoding="utf-8")
        return
    assert normal(output) == normal(block["output"])


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README.read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []


def test_tests_that_the_readme_names_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", README.read_text(encoding="utf-8")))
    files = (ROOT / "tests").glob("**/test_*.py")
    defined = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)}
    assert len(named) >= 10
    assert named - defined == set()


def test_the_mistakes_shown_are_the_mistakes_in_the_file() -> None:
    shown = README.read_text(encoding="utf-8").split("# events/examples/mistakes.yaml\n")[1].split("```")[0]
    assert shown.strip() in (ROOT / "events/examples/mistakes.yaml").read_text(encoding="utf-8")


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "functions"), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def test_the_quick_start_prints_what_it_says() -> None:
    quick_start = next(block for block in python_blocks() if "WorkflowEngine" in block)
    said = re.search(r"asyncio\.run\(main\(\)\)  # (.*)", quick_start)
    assert said is not None
    done = python("-c", quick_start)
    assert done.stdout.strip() == said[1], done.stderr


def test_the_example_tests_pass(tmp_path: Path) -> None:
    example = tmp_path / "test_example.py"
    examples = [block for block in python_blocks() if "def test_" in block]
    example.write_text("\n\n".join(examples), encoding="utf-8")
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", str(example))
    assert f"{''.join(examples).count('def test_')} passed" in done.stdout, done.stdout
    assert len(examples) == 2


def test_the_example_tool_is_a_tool() -> None:
    example = next(block for block in python_blocks() if "@tool" in block)
    done = python("-c", f"{example}\nprint(add_loyalty_points.__name__)")
    assert done.stdout.strip() == "add_loyalty_points", done.stderr


# What a reader is slow enough for: each command comes once what was asked before has happened.
PATIENT = {
    "&& awr list incident_response": "&& until awr list incident_response | grep running; do sleep 0.1; done",
    "awr signal": "until awr status ex-… | grep -q paid; do sleep 0.1; done\nawr signal",
    "--wait 5": "--wait 60",
    "wait=5": "wait=25",
}


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DevProcess]:
    """`awr dev` as the README starts it, at a port of its own."""
    monkeypatch.setenv("WORKFLOW_SECRET_ORDERS_KEY", "s3cr3t")
    mocks = ROOT / "definitions" / "mocks" / "incident_response.yaml"
    process = DevProcess(tmp_path / "dev.log", "--definitions", ROOT / "definitions", "--mocks", mocks)
    yield process
    process.stop()


@pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="the commands need curl and openssl"
)
def test_the_commands_for_a_server_do_what_the_readme_says(dev: DevProcess) -> None:
    start, events, webhook = re.findall(r"```sh\n([^`]*localhost:8080[^`]*)```", README.read_text(encoding="utf-8"))
    started = json.loads(shell(dev.url, start.partition("--db dev.db &\n")[2])[-1])
    for shown, patient in PATIENT.items():
        assert shown in events
        events = events.replace(shown, patient)
    events = events.replace("ex-…", started["execution_id"])
    published, raised, incident, *signalled, shipped = shell(dev.url, events)
    assert published == "published: payment.succeeded from payments"
    assert (raised, "running" in incident) == ("published: alarm.raised from monitoring", True)
    assert "paid → confirmed  on confirm" in signalled
    assert json.loads(shipped)["current_states"] == ["shipped"]
    assert json.loads(shell(dev.url, webhook)[-1])["execution_id"].startswith("ex-")


def shell(url: str, commands: str) -> list[str]:
    """The lines that commands print, with the server of the test in place of the README's."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "functions"), "AWR_URL": url, "PYTHONUTF8": "1"}
    function = (
        f'awr() {{ {shlex.quote(sys.executable)} -c "from workflow_runtime.frontends.cli import main; main()" "$@"; }}'
    )
    script = f"set -e\n{function}\n{commands.replace('localhost:8080', url.removeprefix('http://'))}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
