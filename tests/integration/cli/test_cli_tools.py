"""`awr tools` and `awr agents`: what workflows may name, with arguments. `awr schema`: what files may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document

from workflow_runtime.frontends.cli.commands.schema import Kind
from workflow_runtime.frontends.schemas import json_schemas

TOOL = '''
from workflow_runtime.sdk import tool

@tool
def greet(name: str, times: int = 2) -> dict[str, str]:
    """Greets somebody."""
    return {"text": f"hello {name} " * times}
'''


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    folder = tmp_path / "definitions"
    (folder / "tools").mkdir(parents=True)
    (folder / "agents").mkdir()
    (folder / "tools" / "mine.py").write_text(TOOL, "utf-8")
    (folder / "agents" / "one.yaml").write_text(
        "{id: 写手, model: test, description: writes, instructions: write}", "utf-8"
    )
    return folder


@pytest.mark.usefixtures("definitions")
def test_tools_are_listed_with_their_arguments(awr: Awr) -> None:
    lines = awr("tools").stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("greet  Greets somebody."))
    assert lines[place + 1 : place + 3] == ["    name: string", "    times?: integer = 2"]
    assert any(line.startswith("http_request") for line in lines)


@pytest.mark.usefixtures("definitions")
def test_one_tool_is_shown_with_its_schemas(awr: Awr) -> None:
    (tool,) = only_document(awr("tools", "greet", "--json").stdout)["tools"]
    assert tool["input_schema"]["required"] == ["name"]
    assert tool["output_schema"]["additionalProperties"] == {"type": "string"}
    assert '"name"' in awr("tools", "greet").stdout.partition("takes")[2]


@pytest.mark.usefixtures("definitions")
def test_agents_are_listed_and_mocked_ones_with_them(awr: Awr, tmp_path: Path) -> None:
    mocks = tmp_path / "mocks.yaml"
    mocks.write_text("agents: {helper: {return: 1}}", "utf-8")
    listed = only_document(awr("agents", "--mocks", mocks, "--json").stdout)["agents"]
    assert [entry["id"] for entry in listed] == ["写手", "helper"]


@pytest.mark.usefixtures("definitions")
def test_an_unknown_one_gets_a_suggestion(awr: Awr) -> None:
    result = awr("tools", "great")
    assert result.exit_code == 1
    assert "Did you mean `greet`?" in result.stderr


def test_a_tool_that_cannot_be_imported_is_shown_with_its_place(awr: Awr, definitions: Path) -> None:
    (definitions / "tools" / "broken.py").write_text("import workflow_runtime\n\n1 / 0\n", "utf-8")
    result = awr("tools")
    assert result.exit_code == 1
    assert "broken.py:3:1" in result.stderr
    assert "  3 | 1 / 0" in result.stderr


def test_without_definitions_there_are_the_built_in_tools_and_no_agents(awr: Awr) -> None:
    assert "echo" in awr("tools").stdout
    none = awr("agents")
    assert (none.exit_code, none.stdout) == (0, "")
    assert "no agents" in none.stderr


@pytest.mark.parametrize("kind", Kind)
def test_the_schema_of_each_kind_of_file_is_printed(awr: Awr, kind: Kind) -> None:
    assert only_document(awr("schema", kind).stdout) == json_schemas()[kind]


def test_every_kind_of_file_that_has_a_schema_can_be_asked_for() -> None:
    assert set(Kind) == json_schemas().keys()
