"""Answers and failures that a test gives, on top of mock files; and a record of every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.mocks.file import Behaviour, MockFile
from workflow_runtime.language.expressions import compile_template
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.plan.specs import NodeType

Answer: TypeAlias = "Json | Callable[[dict[str, Json]], Json]"
"""What a mock returns: a template over the inputs, as ``return`` in a mock file; or a function of the inputs."""


class Failure(msgspec.Struct):
    """Attempts of ``target`` (a node's path or id, or an agent's or tool's id) fail, ``left`` times more (None:
    always)."""

    target: str
    type: str
    message: str
    left: int | None
    met: bool = False

    def takes(self, call: NodeCall) -> bool:
        path = call.parent.node if call.type is NodeType.SUB_WORKFLOW and call.parent is not None else call.path
        return self.is_for(call.target, path)

    def is_for(self, target: str, path: str) -> bool:
        """Whether it is for a call of ``target`` by the node at ``path``."""
        names = (path, path.rpartition("/")[2], target)
        return self.target in names and (self.left is None or self.left > 0)


class LayeredMocks(Mocks):
    """First the test's failures, then its mocks, then those of the execution's mock file, then none.

    An agent without a mock fails: a test never calls a model. A tool without one really runs.
    """

    def __init__(self) -> None:
        super().__init__(MockFile({}, {}, None))
        self.calls: list[NodeCall] = []
        self.failures: list[Failure] = []
        self._functions: dict[tuple[NodeType, str], Callable[[dict[str, Json]], Json]] = {}
        self._own: dict[tuple[NodeType, str], Mocks] = {}
        self._of_executions: dict[str, Mocks] = {}

    def ids(self, kind: NodeType) -> frozenset[str]:
        """Those that the test itself mocks."""
        return frozenset(id for known, id in (*self._functions, *self._own) if known is kind)

    def set(self, kind: NodeType, id: str, behaviour: Json) -> None:
        """``behaviour``: what a mock file says of this id. Raises `DefinitionError`."""
        self._functions.pop((kind, id), None)
        section = "workflows" if kind is NodeType.SUB_WORKFLOW else f"{kind.value}s"
        self._own[kind, id] = Mocks.load({section: {id: behaviour}})

    def set_function(self, kind: NodeType, id: str, function: Callable[[dict[str, Json]], Json]) -> None:
        self._functions[kind, id] = function

    def use(self, execution_id: str, mocks: Mocks) -> None:
        """Have these mocks answer in an execution, and in those that it brings about."""
        self._of_executions[execution_id] = mocks

    def stands_in(self, workflow_id: str, parent: Parent, correlation_id: str) -> bool:
        """Whether a mock, or a failure, answers in the place of a workflow that ``parent`` starts."""
        if workflow_id in self.ids(NodeType.SUB_WORKFLOW):
            return True
        if any(failure.is_for(workflow_id, parent.node) for failure in self.failures):
            return True
        mocks = self._of_executions.get(correlation_id)
        return mocks is not None and mocks.stands_in(workflow_id, parent, correlation_id)

    def behaviour(self, kind: NodeType, call: NodeCall) -> Behaviour | None:
        self.calls.append(call)
        self._fail(call)
        function = self._functions.get((kind, call.target))
        if function is not None:
            return Behaviour(result=compile_template(_literal(_answer(function, call))))
        own = self._own.get((kind, call.target))
        if own is not None:
            return own.behaviour(kind, call)
        mocks = self._of_executions.get(call.execution_id) or self._of_executions.get(call.correlation_id)
        found = mocks.behaviour(kind, call) if mocks is not None else None
        if found is None and kind is NodeType.AGENT:
            hint = f"runtime.mock_agent({call.target!r}, …) gives it one"
            raise NodeError("not_found", f"agent {call.target!r} has no mock in this test; {hint}")
        return found

    def _fail(self, call: NodeCall) -> None:
        for failure in self.failures:
            if failure.takes(call):
                failure.met = True
                if failure.left is not None:
                    failure.left -= 1
                raise NodeError(failure.type, failure.message)


def _answer(function: Callable[[dict[str, Json]], Json], call: NodeCall) -> Json:
    try:
        return to_json(function(call.inputs))
    except NotJson as error:
        raise NodeError("validation_error", f"the mock of {call.target!r} did not return JSON: {error}") from None


def _literal(value: Any) -> Any:
    """``value`` as a template that yields it."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, list) else value
