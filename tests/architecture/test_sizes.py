"""Caps on the size of modules and functions, with an exception list whose entries expire by themselves."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.sources import FUNCTIONS, outline

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


def too_large() -> set[str]:
    found = set()
    for path in sources():
        if lines(path) > (HANDLER_LINES_MAX if path.parent.name == "handlers" else MODULE_LINES_MAX):
            found.add(name(path))
        found |= {f"{name(path)}:{each}" for each, count in outline(path).function_lines if count > FUNCTION_LINES_MAX}
    return found


def test_nothing_is_larger_than_its_cap() -> None:
    assert sorted(too_large() - EXCEPTIONS.keys()) == []


def test_every_exception_is_still_needed() -> None:
    assert sorted(EXCEPTIONS.keys() - too_large()) == [], "within their caps: take them off the list"


def test_every_module_says_what_it_is() -> None:
    silent = [name(path) for path in sources() if not outline(path).documented and lines(path)]
    assert not silent, f"without a docstring: {silent}"
