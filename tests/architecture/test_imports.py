"""Who may import whom: a package imports only what stands before it in `ORDER`, and some import less than that.

Imports under ``TYPE_CHECKING`` count too: a name in a type is knowledge as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import FUNCTIONS, PACKAGE, imports, modules, place

# The storeys, and in them the packages and leaf modules in the order of imports.
ORDER = (
    "findings", "errors", "sdk",
    "language", "plan", "definition", "compiler", "drawing",
    "engine",
    "ports", "deployment", "storage", "invokers", "services", "backends",
    "runtime", "handlers", "frontends", "testing",
)  # fmt: skip

# Packages that import less than all that stands before them.
NARROW: dict[str, set[str]] = {
    "findings": set(),
    "language": {"errors", "findings"},
    "plan": {"language"},
    "drawing": {"language", "plan"},
    "engine": {"errors", "findings", "language", "plan"},
    "deployment": {"errors", "findings", "language"},
    "backends": {"errors", "deployment", "language", "ports"},
}

# Modules that import a package after their own, each with the reason. An entry that is no longer needed fails the test.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("handlers/api", "frontends"): "the HTTP API is a frontend that runs behind a handler",
    ("frontends/schemas", "testing"): "it writes the schemas of all kinds of files; scenarios are the test kit's",
}

# Where third-party packages stop: a package or a folder of one.
THIRD_PARTY: dict[str, set[str]] = {
    "boto3": {"backends/aws", "backends/simulated_aws", "invokers/agents", "invokers/tools"},
    "botocore": {"backends/aws", "backends/simulated_aws", "invokers/agents", "invokers/tools", "frontends/client"},
    "yaml": {"language", "frontends/serve"},  # which writes tokens, too
    "pydantic": {"definition", "invokers", "frontends/api", "sdk"},
    "sqlite3": {"backends/embedded"},
    "moto": {"backends/simulated_aws", "testing"},
    "prometheus_client": {"frontends/metrics", "frontends/serve"},
    "typer": {"frontends/cli"},
    "rich": {"frontends/cli"},
    "pydantic_ai": {"invokers/agents"},
    "opentelemetry": {"invokers/agents", "frontends/cli"},  # where evaluators look for calls
    "pydantic_evals": {"frontends/cli"},
    "mcp": {"invokers/tools/mcp"},
    "httpx2": {"invokers/tools/mcp"},
    "uvicorn": {"frontends/server"},
    "kopf": {"frontends/operator"},
    "aiohttp": {"frontends/operator"},
    "httpx": {"invokers/tools", "frontends/client", "frontends/cli", "frontends/operator"},
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


def part_of(name: str) -> str | None:
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] or None if first == PACKAGE else None


def may_import(part: str, imported: str) -> bool:
    if imported == part:
        return True
    return imported in NARROW[part] if part in NARROW else ORDER.index(imported) < ORDER.index(part)


def imports_out_of_order() -> Iterator[tuple[str, str, int]]:
    """Module, package that it imports though it may not, line."""
    for part, path in modules():
        for line, name in imports(path):
            imported = part_of(name)
            if part in ORDER and imported in ORDER and not may_import(part, imported):
                yield place(path), imported, line


def test_packages_import_only_what_stands_before_them() -> None:
    wrong = [
        f"{module}:{line} imports {imported}"
        for module, imported, line in imports_out_of_order()
        if (module, imported) not in EXCEPTIONS
    ]
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_still_needed() -> None:
    needed = {(module, imported) for module, imported, _ in imports_out_of_order()}
    assert EXCEPTIONS.keys() <= needed, "no longer needed: take it off the list"


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
    return place(path) == folder or place(path).startswith(f"{folder}/")


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
    readers = ("deployment/settings", "runtime", "handlers/entry", "frontends", "testing")
    wrong = [
        f"{path.relative_to(FUNCTIONS)}"
        for _, path in modules()
        if not any(is_in(path, reader) for reader in readers) and "os.environ" in path.read_text(encoding="utf-8")
    ]
    assert not wrong


def test_tools_of_authors_import_only_the_sdk() -> None:
    wrong = [
        f"{path.name}:{line}: {name}"
        for path in sorted((FUNCTIONS.parent / "definitions").rglob("tools/*.py"))
        for line, name in imports(path)
        if name.startswith(f"{PACKAGE}.") and not name.startswith(f"{PACKAGE}.sdk")
    ]
    assert not wrong


def test_annotations_of_models_are_no_text_that_pydantic_has_to_compile_at_each_start() -> None:
    folders = [FUNCTIONS / "workflow_runtime" / folder for folder in ("definition", "invokers/agents")]
    texts = {path: path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py")}
    with_models = [path for path, text in texts.items() if "model_config =" in text or " = Field(" in text]
    assert len(with_models) > 15
    assert [path.name for path in with_models if "from __future__ import annotations" in texts[path]] == []
