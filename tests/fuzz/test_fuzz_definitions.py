"""Definitions as random edits of good ones leave them: none makes the compiler raise or take long, and what becomes a
plan can be stored, read, and drawn."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.fuzz.campaign import SECONDS, campaign
from tests.fuzz.edits import LEAVES, places, somewhere
from tests.simulation.engine.definitions import Builder
from tests.unit.compiler.test_compiler_growth import SHAPES

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.definition.loader import load
from workflow_runtime.drawing import FORMATS, render
from workflow_runtime.findings import has_errors
from workflow_runtime.plan.plan import decode_plan, encode_plan

SHIPPED = Path(__file__).parents[2] / "definitions"
SECONDS_MAX = 5.0  # of CPU: compiling a file of a thousand nodes, and drawing it in every format
PLANS_MIN = 1 / 3
EDITS_MAX = 3


@cache
def shipped() -> tuple[str, ...]:
    return tuple(path.read_text("utf-8") for path in sorted(SHIPPED.glob("**/workflows/*.yaml")))


class Editor:
    def __init__(self, random: Random) -> None:
        self.random = random

    def document(self) -> dict[str, Any]:
        if self.random.random() < 0.5:
            return {"workflow": Builder(self.random).definition()}
        shape = self.random.choice(SHAPES)
        return {"workflow": {"id": "w", **shape(self.random.choice((3, 4, 8, 20, 100)))}}

    def text(self) -> str:
        """A definition with as many edits as one input has; a fifth stay as they were."""
        kind = self.random.random()
        if kind < 0.15:
            return self.scratched(self.random.choice(shipped()))
        document = self.document()
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 2, EDITS_MAX))):
            self.edit(document)
        text = json.dumps(document, ensure_ascii=False)
        return self.scratched(text) if kind < 0.2 else text

    def edit(self, document: dict[str, Any]) -> None:
        found = somewhere(self.random, document)
        if found is None:
            return
        holder, key = found
        what = self.random.randrange(5)
        if what == 0:
            holder[key] = copy.deepcopy(self.random.choice(LEAVES))
        elif what == 1:
            del holder[key]
        elif what == 2:
            holder[key] = copy.deepcopy(self.at(document, self.random.choice(list(places(document)))))
        elif what == 3 and isinstance(holder, dict):
            holder[self.random.choice(("x", "type", "id", "when", "inputs", "dependencies", "字", key))] = holder.pop(
                key
            )
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))

    def at(self, document: Any, path: tuple[Any, ...]) -> Any:
        for step in path:
            document = document[step] if isinstance(document, (dict, list)) else document
        return document

    def scratched(self, text: str) -> str:
        """A few characters replaced, doubled or cut out."""
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randrange(len(text) or 1)
            piece = text[at : at + self.random.randint(0, 9)]
            text = (
                text[:at] + self.random.choice(("", piece * 2, "\n", "\t", "&a", "*a", "}", ": ", "é")) + text[at + 1 :]
            )
        return text


def take(random: Random) -> str:
    text = Editor(random).text()
    compilation = compile_workflow(text)
    assert all(finding.message for finding in compilation.findings)
    plan = compilation.plan
    if plan is None:
        assert has_errors(compilation.findings), "what is no plan has a reason"
        return "not read" if load(text).definition is None else "no plan"
    assert decode_plan(encode_plan(plan)).hash == plan.hash
    for format in FORMATS:
        drawn = render(plan, format, None)
        assert not any(character in drawn for character in "\x1b\u202e\x00"), format
    return "a plan"


@pytest.mark.timeout(SECONDS + 120)
def test_edited_definitions_become_plans_or_findings() -> None:
    counts = campaign(take, SECONDS_MAX)
    if counts.total() > 100:
        assert counts["a plan"] >= PLANS_MIN * counts.total(), counts
    print(counts)
