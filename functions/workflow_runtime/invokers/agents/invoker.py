"""Runs one attempt of an agent node on pydantic-ai, which is imported when the first agent runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.definition import AGENT_QUOTA, AgentDefinition
from workflow_runtime.invokers.agents.guardrails import Guard
from workflow_runtime.invokers.agents.offers import descriptions_of_called, offers_of
from workflow_runtime.invokers.agents.places import check_places
from workflow_runtime.invokers.agents.references import references_of
from workflow_runtime.invokers.agents.registry import AgentRegistry
from workflow_runtime.invokers.agents.schemas import expected_schema
from workflow_runtime.invokers.agents.step_log import PUBLISHED, GoesOn, StepLog
from workflow_runtime.invokers.agents.waits import Deferred
from workflow_runtime.invokers.containment import Containment
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond, NestedBudget
from workflow_runtime.invokers.invocation import Invoker, Meter, NodeCall, NodeResult
from workflow_runtime.invokers.tools.invoker import ToolInvoker
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.invokers.usage import total
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import SchemaUnusable
from workflow_runtime.language.suggestions import with_hint
from workflow_runtime.plan.limiters import Budget
from workflow_runtime.storage.steps import Step

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from workflow_runtime.invokers.agents.model_choices import ModelChoice
    from workflow_runtime.invokers.agents.models import Keys
    from workflow_runtime.invokers.agents.run import AgentRun

Models = Callable[["ModelChoice"], "Model | str"]


class AgentInvoker:
    """Runs agents. ``models`` says what each of an agent's models stands for (a pydantic-ai model or its name); by
    default, they are what they say. ``tools``: those that agents may be offered, which ``tool_invoker`` runs.
    ``reach``: where the models of agents may be that were published at run time."""

    def __init__(
        self,
        registry: AgentRegistry,
        models: Models | None = None,
        tools: ToolRegistry | None = None,
        tool_invoker: Invoker | None = None,
        reach: Reach = LOCAL_REACH,
    ) -> None:
        self._registry = registry
        self._models = models
        self._tools = tools if tools is not None else ToolRegistry(())
        self._tool_invoker = tool_invoker or ToolInvoker(self._tools)
        self._reach = reach
        self._containment = Containment()

    @property
    def abandoned(self) -> int:
        """Agents that still run although their attempt was cancelled, and tools that they called."""
        return self._containment.abandoned + self._tool_invoker.abandoned

    def limiters(self, target: str) -> Sequence[str]:
        """Those of its first model."""
        agent = self._registry.get(target)
        return agent.limiters_of(agent.models[0]) if agent is not None else (f"{AGENT_QUOTA}{target}",)

    def budget(self, target: str) -> Budget | None:
        """That of the agent."""
        agent = self._registry.get(target)
        return agent.visit_budget if agent is not None else None

    def beyond(self, target: str) -> Beyond:
        """Of its further models, and of the agents that it calls or is checked by."""
        agent = self._registry.get(target)
        if agent is None:
            return NOTHING_BEYOND
        others = [self._registry.get(reference.id) for reference in references_of(agent) if reference.kind == "agent"]
        within = [(other, self.beyond(other.id)) for other in others if other is not None]
        names = [agent.limiters_of(choice) for choice in agent.models[1:]]
        for other, beyond in within:
            names += [other.limiters_of(other.models[0]), beyond.limiters]
        budgets = any(other.visit_budget is not None or beyond.budgets for other, beyond in within)
        return Beyond(tuple(dict.fromkeys(name for some in names for name in some)), budgets)

    async def invoke(self, call: NodeCall) -> NodeResult:
        """One attempt. Raises `NodeError`: ``not_found``, ``validation_error``, ``rate_limited``, ``timeout``,
        ``budget_exceeded``, ``guardrail_failed``, ``replay_diverged``, ``effect_unknown``, ``session_busy``,
        ``not_allowed``, ``execution_error``."""
        log = StepLog(call.steps, call.log, call.meter, call.is_ending)
        began = await log.read()
        agent, is_published = self._now(call.target) if began is None else _as_it_was(began)
        try:
            from workflow_runtime.invokers.agents.model_errors import node_error
            from workflow_runtime.invokers.agents.model_steps import Paid
            from workflow_runtime.invokers.agents.models import revealed
            from workflow_runtime.invokers.agents.run import AgentRun
            from workflow_runtime.invokers.agents.spans import below_run
        except ImportError as error:
            raise NodeError(
                "execution_error",
                f"agents need pydantic-ai ({error.name} is not installed): "
                'pip install "agent-workflow-runtime[agents]", or the extra of a provider: bedrock, anthropic, openai',
            ) from None
        if is_published:
            await check_places(agent, self._reach)
        called = began.arguments if began is not None else None
        if not isinstance(called, dict):
            called = descriptions_of_called(agent, self._registry)
        if began is None:
            said = agent.model_dump(mode="json", by_alias=True, exclude_unset=True)
            counts = await log.begin_visit(said, called, is_published=is_published, has_tools=bool(agent.tools))
            agent = AgentDefinition.model_validate(counts)
        call, keys = await revealed(agent, call)
        if call.within and agent.visit_budget is not None:
            call = replace(call, budgets=(*call.budgets, NestedBudget(call.within, agent.id, agent.visit_budget)))
        paid = Paid(agent.models[0].name)
        checked = Meter()
        guard = Guard(agent, call, log, self._tool_invoker.invoke, self.invoke, checked)
        run = AgentRun(agent, expected_schema(call, agent.output_schema), call, log, paid, guard)
        try:
            with below_run(call):
                outcome = await self._containment.run(self._run(run, agent, called, call, keys))
        finally:
            call.meter.usage = total(
                (paid.usage, checked.usage, call.meter.usage)
            )  # also of an attempt that failed, or that nobody waits for any more
        raised = outcome.error
        if isinstance(raised, GoesOn):
            return NodeResult(None, goes_on=True)
        if isinstance(raised, Deferred):
            return NodeResult(None, goes_on=True, waits=raised.waits)
        if raised is None or isinstance(raised, NodeError):
            return outcome.result()
        if isinstance(raised, SchemaUnusable):
            raise NodeError("validation_error", f"agent {agent.id!r}: output_schema: {raised}")
        # Every provider raises its own errors: they are sorted into error types in one place. Without the cause: errors
        # of providers quote keys and requests, and causes reach the logs.
        raise node_error(agent, raised, run.problems) from None

    def _now(self, id: str) -> tuple[AgentDefinition, bool]:
        """The agent, and whether it was published at run time. Raises `NodeError`."""
        found = self._registry.find(id)
        if found is None:
            raise NodeError("not_found", with_hint(f"there is no agent {id!r}", id, self._registry.ids))
        return found

    async def _run(
        self, run: AgentRun, agent: AgentDefinition, called: Mapping[str, Json], call: NodeCall, keys: Keys
    ) -> NodeResult:
        from workflow_runtime.invokers.agents.models import model_of

        model, settings = model_of(agent, call, keys, self._models)
        offers = await offers_of(agent, self._tools, called, call.workflow_schema)
        return await run(model, settings, offers, self._tool_invoker, self.invoke)


def _as_it_was(began: Step) -> tuple[AgentDefinition, bool]:
    """The agent with which a visit began, whatever became of it, and whether it was published at run time."""
    return AgentDefinition.model_validate(began.result), began.fingerprint == PUBLISHED
