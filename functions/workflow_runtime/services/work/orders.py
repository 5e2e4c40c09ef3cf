"""In the worker: an order with all that it refers to."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from workflow_runtime.engine.awaited import CallAnswer
from workflow_runtime.engine.passes import Page
from workflow_runtime.engine.payloads import with_payload
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Item
from workflow_runtime.services.messages import Order
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.stores import Stores


def refers_elsewhere(order: Order) -> bool:
    """Whether a part of it is stored apart, because it is large."""
    command = order.command
    return command.blob is not None or bool(command.answers or command.pages)


class Orders:
    def __init__(self, stores: Stores) -> None:
        self._executions = stores.executions
        self._runs = stores.runs

    def told(self, order: Order, undone: Item) -> Order:
        """The order of a compensation with what it sees of the run that it undoes."""
        names = {"inputs": self._runs.inputs_of(undone), "output": self._runs.run_of(undone).output}
        return replace(order, command=replace(order.command, names={**order.command.names, **names}))

    def whole(self, order: Order) -> Order:
        """The order with what was stored apart, because it is large."""
        command = order.command
        if command.blob is not None:
            command = with_payload(command, unpack(self._executions.get_blob(command.blob)))
        if command.answers:
            command = replace(command, answers={id: self._answer(said) for id, said in command.answers.items()})
        if command.pages:
            command = replace(command, names={**command.names, **self._read(command.pages)}, pages={})
        return order if command is order.command else replace(order, command=command)

    def _answer(self, said: CallAnswer) -> CallAnswer:
        """What came of a call, with what was stored apart of it."""
        if said.blob is None:
            return said
        return replace(said, value=unpack(self._executions.get_blob(said.blob)), blob=None)

    def _read(self, pages: Mapping[str, Page]) -> dict[str, Json]:
        """Values that were stored apart, by name."""
        stored = {page.key: unpack(self._executions.get_blob(page.key)) for page in pages.values()}
        return {name: stored[page.key][page.place] for name, page in pages.items()}
