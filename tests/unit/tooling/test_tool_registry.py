"""Where tools come from: built-ins, packages, definitions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.tooling.tool_calls import failure, run_tool

from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.tools import ToolRegistry

BUILT_IN = {"echo", "http_request", "send_email", "database_query", "lambda_invoke", "publish_event"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    directory = tmp_path / "tools_of_a_test"
    directory.mkdir()
    (directory / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield directory
    for name in [name for name in sys.modules if name.startswith("tools_of_a_test")]:
        del sys.modules[name]


def definitions(tmp_path: Path, text: str) -> Path:
    directory = tmp_path / "definitions"
    directory.mkdir()
    (directory / "a.yaml").write_text(text)
    return directory


def problems(*arguments: object) -> str:
    with pytest.raises(DefinitionError) as caught:
        ToolRegistry.load(*arguments)  # type: ignore[arg-type]
    return str(caught.value)


def test_absent_packages_and_directories_have_no_tools(tmp_path: Path) -> None:
    assert ToolRegistry.load(tmp_path / "nowhere", ("no_such_package_at_all",)).ids == BUILT_IN


def test_every_module_of_the_package_is_searched(package: Path) -> None:
    (package / "a.py").write_text("from workflow_runtime.sdk import tool\n@tool\ndef 一(): return 1\nagain = 一\n")
    (package / "b.py").write_text(
        "from .a import 一\nfrom workflow_runtime.sdk import tool\n@tool('二')\ndef f(): ...\n"
    )
    (package / "_helper.py").write_text("1 / 0")
    assert ToolRegistry.load(None, (package.name,)).ids == BUILT_IN | {"一", "二"}


def test_all_that_is_wrong_with_a_package_is_reported_at_once(package: Path) -> None:
    (package / "a.py").write_text("1 / 0")
    (package / "b.py").write_text("from workflow_runtime.sdk import tool\n@tool('echo')\ndef f(): ...\n")
    (package / "c.py").write_text("from workflow_runtime.sdk import tool\n@tool\ndef g(*a): ...\n")
    text = problems(None, (package.name,))
    assert "a cannot be imported: ZeroDivisionError" in text
    assert "'echo'" in text
    assert "a built-in tool" in text
    assert "cannot be given by name" in text


def test_a_variant_fixes_arguments_that_a_call_cannot_give(tmp_path: Path) -> None:
    directory = definitions(tmp_path, "id: 问候\nuses: echo\ndescription: 打招呼\ninputs: {greeting: 你好}\n")
    registry = ToolRegistry.load(directory, ())
    assert run_tool("问候", {"name": "王"}, registry=registry) == {"greeting": "你好", "name": "王"}
    error = failure("问候", {"greeting": "x"}, registry=registry)
    assert error.type == "validation_error"
    assert "fixed" in error.message


def test_a_variants_schema_leaves_out_what_is_fixed(tmp_path: Path) -> None:
    directory = definitions(tmp_path, "tools: [{id: one, uses: http_request, inputs: {url: 'https://example.com'}}]")
    found = ToolRegistry.load(directory, ()).get("one")
    assert found is not None
    assert "url" not in found.input_schema["properties"]
    assert "url" not in found.input_schema.get("required", [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: a\nuses: ecko\n", "did you mean 'echo'?"),
        ("id: echo\nuses: echo\n", "is taken"),
        ("id: a\nuses: http_request\ninputs: {urll: x}\n", "did you mean 'url'?"),
        ("id: a\nuses: http_request\ninputs: {method: FETCH}\n", "method"),
        ("id: a\nuses: echo\ninput: {}\n", "did you mean 'inputs'?"),
        ("id: a b\nuses: echo\n", "`id`"),
        ("uses: echo\n", "`id` is required"),
        ("tools:\n- {id: a, uses: echo}\n- {id: a, uses: echo}\n", "'a' is taken"),
        ("tools: {id: a}\n", "must be a list"),
        ("tools:\n- {id: a, uses: echo}\n- {id: b, uses: a}\n", "'a', which is no tool"),
        ("- x\n", "expected one entry"),
    ],
)
def test_a_wrong_definition_says_what_and_where(tmp_path: Path, text: str, expected: str) -> None:
    message = problems(definitions(tmp_path, text), ())
    assert expected in message
    assert "a.yaml:" in message
