"""The loop. Its body is a graph of its own; what is read of a pass is compiled there."""

from __future__ import annotations

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.kinds.kind import Checking, NodeKind, NodeParts, expression, template
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.loop import LoopNode
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.specs import LoopSpec

CONDITIONAL_PASSES_MAX = 100  # of a loop that nobody knows the end of
COUNTED_PASSES_MAX = 100_000
CHAINED_NAMES = frozenset({"previous_iteration", "iterations"})
"""Names of the results of earlier passes: only passes that run one after the other know those."""
BODY_FORMULAS = (expression("while_condition"), expression("until"))
"""Fields of a loop that are read in a pass; `collect` is what its graph yields."""


def _output(_: LoopNode, __: Catalogue | None) -> Json:
    return {"type": "array"}


def _check(node: LoopNode, checking: Checking) -> None:
    most = node.max_iterations or COUNTED_PASSES_MAX
    if isinstance(node.items, list) and not checking.unread("items", "max_iterations"):
        count = -(-len(node.items) // (node.batch_size or 1))
        _check_count(node, count, most, "items", checking)
    if isinstance(node.times, int) and not checking.unread("times", "max_iterations"):
        _check_count(node, node.times, most, "times", checking)
    if node.tolerated_failures is None or checking.unread("tolerated_failures", "items", "times"):
        return
    if node.on_item_error is None and node.tolerated_failures in (0, "0%"):
        message = "no failure is tolerated, which is so without `tolerated_failures`"
        checking.report.add(rules.NO_EFFECT, message, (*checking.place, "tolerated_failures"))


def _check_count(node: LoopNode, count: int, most: int, field: str, checking: Checking) -> None:
    if not count:
        message = f"the body of `{node.id}` never runs: there are no passes"
        checking.report.add(rules.UNREACHABLE, message, (*checking.place, field))
    elif count > most and node.on_max_iterations == "fail":
        message = f"`{node.id}` always fails: {count:,} passes are more than {most:,}"
        checking.report.add(rules.TOO_MANY_PASSES, message, (*checking.place, field))


def _spec(node: LoopNode, parts: NodeParts) -> LoopSpec:
    share = isinstance(node.tolerated_failures, str)
    tolerated = node.tolerated_failures
    default = "fail" if tolerated is None else "skip"
    times = parts.formula("times") if isinstance(node.times, str) else node.times
    return LoopSpec(
        body=parts.body.number,
        items=parts.formula("items"),
        name=node.item_name,
        times=times,
        condition=parts.formula("while_condition"),
        until=parts.formula("until"),
        batch_size=node.batch_size or 0,
        max_concurrency=node.max_concurrency,
        max_iterations=node.max_iterations or (COUNTED_PASSES_MAX if node.counts else CONDITIONAL_PASSES_MAX),
        stops=node.on_max_iterations == "continue",
        retry=parts.retries(node.item_retry),
        on_item_error=node.on_item_error or default,
        tolerated=-1 if tolerated is None or isinstance(tolerated, str) else tolerated,
        tolerated_share=int(str(tolerated).rstrip("% ")) if share else -1,
        is_chained=parts.body.is_chained,
        reads=parts.body.reads,
        is_distributed=node.is_distributed,
        reads_file=node.reads_file,
    )


KINDS: dict[type[NodeDefinition], NodeKind] = {
    LoopNode: NodeKind(
        formulas=(template("items"), template("times", or_number=True)),
        check=_check,
        output=_output,
        spec=_spec,
        takes_time=True,
        has_policies=True,
    )
}
