"""What people call a definition of a workflow or an agent (a file, a mapping, a text) as the source to publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from workflow_runtime.frontends.client.errors import not_encodable
from workflow_runtime.language.json_values import Json

Definition: TypeAlias = "Path | str | Mapping[str, Json]"
"""A path; the definition itself, as a mapping with or without the outer ``workflow``; or a text: YAML or JSON if it has
a line break or begins with ``{``, else the name of a file."""


class Source(msgspec.Struct, frozen=True):
    """A definition as bytes of YAML or JSON. ``file``: its name for findings, "" when it came from no file."""

    data: bytes
    file: str = ""

    @property
    def is_json(self) -> bool:
        return self.data.lstrip()[:1] == b"{"


def read_source(definition: Definition) -> Source:
    """Raises `OSError` for a file that cannot be read, and `InvalidInput`."""
    if isinstance(definition, Mapping) and "workflow" not in definition:
        definition = {"workflow": definition}
    return read_agent(definition)


def read_agent(definition: Definition) -> Source:
    """The definition of an agent, as its file has it. Raises `OSError` for a file that cannot be read, and
    `InvalidInput`."""
    try:
        if isinstance(definition, Mapping):
            return Source(msgspec.json.format(msgspec.json.encode(definition), indent=2))  # with lines, for findings
        if isinstance(definition, str) and ("\n" in definition or definition.lstrip().startswith("{")):
            return Source(definition.encode())
        return Source(Path(definition).read_bytes(), str(definition))
    except UnicodeEncodeError as error:
        raise not_encodable(error) from error
