"""Mocks at work: which behaviour a call gets, and the invoker that acts it out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import DefinitionError, NodeError
from workflow_runtime.findings import Finding
from workflow_runtime.invokers.agents.schemas import expected_schema
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond
from workflow_runtime.invokers.invocation import Invoker, NodeCall, NodeResult
from workflow_runtime.invokers.mocks.file import Behaviour, Case, MockFile, read_mocks
from workflow_runtime.language.expressions import (
    RESERVED_NAMES,
    EvaluationError,
    Expression,
    Scope,
    Template,
)
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.language.schemas import SchemaUnusable, schema_problems
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.texts import quoted
from workflow_runtime.language.yaml.small_files import UNKNOWN_MOCK, WRONG_FIELD, Document, read_document
from workflow_runtime.plan.addresses import passes_around
from workflow_runtime.plan.limiters import Budget
from workflow_runtime.plan.specs import NodeType

COUNTERS_MAX = 10_000  # nodes with lists that are counted at once; a long-lived `awr dev` forgets the oldest

Sleep = Callable[[float], Awaitable[None]]


class Mocks:
    """The mocks of one file, and how often each listed one was called."""

    def __init__(self, file: MockFile, document: Document | None = None) -> None:
        self._file = file
        self._document = document or Document(None)
        self._calls: OrderedDict[tuple[str, str, str, str], int] = OrderedDict()

    @classmethod
    def load(cls, source: Path | str | Mapping[str, Json]) -> Mocks:
        """Mocks from a YAML file or from its content. Raises `DefinitionError` with everything that is wrong."""
        document = Document(source) if isinstance(source, Mapping) else read_document(Path(source))
        findings: list[Finding] = []
        try:
            file = read_mocks(replace(document, value=to_json(document.value)), findings)
        except NotJson as error:
            raise DefinitionError([document.finding(WRONG_FIELD, str(error), error.path[::-1])]) from None
        if findings:
            raise DefinitionError(findings)
        return cls(file, document)

    def ids(self, kind: NodeType) -> frozenset[str]:
        """The agents, tools or workflows that have a mock of their own."""
        return frozenset(self._file.of(kind))

    def stands_in(self, workflow_id: str, parent: Parent, correlation_id: str) -> bool:  # noqa: ARG002
        """Whether a mock answers in the place of a workflow that ``parent`` starts."""
        return workflow_id in self.ids(NodeType.SUB_WORKFLOW)

    def unknown(
        self, agents: Collection[str], tools: Collection[str], workflows: Collection[str] = ()
    ) -> list[Finding]:
        """A finding for each mock of what is none of these ``agents``, ``tools`` and ``workflows``."""
        found = []
        for id in self.ids(NodeType.SUB_WORKFLOW) - set(workflows):
            message = f"no workflow starts the workflow {quoted(id)}"
            hint = did_you_mean(id, sorted(workflows))
            found.append(self._document.finding(UNKNOWN_MOCK, message, ("workflows", id), hint))
        for kind, known, other in ((NodeType.AGENT, agents, tools), (NodeType.TOOL, tools, agents)):
            section = f"{kind.value}s"
            for id in self.ids(kind) - set(known):
                hint = did_you_mean(id, known)
                if id in other:
                    meant = "tool" if kind is NodeType.AGENT else "agent"
                    hint = f"{quoted(id)} is {'a' if meant == 'tool' else 'an'} {meant}: write it below `{meant}s`."
                message = f"no workflow calls the {kind.value} {quoted(id)}, and it is not registered"
                found.append(self._document.finding(UNKNOWN_MOCK, message, (section, id), hint))
        return sorted(found, key=lambda finding: (finding.line, finding.column, finding.message))

    def behaviour(self, kind: NodeType, call: NodeCall) -> Behaviour | None:
        """What this call does, the list's place counted on; None: there is no mock and no default."""
        listed = self._file.of(kind).get(call.target)
        if listed is None:
            return self._file.default if kind is not NodeType.SUB_WORKFLOW else None
        if len(listed) == 1:
            return listed[0]
        caller = (call.execution_id, call.path)
        if kind is NodeType.SUB_WORKFLOW and call.parent is not None:  # every call is an execution of its own
            caller = (call.parent.execution_id, call.parent.node)
        key = (kind.value, call.target, *caller)
        count = self._calls.pop(key, 0)
        self._calls[key] = count + 1
        if len(self._calls) > COUNTERS_MAX:
            self._calls.popitem(last=False)
        return listed[min(count, len(listed) - 1)]


