"""In the worker: reading what the formulas of an order may read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.plan import segments
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Item, Key, Ports
from workflow_runtime.services.dispatch.reads import node_value
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.deciding import formulas_of
from workflow_runtime.services.work.rendering import lacks_names, needs_globals
from workflow_runtime.services.work.under_way import Values
from workflow_runtime.storage import keys
from workflow_runtime.storage.headers import header_of
from workflow_runtime.storage.payloads import is_at_hand
from workflow_runtime.storage.stores import Stores

Made = TypeVar("Made")


class Reading:
    """Reads for a worker, each batch of it in one request."""

    def __init__(self, ports: Ports, stores: Stores) -> None:
        self._ports = ports
        self._executions = stores.executions
        self._runs = stores.runs

    async def values(self, plan: Plan, order: Order, node: NodePlan | None) -> Values:
        """Header and inputs, those of followers included, in one batch and, of what has ended before, one at half the
        price beside it."""
        command, execution_id = order.command, order.execution_id
        formulas = formulas_of(plan, node, order)
        if command.caller >= 0:
            formulas = (*formulas, *filter(None, (plan.node(command.caller).inputs,)))
        for follower in command.followers:
            formulas = (*formulas, *segments.formulas_of(plan.node(follower)))
        header_key = keys.execution(execution_id, keys.HEADER)
        input_key = keys.input(execution_id, command.replaced)
        run_keys = {keys.run(execution_id, read.path(plan), read.serial): read.node for read in command.reads}
        undoes = command.undoes
        undone = keys.run(execution_id, undoes.path(plan), undoes.serial) if undoes is not None else None
        wanted = [header_key, *([undone] if undone is not None else [])]
        if needs_globals(formulas) or lacks_names(plan, command, formulas):
            wanted.append(input_key)
        items = await self._ports.offload(self._found, wanted, list(run_keys))
        if header_key not in items:
            raise InvalidEvent(f"there is no execution {execution_id}")
        header = header_of(execution_id, items[header_key])
        values = Values(header, {}, undone=items[undone] if undone is not None else None)
        if header.status.terminal or header.status is ExecutionStatus.SUSPENDED:
            return values
        for key, index in run_keys.items():
            values.nodes[index] = node_value(await self._made(self._runs.run_of, items[key], "output"))
        if input_key in items:
            values.globals = await self._made(self._executions.globals_of, items[input_key], "data")
        return values

    async def _made(self, make: Callable[[Item], Made], item: Item, held: str) -> Made:
        """What is made of an item, whose payload may have to be read first."""
        if is_at_hand(item.attributes.get(held)):
            return make(item)
        return await self._ports.offload(make, item)

    def _found(self, wanted: Sequence[Key], ended: Sequence[Key]) -> dict[Key, Item]:
        """The items, and those of runs that have ended, read beside them."""
        if not ended:
            return self._ports.table.get(wanted)
        found: dict[Key, Item] = {}
        self._ports.together(
            [lambda: found.update(self._ports.table.get(wanted)), lambda: found.update(self._runs.ended(ended))]
        )
        return found
