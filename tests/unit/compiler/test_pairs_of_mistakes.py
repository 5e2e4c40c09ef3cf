"""Two mistakes that have nothing to do with each other are both reported, wherever they are in a shipped workflow."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from tests.seeds import for_seeds

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.language.yaml.document import read_document

WORKFLOWS = sorted((Path(__file__).parents[3] / "definitions" / "workflows").glob("*.yaml"))
PAIRS = 12

Place = tuple[str | int, ...]


class Mistake(NamedTuple):
    """``at``: a value of the document; ``key``: what is added to it, None if it is replaced; ``value``: by what."""

    at: Place
    key: str | None
    value: Any

    @property
    def place(self) -> Place:
        return self.at if self.key is None else (*self.at, self.key)

    def make(self, document: Any) -> None:
        *way, last = self.place
        for step in way:
            document = document[step]
        document[last] = self.value


FREE = ("metadata", "inputs", "variables", "input_schema", "output_schema", "event_schemas", "schema", "form", "data")
"""Fields below which any key may stand."""


def mistakes(value: Any, at: Place = ("workflow",)) -> Iterator[Mistake]:
    """Every unknown field, every template that cannot be read, every name of nothing, every wrong value."""
    if isinstance(value, dict):
        is_free = any(field in at for field in FREE)
        if not is_free:
            yield Mistake(at, "unbekannt", 1)
        if "id" in value and "type" in value and not is_free:
            yield Mistake(at, "timeout", "soon")
            yield Mistake(at, "dependencies", [*value.get("dependencies", []), "ghost"])
        for key, inner in value.items():
            yield from mistakes(inner, (*at, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from mistakes(inner, (*at, position))
    elif isinstance(value, str) and "${" in value:
        yield Mistake(at, None, "${1 +}")
        yield Mistake(at, None, "${nodes.ghost.output}")


def findings(document: Any, *made: Mistake) -> set[tuple[str, str]]:
    """Ids and paths of what is said when these are made."""
    mistaken = copy.deepcopy(document)
    for mistake in made:
        mistake.make(mistaken)
    return {(finding.id, finding.path) for finding in compile_workflow(json.dumps(mistaken)).findings}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
@for_seeds(range(1))
def test_neither_of_two_mistakes_hides_the_other(file: Path, seed: int) -> None:
    document = read_document(file.read_text("utf-8")).value
    known = findings(document)
    made = Random(f"{file.stem} {seed}").sample(list(mistakes(document["workflow"])), PAIRS + 1)
    alone = [findings(document, mistake) for mistake in made]
    for number, (one, other) in enumerate(pairwise(made)):
        if one.place == other.place:
            continue
        missing = (alone[number] | alone[number + 1]) - findings(document, one, other)
        assert not missing - known, f"{missing} with {one} and {other}"
