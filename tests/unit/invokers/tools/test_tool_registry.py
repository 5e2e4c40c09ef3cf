"""Where tools come from: built-ins, packages, definitions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.unit.invokers.tools.tool_calls import failure, run_tool

from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.tools import ToolRegistry

TOOL = "from workflow_runtime.sdk import tool\n@tool\ndef {}(): ...\n"
BUILT_IN = {
    "echo",
    "http_request",
    "send_email",
    "database_query",
    "lambda_invoke",
    "publish_event",
    "sqs_send",
    "dynamodb_write",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "tools"
    directory.mkdir()
    return directory


def definitions(tmp_path: Path, text: str) -> Path:
    directory = tmp_path / "definitions"
    directory.mkdir()
    (directory / "a.yaml").write_text(text)
    return directory


def problems(*arguments: object) -> str:
    with pytest.raises(DefinitionError) as caught:
        ToolRegistry.load(*arguments)  # type: ignore[arg-type]
    return str(caught.value)


def test_without_a_folder_there_are_the_built_in_tools(tmp_path: Path) -> None:
    assert ToolRegistry.load(None).ids == ToolRegistry.load(tmp_path / "nowhere").ids == BUILT_IN


def test_every_module_of_the_folder_is_searched(folder: Path) -> None:
    (folder / "a.py").write_text("from workflow_runtime.sdk import tool\n@tool\ndef 一(): return 1\nagain = 一\n")
    (folder / "b-2.py").write_text("from .a import 一\nfrom ._helper import half\n" + TOOL.format("二"))
    (folder / "_helper.py").write_text("from workflow_runtime.sdk import tool\n@tool\ndef half(): ...\n")
    (folder / "inner").mkdir()
    (folder / "inner" / "__init__.py").write_text("from workflow_runtime.sdk import tool\n@tool\ndef 三(): ...\n")
    (folder / "inner" / "d.py").write_text("from ..a import 一\n" + TOOL.format("四"))
    assert ToolRegistry.load(folder).ids == BUILT_IN | {"一", "二", "三", "四"}


def test_the_folder_may_be_a_package(folder: Path) -> None:
    (folder / "__init__.py").write_text("from .a import one\n" + TOOL.format("two"))
    (folder / "a.py").write_text("from workflow_runtime.sdk import tool\n@tool\ndef one(): ...\n")
    assert ToolRegistry.load(folder).ids == BUILT_IN | {"one", "two"}


def test_modules_of_tools_hide_no_others_and_leave_nothing_behind(folder: Path) -> None:
    (folder / "json.py").write_text("from workflow_runtime.sdk import tool\n@tool\ndef one(): ...\n")
    path, known = list(sys.path), sys.modules["json"]
    ToolRegistry.load(folder)
    assert sys.path == path
    assert sys.modules["json"] is known
    assert [file.name for file in folder.iterdir()] == ["json.py"]


def test_a_changed_module_is_run_again_even_within_a_second_and_of_one_length(folder: Path) -> None:
    text = "from workflow_runtime.sdk import tool\n@tool('t{}')\ndef f(): ...\n"
    (folder / "a.py").write_text(text.format(1))
    assert "t1" in ToolRegistry.load(folder).ids
    (folder / "a.py").write_text(text.format(2))
    assert ToolRegistry.load(folder).ids == BUILT_IN | {"t2"}


def test_all_that_is_wrong_with_a_folder_is_reported_at_once_with_its_place(folder: Path) -> None:
    (folder / "a.py").write_text("x = 1\n1 / 0\n")
    (folder / "b.py").write_text("from workflow_runtime.sdk import tool\n@tool('echo')\ndef f(): ...\n")
    (folder / "c.py").write_text("from workflow_runtime.sdk import tool\n@tool\ndef g(*a): ...\n")
    (folder / "d.py").write_text("def (\n")
    (folder / "e.py").write_text("\n\nraise SystemExit(3)\n")
    text = problems(folder)
    assert f"{folder / 'a.py'}:2:1: error WF605: a.py cannot be imported: ZeroDivisionError" in text
    assert f"{folder / 'b.py'}:2:1" in text
    assert "the id 'echo' is taken by a built-in tool" in text
    assert "g cannot be a tool" in text
    assert "cannot be given by name" in text
    assert f"{folder / 'd.py'}:1:1" in text
    assert f"{folder / 'e.py'}:3:1" in text
    assert "e.py cannot be imported: SystemExit: 3" in text


def test_a_module_that_ends_the_process_is_a_finding(folder: Path) -> None:
    (folder / "a.py").write_text("import sys; sys.exit(0)")
    (folder / "b").mkdir()
    (folder / "b" / "__init__.py").write_text("import asyncio; raise asyncio.CancelledError('stop')")
    (folder / "c.py").write_text("raise SystemExit(3)")
    text = problems(folder)
    assert "a.py cannot be imported: SystemExit: 0" in text
    assert "__init__.py cannot be imported: CancelledError: stop" in text
    (folder / "__init__.py").write_text("1 / 0")
    assert "cannot be imported: ZeroDivisionError" in problems(folder)


def test_other_things_in_a_module_are_left_alone(folder: Path) -> None:
    """A proxy that is bound to nothing yet raises at every attribute."""
    proxy = "class Proxy:\n    def __getattr__(self, name): raise SystemExit(name)\nproxy = Proxy()\n"
    (folder / "a.py").write_text(f"{proxy}from workflow_runtime.sdk import tool\n@tool\ndef f(): ...\n")
    assert "f" in ToolRegistry.load(folder).ids


def test_a_type_that_raises_while_its_schema_is_made_is_a_finding(folder: Path) -> None:
    (folder / "a.py").write_text(
        "import sys\nfrom workflow_runtime.sdk import tool\n"
        "class Odd:\n"
        "    @classmethod\n"
        "    def __get_pydantic_core_schema__(cls, source, handler): sys.exit(0)\n"
        "@tool\ndef f(a: Odd): ...\n"
    )
    text = problems(folder)
    assert "f cannot be a tool: its signature cannot be checked: 0" in text


def test_a_variant_fixes_arguments_that_a_call_cannot_give(tmp_path: Path) -> None:
    directory = definitions(tmp_path, "id: 问候\nuses: echo\ndescription: 打招呼\ninputs: {greeting: 你好}\n")
    registry = ToolRegistry.load(directory)
    assert run_tool("问候", {"name": "王"}, registry=registry) == {"greeting": "你好", "name": "王"}
    error = failure("问候", {"greeting": "x"}, registry=registry)
    assert error.type == "validation_error"
    assert "fixed" in error.message


def test_a_variants_schema_leaves_out_what_is_fixed(tmp_path: Path) -> None:
    directory = definitions(tmp_path, "tools: [{id: one, uses: http_request, inputs: {url: 'https://example.com'}}]")
    found = ToolRegistry.load(directory).get("one")
    assert found is not None
    assert "url" not in found.input_schema["properties"]
    assert "url" not in found.input_schema.get("required", [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: a\nuses: ecko\n", "Did you mean `echo`?"),
        ("id: echo\nuses: echo\n", "is taken"),
        ("id: a\nuses: http_request\ninputs: {urll: x}\n", "Did you mean `url`?"),
        ("id: a\nuses: http_request\ninputs: {method: FETCH}\n", "method"),
        ("id: a\nuses: echo\ninput: {}\n", "Did you mean `inputs`?"),
        ("id: a b\nuses: echo\n", "`id`"),
        ("uses: echo\n", "`id`: is required"),
        ("tools:\n- {id: a, uses: echo}\n- {id: a, uses: echo}\n", "'a' is taken"),
        ("tools: {id: a}\n", "must be a list"),
        ("tools:\n- {id: a, uses: echo}\n- {id: b, uses: a}\n", "'a', which is not a tool"),
        ("- x\n", "expected one entry"),
    ],
)
def test_a_wrong_definition_says_what_and_where(tmp_path: Path, text: str, expected: str) -> None:
    message = problems(definitions(tmp_path, text))
    assert expected in message
    assert "a.yaml:" in message
