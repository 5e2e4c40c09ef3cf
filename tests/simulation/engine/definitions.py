"""Random definitions that combine every construct of a graph, with the outcomes of their workers."""

from __future__ import annotations

from random import Random
from typing import Any

JOINS = ["all", "all", "all", "all_success", "all_done", "any", "at_least"]
KINDS = ["tool"] * 5 + [
    "pass",
    "pass",
    "switch",
    "condition",
    "condition",
    "parallel",
    "parallel",
    "aggregation",
    "aggregation",
]


class Builder:
    """Nodes ``n0``, ``n1`` …; every edge goes from a lower to a higher number."""

    def __init__(self, random: Random, *, racing: bool = True, failing: bool = True) -> None:
        self.random, self.racing, self.failing = random, racing, failing
        self.size = random.randint(2, 12)
        self.nodes: list[dict[str, Any]] = []
        self.edges: list[dict[str, Any]] = []

    def definition(self) -> dict[str, Any]:
        for number in range(self.size):
            self.nodes.append(self.node(number))
        for _ in range(self.random.randint(0, 3)):
            target = self.random.randrange(1, self.size)
            edge: dict[str, Any] = {"from": f"n{self.random.randrange(target)}", "to": f"n{target}"}
            if self.chance(0.6):
                below = int(edge["from"][1:]) + 1
                edge["condition"] = self.condition(below) if self.racing else f"${{{edge['from']}.v}} == 1"
            self.edges.append(edge)
        definition: dict[str, Any] = {"id": "w", "nodes": self.nodes, "edges": self.edges}
        if self.chance(0.2):
            definition["limits"] = {"max_concurrency": self.random.randint(1, 3)}
        return definition

    def outcomes(self) -> dict[str, Any]:
        """An output per worker node, or ("!", error type)."""
        share = 0.12 if self.failing else 0.0
        return {
            node["id"]: ("!", f"error_{node['id']}") if self.chance(share) else {"v": self.random.randint(0, 1)}
            for node in self.nodes
            if node["type"] == "tool"
        }

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def node(self, number: int) -> dict[str, Any]:
        what = self.kind_of_node()
        if self.racing and self.chance(0.07):
            what = self.random.choice(["fail", "succeed"])
        if what in ("switch", "condition", "parallel") and number >= self.size - 2:
            what = "tool"
        if what == "aggregation" and not number:
            what = "pass"
        node: dict[str, Any] = {"id": f"n{number}", **getattr(self, f"_{what}")(number)}
        sources = self.random.sample(range(number), min(number, self.random.choice([0, 1, 1, 2, 2, 3])))
        if what == "aggregation" and not sources:
            sources = [number - 1]
        if sources:
            node["dependencies"] = [f"n{source}" for source in sources]
        self.add_join(node, len(sources))
        if number and self.chance(0.15):
            node["when"] = self.condition(number)
            if self.chance(0.4) and what not in ("switch", "condition", "parallel"):
                node["on_skip"] = "continue"
        return node

    def kind_of_node(self) -> str:
        return self.random.choice(KINDS)

    def add_join(self, node: dict[str, Any], count: int) -> None:
        join = self.random.choice(JOINS)
        if not count or join == "all" or (not self.racing and join in ("any", "at_least", "all_success")):
            return
        node["join"] = {"at_least": self.random.randint(1, count)} if join == "at_least" else join

    def condition(self, below: int) -> str:
        return f"{self.value(below)} == {self.random.randint(0, 1)}" if self.readable(below) else "true"

    def value(self, below: int) -> str:
        return f"${{{self.random.choice(self.readable(below))}.v}}"

    def readable(self, below: int) -> list[str]:
        """Reading a parallel node would mean waiting for its branches."""
        return [node["id"] for node in self.nodes[:below] if node.get("subtype") != "parallel"]

    def later(self, number: int, count: int) -> list[str]:
        places = range(number + 1, self.size)
        return [f"n{place}" for place in self.random.sample(places, min(len(places), count))]

    def _tool(self, _: int) -> dict[str, Any]:
        return {"type": "tool", "tool": "t"}

    def _pass(self, number: int) -> dict[str, Any]:
        value: Any = self.random.randint(0, 1)
        if self.readable(number) and self.chance(0.5):
            value = self.value(number)
        return {"type": "control", "subtype": "pass", "inputs": {"v": value}}

    def _fail(self, number: int) -> dict[str, Any]:
        return {"type": "control", "subtype": "fail", "error": f"fail_n{number}"}

    def _succeed(self, number: int) -> dict[str, Any]:
        output = {"output": self.value(number)} if self.readable(number) and self.chance(0.5) else {}
        return {"type": "control", "subtype": "succeed", **output}

    def _aggregation(self, _: int) -> dict[str, Any]:
        strategy = self.random.choice(["collect", "collect_by_id", "merge"][: 3 if self.failing else 2])
        default = {"default": 0} if not self.failing or self.chance(0.5) else {}
        return {"type": "aggregation", "strategy": strategy, **default}

    def _condition(self, number: int) -> dict[str, Any]:
        targets = self.later(number, 3)
        node = {"type": "control", "subtype": "condition", "condition": self.condition(number), "then": targets[:1]}
        return {**node, "else": targets[1:]} if targets[1:] else node

    def _switch(self, number: int) -> dict[str, Any]:
        targets = self.later(number, 3)
        if not self.readable(number):
            return {"type": "control", "subtype": "switch", "branches": [{"when": "true", "target": targets}]}
        branches: list[dict[str, Any]] = [
            {"case": 0, "target": targets[:1]},
            {"case": 1, "target": targets[1:2] or targets[:1]},
        ]
        if targets[2:]:
            branches[1] = {"when": self.condition(number), "target": targets[1:2]}
            branches.append({"default": targets[2:]})
        return {"type": "control", "subtype": "switch", "condition": self.value(number), "branches": branches}

    def _parallel(self, number: int) -> dict[str, Any]:
        node: dict[str, Any] = {"type": "control", "subtype": "parallel", "branches": self.later(number, 3)}
        if self.racing and self.chance(0.5):
            node["wait_all"] = False
            node["cancel_rest"] = self.chance(0.5)
        return node
