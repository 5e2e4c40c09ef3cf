"""Writes the golden states of the schema that this code stores: ``python -m tests.golden.states.write``.

Each file in ``situations`` is a workflow with two scripts in its ``metadata``. What is stored after ``before``, and
what ``after`` leads to from there, is written to ``schema<number>``. A schema's folder is written once, by the code of
that schema, and never rewritten: executions in these states are what a deployment of later code finds in the table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from tests.unit.engine.stored_states import Halfway, resume, store

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.state import STATE_SCHEMA, Parent
from workflow_runtime.language.json_values import Json

HERE = Path(__file__).parent


def main() -> None:
    folder = HERE / f"schema{STATE_SCHEMA}"
    folder.mkdir(exist_ok=True)
    for path in sorted((HERE / "situations").glob("*.yaml")):
        target = folder / f"{path.stem}.json"
        if target.exists():
            print(f"{target.relative_to(HERE)} stays: it was written before", file=sys.stderr)
            continue
        document = situation(path.read_bytes())
        target.write_text(_written(document), encoding="utf-8")


def situation(source: bytes) -> dict[str, Json]:
    """What is stored at the turning point of a script, and what it leads to."""
    plan = compile_or_raise(source)
    script: dict[str, Any] = yaml.safe_load(source)["workflow"]["metadata"]
    parent = Parent(**script["parent"]) if "parent" in script else None
    before = Halfway(plan, script.get("input"), parent=parent, hops=script.get("hops", 0))
    before.blobs = script.get("blobs", {})
    before.start()
    for step in script["before"]:
        before.play_step(step)
    document = store(before)
    after = resume(json.loads(json.dumps(document)))
    steps = [{"step": step, "then": after.play_step(step)} for step in script["after"]]
    return {**document, "after": steps, "end": after.end()}


def _written(document: dict[str, Json]) -> str:
    """A line for each part, one for each entry of the longer lists."""
    lines = []
    for name, value in document.items():
        if name in ("records", "ordered", "after") and value:
            text = "[\n  " + ",\n  ".join(map(_line, value)) + "\n ]"
        else:
            text = _line(value)
        lines.append(f" {_line(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main()
