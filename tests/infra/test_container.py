"""The image's recipe: linted, with every dependency locked, and with what it starts as the code has it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

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
