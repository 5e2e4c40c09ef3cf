"""What happens to a chart (language §4), by another interpreter of the language: charts of states side by side, with
what events bring and the workflow owns, delays, raised events, and a node that runs in a state. Nested states are those
of `test_statechart_reference`.

A naive reading of the text: it walks the definition, and knows neither plan nor engine.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from tests.simulation.engine.living import KEY, ms
from tests.simulation.engine.recovery import Script, taken
from tests.simulation.engine.reference import Definition

EVENTS = ("go", "order.paid", "order.sent")
INNER = "inner"  # an event that only actions raise
CONDITION = re.compile(r"\$\{([\w.]+)\} (==|>) (\d+)")
VALUE = re.compile(r"\$\{([\w.]+)( \+ 1)?\}")
MICROSTEPS_MAX = 1_000
END = "end"
ERROR = "error.execution"


class ChartAuthor:
    """Charts of the states ``s0``, ``s1`` …, of which ``end`` is the last. The workflow owns ``a`` and ``b``; events
    bring ``v``, which an action may make its own."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.names = [f"s{number}" for number in range(random.randint(2, 4))]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def definition(self) -> Definition:
        definition: Definition = {
            "id": "w",
            "type": "state_machine",
            "initial_state": "s0",
            "final_states": [END],
            "variables": {"a": 0, "b": 0},
            "events": ["execution"],
            "on_unhandled_event": self.random.choice(["ignore", "ignore", "defer", "fail"]),
            "states": [self.state(name) for name in self.names],
        }
        if self.chance(0.2):
            definition["timeout"] = self.duration() + 20
        return definition

    def state(self, name: str) -> Definition:
        state: Definition = {"name": name, "transitions": [self.transition() for _ in range(self.random.randint(1, 3))]}
        state["on_enter"] = [self.set("a", "${a + 1}"), *self.actions(0.2)]
        state["on_exit"] = self.actions(0.3)
        if self.chance(0.3):
            state["always"] = [{"condition": f"${{a}} == {self.random.randint(1, 4)}", "target": self.target(name)}]
        if self.chance(0.5):
            state["after"] = [self.delay(name) for _ in range(self.random.randint(1, 2))]
        if self.chance(0.4):
            state["run"] = {"id": "r", "type": "tool", "tool": "t"}
            state["on_done"] = self.target(name)
            if self.chance(0.7):
                state["on_error"] = self.target(name)
        return state

    def transition(self) -> Definition:
        event: Any = self.random.choice([*EVENTS, "order.*", ["go", "order.sent"], INNER])
        transition: Definition = {"event": event, "actions": self.actions(0.6)}
        if self.chance(0.5):
            transition["condition"] = self.condition()
        if self.chance(0.7):
            transition["target"] = self.random.choice([*self.names, END])
        return transition

    def delay(self, name: str) -> Definition:
        delay: Definition = {"delay": self.duration(), "target": self.target(name), "actions": self.actions(0.3)}
        if self.chance(0.3):
            delay["condition"] = self.condition()
        if self.chance(0.3):
            delay["every"] = self.duration()
        return delay

    def target(self, source: str) -> str:
        return self.random.choice([name for name in [*self.names, END] if name != source])

    def condition(self) -> str:
        return self.random.choice(["${v} == 1", "${v} == 0", "${event.data.v} == 1", "${a} > 2", "${b} == 1"])

    def actions(self, share: float) -> list[Definition]:
        if not self.chance(share):
            return []
        values = ["${v}", "${event.data.v}", "${a}", "${b + 1}"]
        several = [
            self.set("b", self.random.choice(values)),
            self.set("v", self.random.choice(["${a}", "${event.data.v}"])),
            {"raise": {"event": INNER}},
        ]
        return self.random.choices(several, [4, 1, 2], k=self.random.randint(1, 2))

    def set(self, name: str, value: str) -> Definition:
        return {"set_variable": {"name": name, "value": value}}

    def duration(self) -> float:
        return self.random.randint(1_000, 20_000) / 1000


def chart_scripts(definition: Definition, random: Random) -> dict[str, Script]:
    def outcome() -> Any:
        return ("!", "e1") if random.random() < 0.3 else {"v": random.randint(0, 1)}

    ran = [state["name"] for state in definition["states"] if "run" in state]
    return {f"{name}/r": [outcome() for _ in range(random.randint(1, 3))] for name in ran}


class Failed(Exception):
    """The execution has failed, with an error of this type."""


