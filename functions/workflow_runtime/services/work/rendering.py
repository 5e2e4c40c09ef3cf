"""In the worker: what a node sees, its inputs, its call, and the shape of its output."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.state import Parent
from workflow_runtime.engine.values.evaluation import NodeValue, View, evaluate
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import OF_AGENT, NodeCall, NodeSession, Reveal, reveal_nothing
from workflow_runtime.invokers.masking import NOTHING_SECRET, VALUES_MAX, Derived, Mask, blended, texts_in
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import GLOBAL_KINDS, BindingKind, Formula
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, NodeType, ToolSpec
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.callbacks import AttemptToken
from workflow_runtime.storage.records import Globals


def needs_globals(formulas: tuple[Formula, ...]) -> bool:
    return any(not formula.kinds.isdisjoint(GLOBAL_KINDS) for formula in formulas)


def lacks_names(plan: Plan, command: RunNode, formulas: tuple[Formula, ...]) -> bool:
    """Whether a name that no chart around the node has may be a workflow variable or a key of the input."""
    return not plan.has_chart and any(
        binding.kind is BindingKind.SCOPED and binding.name not in command.names
        for formula in formulas
        for binding in formula.bindings
    )


def view_of(
    plan: Plan, order: Order, nodes: Mapping[int, NodeValue], data: Globals | None, secrets: Mapping[str, str]
) -> View:
    """What the ordered node's formulas see: the reads its command lists, no more and no less."""
    command = order.command
    ended = {index: NodeValue(status) for index, status in command.statuses.items()}
    return View(
        plan=plan,
        execution_id=order.execution_id,
        workflow_version=order.workflow_version,
        started_at=order.started_at,
        now=command.at,
        place=f"{command.path}:{command.visit}",
        nodes={**ended, **nodes},
        globals=msgspec.to_builtins(data) if data is not None else {},
        previous=command.previous,
        names=command.names,
        states=frozenset(command.states),
        reopened=command.reopened,
        secrets=secrets,
    )


class Rendering:
    """Evaluates one node's formulas, noting paths that led nowhere (``unresolved``), comparisons of a text with a
    number (``doubts``), and what was made of secrets. ``rendered``: its inputs, once there are any; ``token``: of its
    attempt."""

    def __init__(self, node: NodePlan, view: View, command: RunNode, token: AttemptToken) -> None:
        self.command = command
        self.token = token
        self._masked_token = ""
        self.node = node
        self.unresolved: list[str] = []
        self._derived: list[Derived] = []
        self._mask: Mask | None = None
        self._revealed: list[str] = []
        self.doubts: list[str] = []
        self.view = replace(view, doubt=self.doubts.append)
        self.rendered: dict[str, Json] | None = None

    @property
    def mask(self) -> Mask:
        """Hides what the node's inputs hold of secrets, and those that were asked for beside."""
        if not self.view.secrets and not self.token.value and not self._revealed:
            return NOTHING_SECRET
        if self._mask is None or self._masked_token != self.token.value:
            self._masked_token = self.token.value
            self._mask = Mask([*self.view.secrets.values(), self._masked_token, *self._revealed], self._derived)
        return self._mask

    def hide(self, secret: str) -> Mask:
        """Have the mask hide a secret that whoever runs the call has asked for."""
        self._revealed.append(secret)
        self._mask = None
        return self.mask

    def call(
        self,
        order: Order,
        workflow_id: str,
        deadline: int,
        fences: Mapping[str, int],
        parent: Parent | None = None,
        reveal: Reveal = reveal_nothing,
    ) -> NodeCall:
        """The node's call, inputs rendered. ``fences``: those of what it has taken of limiters; ``reveal``: gives
        secrets that inputs do not hold. Raises `NodeError`."""
        spec = self.node.spec
        assert isinstance(spec, (AgentSpec, ToolSpec))
        agent = spec if isinstance(spec, AgentSpec) else None
        prompt = agent.prompt if agent is not None else None
        command = order.command
        inputs = self.inputs()
        if self.mask.overflows:
            raise NodeError("execution_error", f"inputs: more than {VALUES_MAX:,} values are made of secrets")
        return NodeCall(
            type=self.node.type,
            target=self._target(spec.target, spec.allow),
            inputs=inputs,
            execution_id=order.execution_id,
            workflow_id=workflow_id,
            path=command.path,
            attempt=command.attempt,
            idempotency_key=f"{order.execution_id}:{command.path}:{command.visit}",
            deadline=deadline,
            prompt=str(self._value(prompt, "prompt")) if prompt is not None else None,
            output_schema=agent.output_schema if agent is not None else None,
            session=self._session(agent) if agent is not None else OF_AGENT,
            output_fields=self.node.output_fields,
            hops=order.hops,
            correlation_id=order.correlation_id,
            parent=parent,
            mask=self.mask,
            limit_fences=dict(fences),
            make_token=self.token,
            reveal=reveal,
            serial=command.serial,
            visit=command.visit,
            log=command.log,
            answers=self.command.answers,
        )

    def _session(self, spec: AgentSpec) -> NodeSession:
        name = self._value(spec.session, "session") if spec.session is not None else UNSET
        return NodeSession(name, spec.on_busy, is_none=spec.has_no_session)

    def inputs(self) -> dict[str, Json]:
        if self.command.has_inputs:
            value: Json = dict(self.command.inputs)
        else:
            value = self._value(self.node.inputs, "inputs") if self.node.inputs is not None else {}
        self.rendered = value if isinstance(value, dict) else {}
        self._mask = None
        return self.rendered

    def shaped(self, inputs: dict[str, Json], output: Json) -> tuple[Json, tuple[str, ...]]:
        """The output as the node's ``outputs`` says, and warnings about fields that it lacked."""
        if self.node.shape is not None:
            return self._shape(self.node.shape, inputs, output), ()
        fields = self.node.output_fields
        if fields is None:
            return output, ()
        source = output if isinstance(output, dict) else {}
        missing = tuple(f"output has no field {field!r}" for field in fields if field not in source)
        return {field: source.get(field) for field in fields}, missing

    def _shape(self, shape: Formula, inputs: dict[str, Json], output: Json) -> Json:
        """What ``outputs`` makes of inputs and output, without what depends on secrets: it is made once as it is and
        once without them, and what differs is not told.
        """
        value = self._value(shape, "outputs", {"inputs": inputs, "output": output})
        hidden = {"inputs": self.mask.value(inputs), "output": self.mask.value(output)}
        if not self.mask or hidden == {"inputs": inputs, "output": output}:
            return value
        try:
            return blended(value, self._value(shape, "outputs", hidden))
        except NodeError:  # `***` is not what a function takes
            return blended(value, None, texts_in(hidden))

    def _target(self, target: str | Formula, allow: tuple[str, ...]) -> str:
        if isinstance(target, str):
            return target
        value = self._value(target, "agent" if self.node.type is NodeType.AGENT else "tool")
        if value not in allow:
            raise NodeError("not_allowed", f"{value!r} is not one of the allowed: {', '.join(allow)}")
        return str(value)

    def _value(self, formula: Formula, field: str, locals: Mapping[str, Json] | None = None) -> Json:
        try:
            return evaluate(formula, self.view, locals or {}, self.unresolved, self._derived)
        except EvaluationError as error:
            shown = error.without_quote() if self.view.secrets else error
            raise NodeError("execution_error", f"{field}: {shown}") from None
