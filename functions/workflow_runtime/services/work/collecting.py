"""In the worker: what puts values together and is too large for the dispatcher, loops among it, whose values are the
recorded runs of their passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workflow_runtime.engine.passes import Items, Log, Page, PassEnd, Passes
from workflow_runtime.engine.values.aggregation import aggregate, operand_values
from workflow_runtime.engine.values.evaluation import NodeValue, View, evaluate
from workflow_runtime.engine.values.passes import contribution, runs_of
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import BindingKind
from workflow_runtime.plan.graph import GraphBlock
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AggregationSpec, LoopSpec, SucceedSpec
from workflow_runtime.ports import Ports
from workflow_runtime.services.dispatch.reads import node_value
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.rendering import Rendering
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.stores import Stores

PASSES_READ_AT_ONCE = 500


class PassCollector:
    def __init__(self, ports: Ports, stores: Stores) -> None:
        self._ports = ports
        self._runs = stores.runs
        self._executions = stores.executions

    async def collected(self, order: Order, spec: LoopSpec, view: View) -> list[Json]:
        """What the passes contributed, in order. Raises `NodeError`."""
        command = order.command
        passes = command.passes
        assert passes is not None, "the order of a loop has them"
        if command.parts:
            return await self._ports.offload(self._joined, command.parts)
        block = view.plan.blocks[spec.body]
        errors = dict(await self._ports.offload(self._values, passes.errors))
        ended = list(passes.having(PassEnd.SUCCESS, PassEnd.FAILED))
        found: list[Json] = []
        for start in range(0, len(ended), PASSES_READ_AT_ONCE):
            chunk = ended[start : start + PASSES_READ_AT_ONCE]
            values = await self._ports.offload(self._read, order, passes, block, chunk)
            given = await self._ports.offload(self._given, spec, block, command.items, chunk)
            for index in chunk:
                if passes.end(index) is PassEnd.SUCCESS:
                    found.append(contribution(block, view, command.path, index, values.get(index, {}), given[index]))
                elif index in errors:
                    found.append({"error": errors[index]})
        return found

    def _read(
        self, order: Order, passes: Passes, block: GraphBlock, chunk: Sequence[int]
    ) -> dict[int, dict[int, NodeValue]]:
        """What is recorded of the nodes of these passes."""
        wanted = {
            run: (index, node)
            for index in chunk
            if passes.end(index) is PassEnd.SUCCESS
            for node, run in runs_of(passes, block, order.command.path, index)
        }
        found: dict[int, dict[int, NodeValue]] = {}
        by_key = {self._runs.key(order.execution_id, *run): place for run, place in wanted.items()}
        for key, item in self._runs.ended(list(by_key)).items():
            index, node = by_key[key]
            found.setdefault(index, {})[node] = node_value(self._runs.run_of(item))
        return found

    def _given(
        self, spec: LoopSpec, block: GraphBlock, items: Items | None, chunk: Sequence[int]
    ) -> dict[int, dict[str, Any]]:
        """What the loop gives to these passes, as far as they are asked for it when they are collected."""
        asked = block.outputs is not None and BindingKind.LOOP in block.outputs.kinds
        first = items.first if items is not None else 0
        given: dict[int, dict[str, Any]] = {index: {"index": first + index} for index in chunk}
        if not asked or items is None:
            return given
        pages: dict[str, list[Json]] = {}
        for index in chunk:
            held = items.of(index)
            item = self._stored(held, pages) if isinstance(held, Page) else held
            given[index] |= dict.fromkeys(("item", "current", spec.name), item)
        return given

    def _joined(self, parts: Sequence[str]) -> list[Json]:
        """What executions that ran passes came to, in one list."""
        return [value for key in parts for value in unpack(self._executions.get_blob(key))]

    def _stored(self, page: Page, pages: dict[str, list[Json]]) -> Json:
        if page.key not in pages:
            pages[page.key] = unpack(self._executions.get_blob(page.key))
        return pages[page.key][page.place]

    def _values(self, log: Log) -> list[Any]:
        return [value for key in log.pages for value in unpack(self._executions.get_blob(key))] + log.tail


def decided(plan: Plan, rendering: Rendering) -> Json:
    """The output of a node that the dispatcher would run itself if its values were smaller."""
    node, view = rendering.node, rendering.view
    inputs = rendering.inputs()
    match node.spec:
        case AggregationSpec() as spec:
            output = aggregate(spec, operand_values(spec, _block_of(plan, rendering.command.path), view), view)
        case SucceedSpec(output=formula) if formula is not None:
            output = evaluate(formula, view, unresolved=rendering.unresolved)
        case _:
            output = inputs
    return rendering.shaped(inputs, output)[0]


def _block_of(plan: Plan, path: str) -> GraphBlock:
    place = plan.locate(path)
    assert place is not None, "only outputs have no node, and they are not aggregated"
    return plan.blocks[place.block]
