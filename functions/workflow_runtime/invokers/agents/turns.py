"""The turns of a conversation: which calls a model asks for, in order, and whether it may before any of them begin."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.definition import AgentDefinition

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

TOOL_CALLS_MAX = 500  # of a visit when the agent sets no limit: one answer of a model may hold thousands


class Place(msgspec.Struct, frozen=True):
    """Where a call stands in the conversation, whichever of those made at once comes first.

    - ``ordinal``: the how-manieth call of its tool it is, from 1
    - ``same``: the how-manieth with these very arguments
    - ``arguments``: their hash
    - ``number``: how many calls were asked for before it, of whatever tool
    - ``denied``: how many of those of its tool were not made, in answers before this one
    """

    ordinal: int
    same: int
    arguments: str
    number: int = 0
    denied: int = 0


class Turns:
    """The calls of one run of ``agent``; ``tools``: the names that its tools have for the model."""

    def __init__(self, agent: AgentDefinition, tools: Collection[str]) -> None:
        self._agent = agent
        self._tools = tools
        self._calls: Counter[str] = Counter()
        self._same: Counter[tuple[str, str]] = Counter()
        self._places: dict[str, Place] = {}
        self._stale = 0
        self._asked_for: list[tuple[str, Any]] = []
        self._denied: Counter[str] = Counter()

    def take(self, response: ModelResponse) -> None:
        """Take note of what a model's answer asks for. Raises `NodeError` (``budget_exceeded``)."""
        calls = [part for part in response.tool_calls if part.tool_name in self._tools]
        if not calls:
            return
        is_new = False
        for call in calls:
            name, arguments = call.tool_name, hash_of(arguments_of(call.args))
            self._calls[name] += 1
            self._same[name, arguments] += 1
            is_new = is_new or self._same[name, arguments] == 1
            number = len(self._asked_for)
            self._asked_for.append((name, arguments_of(call.args)))
            self._places[call.tool_call_id] = Place(
                self._calls[name], self._same[name, arguments], arguments, number, self._denied[name]
            )
        self._stale = 0 if is_new else self._stale + 1
        self._check()

    def place(self, tool_call_id: str) -> Place:
        return self._places[tool_call_id]

    def deny(self, tool: str) -> None:
        """Take note that a call of a tool is not made, denied or with wrong arguments: it does not count for the most
        that may be.
        """
        self._denied[tool] += 1

    def before(self, place: Place) -> list[tuple[str, Any]]:
        """The calls that were asked for before the one at ``place``: the names that tools have for the model, and their
        arguments."""
        return self._asked_for[: place.number]

    def _check(self) -> None:
        limits, made = self._agent.limits, self._calls.total()
        calls = limits.tool_calls or TOOL_CALLS_MAX
        if made > calls:
            raise self._exceeded(f"the model asked for {made:,} tool calls, at most {calls:,} are allowed")
        stale = limits.turns_without_progress
        if stale is not None and self._stale > stale:
            raise self._exceeded(f"{self._stale} turns in a row only repeated calls, at most {stale} may")

    def _exceeded(self, reason: str) -> NodeError:
        return NodeError("budget_exceeded", f"agent {self._agent.id!r}: {reason}")


def arguments_of(args: Any) -> Any:
    """A call's arguments as a model gave them: an object, its JSON text, or nothing; a text that is no JSON stays."""
    if not isinstance(args, str):
        return args or {}
    try:
        return msgspec.json.decode(args) if args.strip() else {}
    except msgspec.DecodeError:
        return args


def hash_of(arguments: Any) -> str:
    """Of arguments, whatever the order of their names."""
    return hashlib.sha256(msgspec.json.encode(arguments, order="deterministic")).hexdigest()[:24]
