"""Files that commands read: workflows, their `definitions` directory, inputs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import msgspec

from workflow_runtime.frontends.cli.errors import CliError, usage_error
from workflow_runtime.frontends.cli.typed_json import HINT as DUPLICATE_HINT
from workflow_runtime.frontends.cli.typed_json import DuplicateKey, read_typed
from workflow_runtime.language.json_values import Json, malformed
from workflow_runtime.language.json_values import read_json as json_in
from workflow_runtime.runtime.workflow_files import SUFFIXES
from workflow_runtime.runtime.workflow_files import workflow_files as workflow_files_of

SOURCE_BYTES_MAX = 8 * 1024 * 1024  # twice what the compiler takes: it says that it is too much
INPUT_BYTES_MAX = 16 * 1024 * 1024  # more than an execution takes, which says so
UTF8_MARK = b"\xef\xbb\xbf"
PROJECT_MARKS = (".git", "pyproject.toml")  # a directory that holds one ends the search for definitions

_BLOCK_WORKFLOW = re.compile(rb"""^["']?workflow["']?[ \t]*:""", re.MULTILINE)
_FLOW_WORKFLOW = re.compile(rb"""\s*\{\s*["']?workflow["']?\s*:""")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what the definition's parser counts as the end of a line
_SDK = b"workflow_runtime"
_AT_BYTE = re.compile(r" \(byte (\d+)\)$")


def read_source(path: Path) -> bytes:
    """The bytes of a file. Raises `OSError`."""
    with path.open("rb") as file:
        return file.read(SOURCE_BYTES_MAX)


def source_line(file: str, number: int) -> str | None:
    """A line of a file (from 1); None when there is no such line."""
    try:
        path = Path(file).resolve()
        lines = _lines(path, path.stat().st_mtime_ns)
    except OSError:
        return None
    return lines[number - 1] if 0 < number <= len(lines) else None


@lru_cache(maxsize=4)
def _lines(path: Path, modified_ns: int) -> list[str]:  # noqa: ARG001  a file that changed is read again
    return _LINE_BREAK.split(read_source(path).decode("utf-8-sig", "replace"))


def workflow_files(paths: Iterable[Path]) -> list[Path]:
    """Files as given, and below directories every file that holds a workflow.

    Raises `CliError` when a directory has none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found[path] = None
            continue
        below = sorted(_workflows_below(path))
        if not below:
            raise usage_error(
                f"no workflow below {path}", f"workflows are {', '.join(SUFFIXES)} files with a top-level `workflow:`"
            )
        found.update(dict.fromkeys(below))
    return list(found)


def _workflows_below(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(folder, name)
            if path.suffix in SUFFIXES and path.is_file() and _holds_workflow(path):
                yield path


def _holds_workflow(path: Path) -> bool:
    source = read_source(path).removeprefix(UTF8_MARK)
    if source.lstrip()[:1] != b"{":
        return _BLOCK_WORKFLOW.search(source) is not None
    try:
        value = json_in(source)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _FLOW_WORKFLOW.match(source) is not None
    return isinstance(value, dict) and "workflow" in value


def workflows_beside(files: Iterable[Path], definitions: Path | None) -> list[Path]:
    """The files of workflows that those in ``files`` may start: themselves, those in the same directories, and those of
    the `definitions` directory."""
    given = list(files)
    beside = (
        path
        for folder in dict.fromkeys(file.absolute().parent for file in given)
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path.is_file() and _holds_workflow(path)
    )
    return list(dict.fromkeys(path.absolute() for path in (*given, *beside, *workflow_files_of(definitions))))


def definitions_directory(workflow: Path | None) -> Path | None:
    """Where a workflow's agents and tools are declared: the nearest directory above it that has any, or has a directory
    `definitions` with some; without a workflow, the search begins here. The project's own directory ends it.
    """
    start = workflow.absolute().parent if workflow is not None else Path.cwd()
    for directory in (start, *start.parents):
        for candidate in (directory, directory / "definitions"):
            if any(_declares(candidate / kind) for kind in ("agents", "tools")):
                return candidate
        if any((directory / mark).exists() for mark in PROJECT_MARKS):
            break
    return None


def _declares(directory: Path) -> bool:
    """A directory ``tools`` of a project's own scripts, say, declares nothing, and must not be imported."""
    return directory.is_dir() and any(
        path.suffix in SUFFIXES or (path.suffix == ".py" and _SDK in read_source(path))
        for path in directory.rglob("*")
        if path.is_file()
    )


def read_input(value: str | None) -> Json:
    """The execution input that ``--input`` names: JSON text, ``@FILE``, or ``@-`` for stdin. Raises `CliError`."""
    return {} if value is None else read_json(value, "--input", "the input")


def read_json(value: str, option: str, what: str, example: str = "") -> Json:
    """The JSON that an ``option`` names: as text, ``@FILE``, or ``@-`` for stdin. Raises `CliError`, with ``example``
    as its hint."""
    place = option
    try:
        if value == "@-":
            place, data = "stdin", sys.stdin.buffer.read(INPUT_BYTES_MAX)
        elif value.startswith("@"):
            place = value[1:]
            with open(place, "rb") as file:
                data = file.read(INPUT_BYTES_MAX)
        else:
            data = value.encode("utf-8", "surrogateescape")
    except OSError as error:
        hint = f"{option} takes JSON, @FILE, or @- for stdin"
        raise CliError("invalid_input", f"{what} file {place!r} cannot be read: {error.strerror}", hint) from None
    try:
        return read_typed(data.removeprefix(UTF8_MARK))
    except DuplicateKey as error:
        raise CliError("invalid_input", f"the key `{error}` stands twice in {what}: {place}", DUPLICATE_HINT) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = f"for example {example}" if example else ""
        if value == "-":
            hint = f"to read stdin, write {option} @-"
        elif not example and value and not value.startswith(("{", "[", '"', "@")):
            hint = (
                f"to read a file, write {option} @{value}" if Path(value).is_file() else "to read a file, write @FILE"
            )
        message = malformed(data.decode("utf-8", "replace"), error)
        raise CliError("invalid_input", f"{what} is not valid JSON: {_where(place, data, message)}", hint) from None


def _where(place: str, data: bytes, message: str) -> str:
    """msgspec's message, with line and column in place of the byte."""
    message = message.removeprefix("JSON is malformed: ")
    at = _AT_BYTE.search(message)
    if at is None:
        return f"{place}: {message}"
    before = data[: int(at[1])]
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    before_count = before.count(b"\n") + 1
    return f"{place}:{before_count}:{column}: {message[: at.start()]}"
