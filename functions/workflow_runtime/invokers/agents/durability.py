"""pydantic-ai's agents on the step log: its interface for engines of durable agents, as this runtime fills it.

Every model request, and every operation that a capability declares durable, is a step. Tools are not here: they are
steps with a ledger of effects (`toolset`). Imports pydantic-ai: import it only to run an agent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityCodec,
    DurabilityEngineSpec,
    DurableOperationBackend,
    DurableOperationId,
    JournalCallableOperationBackend,
    ModelRequestId,
    RoleBasedOperationConfig,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelResponse

from workflow_runtime.invokers.agents.fingerprints import difference
from workflow_runtime.invokers.agents.model_steps import ModelSteps
from workflow_runtime.invokers.agents.step_log import StepLog
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.steps import Step


class StepCodec(DurabilityCodec):
    """What is recorded is JSON; an answer that a model has just given goes on as it is, whatever JSON makes of it."""

    def dump(self, tp: Any, value: Any) -> Any:
        return value if isinstance(value, ModelResponse) else JSON_CODEC.dump(tp, value)

    def load(self, tp: Any, payload: Any) -> Any:
        return payload if isinstance(payload, ModelResponse) else JSON_CODEC.load(tp, payload)


_CONFIG = RoleBasedOperationConfig[None](model=None, event=None, capability=None, tool=None)


class AwrDurability(BaseDurabilityCapability[Any]):
    """Has one run of an agent go through its step log."""

    engine_spec = DurabilityEngineSpec(
        engine_name="Agent Workflow Runtime",
        durable_unit_noun="step",
        durable_container_noun="visit",
        codec=StepCodec(),
        wrapped_toolset_kinds=frozenset(),
    )
    in_durable_context = True

    def __init__(self, log: StepLog, models: ModelSteps) -> None:
        super().__init__()
        self._log = log
        self._models = models

    def get_durable_operation_backend(self) -> DurableOperationBackend[None]:
        return StepBackend(self._log, self._models, self.name)


class StepBackend(JournalCallableOperationBackend[None]):
    """Carries durable operations out as steps."""

    def __init__(self, log: StepLog, models: ModelSteps, agent: str) -> None:
        super().__init__(agent_name=agent, config=_CONFIG)
        self._log = log
        self._models = models

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: None,  # noqa: ARG002  one for all
    ) -> object:
        if isinstance(operation_id, ModelRequestId):
            if operation_id.streaming:
                raise UserError("model requests of a durable agent are streamed inside their step, not around it")
            messages: Any
            parameters: Any
            _, messages, _, parameters, *_ = cache_key  # as pydantic-ai projects a request
            request: Any = body
            return await self._models.take(messages, parameters, request)
        step = Step(name=name, ordinal=self._log.next_of(name))

        async def do() -> Step:
            result: Json = await body()
            return Step(name=step.name, ordinal=step.ordinal, result=result)

        return (await self._log.take(step, do, difference)).result
