"""What a pass of a loop contributes to its output, for a worker that puts that together from recorded runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from workflow_runtime.engine.passes import Passes
from workflow_runtime.engine.values.evaluation import NOT_RUN, NodeValue, View
from workflow_runtime.engine.values.outputs import scope_output
from workflow_runtime.errors import NodeError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import pass_address
from workflow_runtime.plan.graph import GraphBlock

Run = tuple[str, int]
"""Path and serial of a run."""


def runs_of(passes: Passes, block: GraphBlock, loop: str, index: int) -> Iterator[tuple[int, Run]]:
    """The runs that a pass's contribution may be made of, by node; of a node that did not run, nothing is recorded."""
    serials = passes.serials.get(index, {})
    for node in block.contributors:
        path = f"{pass_address(loop, index)}/{block.nodes[node].id}"
        yield node, (path, serials.get(node, passes.serial(index)))


def contribution(
    block: GraphBlock, view: View, loop: str, index: int, found: Mapping[int, NodeValue], given: dict[str, Json]
) -> Json:
    """The output of a pass. ``view``: what is seen around the loop; ``found``: what is recorded of the pass's nodes;
    ``given``: what the loop gives it. Raises `NodeError`."""
    values = {block.first + node: found.get(node, NOT_RUN) for node in block.contributors}
    seen = replace(
        view,
        nodes={**view.nodes, **values},
        names={**view.names, **given},
        place=f"{pass_address(loop, index)}/~outputs",
    )
    succeeded_by = next((node for node in block.final if node in found and found[node].status == "success"), -1)
    try:
        return scope_output(view.plan, block, succeeded_by, seen)
    except NodeError as error:
        raise collecting_failed(index, error) from error


def collecting_failed(index: int, error: NodeError) -> NodeError:
    """The error of a pass whose contribution cannot be put together."""
    return NodeError(error.type, f"pass {index}: {error.message.replace('outputs: ', 'collect: ', 1)}")
