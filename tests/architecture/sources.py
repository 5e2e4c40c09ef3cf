"""The project's modules, and what each imports."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FUNCTIONS = Path(__file__).parents[2] / "functions"
PACKAGE = "workflow_runtime"


def tree(path: Path) -> ast.Module:
    """Not kept: to free millions of nodes when the process ends takes longer than to parse a file anew."""
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(path: Path) -> list[ast.AST]:
    """All that its tree holds."""
    return list(ast.walk(tree(path)))


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the runtime, with the package or leaf module that it belongs to."""
    for path in sorted((FUNCTIONS / PACKAGE).rglob("*.py")):
        yield place(path).partition("/")[0], path


def place(path: Path) -> str:
    """A module as ``engine/advance`` or ``handlers/api``."""
    return "/".join(path.relative_to(FUNCTIONS / PACKAGE).with_suffix("").parts)


def statements(module: ast.Module) -> Iterator[ast.AST]:
    """What a tree holds outside of expressions, a small part of it."""
    others: list[ast.AST] = [module]
    while others:
        for node in ast.iter_child_nodes(others.pop()):
            if not isinstance(node, ast.expr):
                yield node
                others.append(node)


@dataclass(frozen=True, slots=True)
class Outline:
    """What several tests ask of a module. It is parsed once for all of it."""

    documented: bool
    function_lines: list[tuple[str, int]]
    """Of every function, its name and how long it is."""
    imports: list[ast.Import | ast.ImportFrom]
    """Wherever they stand: at the top, inside a function, under ``TYPE_CHECKING``."""


@cache
def outline(path: Path) -> Outline:
    module = tree(path)
    found = Outline(ast.get_docstring(module) is not None, [], [])
    for node in statements(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            found.function_lines.append((node.name, node.end_lineno - node.lineno + 1))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.imports.append(node)
    return found


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every module or member that a module imports."""
    for node in outline(path).imports:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        else:
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@cache
def import_graph() -> Mapping[str, frozenset[str]]:
    """For every module below functions/, those that it imports, by their full names.

    An import counts wherever it stands (`Outline.imports`). `from package import x` is an import of the module
    ``package.x`` if there is one, else of the package itself. That importing a module also runs its packages'
    ``__init__`` does not count.
    """
    paths = {_name(path): path for path in sorted(FUNCTIONS.rglob("*.py"))}
    return {module: frozenset(_imported_modules(path, paths.keys())) - {module} for module, path in paths.items()}


def _imported_modules(path: Path, known: Collection[str]) -> Iterator[str]:
    for node in outline(path).imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif node.module in known:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in known else node.module


def _name(path: Path) -> str:
    """A module's full name; a package's for its ``__init__``."""
    parts = path.relative_to(FUNCTIONS).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
