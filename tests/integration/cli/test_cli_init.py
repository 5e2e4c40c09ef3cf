"""`awr init`: a project outside this repository that runs and passes its tests at once; and the wheel it comes in."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.cli.conftest import DEADLINE_SECONDS, PROJECT, Awr, only_document

from workflow_runtime.frontends.cli.commands.init import project_name

RUN = ("run", "definitions/workflows/answer_message.yaml", "--mocks", "definitions/mocks/answer_message.yaml")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What users install."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True, timeout=DEADLINE_SECONDS)
    (path,) = folder.glob("*.whl")
    return path


def in_project(folder: Path, package: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(package), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def test_a_project_made_from_the_wheel_runs_and_passes_its_tests(wheel: Path, tmp_path: Path) -> None:
    package = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(package)
    awr = ("-c", "from workflow_runtime.frontends.cli import main; main()")
    made = in_project(tmp_path, package, *awr, "init", "我的 project")
    assert made.returncode == 0, made.stderr
    project = tmp_path / "我的 project"
    ran = in_project(project, package, *awr, *RUN, "--input", '{"message": "Where is my order?"}')
    assert ran.returncode == 0, ran.stderr
    assert "Our shipping team answers within the hour." in ran.stdout
    valid = in_project(project, package, *awr, "validate", "definitions", "--strict")
    assert valid.returncode == 0, valid.stdout
    tested = in_project(project, package, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "3 passed" in tested.stdout


def test_the_wheel_installs_one_top_level_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        entry_points = archive.read(next(name for name in archive.namelist() if name.endswith("entry_points.txt")))
    assert {top for top in tops if not top.endswith(".dist-info")} == {"workflow_runtime"}
    assert b"awr = workflow_runtime.frontends.cli:main" in entry_points


def test_nothing_is_overwritten(awr: Awr, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    refused = awr("init", "--json")
    assert refused.exit_code == 1
    error = only_document(refused.stdout)["error"]
    assert error["code"] == "exists"
    assert "README.md" in error["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_what_was_made_is_told_to_programs(awr: Awr) -> None:
    made = only_document(awr("init", "new", "--json").stdout)
    assert made["name"] == "new"
    assert all(Path(file).is_file() for file in made["files"])
    assert "new/.gitignore" in made["files"]


@pytest.mark.parametrize(
    ("directory", "name"), [("My Flows", "my-flows"), ("-a_b.c-", "a-b-c"), ("流程", "workflows"), ("流程 2", "2")]
)
def test_the_projects_name_is_one_that_a_package_may_have(tmp_path: Path, directory: str, name: str) -> None:
    assert project_name(tmp_path / directory) == name


@pytest.mark.parametrize("version", ["3.10", "3.8"])
def test_an_older_python_is_told_which_one_is_needed(version: str, python: Callable[[str], str]) -> None:
    code = f"import sys; sys.path.insert(0, {str(PROJECT / 'functions')!r}); sys.argv = ['awr', 'run']"
    program = f"{code}; from workflow_runtime.frontends.cli import main; main()"
    done = subprocess.run([python(version), "-B", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"awr needs Python 3.11 or newer; this is {version}\n"


@pytest.fixture
def python() -> Callable[[str], str]:
    """An interpreter of a version, if this machine has one."""

    def find(version: str) -> str:
        found = list(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        if not found:
            pytest.skip(f"there is no Python {version} here")
        return str(found[0])

    return find
