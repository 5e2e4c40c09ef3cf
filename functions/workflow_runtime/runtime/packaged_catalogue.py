"""The catalogue of a deployment's agents and tools, made where it is packaged: the API publishes workflows that name
them, and imports none of them.

``python -m workflow_runtime.runtime.packaged_catalogue /definitions`` writes it into a folder of definitions, as an
image for Lambda needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.plan.catalogue import FILE_NAME, Catalogue, CatalogueEntry, encode_catalogue
from workflow_runtime.runtime.registries import Registries


def packaged_catalogue(definitions: Path, mocks: Mocks | None = None) -> bytes:
    """The catalogue, without the places of this machine's files: it is the same wherever it is made. Raises
    `DefinitionError` for agents and tools that cannot be used."""
    found = Registries(definitions, mocks).catalogue

    def moved(entries: Mapping[str, CatalogueEntry]) -> dict[str, CatalogueEntry]:
        return {id: replace(entry, source=_inside(entry.source, definitions)) for id, entry in entries.items()}

    return encode_catalogue(Catalogue(moved(found.agents), moved(found.tools), mcp_servers=found.mcp_servers))


def _inside(source: str, definitions: Path) -> str:
    path, folder = Path(source).resolve(), definitions.resolve()
    return path.relative_to(folder).as_posix() if path.is_file() and path.is_relative_to(folder) else source


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / FILE_NAME).write_bytes(packaged_catalogue(folder))
