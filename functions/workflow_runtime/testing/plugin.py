"""What pytest loads: the fixtures `runtime`, `aws_runtime` and `replayed`, and the collection of scenario files.

Settings (``[tool.pytest.ini_options]``): ``workflow_definitions``, the definitions directory, relative to the root
(default: ``definitions``); ``workflow_scenarios``, the name of the directories whose YAML files are scenarios (default:
``scenarios``; empty: none). Workflows, agents, tools and mocks in them are not scenarios.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from workflow_runtime.testing.settings import DEFINITIONS_SETTING, SCENARIOS_SETTING, definitions_of

if TYPE_CHECKING:
    from workflow_runtime.testing.cassettes import Replays
    from workflow_runtime.testing.kit import WorkflowTester
    from workflow_runtime.testing.scenario import ScenarioFile


READ_BYTES_MAX = 64 * 1024  # of a file, to see what it is
_SCENARIO = re.compile(rb"""^["']?(?:scenarios|expect)["']?[ \t]*:""", re.MULTILINE)
_OTHER = re.compile(
    rb"""^["']?(?:workflow["']?[ \t]*:[ \t]*(?:\{.*)?(?:#.*)?\r?$|(?:agents|tools|default|id)["']?[ \t]*:)""",
    re.MULTILINE,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(DEFINITIONS_SETTING, "directory of workflows, agents and tools, from the root", default="definitions")
    parser.addini(SCENARIOS_SETTING, "name of directories whose YAML files are workflow scenarios", default="scenarios")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    name = parent.config.getini(SCENARIOS_SETTING)
    if file_path.suffix not in (".yaml", ".yml") or not name:
        return None
    root = parent.config.rootpath
    folders = file_path.relative_to(root).parts[:-1] if file_path.is_relative_to(root) else file_path.parts[:-1]
    if name not in folders or not is_scenario(file_path):
        return None
    from workflow_runtime.testing.scenario import ScenarioFile

    collected: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    return collected


def is_scenario(path: Path) -> bool:
    """Whether a YAML file is meant as one: workflows, agents, tools and mocks may lie beside scenarios. Anything
    else is taken for a scenario, so that a misspelled one fails instead of being ignored."""
    with path.open("rb") as file:
        text = file.read(READ_BYTES_MAX)
    return _SCENARIO.search(text) is not None or _OTHER.search(text) is None


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> Iterator[WorkflowTester]:
    """A runtime in memory and in virtual time (see `kit.WorkflowTester`)."""
    from workflow_runtime.testing.kit import WorkflowTester

    with WorkflowTester.embedded(definitions_of(request.config)) as tester:
        yield tester


@pytest.fixture
def replayed(request: pytest.FixtureRequest) -> Replays:
    """Takes the execution of a cassette of `awr record` again (see `cassettes.Replays`)."""
    from workflow_runtime.testing.cassettes import Replays

    return Replays(definitions_of(request.config), request.config.rootpath)


@pytest.fixture
def aws_runtime(request: pytest.FixtureRequest) -> Iterator[WorkflowTester]:
    """A runtime of the AWS adapters on moto, in real time (needs the extra ``moto``)."""
    pytest.importorskip("moto", reason="the fixture `aws_runtime` needs agent-workflow-runtime[moto]")
    from workflow_runtime.testing.kit import WorkflowTester

    with WorkflowTester.simulated_aws(definitions_of(request.config)) as tester:
        yield tester
