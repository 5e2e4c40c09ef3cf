"""Who may import whom: a package imports only what stands before it in `ORDER`, and some import less than that.

Imports under ``TYPE_CHECKING`` count too: a name in a type is knowledge as well.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FUNCTIONS = Path(__file__).parents[2] / "functions"
PACKAGE = "workflow_runtime"

# The storeys, and in them the packages and leaf modules in the order of imports.
ORDER = (
    "findings", "errors", "sdk",
    "language", "plan", "definition", "compiler", "drawing",
    "engine",
    "ports", "deployment", "storage", "invokers", "services", "backends",
    "runtime", "frontends", "testing",
)  # fmt: skip

# Packages that import less than all that stands before them.
NARROW: dict[str, set[str]] = {
    "findings": set(),
    "language": {"errors", "findings"},
    "plan": {"language"},
    "engine": {"errors", "findings", "language", "plan"},
    "deployment": {"errors", "findings", "language"},
    "backends": {"errors", "deployment", "language", "ports"},
}

# Where third-party packages stop: a package or a folder of one.
THIRD_PARTY: dict[str, set[str]] = {
    "boto3": {"backends/aws", "backends/simulated_aws", "invokers/tools"},
    "botocore": {"backends/aws", "backends/simulated_aws", "invokers/tools", "frontends/client"},
    "yaml": {"language"},
    "pydantic": {"definition", "invokers", "frontends/api", "sdk"},
    "sqlite3": {"backends/embedded"},
    "moto": {"backends/simulated_aws", "testing"},
    "typer": {"frontends/cli"},
    "rich": {"frontends/cli"},
    "pydantic_ai": {"invokers/agents"},
    "uvicorn": {"frontends/dev"},
    "httpx": {"invokers/tools", "frontends/client"},
}

IMPURE = {
    "asyncio",
    "datetime.now",
    "logging",
    "os",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uuid",
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package with the part it belongs to."""
    for path in sorted((FUNCTIONS / PACKAGE).rglob("*.py")):
        parts = path.relative_to(FUNCTIONS / PACKAGE).with_suffix("").parts
        yield parts[0], path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def part_of(name: str) -> str | None:
    pieces = name.split(".")
    return pieces[1] if pieces[0] == PACKAGE and len(pieces) > 1 else None


def may_import(part: str, imported: str) -> bool:
    if imported == part:
        return True
    return imported in NARROW[part] if part in NARROW else ORDER.index(imported) < ORDER.index(part)


def test_packages_import_only_what_stands_before_them() -> None:
    wrong = [
        f"{path.relative_to(FUNCTIONS)}:{line}: {part} imports {imported}"
        for part, path in modules()
        if part in ORDER
        for line, name in imports(path)
        if (imported := part_of(name)) in ORDER and not may_import(part, imported)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_package_has_its_place_in_the_order() -> None:
    assert {part for part, _ in modules()} - {"__init__"} == set(ORDER)


def test_third_party_packages_stop_where_they_should() -> None:
    wrong = [
        f"{path.relative_to(FUNCTIONS)}:{line}: {name}"
        for _, path in modules()
        for line, name in imports(path)
        if (root := name.split(".")[0]) in THIRD_PARTY and not any(is_in(path, folder) for folder in THIRD_PARTY[root])
    ]
    assert not wrong, "\n".join(wrong)


def is_in(path: Path, folder: str) -> bool:
    place = path.relative_to(FUNCTIONS / PACKAGE).with_suffix("").as_posix()
    return place == folder or place.startswith(folder + "/")


def test_the_engine_is_pure() -> None:
    """No clock, no randomness, no environment, no logging: time and ids only ever arrive inside an event."""
    allowed = set(sys.stdlib_module_names) - IMPURE | {"msgspec", PACKAGE}
    wrong = [
        f"{path.relative_to(FUNCTIONS)}:{line}: {name}"
        for part, path in modules()
        if part == "engine"
        for line, name in imports(path)
        if name.split(".")[0] not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_the_engine_asks_no_clock() -> None:
    calls = ("datetime.now", "datetime.utcnow", "date.today", "perf_counter")
    wrong = [
        path.name for part, path in modules() if part == "engine" and any(call in path.read_text() for call in calls)
    ]
    assert not wrong


def test_backends_do_not_know_each_other() -> None:
    """Simulated AWS is driven by the AWS adapters, so that one may."""
    wrong = [
        f"{path.relative_to(FUNCTIONS)}:{line}: {name}"
        for own, other in (("aws", "embedded"), ("embedded", "aws"), ("aws", "simulated_aws"))
        for path in sorted((FUNCTIONS / PACKAGE / "backends" / own).rglob("*.py"))
        for line, name in imports(path)
        if name.startswith(f"{PACKAGE}.backends.{other}")
    ]
    assert not wrong, "\n".join(wrong)


def test_only_settings_and_composition_read_the_environment() -> None:
    readers = ("deployment/settings", "runtime", "frontends", "testing")
    wrong = [
        f"{path.relative_to(FUNCTIONS)}"
        for _, path in modules()
        if not any(is_in(path, reader) for reader in readers) and "os.environ" in path.read_text(encoding="utf-8")
    ]
    assert not wrong


def test_tools_of_authors_import_only_the_sdk() -> None:
    wrong = [
        f"{path.name}:{line}: {name}"
        for path in sorted((FUNCTIONS / "tools").rglob("*.py"))
        for line, name in imports(path)
        if name.startswith(f"{PACKAGE}.") and not name.startswith(f"{PACKAGE}.sdk")
    ]
    assert not wrong
