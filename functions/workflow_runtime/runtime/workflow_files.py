"""Workflows as the compiler and those that start them may know them before they are published: in files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from workflow_runtime.plan.catalogue import CatalogueEntry

SUFFIXES = (".yaml", ".yml", ".json")
SOURCE_BYTES_MAX = 8 * 1024 * 1024  # twice what the compiler takes


def workflow_files(definitions: Path | None) -> list[Path]:
    """The workflow files of a definitions directory: those below its ``workflows``, by name."""
    if definitions is None:
        return []
    folder = definitions / "workflows"
    return sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES and file.is_file())


class Found(msgspec.Struct, frozen=True):
    """A file as it was when it was read: its time stamp (ns) and size, and the workflow in it, if there is one."""

    stamp: tuple[int, int]
    entry: CatalogueEntry | None


class WorkflowFiles(Mapping[str, CatalogueEntry]):
    """The workflows in some files, by id, read when somebody asks, and again once a file is another.

    ``files``: gives their paths; of two with one id, the first counts.
    """

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        self._files = files
        self._known: dict[Path, Found] = {}

    def __getitem__(self, id: str) -> CatalogueEntry:
        return self._by_id()[id][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id())

    def __len__(self) -> int:
        return len(self._by_id())

    def file_of(self, id: str) -> Path | None:
        """The file that has this workflow."""
        found = self._by_id().get(id)
        return found[1] if found is not None else None

    def _by_id(self) -> dict[str, tuple[CatalogueEntry, Path]]:
        found: dict[str, tuple[CatalogueEntry, Path]] = {}
        for file in self._files():
            with suppress(OSError):  # it has gone meanwhile
                entry = self._entry(file)
                if entry is not None:
                    found.setdefault(entry.id, (entry, file))
        return found

    def _entry(self, file: Path) -> CatalogueEntry | None:
        status = file.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._known.get(file)
        if known is None or known.stamp != stamp:
            known = self._known[file] = Found(stamp, _read(file))
        return known.entry


def _read(file: Path) -> CatalogueEntry | None:
    """What is known of the workflow in a file; None if it has none that can be read."""
    from workflow_runtime.definition.entry import entry_of  # pydantic comes with it, and few ask
    from workflow_runtime.definition.loader import load

    with file.open("rb") as opened:
        definition = load(opened.read(SOURCE_BYTES_MAX), str(file)).definition
    return entry_of(definition) if definition is not None and definition.id else None
