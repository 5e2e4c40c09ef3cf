"""What holds for the tests themselves: they use public names, patch nothing, do not sleep, and each is in a tier."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import import_statements, nodes

TESTS = Path(__file__).parents[1]
TIERS = TESTS.parent / ".ci" / "test"

# Private names that are used all the same, by file, with the reason. An entry that is no longer needed fails the test.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("ahead_clock.py", "_messages"): "moto has no public name for messages that are not visible",
}


def sources(*folders: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(TESTS.rglob("*.py")):
        name = path.relative_to(TESTS).as_posix()
        if not folders or name.startswith(folders):
            yield name, path


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_names(path: Path) -> Iterator[tuple[int, str]]:
    """Uses of private names that are not the test's own."""
    for node in nodes(path):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name) if is_private(name):
                yield node.lineno, name
            case ast.ImportFrom(names=aliases):
                yield from ((node.lineno, alias.name) for alias in aliases if is_private(alias.name))


def test_tests_use_public_names_only() -> None:
    reading = ((name, path) for name, path in sources() if re.search(r"\b_[a-zA-Z]", path.read_text(encoding="utf-8")))
    found = {(name, private): line for name, path in reading for line, private in private_names(path)}
    wrong = [f"tests/{name}:{found[name, private]}: {private}" for name, private in found.keys() - EXCEPTIONS.keys()]
    assert not wrong, "\n".join(sorted(wrong))
    assert EXCEPTIONS.keys() <= found.keys(), "no longer needed: take it off the list"


def test_tests_patch_nothing() -> None:
    """Fakes implement ports; environment variables and modules that are not installed may be set."""
    wrong = [
        f"tests/{name}:{node.lineno}"
        for name, path in sources()
        if re.search("setattr|mock", path.read_text(encoding="utf-8"))
        for node in nodes(path)
        if (isinstance(node, ast.Attribute) and node.attr == "setattr")
        or (isinstance(node, ast.Import | ast.ImportFrom) and "mock" in {alias.name for alias in node.names})
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_pure_does_not_sleep() -> None:
    """Time is virtual there. A coroutine may say `asyncio.sleep`: to let others go on, or to be cancelled in it."""
    wrong = [
        f"tests/{name}:{node.lineno}"
        for name, path in sources("unit/", "simulation/", "contract/")
        if "sleep" in path.read_text(encoding="utf-8")
        for node in nodes(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"
    ]
    assert not wrong, "\n".join(wrong)


def tiers() -> dict[str, list[Path]]:
    """The folders of each tier, as `.ci/test` has them."""
    found = re.findall(r'^(\w+)="(tests/[^"]+)"$', TIERS.read_text(encoding="utf-8"), re.MULTILINE)
    return {tier: [TESTS.parent / folder for folder in folders.split()] for tier, folders in found}


def test_every_test_is_in_one_tier() -> None:
    folders = [folder for tier in tiers().values() for folder in tier]
    files = [path for path in TESTS.rglob("*") if path.name.startswith("test_") and path.suffix == ".py"]
    files += (TESTS / "scenarios").glob("*.yaml")
    assert tiers().keys() == {"pure", "backends", "system"}
    assert [path for path in files if sum(path.is_relative_to(folder) for folder in folders) != 1] == []


def test_what_is_pure_starts_no_process() -> None:
    wrong = [
        f"{path.relative_to(TESTS.parent)}:{node.lineno}"
        for folder in tiers()["pure"]
        for path in folder.rglob("test_*.py")
        if re.search("subprocess|multiprocessing", path.read_text(encoding="utf-8"))
        for node in import_statements(path)
        if re.search("subprocess|multiprocessing", ast.unparse(node))
    ]
    assert not wrong, "\n".join(wrong)