class Unmocked:
    """What is called in the place of a workflow whose mock is gone."""

    abandoned = 0

    def limiters(self, target: str) -> Sequence[str]:  # noqa: ARG002
        return ()

    def budget(self, target: str) -> Budget | None:  # noqa: ARG002
        return None

    def beyond(self, target: str) -> Beyond:  # noqa: ARG002
        return NOTHING_BEYOND

    async def invoke(self, call: NodeCall) -> NodeResult:
        raise NodeError("not_found", f"the workflow {call.target!r} has no mock any more")


class MockedInvoker:
    """Answers calls from mocks; calls without one go to ``fallback``.

    ``sleep`` is the clock's: a delay passes in its time. ``agent_schema``: the output schema that an agent declares,
    by id; a mocked agent's output is held to it, or to the node's, as a real one's would be.
    """

    def __init__(
        self,
        mocks: Mocks,
        kind: NodeType,
        fallback: Invoker,
        sleep: Sleep,
        agent_schema: Callable[[str], Json] | None = None,
    ) -> None:
        self._mocks = mocks
        self._kind = kind
        self._fallback = fallback
        self._sleep = sleep
        self._agent_schema = agent_schema

    @property
    def abandoned(self) -> int:
        return self._fallback.abandoned

    def limiters(self, target: str) -> Sequence[str]:
        return self._fallback.limiters(target)

    def budget(self, target: str) -> Budget | None:
        return self._fallback.budget(target)

    def beyond(self, target: str) -> Beyond:
        return self._fallback.beyond(target)

    async def invoke(self, call: NodeCall) -> NodeResult:
        """One attempt. Raises `NodeError`: what the mock raises, ``execution_error`` when no case matches or a
        template fails, ``validation_error`` when a mocked agent's output does not match its schema."""
        behaviour = self._mocks.behaviour(self._kind, call)
        if behaviour is None:
            return await self._fallback.invoke(call)
        names = {name: value for name, value in call.inputs.items() if name not in RESERVED_NAMES}
        passes = passes_around(call.path)
        index = {"index": passes[-1][1]} if passes else {}
        scope = Scope({**names, **index, "inputs": call.inputs})
        behaviour = self._chosen(behaviour, scope, call)
        if behaviour.delay_seconds:
            await self._sleep(behaviour.delay_seconds)
        if behaviour.error is not None:
            raise NodeError(*behaviour.error)
        output = self._evaluate(behaviour.result, scope, call, "return") if behaviour.result else None
        self._check(output, call)
        return NodeResult(output)

    def _chosen(self, behaviour: Behaviour, scope: Scope, call: NodeCall) -> Behaviour:
        if behaviour.cases is None:
            return behaviour
        for case in behaviour.cases:
            if self._matches(case, scope, call):
                return case.behaviour
        if behaviour.default is not None:
            return behaviour.default
        expressions = ", ".join(repr(case.source) for case in behaviour.cases)
        nowhere = f" (found nothing at {', '.join(scope.unresolved)})" if scope.unresolved else ""
        inputs = ", ".join(call.inputs) or "none"
        raise NodeError(
            "execution_error",
            f"{self._name(call)}: no case matches: {expressions}{nowhere}; inputs: {inputs}; add a `default`",
        )

    def _matches(self, case: Case, scope: Scope, call: NodeCall) -> bool:
        return bool(self._evaluate(case.match, scope, call, f"match {case.source!r}"))

    def _evaluate(self, formula: Expression | Template, scope: Scope, call: NodeCall, what: str) -> Json:
        try:
            return formula.evaluate(scope)
        except EvaluationError as error:
            raise NodeError("execution_error", f"{self._name(call)}: {what}: {error}") from None

    def _check(self, output: Json, call: NodeCall) -> None:
        if self._kind is not NodeType.AGENT:
            return
        declared = self._agent_schema(call.target) if self._agent_schema else None
        schema = expected_schema(call, declared)
        if schema is None:
            return
        try:
            problems = schema_problems(schema, output)
        except SchemaUnusable as error:
            raise NodeError("validation_error", f"{self._name(call)}: output_schema: {error}") from None
        if problems:
            message = f"{self._name(call)}: its output does not match the schema: {'; '.join(problems)}"
            raise NodeError("validation_error", message)

    def _name(self, call: NodeCall) -> str:
        kind = "workflow" if self._kind is NodeType.SUB_WORKFLOW else self._kind.value
        return f"mock of {kind} {call.target!r}"
