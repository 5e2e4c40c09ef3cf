"""What a model request asks, as far as it tells whether a replay asks the same: without times and identities of runs.

Imports pydantic-ai: import it only to run an agent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter
from pydantic_ai.models import ModelRequestParameters

from workflow_runtime.invokers.masking import Mask
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import counted

HASH_CHARS = 12
OF_RUNS = frozenset({"timestamp", "run_id", "conversation_id"})


class RequestPrints:
    """Fingerprints of the model requests of one run, whose messages are the same objects from request to request."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._known: dict[int, tuple[ModelMessage, str]] = {}

    def of(self, messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> dict[str, Json]:
        """``messages``: their number and a hash; the rest: a hash for each tool, and for the form of the output."""
        return {
            "messages": [len(messages), _hash([self._of_message(message) for message in messages])],
            "tools": {
                tool.name: _hash([tool.description, tool.parameters_json_schema]) for tool in parameters.function_tools
            },
            "output": _hash([[tool.name, tool.parameters_json_schema] for tool in parameters.output_tools]),
        }

    def _of_message(self, message: ModelMessage) -> str:
        known = self._known.get(id(message))
        if known is not None and known[0] is message:
            return known[1]
        [dumped] = ModelMessagesTypeAdapter.dump_python([message], mode="json")
        digest = _hash(self._mask.value(_without_run(dumped)))
        self._known[id(message)] = (message, digest)
        return digest


def difference(recorded: Any, asked: Any) -> str:
    """Both requests, and where they differ."""
    places = [*_changed_tools(recorded["tools"], asked["tools"])]
    if recorded["messages"] != asked["messages"]:
        places.append("the messages")
    if recorded["output"] != asked["output"]:
        places.append("the form of the output")
    return f"recorded: {_shown(recorded)}; now: {_shown(asked)}; they differ in {', '.join(places)}"


def _changed_tools(recorded: dict[str, str], asked: dict[str, str]) -> Iterable[str]:
    for name in sorted(recorded.keys() | asked.keys()):
        if recorded.get(name) != asked.get(name):
            change = "was added" if name not in recorded else "is gone" if name not in asked else "has another schema"
            yield f"the tool `{name}` ({change})"


def _shown(print: Any) -> str:
    count, digest = print["messages"]
    tools = ", ".join(f"`{name}`" for name in print["tools"]) or "no tools"
    return f"{counted(count, 'message')} ({digest}) with {tools}"


def _without_run(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_run(item) for key, item in value.items() if key not in OF_RUNS}
    return [_without_run(item) for item in value] if isinstance(value, list) else value


def _hash(value: Any) -> str:
    encoded = msgspec.json.encode(value, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:HASH_CHARS]
