"""What a cassette answers, in the words of invokers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workflow_runtime.engine.awaited import CallAnswer
from workflow_runtime.errors import ErrorDocument, NodeError, WrongArguments
from workflow_runtime.invokers.agents.tool_calls import FAILED, VALUE, WRONG
from workflow_runtime.invokers.agents.waits import APPROVE, CALLBACK, NODE, WORKFLOW
from workflow_runtime.invokers.cassettes.file import ChildOnTape, RunOnTape
from workflow_runtime.invokers.cassettes.tape import Tape
from workflow_runtime.invokers.invocation import NodeResult
from workflow_runtime.invokers.steps import OffRecord
from workflow_runtime.language.json_values import Json


def outcome_of(run: RunOnTape) -> NodeResult:
    """How a recorded attempt ended. Raises `NodeError`."""
    if run.error is not None:
        raise _error(run.error)
    return NodeResult(run.output, run.warnings, is_shaped=True)


def value_of_child(child: ChildOnTape) -> Json:
    """What a recorded execution gave. Raises `NodeError`."""
    if child.error is not None:
        raise _error(child.error)
    return child.output


def value_of(result: Mapping[str, Json]) -> Json:
    """What a recorded call gave. Raises `NodeError`."""
    if FAILED in result:
        type, _, message = str(result[FAILED]).partition(": ")
        raise NodeError(type, message)
    if WRONG in result:
        raise WrongArguments(str(result[WRONG]).removeprefix("validation_error: "))
    if VALUE not in result:
        raise OffRecord("the recorded call has no end")
    return result[VALUE]


def _error(error: Mapping[str, Any]) -> NodeError:
    return NodeError(str(error.get("type") or "execution_error"), str(error.get("message") or ""))


_STEPS_OF_WAITS = {WORKFLOW: ("workflow",), CALLBACK: ("tool",), NODE: ("tool", "agent")}
"""As which steps the calls are recorded that wait, by what they wait for."""


class RecordedAnswers(dict[str, CallAnswer]):
    """What the calls of an agent have waited for, in a replay that goes another way than the record: a workflow or a
    task token that the same call waited for came to the same; people approve what is not really called."""

    def __init__(self, answers: Mapping[str, CallAnswer], tape: Tape, may_call: Callable[[str], bool]) -> None:
        super().__init__(answers)
        self._tape = tape
        self._may_call = may_call

    def __contains__(self, id: object) -> bool:
        return super().__contains__(id) or self._found(str(id)) is not None

    def __missing__(self, id: str) -> CallAnswer:
        found = self._found(id)
        if found is None:
            raise KeyError(id)
        return found

    def _found(self, id: str) -> CallAnswer | None:
        kind, _, rest = id.partition(":")
        target, _, place = rest.rpartition("#")
        if kind == APPROVE:
            return CallAnswer(approved=True, by="what-if") if not self._may_call(target) else None
        kinds = _STEPS_OF_WAITS.get(kind, ())
        arguments = place.partition(".")[2].partition(".")[0]
        found = (self._tape.result_of(f"{name}:{target}", arguments) for name in kinds)
        result = next((result for result in found if result is not None), None)
        if result is None:
            return None
        try:
            return CallAnswer(value=value_of(result))
        except NodeError as error:
            return CallAnswer(error=ErrorDocument.of(error.type, error.message, ""))
