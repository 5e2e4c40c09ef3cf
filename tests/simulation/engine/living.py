"""What happens to an execution besides results (language §2.2, §5.2, §7): time, events, children that end, people who
suspend, resume and cancel; by the second interpreter of the language, and definitions in which all of it matters.

Times are epoch milliseconds. Priorities and places are no part of an outcome: they are looked at after each happening
(`Living.check_places`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.engine.definitions import Builder
from tests.simulation.engine.recovery import TYPES, Recovering, Script, taken
from tests.simulation.engine.reference import ENDED, Definition, Graph, kind

FALLBACK = "~fallback"
EVENTS = ("go", "stop")
KEYS = (1, 2)
KEY = KEYS[0]  # of the execution, in its input
Happening = tuple[Any, ...]
"""What it is, what it is about, and (last) when it happens:

- ("result", path); ("leave", path), after which it waits for its task token; ("complete", id, attempt, outcome)
- ("event", name, v, key); ("child", id, number, outcome)
- ("time",); ("timer",), which is the one that is due first
- ("suspend",); ("resume",); ("cancel",)
"""


class Author(Builder):
    """Definitions with waits and children, too, and with things to do about what comes late or fails."""

    KINDS = (*["tool"] * 3, *["wait", "event", "child"] * 2, "pass", "aggregation", "parallel")

    def definition(self) -> Definition:
        self.size = min(self.size, 9)
        definition = super().definition()
        for node in definition["nodes"]:
            if kind(node) in ("tool", "wait", "sub_workflow"):
                self.add_policies(node)
        definition["limits"] = {"max_concurrency": self.random.randint(1, 3)} if self.chance(0.5) else {}
        if self.chance(0.3):
            definition["timeout"] = self.duration()
        definition["error_handlers"] = []
        if self.chance(0.3):
            action: Any = self.random.choice(["skip", "continue", "fail", {"type": "retry", **self.policy()}])
            errors = self.types()
            definition["error_handlers"] = [{"node_pattern": "n[0-4]", "errors": errors, "action": action}]
        return definition

    def add_policies(self, node: Definition) -> None:
        if kind(node) == "tool" and self.chance(0.3):
            node["callback"] = {"timeout": self.duration()}
        if self.chance(0.4):
            node["retry_policy"] = self.policy()
        if self.chance(0.3):
            node["fallback"] = self.random.choice([{"tool": "u"}, {"value": {"v": self.random.randint(0, 1)}}])
        elif kind(node) == "tool" and self.chance(0.5):
            node["priority"] = self.random.randint(-1, 1)
        if self.chance(0.3):
            node["on_error"] = [{"errors": self.types(), "do": self.random.choice(["skip", "continue", "fail"])}]

    def policy(self) -> dict[str, Any]:
        return {
            "max_retries": self.random.randint(1, 2),
            "retry_delay": self.random.choice([0, self.duration()]),
            "backoff": self.random.choice(["fixed", "linear", "exponential"]),
            "jitter": "none",
            "errors": self.types(),
        }

    def types(self) -> list[str]:
        return self.random.choice([["*"], ["execution_error"], ["timeout", "cancelled"], self.random.sample(TYPES, 2)])

    def duration(self) -> float:
        """Seconds; that two are over at once would be chance."""
        return self.random.randint(1_000, 20_000) / 1000

    def kind_of_node(self) -> str:
        return self.random.choice(self.KINDS)

    def _wait(self, _: int) -> Definition:
        return {"type": "control", "subtype": "wait", "seconds": self.duration()}

    def _event(self, number: int) -> Definition:
        node: Definition = {"type": "control", "subtype": "wait", "event": self.random.choice(EVENTS)}
        if self.chance(0.3):
            node |= {"event": f"paid{number}", "correlate": "${detail.k}", "with": "${k}"}
        if self.chance(0.3):
            node["match"] = f"${{event.data.v}} == {self.random.randint(0, 1)}"
        if self.chance(0.6):
            node |= {"timeout": self.duration(), "on_timeout": self.random.choice(["fail", "continue"])}
        return node

    def _child(self, number: int) -> Definition:
        node: Definition = {"type": "sub_workflow", "workflow_id": "w2", "inputs": {"v": 0}}
        if self.readable(number) and self.chance(0.6):
            node["inputs"] = {"v": self.value(number)}
        if self.chance(0.2):
            return node | {"wait": False}
        return node | {"timeout": self.duration()} if self.chance(0.4) else node


def scripts(definition: Definition, random: Random) -> dict[str, Script]:
    """What tools come to, by path, those of fallbacks too."""
    paths = [node["id"] for node in definition["nodes"] if kind(node) == "tool"]
    paths += [node["id"] + FALLBACK for node in definition["nodes"] if "tool" in node.get("fallback", {})]

    def outcome() -> Any:
        return ("!", random.choice(TYPES)) if random.random() < 0.3 else {"v": random.randint(0, 1)}

    return {path: [outcome() for _ in range(random.randint(1, 4))] for path in paths}


class Living(Recovering):
    """- ``due``: when what goes on in a node is over, by what it is ("wait", "timeout", "retry"), the node, and the
      how-manieth attempt of that; ``attempts``: how many there were
    - ``going``: waits, children and tools that wait for their task token
    - ``started``: what the children of each node were given, in turn
    - ``kept``: events that nobody has taken yet
    - ``held``: what came while the execution was suspended; ``left``: of its timeout then;
      ``values``: what takes the place of nodes that have failed, once that may be decided
    - ``ready_since``: what a worker can run, by path, and as the how-manieth thing it got so; ``first``: the
      number of the first of them in what happens now
    """

    def __init__(
        self, definition: Definition, outcomes: dict[str, Script], shuffle: Callable[[list[Any]], None], now: int
    ) -> None:
        super().__init__(Graph(definition), outcomes, definition["error_handlers"], shuffle)
        self.now = now
        self.places: int | None = definition["limits"].get("max_concurrency")
        self.due: dict[tuple[str, str, int], int] = {}
        self.attempts: Counter[str] = Counter()
        self.going: set[str] = set()
        self.started: dict[str, list[Any]] = {}
        self.kept: list[tuple[str, int, int | None]] = []
        self.suspended = False
        self.held: list[Happening] = []
        self.left: int | None = None
        self.values: dict[str, Any] = {}
        self.is_cancelled = False
        self.number = self.first = 0
        self.at_work: set[str] = set()
        self.ready_since: dict[str, int] = {}
        if "timeout" in definition:
            self.due["deadline", "", 0] = now + ms(definition["timeout"])
        self.scan()
        self.note_ready()

    # -- what happens

    def happens(self, what: str, *about: Any) -> bool:
        """Whether that can be."""
        *rest, at = about
        self.number += 1
        self.first = self.number
        if what == "timer" and (not self.due or at != max(self.now, min(self.due.values()))):
            return False
        self.now = at
        getattr(self, what)(*rest)
        self.clear_up()
        self.note_ready()
        return True

    @property
    def is_over(self) -> bool:
        ended = all(status in ENDED for status in self.status.values())
        return self.is_cancelled or (ended and not self.suspended)

    def time(self) -> None:
        """It passes."""

    def timer(self) -> None:
        first = min(self.due, key=lambda timer: self.due[timer])
        del self.due[first]
        self.meets("fired", *first)

    def meets(self, what: str, *about: Any) -> None:
        """Something that waits while the execution is suspended."""
        if self.suspended:
            self.held.append((what, *about))
        else:
            getattr(self, what)(*about)
            self.scan()

    def result(self, path: str) -> None:
        """It is recorded at once, also while the execution is suspended; what follows from it waits then."""
        own, is_fallback = path.removesuffix(FALLBACK), "~" in path
        outcome = taken(self.outcomes[path])
        waits = ("retry", own, self.attempts[own]) in self.due or own in self.going
        if self.status[own] != "ready" or is_fallback != (own in self.replaced) or waits:
            return
        self.at_work.discard(path)
        self.ready_since.pop(path, None)
        self.replaced.discard(own)
        if isinstance(outcome, tuple) and is_fallback and self.suspended:
            self.held.append(("recover", own, self.fallen_back[own]))
        elif isinstance(outcome, tuple):
            self.recover(own, self.fallen_back[own] if is_fallback else outcome[1])
        else:
            self.finish(own, outcome)
        self.scan()

    def leave(self, path: str) -> None:
        self.going.add(path)
        self.due["timeout", path, self.attempts[path]] = self.now + ms(self.graph.nodes[path]["callback"]["timeout"])

    def complete(self, id: str, number: int, outcome: Any) -> None:
        self.meets("completed", id, number, outcome)

    def completed(self, id: str, number: int, outcome: Any) -> None:
        if id in self.going and number == self.attempts[id]:
            self.ended(id, outcome)

    def ended(self, id: str, outcome: Any) -> None:
        """Somebody else has ended what a node waits for."""
        self.going.discard(id)
        if isinstance(outcome, tuple):
            self.recover(id, outcome[1])
        else:
            self.finish(id, outcome)

    def fail_for_good(self, id: str, type: str) -> None:
        if self.suspended:
            self.held.append(("fail_for_good", id, type))
        elif self.status[id] == "ready":  # else the graph has failed by what was held before
            super().fail_for_good(id, type)

    def event(self, name: str, v: int, key: int | None) -> None:
        self.meets("hear", name, v, key)

    def hear(self, name: str, v: int, key: int | None) -> None:
        if key is not None and not any(self.listens(id, name, key) for id in self.graph.nodes):
            return
        for id, node in self.graph.nodes.items():
            if id in self.going and hears(node, name, v, key):
                self.going.discard(id)
                self.finish(id, {"v": v})
                return
        self.kept.append((name, v, key))

    def listens(self, id: str, name: str, key: int) -> bool:
        node = self.graph.nodes[id]
        return "correlate" in node and node["event"] == name and key == KEY and self.status[id] in ("waiting", "ready")

    def child(self, id: str, number: int, outcome: Any) -> None:
        self.meets("child_ended", id, number, outcome)

    def child_ended(self, id: str, number: int, outcome: Any) -> None:
        if id in self.going and number == len(self.started[id]):
            self.ended(id, outcome)

    def suspend(self) -> None:
        if self.suspended or self.is_over:
            return
        self.suspended = True
        deadline = self.due.pop(("deadline", "", 0), None)
        self.left = max(deadline - self.now, 0) if deadline is not None else None

    def resume(self) -> None:
        if not self.suspended:
            return
        self.suspended = False
        if self.left is not None:
            self.due["deadline", "", 0] = self.now + self.left
        self.scan()
        self.clear_up()
        self.note_ready()
        held, self.held = self.held, []
        for what, *about in held:
            if not self.is_over and (what != "recover" or self.status[about[0]] == "ready"):
                getattr(self, what)(*about)
                self.scan()
                self.clear_up()
                self.number += 1
                self.note_ready()

    def cancel(self) -> None:
        if not self.is_over:
            self.suspended = False
            self.is_cancelled = True
            self.withdraw(list(self.status))

    def fired(self, what: str, id: str, attempt: int) -> None:
        if attempt != self.attempts[id]:
            return
        if what == "deadline":
            self.failure = ("timeout", "")
            self.withdraw(list(self.status))
        elif what == "wait" and id in self.going:
            self.going.discard(id)
            self.finish(id, {})
        elif what == "timeout" and id in self.going:
            self.going.discard(id)
            self.recover(id, "timeout")
        elif what == "retry" and self.status[id] == "ready":
            self.start(id, self.graph.nodes[id])

    # -- how the language's rules apply then

    def scan(self) -> None:
        if self.suspended or self.is_cancelled:
            return
        values, self.values = self.values, {}
        for id, value in values.items():
            if self.status[id] == "ready":
                self.finish(id, value)
        super().scan()

    def stand_in(self, id: str, value: Any) -> None:
        self.values[id] = value

    def start(self, id: str, node: Definition) -> None:
        self.attempts[id] += 1
        match kind(node):
            case "wait" if "seconds" in node:
                self.due["wait", id, self.attempts[id]] = self.now + ms(node["seconds"])
                self.going.add(id)
            case "wait":
                early = next((kept for kept in self.kept if hears(node, *kept)), None)
                if early is not None:
                    self.kept.remove(early)
                    self.finish(id, {"v": early[1]})
                    return
                self.going.add(id)
                self.limit(id, node)
            case "sub_workflow":
                self.started.setdefault(id, []).append({"v": self.value(node["inputs"]["v"])})
                self.going.add(id)
                if node.get("wait", True):
                    self.limit(id, node)
            case _:
                super().start(id, node)

    def limit(self, id: str, node: Definition) -> None:
        if "timeout" in node:
            self.due["timeout", id, self.attempts[id]] = self.now + ms(node["timeout"])

    def again(self, id: str, policy: dict[str, Any], number: int) -> None:
        factor = {"fixed": 1, "linear": number, "exponential": 2 ** (number - 1)}[policy["backoff"]]
        delay = ms(min(policy["retry_delay"] * factor, 60))
        if delay:
            self.due["retry", id, self.attempts[id]] = self.now + delay
        else:
            self.start(id, self.graph.nodes[id])

    def minds_itself(self, id: str, type: str) -> bool:
        node = self.graph.nodes[id]
        continues = kind(node) == "wait" and type == "timeout" and node.get("on_timeout") == "continue"
        if continues:
            self.finish(id, {})
        return continues

    def clear_up(self) -> None:
        """What goes on in nodes ends with them; timers are those of what goes on."""
        self.going = {id for id in self.going if self.status[id] == "ready"}
        self.due = {timer: due for timer, due in self.due.items() if self.counts(*timer)}
        if self.is_over:
            self.due, self.held, self.suspended = {}, [], False

    def counts(self, what: str, id: str, attempt: int) -> bool:
        if what == "deadline" or attempt != self.attempts[id]:
            return what == "deadline" and not self.is_over
        return self.status[id] == "ready" if what == "retry" else id in self.going

    # -- places

    def ready(self) -> set[str]:
        """What a worker could run now, by path."""
        waits = {id for what, id, _ in self.due if what == "retry"} | self.going | self.values.keys()
        waits |= {about[what == "fired"] for what, *about in self.held if what in ("fired", "fail_for_good", "recover")}
        found = {id for id, status in self.status.items() if status == "ready" and id not in waits}
        return {id + FALLBACK if id in self.replaced else id for id in found}

    def note_ready(self) -> None:
        ready = self.ready()
        self.ready_since = {path: self.ready_since.get(path, self.number) for path in ready}

    def check_places(self, at_work: set[str]) -> bool:
        """Whether that may be what workers run now: as much as there are places for, the most urgent first, and among
        equals what has been ready for longest; nothing is begun while the execution is suspended. What was held is
        taken one by one: then somebody may have begun before somebody else was ready."""
        ready = set(self.ready_since)
        begun, left = at_work - self.at_work, ready - at_work
        self.at_work = set(at_work)
        if not at_work <= ready or (self.suspended and begun):
            return False
        if not self.suspended and len(at_work) != min(len(ready), self.places or len(ready)):
            return False
        return all(
            self.rank(one) <= self.rank(other) or self.ready_since[other] > max(self.ready_since[one], self.first)
            for one in begun
            for other in left
        )

    def rank(self, path: str) -> tuple[int, int]:
        return -self.graph.nodes[path.removesuffix(FALLBACK)].get("priority", 0), self.ready_since[path]

    def outcome(self, definition: Definition) -> Any:
        status, nodes, output, error = super().outcome(definition)
        if self.is_cancelled:
            return "cancelled", nodes, None, None
        return ("suspended", nodes, None, None) if self.suspended else (status, nodes, output, error)


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def hears(node: Definition, name: str, v: int, key: int | None) -> bool:
    """Whether an event is for this wait; one without a key was sent to the execution itself, and may be for any."""
    if kind(node) != "wait" or node.get("event") != name or (key is not None and "correlate" not in node):
        return False
    return "match" not in node or int(node["match"][-1]) == v
