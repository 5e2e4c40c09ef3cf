"""What models and tools said, as attributes of spans: only where it was asked for. Secrets are hidden in it, as in all
that is recorded; prompts and instructions are not recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import cut
from workflow_runtime.services.tracing import names
from workflow_runtime.services.tracing.spans import MODEL_STEP
from workflow_runtime.storage.steps import Step

CONTENT_CHARS_MAX = 8_000  # of an attribute: collectors refuse spans of more than some 60 KB
KINDS = {"tool-call": "tool_call", "text": "text", "thinking": "reasoning"}
"""Parts of answers by the names that pydantic-ai and the conventions have for them."""

Place: TypeAlias = tuple[int, int, str, int]
"""A visit, a log of it, and a step there by its name and number."""


def place_of(visit: int, step: Step) -> Place:
    return visit, step.log, step.name, step.ordinal


def contents_of(steps: Iterable[tuple[int, Step]]) -> dict[Place, dict[str, str]]:
    """Attributes by step. A call's arguments are those in the answer that asked for it, if that is among ``steps``."""
    found: dict[Place, dict[str, str]] = {}
    asked: dict[tuple[int, int, str], list[Json]] = defaultdict(list)
    ordered = sorted(steps, key=lambda item: (item[0], item[1].log, item[1].name != MODEL_STEP, item[1].ordinal))
    for visit, step in ordered:
        place = place_of(visit, step)
        if step.name == MODEL_STEP:
            parts = list(_parts(step.result))
            for part in parts:
                if part["type"] == "tool_call":
                    asked[visit, step.log, str(part["name"])].append(part["arguments"])
            found[place] = {names.OUTPUT_MESSAGES: _text([{"role": "assistant", "parts": parts}])}
        elif step.done:
            said = {names.TOOL_RESULT: _text(step.result)}
            arguments = asked[visit, step.log, step.name.partition(":")[2]][step.ordinal - 1 : step.ordinal]
            if arguments:
                said[names.TOOL_ARGUMENTS] = _text(arguments[0])
            found[place] = said
    return found


def output_of(output: Json) -> dict[str, str]:
    """Of a node's run, or an execution."""
    return {names.OUTPUT: _text(output)} if output is not None else {}


def _parts(response: Json) -> Iterator[dict[str, Json]]:
    parts: Any = response.get("parts") if isinstance(response, dict) else None
    for part in parts if isinstance(parts, list) else ():
        kind = KINDS.get(str(part.get("part_kind")))
        if kind == "tool_call":
            yield {
                "type": kind,
                "id": part.get("tool_call_id"),
                "name": part.get("tool_name"),
                "arguments": part.get("args"),
            }
        elif kind is not None:
            yield {"type": kind, "content": part.get("content")}


def _text(value: Json) -> str:
    return cut(value if isinstance(value, str) else msgspec.json.encode(value).decode(), CONTENT_CHARS_MAX)
