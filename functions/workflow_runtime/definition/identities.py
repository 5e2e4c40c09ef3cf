"""Which file defines which workflow: two files with one id would be versions of each other."""

from __future__ import annotations

from collections.abc import Iterable

from workflow_runtime.definition.loader import load
from workflow_runtime.definition.rules import SAME_WORKFLOW
from workflow_runtime.findings import Finding
from workflow_runtime.language.texts import quoted


class Identities:
    """The ids that files define. Ids that look the same are the same: they are compared in Unicode's form NFC."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def take(self, text: str | bytes, file: str) -> Finding | None:
        """Note what ``file`` defines from now on; what to say when another file defines it already. A file that does
        not say its id defines nothing.
        """
        self.drop(file)
        loaded = load(text, file)
        id = loaded.definition.id if loaded.definition is not None else ""
        if not id:
            return None
        if id in self._files:
            message = f"{self._files[id]} defines the workflow {quoted(id)}, too"
            return loaded.source.finding(SAME_WORKFLOW, message, ("id",))
        self._files[id], self._ids[file] = file, id
        return None

    def drop(self, file: str) -> None:
        """``file`` is gone, or says something else now."""
        id = self._ids.pop(file, None)
        if id is not None:
            del self._files[id]


def same_ids(sources: Iterable[tuple[str | bytes, str]]) -> list[Finding]:
    """One finding for each file whose workflow an earlier one defines. ``sources``: texts, each with its file."""
    identities = Identities()
    found = (identities.take(text, file) for text, file in sources)
    return [finding for finding in found if finding is not None]
