"""Random loops, whose passes succeed and fail in any order and in batches, against what the language says of them
(§2.2), naively.

ENGINE_EXAMPLES=5000 runs more of them.
"""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

from tests.simulation.engine.recovery import Script, covers, taken
from tests.simulation.engine.reference import Definition
from tests.simulation.engine.test_engine_simulation import answered, seeds
from tests.unit.engine.driver import Driver, loop, plan_of

TYPES = ["e1", "e2"]
Happening = tuple[str, ...]
"""The paths of results that come together."""


def author(random: Random) -> Definition:
    """A loop ``l`` with the nodes ``b`` and perhaps ``c`` after it."""
    body: list[Definition] = [{"id": "b"}]
    if random.random() < 0.5:
        body.append({"id": "c", "dependencies": ["b"]})
    size = random.randint(0, 6)
    fields: Definition = {"max_concurrency": random.choice([0, 1, 1, 2, 3])}
    fields |= {"times": size} if random.random() < 0.5 else {"items": [random.randint(0, 1) for _ in range(size)]}
    if random.random() < 0.5:
        fields["on_item_error"] = random.choice(["fail", "skip", "collect"])
    if random.random() < 0.3 and fields.get("on_item_error") != "fail":
        fields["tolerated_failures"] = random.choice([0, 1, 2, "50%"])
    if random.random() < 0.4:
        errors = random.choice([["*"], ["e1"]])
        fields["item_retry"] = {"max_retries": 1, "retry_delay": 0, "jitter": "none", "errors": errors}
    if random.random() < 0.5:
        fields["collect"] = "${b.v}" if "items" not in fields else "${[item, index, b.v]}"
    if fields["max_concurrency"] == 1 and random.random() < 0.4:
        fields["until"] = "${b.v} == 1"
    return loop("l", *body, **fields)


class Loop:
    """- ``open``: the passes that are under way, each with the node that is at work in it
    - ``outputs``: of each pass's nodes; ``ends``: what passes have come to, a value or ("!", error type)
    """

    def __init__(self, definition: Definition, outcomes: dict[str, Script]) -> None:
        self.definition, self.outcomes = definition, outcomes
        self.items = definition.get("items", [None] * definition.get("times", 0))
        self.nodes = [node["id"] for node in definition["body"]]
        self.places = definition["max_concurrency"] or len(self.items)
        self.open: dict[int, str] = {}
        self.outputs: dict[tuple[int, str], Any] = {}
        self.ends: dict[int, Any] = {}
        self.retried: set[int] = set()
        self.next = 0
        self.is_over = False
        self.error: tuple[str, str] | None = None
        self.go_on()

    def go_on(self) -> None:
        while not self.is_over and self.next < len(self.items) and len(self.open) < self.places:
            self.open[self.next] = self.nodes[0]
            self.next += 1
        self.is_over = self.is_over or (not self.open and self.next == len(self.items))

    @property
    def at_work(self) -> set[str]:
        return set() if self.is_over else {f"l[{index}]/{node}" for index, node in self.open.items()}

    def happens(self, paths: Happening) -> None:
        """Results that come together are taken one after the other."""
        for path in paths:
            index, node = int(path[2 : path.index("]")]), path[-1]
            outcome = taken(self.outcomes[path])
            if self.is_over or self.open.get(index) != node:
                continue
            if not isinstance(outcome, tuple):
                self.succeed(index, node, outcome)
            elif not self.again(index, outcome[1]):
                del self.open[index]
                self.ends[index] = outcome
                if self.fails():
                    self.is_over, self.error = True, (outcome[1], path)
                else:
                    self.look(index)
            self.go_on()

    def succeed(self, index: int, node: str, outcome: Any) -> None:
        self.outputs[index, node] = outcome
        place = self.nodes.index(node) + 1
        if place < len(self.nodes):
            self.open[index] = self.nodes[place]
            return
        del self.open[index]
        self.ends[index] = self.collected(index)
        self.look(index)

    def look(self, index: int) -> None:
        """Whether the pass that has just ended is the last, however it did."""
        if "until" in self.definition and self.outputs.get((index, "b")) == {"v": 1}:
            self.is_over = True

    def again(self, index: int, type: str) -> bool:
        policy = self.definition.get("item_retry")
        if policy is None or index in self.retried or not covers(policy["errors"], type):
            return False
        self.retried.add(index)
        self.open[index] = self.nodes[0]
        self.outputs.pop((index, "b"), None)
        return True

    def fails(self) -> bool:
        """Whether there are more failures than are borne."""
        count = sum(isinstance(end, tuple) for end in self.ends.values())
        tolerated = self.definition.get("tolerated_failures")
        if tolerated is None:
            return self.handling == "fail"
        share = len(self.items) * int(tolerated[:-1]) // 100 if isinstance(tolerated, str) else tolerated
        return bool(count > share)

    @property
    def handling(self) -> str:
        return str(self.definition.get("on_item_error", "skip" if "tolerated_failures" in self.definition else "fail"))

    def collected(self, index: int) -> Any:
        collect = self.definition.get("collect")
        if collect is None:
            return self.outputs[index, self.nodes[-1]]
        v = self.outputs[index, "b"]["v"]
        return v if "items" not in self.definition else [self.items[index], index, v]

    def outcome(self) -> Any:
        if self.error is not None:
            return "failed", self.error
        found = []
        for _, end in sorted(self.ends.items()):
            if not isinstance(end, tuple):
                found.append(end)
            elif self.handling == "collect":
                found.append({"error": end[1]})
        return "completed", found


def driven(driver: Driver, outcomes: dict[str, Script], random: Random) -> list[tuple[Happening, set[str]]]:
    """What happens until it has ended, and what is at work after each."""
    told: list[tuple[Happening, set[str]]] = [((), set(driver.ordered))]
    while driver.ordered:
        paths = random.sample(list(driver.ordered), min(len(driver.ordered), random.randint(1, 3)))
        driver.take(*(answered(driver, path, taken(outcomes[path])) for path in paths))
        told.append((tuple(paths), set(driver.ordered)))
    return told


def outcome_of(driver: Driver) -> Any:
    if driver.error is not None:
        return driver.status, driver.error
    ends: Any = driver.output
    failed = [isinstance(end, dict) and "error" in end for end in ends]
    return driver.status, [
        {"error": end["error"]["type"]} if bad else end for end, bad in zip(ends, failed, strict=True)
    ]


@seeds
def test_a_loop_goes_on_and_ends_as_the_language_says(seed: int) -> None:
    random = Random(seed)
    definition = json.loads(json.dumps(author(random)))

    def outcome() -> Any:
        return ("!", random.choice(TYPES)) if random.random() < 0.25 else {"v": random.randint(0, 1)}

    paths = [f"l[{index}]/{node}" for index in range(6) for node in "bc"]
    outcomes = {path: [outcome() for _ in range(random.randint(1, 2))] for path in paths}
    driver = Driver(plan_of([definition]), attach=random.random() < 0.8).start()
    told = driven(driver, deepcopy(outcomes), random)
    run = Loop(definition, deepcopy(outcomes))
    for happening, at_work in told:
        run.happens(happening)
        assert run.at_work == at_work, (definition, outcomes, told)
    assert outcome_of(driver) == run.outcome(), (definition, outcomes, told)
    assert driver.replayed() == driver.state