class ChartRun:
    """- ``brought``: what events have made variables; the workflow's own are ``variables``
    - ``data``: that of the event that is taken; ``names``: what of it is visible by name; ``raised``: events that
      actions have raised since
    - ``due``: when the delays of the active state are over, by their place; of the timeout, by -1
    """

    def __init__(self, definition: Definition, outcomes: dict[str, Script], now: int) -> None:
        self.states: dict[str, Definition] = {state["name"]: state for state in definition["states"]}
        self.policy = definition["on_unhandled_event"]
        self.outcomes = outcomes
        self.now = now
        self.status, self.error, self.left = "running", "", -1
        self.variables: dict[str, Any] = {"k": KEY, **definition["variables"]}
        self.brought: dict[str, Any] = {}
        self.data: Any = None
        self.names: dict[str, Any] = {}
        self.raised: list[str] = []
        self.deferred: list[tuple[str, Any]] = []
        self.held: list[tuple[Any, ...]] = []
        self.due: dict[int, int] = {}
        self.runs = False
        self.ended: Any = None  # what the state's node came to while the execution was suspended
        if "timeout" in definition:
            self.due[-1] = now + ms(definition["timeout"])
        self.state, self.entered = "", False
        self.attempt(lambda: self.macrostep({"target": "s0"}, None))

    def attempt(self, act: Any) -> None:
        try:
            act()
        except Failed as failed:
            self.end("failed", str(failed))

    def end(self, status: str, error: str = "") -> None:
        self.status, self.error = status, error
        self.due, self.held, self.runs = {}, [], False

    # -- what happens

    def happens(self, what: str, *about: Any) -> bool:
        *rest, at = about
        if what == "timer" and (not self.due or at != max(self.now, min(self.due.values()))):
            return False
        self.now = at
        self.attempt(lambda: getattr(self, what)(*rest))
        return True

    def time(self) -> None:
        """It passes."""

    def timer(self) -> None:
        first = min(self.due, key=lambda place: self.due[place])
        del self.due[first]
        if first == -1:
            self.end("failed", "timeout")
        else:
            self.meets("delayed", self.visit, first)

    def event(self, name: str, v: int, _key: None) -> None:
        self.meets("hear", name, v)

    def meets(self, what: str, *about: Any) -> None:
        if self.status == "suspended":
            self.held.append((what, *about))
        else:
            getattr(self, what)(*about)

    def result(self, path: str) -> None:
        outcome = taken(self.outcomes[path])
        if not self.runs or path != f"{self.state}/r":
            return
        self.runs = False
        if self.status != "suspended":
            self.run_ended(self.visit, outcome)
        elif isinstance(outcome, tuple):
            self.held.append(("run_ended", self.visit, outcome))
        else:
            self.ended = outcome

    def suspend(self) -> None:
        if self.status == "running":
            self.status = "suspended"
            deadline = self.due.pop(-1, None)
            self.left = max(deadline - self.now, 0) if deadline is not None else -1

    def resume(self) -> None:
        if self.status != "suspended":
            return
        self.status = "running"
        if self.left >= 0:
            self.due[-1] = self.now + self.left
        held, self.held = self.held, []
        if self.ended is not None:
            held = [("run_ended", self.visit, self.ended), *held]
            self.ended = None
        for what, *about in held:
            if self.status == "running":
                getattr(self, what)(*about)

    def cancel(self) -> None:
        if self.status in ("running", "suspended"):
            self.end("cancelled")

    # -- transitions

    visit = 0

    def hear(self, name: str, v: int) -> None:
        if self.offer(name, {"v": v}):
            return
        if self.policy == "fail":
            raise Failed("execution_error")
        if self.policy == "defer":
            self.deferred.append((name, {"v": v}))

    def offer(self, name: str, data: dict[str, Any] | None) -> bool:
        """Whether a transition takes the event."""
        found = self.enabled(self.states[self.state].get("transitions", []), name, data)
        if found is not None:
            self.macrostep(found, data)
        return found is not None

    def delayed(self, visit: int, place: int) -> None:
        if visit != self.visit:
            return
        delay = self.states[self.state]["after"][place]
        if "every" in delay:
            self.due[place] = self.now + ms(delay["every"])
        if self.holds(delay, None):
            self.macrostep(delay, None)

    def run_ended(self, visit: int, outcome: Any) -> None:
        if visit != self.visit:
            return
        state, failed = self.states[self.state], isinstance(outcome, tuple)
        if isinstance(outcome, tuple) and "on_error" not in state:
            raise Failed(outcome[1])
        failed = isinstance(outcome, tuple)
        self.macrostep(
            {"target": state["on_error" if failed else "on_done"]}, None if failed else outcome, merges=False
        )

    def enabled(self, transitions: list[Definition], name: str, data: dict[str, Any] | None) -> Definition | None:
        return next((each for each in transitions if hears(each["event"], name) and self.holds(each, data)), None)

    def macrostep(self, transition: Definition, data: Any, *, merges: bool = True) -> None:
        before, self.raised, self.entered = self.state, [], False
        self.take(transition, data, merges=merges)
        for _ in range(MICROSTEPS_MAX):
            if self.state == END:
                self.end("completed")
                return
            state = self.states[self.state]
            found = next((each for each in state.get("always", []) if self.holds(each, self.data, {})), None)
            if found is not None:
                self.take(found, self.data, names={}, merges=False)
            elif not self.raised:
                break
            else:
                self.take_raised(self.raised.pop(0))
        else:
            raise Failed("execution_error")
        if self.entered:
            self.begin()
        if self.state != before:
            self.offer_deferred()

    def take_raised(self, name: str) -> None:
        found = self.enabled(self.states[self.state]["transitions"], name, None)
        if found is not None:
            self.take(found, None)
        elif name == ERROR:
            raise Failed("execution_error")

    def offer_deferred(self) -> None:
        """Those that nothing took, in order, again: the state has changed."""
        place = 0
        while self.status == "running" and place < len(self.deferred):
            name, data = self.deferred[place]
            found = self.enabled(self.states[self.state]["transitions"], name, data)
            if found is None:
                place += 1
                continue
            del self.deferred[place]
            before = self.state
            self.macrostep(found, data)
            if self.state != before:
                return

    def take(
        self, transition: Definition, data: Any, names: dict[str, Any] | None = None, *, merges: bool = True
    ) -> None:
        self.data, self.names = data, (data or {}) if names is None else names
        for name, value in self.names.items() if merges else ():
            if name not in self.variables:
                self.brought[name] = value
        moves = "target" in transition
        if moves and self.state:
            self.perform(self.states[self.state]["on_exit"])
            self.due = {place: due for place, due in self.due.items() if place == -1}
            self.runs = False
        self.perform(transition.get("actions", []))
        if moves:
            self.state, self.entered = transition["target"], True
            self.visit += 1
            if self.state != END:
                self.perform(self.states[self.state]["on_enter"])

    def begin(self) -> None:
        """What goes on in a state begins when the step that led there is over."""
        state = self.states[self.state]
        for place, delay in enumerate(state.get("after", [])):
            self.due[place] = self.now + ms(delay["delay"])
        self.runs = "run" in state

    def perform(self, actions: list[Definition]) -> None:
        """A block of actions, which ends with the first that fails."""
        for action in actions:
            if "raise" in action:
                self.raised.append(action["raise"]["event"])
                continue
            name, text = action["set_variable"]["name"], VALUE.fullmatch(action["set_variable"]["value"])
            assert text is not None
            value = self.read(text[1])
            if text[2] and value is None:
                self.raised.append(ERROR)
                return
            self.variables[name] = value + 1 if text[2] else value
            self.brought.pop(name, None)

    def holds(self, transition: Definition, data: Any, names: dict[str, Any] | None = None) -> bool:
        condition = CONDITION.fullmatch(transition.get("condition", ""))
        if condition is None:
            return True
        self.data, self.names = data, (data or {}) if names is None else names
        value, wanted = self.read(condition[1]), int(condition[3])
        return value is not None and (value > wanted if condition[2] == ">" else value == wanted)

    def read(self, name: str) -> Any:
        if name.startswith("event."):
            return (self.data or {}).get("v")
        if name in self.variables:
            return self.variables[name]
        return self.names.get(name, self.brought.get(name))

    def outcome(self) -> Any:
        """What a chart was doing when it failed, or was cancelled, is left out."""
        if self.status in ("failed", "cancelled"):
            return self.status, self.error
        return self.status, self.state, {**self.brought, **self.variables}


def hears(descriptor: Any, name: str) -> bool:
    if isinstance(descriptor, list):
        return any(hears(each, name) for each in descriptor)
    return bool(descriptor == name or (descriptor == "order.*" and name.startswith("order.")))
