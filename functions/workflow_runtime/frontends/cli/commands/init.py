"""`awr init`: a project that runs and is tested at once, to begin with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from workflow_runtime.frontends import cli
from workflow_runtime.frontends.cli.errors import CliError, ExitCode
from workflow_runtime.frontends.cli.options import AsJson
from workflow_runtime.frontends.cli.output import Output

PROJECT = "project"  # the folder of this package with the project's files
TEXT = ".txt"  # ends the names of files that tools would take for this package's own
DOTFILES = {"gitignore": ".gitignore"}
NAME_DEFAULT = "workflows"
INPUT = '{"message": "Where is my order?"}'


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", file_okay=False, help="Where; created if missing.")
    ] = Path(),
    json: AsJson = False,
) -> int:
    """Make a project: a workflow with an agent and a tool, mocks for them, and tests.

    It runs and passes its tests at once, without a model or AWS. No file that is there already is touched: if one is in
    the way, nothing is written.

    Exit codes: 0 made, 1 a file is in the way or cannot be written, 2 wrong usage.
    """
    out = Output(json=json)
    name = project_name(directory)
    contents = {directory / place: text for place, text in project_files(name)}
    in_the_way = [str(path) for path in contents if path.exists() or path.is_symlink()]
    if in_the_way:
        message = f"nothing was written, because these exist: {', '.join(in_the_way)}"
        raise CliError("exists", message, "awr init DIR makes the project in another directory")
    for path, text in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    out.document({"name": name, "directory": str(directory), "files": [str(path) for path in contents]})
    _show(out, directory, [str(path.relative_to(directory)) for path in contents])
    return ExitCode.OK


def project_name(directory: Path) -> str:
    """The directory's name as a package may be called (letters, digits, ``.``, ``_``, ``-``)."""
    return re.sub(r"[^A-Za-z0-9]+", "-", directory.resolve().name).strip("-").lower() or NAME_DEFAULT


def project_files(name: str) -> Iterator[tuple[str, str]]:
    """Places and texts of the project's files; ``$name`` in them is the project's name."""
    for place, file in _below(files(cli) / PROJECT):
        text = file.read_text(encoding="utf-8")
        plain = place.removesuffix(TEXT)
        named = plain.startswith(("README", "pyproject"))
        yield DOTFILES.get(plain, plain), Template(text).substitute(name=name) if named else text


def _below(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry


def _show(out: Output, directory: Path, places: list[str]) -> None:
    for place in places:
        out.line([("made ", "green"), place])
    out.line()
    out.line([("next", "bold")])
    if directory.resolve() != Path.cwd():
        out.line(f"  cd {shlex.quote(str(directory))}")
    workflow, mocks = (f"definitions/{kind}/answer_message.yaml" for kind in ("workflows", "mocks"))
    out.line(f"  awr run {workflow} --mocks {mocks} --input {shlex.quote(INPUT)}")
    out.line("  pytest")
