"""What is done about failures, by the second interpreter of the language, and definitions that say so.

A node of a definition may have a ``retry_policy``, a ``fallback`` and an ``on_error``, the workflow ``error_handlers``.
Outcomes are scripts: what each attempt comes to, in order; the last one is repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from random import Random
from typing import Any

from tests.simulation.engine.reference import Definition, Graph, Run

TYPES = ["e1", "e2", "timeout"]
ASKED_FOR = ("cancelled",)  # errors that are retried only where a policy names them
Script = list[Any]


def recovering(definition: Definition, random: Random) -> Definition:
    """The definition with things to do about failures."""
    for node in definition["nodes"]:
        if node["type"] != "tool":
            continue
        if random.random() < 0.5:
            node["retry_policy"] = {"max_retries": random.randint(1, 2), **_at_once(random)}
        if random.random() < 0.4:
            node["fallback"] = random.choice([{"tool": "u"}, {"value": {"v": random.randint(0, 1)}}])
        if random.random() < 0.3:
            node["on_error"] = [{"errors": _some(random), "do": random.choice(["skip", "continue", "fail"])}]
    actions: list[Any] = ["skip", "continue", "fail", {"type": "retry", "max_retries": 1, **_at_once(random)}]
    definition["error_handlers"] = [
        {
            "node_pattern": random.choice([".*", "n[0-4]", "n1"]),
            "errors": _some(random),
            "action": random.choice(actions),
        }
        for _ in range(random.randint(0, 3))
    ]
    return definition


def _at_once(random: Random) -> dict[str, Any]:
    return {"retry_delay": 0, "jitter": "none", "errors": _some(random)}


def _some(random: Random) -> list[str]:
    return random.choice([["*"], ["execution_error"], random.sample(TYPES, 2)])


def scripts(definition: Definition, random: Random) -> dict[str, Script]:
    """By path, those of fallbacks too."""
    paths = [node["id"] for node in definition["nodes"] if node["type"] == "tool"]
    paths += [f"{node['id']}~fallback" for node in definition["nodes"] if "tool" in node.get("fallback", {})]

    def outcome() -> Any:
        return ("!", random.choice(TYPES)) if random.random() < 0.5 else {"v": random.randint(0, 1)}

    return {path: [outcome() for _ in range(random.randint(1, 4))] for path in paths}


def taken(script: Script) -> Any:
    return script.pop(0) if len(script) > 1 else script[0]


class Recovering(Run):
    """``handlers``: the workflow's. ``granted``: attempts, by node and who granted them; ``fallen_back``: the own
    error types of nodes in whose place another runs, or ran."""

    def __init__(
        self, graph: Graph, outcomes: dict[str, Script], handlers: list[Any], shuffle: Callable[[list[Any]], None]
    ) -> None:
        super().__init__(graph, outcomes, shuffle)
        self.handlers = handlers
        self.granted: dict[tuple[str, int], int] = {}
        self.fallen_back: dict[str, str] = {}
        self.replaced: set[str] = set()

    def arrive(self, id: str) -> None:
        own, is_fallback = id.removesuffix("~fallback"), "~" in id
        outcome = taken(self.outcomes[id])
        if self.status[own] != "ready" or is_fallback != (own in self.replaced):
            return
        self.replaced.discard(own)
        if not isinstance(outcome, tuple):
            self.finish(own, outcome)
        else:
            self.recover(own, self.fallen_back[own] if is_fallback else outcome[1])
        self.scan()

    def finish(self, id: str, outcome: Any) -> None:
        """An aggregation that fails is tried at once again, as often as it may."""
        if isinstance(outcome, tuple) and self.graph.nodes[id]["type"] == "aggregation":
            self.recover(id, outcome[1])
        else:
            super().finish(id, outcome)

    def recover(self, id: str, type: str) -> None:
        node = self.graph.nodes[id]
        policy = node.get("retry_policy")
        if policy is not None and retries(policy, type) and self.grants(id, -1, policy):
            self.again(id, policy, self.granted[id, -1])
            return
        if "fallback" in node and id not in self.fallen_back:
            self.fallen_back[id] = type
            if "value" in node["fallback"]:
                self.stand_in(id, node["fallback"]["value"])
            else:
                self.replaced.add(id)
            return
        if self.minds_itself(id, type):
            return
        rule = next((rule for rule in node.get("on_error", []) if covers(rule["errors"], type)), None)
        if rule is not None and rule["do"] != "fail":
            self.excuse(id, alive=rule["do"] == "continue")
            return
        for number, handler in enumerate(self.handlers):
            action = handler["action"]
            if not re.fullmatch(handler["node_pattern"], id) or not covers(handler["errors"], type):
                continue
            if isinstance(action, dict):
                if retries(action, type, handler["errors"]) and self.grants(id, number, action):
                    self.again(id, action, self.granted[id, number])
                    return
                continue
            if action != "fail":
                self.excuse(id, alive=action == "continue")
                return
            break
        self.fail_for_good(id, type)

    def fail_for_good(self, id: str, type: str) -> None:
        super().finish(id, ("!", type))

    def again(self, id: str, _policy: dict[str, Any], _number: int) -> None:
        """Another attempt, the so-manieth that a policy has granted. What a worker runs comes by itself."""
        if self.graph.nodes[id]["type"] == "aggregation":
            self.start(id, self.graph.nodes[id])

    def stand_in(self, id: str, value: Any) -> None:
        """A value takes the place of what the node would have come to."""
        self.finish(id, value)

    def minds_itself(self, _id: str, _type: str) -> bool:
        """Whether a node has a rule of its own for this, which deals with it."""
        return False

    def grants(self, id: str, by: int, policy: dict[str, Any]) -> bool:
        granted = self.granted.get((id, by), 0)
        self.granted[id, by] = granted + 1
        return bool(granted < policy["max_retries"])

    def excuse(self, id: str, *, alive: bool) -> None:
        self.status[id] = "failed"
        if alive:
            self.over.add(id)


def covers(types: list[str], type: str) -> bool:
    return "*" in types or type in types or ("execution_error" in types and type not in ("timeout", "cancelled"))


def retries(policy: dict[str, Any], type: str, named: Collection[str] = ()) -> bool:
    """Whether a policy retries after an error of this type; ``named``: what its handler names."""
    errors = policy.get("errors", ["*"])
    return covers(errors, type) and (type not in ASKED_FOR or type in {*errors, *named})
