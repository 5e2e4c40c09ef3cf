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
def faults() -> tuple[frozenset[str], list[str]]:
    """What is larger than its cap, and modules that do not say what they are: both of one look at each module."""
    large: set[str] = set()
    silent: list[str] = []
    for path in sources():
        module, length = tree(path), lines(path)
        if length > (HANDLER_LINES_MAX if path.parent.name == "handlers" else MODULE_LINES_MAX):
            large.add(name(path))
        large.update(f"{name(path)}:{function}" for function in _long_functions(module))
        if length and not ast.get_docstring(module):
            silent.append(name(path))
    return frozenset(large), silent


def _long_functions(module: ast.Module) -> Iterator[str]:
    for node in statements(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            if node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX:
                yield node.name


def test_nothing_is_larger_than_its_cap() -> None:
    assert sorted(faults()[0] - EXCEPTIONS.keys()) == []


def test_every_exception_is_still_needed() -> None:
    assert sorted(EXCEPTIONS.keys() - faults()[0]) == [], "within their caps: take them off the list"


def test_every_module_says_what_it_is() -> None:
    assert not faults()[1], f"without a docstring: {faults()[1]}"
