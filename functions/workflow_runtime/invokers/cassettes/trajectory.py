"""What an agent did in a visit, in the order in which it asked for it: recorded, and in a replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from workflow_runtime.invokers.agents.turns import arguments_of
from workflow_runtime.invokers.cassettes.file import MODEL
from workflow_runtime.invokers.cassettes.tape import VisitPlayed
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.steps import Step

OUTPUT_TOOL = "final_result"  # what structured outputs are called where models see them


def calls_in(steps: Iterable[Step]) -> list[str]:
    """The tool calls that models asked for: ``search({"q": "x"})``, those of an agent within another one behind its
    name."""
    found = []
    for step in sorted(steps, key=lambda step: (step.log, step.at)):
        within, _, name = step.name.rpartition("/")
        if name != MODEL or not isinstance(step.result, dict):
            continue
        agent = f"{within.rpartition('/')[2].removeprefix('agent:').rpartition('.')[0]}: " if within else ""
        found += [f"{agent}{name}({arguments_text(args)})" for name, args in calls_asked_for(step.result)]
    return found


def calls_of(visit: VisitPlayed) -> list[str]:
    """Those of a visit of the replay: as recorded as far as it went that way, then its own."""
    return calls_in([*_kept(visit), *visit.made])


def requests_kept(visit: VisitPlayed) -> int:
    """How many requests of the visit's own agent were answered by the cassette."""
    return sum(step.name == MODEL for step in _kept(visit))


def _kept(visit: VisitPlayed) -> Sequence[Step]:
    recorded = visit.on_tape.steps if visit.on_tape is not None else ()
    if visit.departed is None:
        return recorded
    first = next((step for step in visit.made if step.name == MODEL), None)
    if first is None:
        return ()
    return [step for step in recorded if (step.log, step.ordinal) < (first.log, first.ordinal) and step.name == MODEL]


def calls_asked_for(response: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """The tool calls that a recorded answer of a model asks for, by the tools' names, with their arguments."""
    parts: Any = response.get("parts")
    for part in parts if isinstance(parts, list) else ():
        if part.get("part_kind") == "tool-call" and part.get("tool_name") != OUTPUT_TOOL:
            yield part.get("tool_name"), arguments_of(part.get("args"))


def arguments_text(arguments: Json) -> str:
    """As people read them; a text that was no JSON stays."""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
