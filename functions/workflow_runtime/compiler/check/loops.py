"""The bodies of loops: nodes declared beside them that cannot be there."""

from __future__ import annotations

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.bodies import Listing
from workflow_runtime.compiler.report import Report
from workflow_runtime.definition.nodes.loop import LoopNode


def check_bodies(listing: Listing, report: Report) -> None:
    index: dict[str, int] = {}
    for position, node in enumerate(listing.nodes):
        index.setdefault(node.id, position)
    for position, node in enumerate(listing.nodes):
        if not isinstance(node, LoopNode):
            continue
        named: set[str] = set()
        for number, entry in enumerate(node.body):
            if not isinstance(entry, str):
                continue
            stands_twice = entry in named
            named.add(entry)
            place = (*listing.place, position, "body", number)
            target = index.get(entry)
            owner = listing.owners.get(target) if target is not None else None
            if target is None:
                if entry and not listing.gaps.hides_id(entry):
                    message = f"there is no node `{entry}` beside the loop"
                    report.add(rules.UNKNOWN_NODE, message, place, report.suggest(entry, index))
            elif target == position:
                report.add(rules.BAD_BODY, f"`{entry}` cannot be in its own body", place)
            elif owner is None:
                message = f"`{node.id}` is itself in the body of `{entry}`"
                report.add(rules.BAD_BODY, message, place)
            elif owner != position:
                other = listing.nodes[owner].id
                hint = "A node belongs to one loop: give each its own."
                report.add(rules.BAD_BODY, f"`{entry}` is in the body of the loop `{other}` already", place, hint)
            elif stands_twice:
                report.add(rules.BAD_BODY, f"`{entry}` stands twice in the body", place, "Keep one of them.")
