"""What holds for the tests themselves: they use public names, patch nothing, do not sleep, and each is in a tier."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import nodes, outline

TESTS = Path(__file__).parents[1]
TIERS = TESTS.parent / ".ci" / "test"
THIS = Path(__file__).relative_to(TESTS).as_posix()

# Private names that are used all the same, by file, with the reason. An entry that is no longer needed fails the test.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("ahead_clock.py", "_messages"): "moto has no public name for messages that are not visible",
}


def sources(*folders: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(TESTS.rglob("*.py")):
        name = path.relative_to(TESTS).as_posix()
        if not folders or name.startswith(folders):
            yield name, path


def suspects(*folders: str, pattern: str) -> Iterator[tuple[str, ast.AST]]:
    """What stands in the files whose text has the pattern, with the file's name: to parse all takes seconds."""
    for name, path in sources(*folders):
        if re.search(pattern, path.read_text(encoding="utf-8")):
            yield from ((name, node) for node in nodes(path))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_names() -> dict[tuple[str, str], int]:
    """Private names that are used and not the test's own, by file, each with a line."""
    found: dict[tuple[str, str], int] = {}
    attribute = r"\._(?<!\bself\._)(?<!\bcls\._)(?!\w*__\b)|\.(self|cls)\._"
    imported = r"import [^\n]*\b_(?!\w*__\b)|\n +_\w+( as \w+)?,"
    for name, node in suspects(pattern=f"{attribute}|{imported}"):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=private) if is_private(private):
                found[name, private] = node.lineno
            case ast.ImportFrom(names=aliases):
                found.update({(name, alias.name): node.lineno for alias in aliases if is_private(alias.name)})
    return found


def test_tests_use_public_names_only() -> None:
    found = private_names()
    wrong = [f"tests/{name}:{found[name, private]}: {private}" for name, private in found.keys() - EXCEPTIONS.keys()]
    assert not wrong, "\n".join(sorted(wrong))
    assert EXCEPTIONS.keys() <= found.keys(), "no longer needed: take it off the list"


def imported(node: ast.AST) -> set[str]:
    """What an import names, each part of a dotted name by itself; nothing of anything else."""
    match node:
        case ast.Import(names=aliases):
            names = [alias.name for alias in aliases]
        case ast.ImportFrom(module=module, names=aliases):
            names = [module or "", *(alias.name for alias in aliases)]
        case _:
            names = []
    return {part for name in names for part in name.split(".")}


def test_tests_patch_nothing() -> None:
    """Fakes implement ports; environment variables and modules that are not installed may be set."""
    wrong = [
        f"tests/{name}:{node.lineno}"
        for name, node in suspects(pattern=r"\.setattr\b|\bmock\b")
        if (isinstance(node, ast.Attribute) and node.attr == "setattr") or "mock" in imported(node)
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_pure_does_not_sleep() -> None:
    """Time is virtual there. A coroutine may say `asyncio.sleep`: to let others go on, or to be cancelled in it."""
    wrong = [
        f"tests/{name}:{node.lineno}"
        for name, node in suspects("unit/", "simulation/", "contract/", pattern=r"\btime\.sleep\b|\bfrom time\b")
        if (isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep")
        or (isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in imported(node))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_port_is_taken_that_was_only_found_free() -> None:
    """Meanwhile it may be given to anybody: `ports.reserved_port` keeps it. A socket that stays bound is fine, too."""
    bound = {"ports.py", "integration/cli/test_cli_remote.py"}
    assert {name for name, path in sources() if ".bind((" in path.read_text(encoding="utf-8")} == bound | {THIS}


REQUESTS = {f"httpx.{name}" for name in ("get", "post", "put", "delete", "request", "Client", "AsyncClient")}


def test_requests_to_servers_wait_as_long_as_a_slow_machine_takes() -> None:
    """By default they give up after five seconds. What needs no network (``transport``) has no timeout."""
    wrong = [
        f"tests/{name}:{node.lineno}"
        for name, node in suspects(pattern=r"\bhttpx\.")
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in REQUESTS
        and not {keyword.arg for keyword in node.keywords} & {"timeout", "transport"}
    ]
    assert not wrong, "\n".join(wrong)


def test_no_test_demands_that_time_has_not_passed() -> None:
    """A machine may stand still between any two lines. Processors' time, which does not pass then, may be bounded."""
    wrong = [
        f"tests/{name}:{node.lineno}"
        for name, node in suspects(pattern=r"\b(monotonic|perf_counter|time\.time)\(\)|\.elapsed\b")
        if isinstance(node, ast.Assert)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.ops[0], ast.Lt | ast.LtE)
        and re.search(r"(monotonic|perf_counter|time\.time)\(\) - |\.elapsed\b", ast.unparse(node.test.left))
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
        for node in outline(path).imports
        if re.search("subprocess|multiprocessing", ast.unparse(node))
    ]
    assert not wrong, "\n".join(wrong)
