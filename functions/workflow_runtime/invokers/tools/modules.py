"""The Python modules in a folder of tools, imported without a place on ``sys.path``.

The folder is a package of its own, under a name that only its path decides: its modules hide nobody else's, and import
each other relatively (``from .prices import total``). Each load runs all of them anew, which is how `awr dev` picks up
changed tools.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from workflow_runtime.findings import Finding
from workflow_runtime.invokers.containment import attempt, described
from workflow_runtime.language.yaml.small_files import UNUSABLE_TOOL

PREFIX = "workflow_tools_"
HASH_CHARS = 12  # two folders in one process get two names


def load_modules(folder: Path | None, findings: list[Finding]) -> list[ModuleType]:
    """Every module below ``folder``, in the order of names; what cannot be imported is added to ``findings``.

    Modules and packages whose names begin with ``_`` are only for the others to import. No folder: no modules.
    """
    if folder is None or not folder.is_dir():
        return []
    package = PREFIX + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:HASH_CHARS]
    _forget(package)
    found: list[ModuleType] = []
    with _without_bytecode():
        sys.modules[package] = _package(package, folder)
        names = [(package, folder / "__init__.py"), *_below(package, folder)]
        for name, file in names:
            make = partial(_run_package, name, file) if name == package else partial(importlib.import_module, name)
            outcome = attempt(make)
            if outcome.error is None:
                found.append(outcome.result())
            else:
                findings.append(_finding(outcome.error, file))
    return found


def _package(name: str, folder: Path) -> ModuleType:
    """An empty package, of which the modules in ``folder`` are submodules."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    package.__spec__ = ModuleSpec(name, None, is_package=True)
    return package


def _run_package(name: str, init: Path) -> ModuleType:
    """The package, after its ``__init__.py`` ran, if it has one."""
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(init.parent)])
    if init.is_file() and spec is not None and spec.loader is not None:
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _below(package: str, folder: Path) -> Iterator[tuple[str, Path]]:
    for info in sorted(pkgutil.iter_modules([str(folder)]), key=lambda info: info.name):
        if info.name.startswith("_"):
            continue
        name, inner = f"{package}.{info.name}", folder / info.name
        yield name, inner / "__init__.py" if info.ispkg else inner.with_suffix(".py")
        if info.ispkg:
            yield from _below(name, inner)


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@contextmanager
def _without_bytecode() -> Iterator[None]:
    """Bytecode is told from a changed source by whole seconds and size: an edit within a second would go unnoticed."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _finding(error: BaseException, file: Path) -> Finding:
    message = f"{file.name} cannot be imported: {described(error)}"
    return Finding(UNUSABLE_TOOL.id, UNUSABLE_TOOL.severity, message, file=str(file), line=_line(error, file), column=1)


def _line(error: BaseException, file: Path) -> int:
    """The line of ``file`` that raised, or that cannot be parsed; 1 when none is known."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return (lines[-1] if lines else None) or 1
