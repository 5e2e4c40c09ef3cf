"""Who may import whom. The direction is: handlers, cli → aws | local → services → storage → ports; compiler →
definition;
engine → plan → expressions. Imports under ``TYPE_CHECKING`` count too: a name in a type is knowledge as well."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"
PACKAGE = "workflow_runtime"

# What each part may import of the project. Every part may import itself.
LEAVES = {"errors", "findings"}
PURE = LEAVES | {"plan", "expressions", "schemas"}
ALLOWED: dict[str, set[str]] = {
    "errors": {"findings"},
    "findings": set(),
    "durations": set(),
    "cron": set(),
    "service_limits": {"cron", "ports", "topology"},
    "expressions": {"durations", "errors"},
    "patterns": set(),
    "texts": set(),
    "plan": {"expressions"},
    "schemas": {"plan"},
    "invocation": {"plan"},
    "log_fields": set(),
    "metrics": set(),
    "topology": set(),
    "engine": PURE | {"durations"},
    "definition": LEAVES | {"durations", "expressions", "plan", "schemas"},
    "compiler": PURE | {"cron", "definition", "durations", "patterns", "texts"},
    "catalogue": {"findings", "definition", "compiler", "tooling"},
    "ports": {"errors"},
    "storage": PURE | {"engine", "patterns", "ports"},
    "services": PURE
    | {"patterns", "engine", "ports", "storage", "invocation", "log_fields", "metrics", "topology", "compiler"},
    "settings": {"errors", "topology"},
    "real_clock": set(),
    "sdk": {"errors"},
    "tooling": PURE | {"invocation", "ports", "sdk", "definition"},
    "agents": PURE | {"invocation", "tooling"},
    "mocks": PURE | {"agents", "invocation", "tooling"},
    "api": PURE | {"compiler", "definition", "engine", "ports", "runtime", "services", "storage"},
    "aws": {"cron", "errors", "ports", "real_clock", "service_limits", "settings", "topology"},
    "local": {"cron", "errors", "patterns", "ports", "real_clock", "service_limits", "topology"},
}

# Where third-party packages stop.
THIRD_PARTY: dict[str, set[str]] = {
    "boto3": {"aws", "tooling"},
    "botocore": {"aws", "tooling", "client"},
    "yaml": {"definition", "tooling"},
    "pydantic": {"definition", "agents", "tooling", "mocks", "api", "sdk"},
    "sqlite3": {"local"},
    "moto": {"aws", "testing"},
    "typer": {"cli"},
    "rich": {"cli"},
    "pydantic_ai": {"agents"},
    "uvicorn": {"dev"},
    "httpx": {"tooling", "client"},
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


def test_parts_import_only_what_they_may() -> None:
    wrong = [
        f"{path.relative_to(FUNCTIONS)}:{line}: {part} imports {imported}"
        for part, path in modules()
        if part in ALLOWED
        for line, name in imports(path)
        if (imported := part_of(name)) and imported != part and imported not in ALLOWED[part] and imported in PARTS
    ]
    assert not wrong, "\n".join(wrong)


def test_third_party_packages_stop_where_they_should() -> None:
    wrong = [
        f"{path.relative_to(FUNCTIONS)}:{line}: {name}"
        for part, path in modules()
        for line, name in imports(path)
        if (root := name.split(".")[0]) in THIRD_PARTY and part not in THIRD_PARTY[root]
    ]
    assert not wrong, "\n".join(wrong)


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


def test_aws_and_local_do_not_know_each_other() -> None:
    assert "local" not in ALLOWED["aws"]
    assert "aws" not in ALLOWED["local"]


def test_only_settings_and_composition_read_the_environment() -> None:
    readers = {"settings", "assembly", "runtime", "cli", "dev", "client", "testing"}
    wrong = [
        f"{path.relative_to(FUNCTIONS)}"
        for part, path in modules()
        if part not in readers and "os.environ" in path.read_text(encoding="utf-8")
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


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_every_part_named_here_exists(part: str) -> None:
    assert part in PARTS


PARTS = {part for part, _ in modules()}
