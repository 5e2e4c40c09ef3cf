"""Freezes: switches that hold back starts and node runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BeforeValidator

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.operator_models import ControlRequest
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.services.freeze.requests import held_json, switch_json

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

Scope = Annotated[
    str, BeforeValidator(unquote), Path(description="`all`, `workflow:ID` or `agent:ID`; percent-encoded.")
]


class Switches:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def listing(self, request: Request) -> Answer:  # noqa: ARG002
        """What is frozen, and what is being thawed."""
        found = await self._runtime.ports.offload(self._runtime.freezes.list)
        return json_answer({"items": [switch_json(switch) for switch in found]})

    async def get(self, request: Request, scope: Scope) -> Answer:  # noqa: ARG002
        """A freeze, and the first 100 things that it holds."""
        switch, held, more = await self._runtime.ports.offload(self._runtime.freezes.held, scope)
        return json_answer({**switch_json(switch), "held": [held_json(one) for one in held], "more": more})

    async def freeze(self, request: Request, scope: Scope) -> Answer:
        """Freeze, within seconds: executions of the workflow are accepted and stay `pending`; runs of the agent stay
        `ready` and wait for `frozen`; `all` is both, for all workflows, agents and tools. What runs already goes on.
        """
        body = parsed_body(request, ControlRequest)
        asked = await self._runtime.ports.offload(self._runtime.freezes.freeze, scope, body.reason, by=request.caller)
        return json_answer(asked.json())

    async def thaw(self, request: Request, scope: Scope) -> Answer:  # noqa: ARG002
        """Thaw: what was held goes on, in order, within seconds."""
        asked = await self._runtime.ports.offload(self._runtime.freezes.thaw, scope)
        return json_answer(asked.json())
