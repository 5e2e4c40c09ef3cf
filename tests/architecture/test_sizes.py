"""Caps on the size of modules and functions, with an exception list whose entries expire by themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.architecture.sources import FUNCTIONS, statements, tree

ROOT = FUNCTIONS.parent
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
HANDLER_LINES_MAX = 60

# Path, or path:function; with the reason. An entry that is no longer needed fails the test.
EXCEPTIONS: dict[str, str] = {}


def sources() -> list[Path]:
    return sorted([*FUNCTIONS.rglob("*.py"), *(ROOT / "infra").rglob("*.py")])


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def too_large() -> frozenset[str]:
    return frozenset(_too_large())


def _too_large() -> Iterator[str]:
    for path in sources():
        cap = HANDLER_LINES_MAX if path.parent.name == "handlers" else MODULE_LINES_MAX
        if lines(path) > cap:
            yield name(path)
        for node in statements(path):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX:
                    yield f"{name(path)}:{node.name}"


def test_nothing_is_larger_than_its_cap() -> None:
    assert sorted(too_large() - EXCEPTIONS.keys()) == []


def test_every_exception_is_still_needed() -> None:
    assert sorted(EXCEPTIONS.keys() - too_large()) == [], "within their caps: take them off the list"


def test_every_module_says_what_it_is() -> None:
    silent = [name(path) for path in sources() if lines(path) and not ast.get_docstring(tree(path))]
    assert not silent, f"without a docstring: {silent}"
