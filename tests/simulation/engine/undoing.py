"""Compensation, by the second interpreter of the language, and definitions that say so.

Tools may have a ``compensate``, the workflow ``compensation``; somebody may cancel the execution (`CANCEL` among the
results that come).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.engine.recovery import Recovering, Script, taken
from tests.simulation.engine.reference import ENDED, Definition, Graph

CANCEL = "!cancel"
UNDO = "~compensate"
FALLBACK = "~fallback"
Undone = tuple[str, bool, Any]
"""A visit that was undone: its node, whether that went well, and what its compensation was given."""


def undoable(definition: Definition, random: Random) -> Definition:
    """The definition with things to undo. Whether a branch that lost is awaited is the business of the commit that
    cancels it, so none is cancelled."""
    for node in definition["nodes"]:
        node.pop("cancel_rest", None)
        if node["type"] == "tool" and random.random() < 0.9:
            node["compensate"] = {"tool": "u", "inputs": {"of": "${output.v}", "why": "${error.type}"}}
            if random.random() < 0.5:
                node["compensate"]["retry_policy"] = {"max_retries": 1, "retry_delay": 0, "jitter": "none"}
    occasions = ["failure", "cancel"]
    on = random.choice([occasions, *([occasion] for occasion in occasions)])
    definition["compensation"] = {"on": on, "order": random.choice(["reverse", "parallel"])}
    return definition


def undo_scripts(definition: Definition, random: Random) -> dict[str, Script]:
    """Of compensations, by path."""

    def outcome() -> Any:
        return ("!", "e1") if random.random() < 0.3 else {}

    ids = [node["id"] for node in definition["nodes"] if "compensate" in node]
    return {id + UNDO: [outcome() for _ in range(random.randint(1, 3))] for id in ids}


class Undoing(Recovering):
    """``done``: visits that succeeded and can be undone, in that order; ``told``: runs that are awaited before the
    undoing begins; ``open``: compensations under way; ``undone``: how those ended, by node."""

    def __init__(
        self, definition: Definition, outcomes: dict[str, Script], shuffle: Callable[[list[Any]], None]
    ) -> None:
        super().__init__(Graph(definition), outcomes, definition["error_handlers"], shuffle)
        self.compensation = definition["compensation"]
        self.done: list[str] = []
        self.told: set[str] = set()
        self.left: list[str] = []
        self.open: set[str] = set()
        self.undone: dict[str, bool] = {}
        self.tries: dict[str, int] = {}
        self.occasion = ""

    def arrive(self, id: str) -> None:
        own = id.removesuffix(UNDO)
        if id == CANCEL:
            self.cancel()
        elif id in self.told:
            self.told.remove(id)
            outcome = taken(self.outcomes[id])
            if not isinstance(outcome, tuple):
                node = id.removesuffix(FALLBACK)
                self.output[node] = outcome
                self.done.append(node)
        elif own != id:
            if own in self.open:  # else another order of the scan has led here
                self.try_to_undo(own, taken(self.outcomes[id]))
        else:
            super().arrive(id)
        self.end_if_over()

    def finish(self, id: str, outcome: Any) -> None:
        before = self.status[id]
        super().finish(id, outcome)
        if before != "success" and self.status[id] == "success" and "compensate" in self.graph.nodes[id]:
            self.done.append(id)

    def cancel(self) -> None:
        if self.occasion:
            return
        self.occasion = "cancel"
        if "cancel" not in self.compensation["on"]:
            self.told.clear()
        self.withdraw(list(self.status))

    def withdraw(self, ids: list[str]) -> None:
        occasion = self.occasion or ("failure" if self.failure is not None else "")
        if occasion in self.compensation["on"]:
            runs = [id for id in ids if self.status[id] == "ready" and "compensate" in self.graph.nodes[id]]
            self.told |= {id + FALLBACK if id in self.replaced else id for id in runs}
        super().withdraw(ids)

    def end_if_over(self) -> None:
        """The end, and what it undoes."""
        if not self.occasion and self.failure is not None and all(s in ENDED for s in self.status.values()):
            self.occasion = "failure"
        if self.occasion in self.compensation["on"] and not self.told:
            if not self.left and not self.open and not self.undone:
                self.left = self.done[:]
            while self.left and (not self.open or self.compensation["order"] == "parallel"):
                self.open.add(self.left.pop())

    def try_to_undo(self, id: str, outcome: Any) -> None:
        tries = self.tries[id] = self.tries.get(id, 0) + 1
        failed = isinstance(outcome, tuple)
        if failed and "retry_policy" in self.graph.nodes[id]["compensate"] and tries == 1:
            return
        self.open.remove(id)
        self.undone[id] = not failed

    def ledger(self) -> list[Undone]:
        """Visits in the order in which their undoing began."""
        why = "cancelled" if self.occasion == "cancel" else self.failure[0] if self.failure else None
        return [
            (id, self.undone[id], {"of": self.output[id].get("v"), "why": why})
            for id in reversed(self.done)
            if id in self.undone
        ]

    def outcome(self, definition: Definition) -> Any:
        status, nodes, output, error = super().outcome(definition)
        return ("cancelled", nodes, None, None) if self.occasion == "cancel" else (status, nodes, output, error)
