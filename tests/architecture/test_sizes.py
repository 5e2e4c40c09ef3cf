"""Caps on the size of modules and functions, with an exception list whose entries expire by themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
HANDLER_LINES_MAX = 60

# Path below functions/, or path:function; with the reason. An entry that is no longer needed fails the test.
EXCEPTIONS: dict[str, str] = {}


def sources() -> list[Path]:
    return sorted(FUNCTIONS.rglob("*.py"))


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def too_large() -> Iterator[str]:
    for path in sources():
        name = str(path.relative_to(FUNCTIONS))
        cap = HANDLER_LINES_MAX if path.parent.name == "handlers" else MODULE_LINES_MAX
        if lines(path) > cap:
            yield name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX:
                    yield f"{name}:{node.name}"


def test_nothing_is_larger_than_its_cap() -> None:
    assert sorted(set(too_large()) - EXCEPTIONS.keys()) == []


def test_every_exception_is_still_needed() -> None:
    assert sorted(EXCEPTIONS.keys() - set(too_large())) == [], "within their caps: take them off the list"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_every_module_says_what_it_is(path: Path) -> None:
    if path.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"
