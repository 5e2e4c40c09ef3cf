"""Which part of a cassette answers a call.

Serials and times of a replay are its own. What is the same is the order: the n-th visit of a node answers as its n-th
recorded one, and so do the attempts within it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import msgspec

from workflow_runtime.invokers.agents.turns import hash_of
from workflow_runtime.invokers.cassettes.file import MODEL, Cassette, ChildOnTape, RunOnTape, VisitOnTape
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.steps import Step


class VisitPlayed(msgspec.Struct):
    """A visit of the replay, and the recorded one that it corresponds to.

    - ``number``: the replay's own
    - ``ended``: how many of its attempts have
    - ``departed``: why it is another one by now; None: it is not
    - ``made``: steps that the cassette does not have
    """

    path: str
    number: int
    on_tape: VisitOnTape | None
    ended: int = 0
    departed: str | None = None
    made: list[Step] = msgspec.field(default_factory=list)

    @property
    def run(self) -> RunOnTape | None:
        """How the attempt under way ended when it was recorded."""
        runs = self.on_tape.runs if self.on_tape is not None else ()
        return runs[self.ended] if self.ended < len(runs) else None

    @property
    def goes_by_steps(self) -> bool:
        """Whether requests of the recorded agent are known: a mocked one had none."""
        has_request = self.run is not None and isinstance(self.run.asked, dict)
        return self.on_tape is not None and (bool(self.on_tape.steps) or has_request)

    def steps(self) -> list[Step]:
        """What had been recorded by the end of this attempt; an answer without a result where the run itself has it."""
        if self.on_tape is None:
            return []
        run = self.run
        steps = [step for step in self.on_tape.steps if run is None or step.serial <= run.serial]
        if run is None or not isinstance(run.asked, dict):
            return steps
        log = max((step.log for step in steps), default=0)
        last = max((step.ordinal for step in steps if step.log == log and step.name == MODEL), default=0)
        return [
            *steps,
            Step(name=MODEL, ordinal=last + 1, log=log, fingerprint=run.asked.get("request"), serial=run.serial),
        ]


class Tape:
    """The parts of one cassette, for one replay."""

    def __init__(self, cassette: Cassette) -> None:
        self.cassette = cassette
        self._recorded: dict[str, list[VisitOnTape]] = defaultdict(list)
        for visit in sorted(cassette.visits, key=lambda visit: visit.number):
            self._recorded[visit.path].append(visit)
        self._children: dict[str, list[ChildOnTape]] = defaultdict(list)
        for child in cassette.children:
            self._children[child.path].append(child)
        self._started: Counter[str] = Counter()
        self._played: dict[tuple[str, int], VisitPlayed] = {}
        self._visits: Counter[str] = Counter()
        self._results = dict(_results(cassette))

    def visit(self, path: str, number: int) -> VisitPlayed:
        """The visit of the replay, whenever it is asked for."""
        played = self._played.get((path, number))
        if played is None:
            recorded, place = self._recorded.get(path, []), self._visits[path]
            self._visits[path] += 1
            on_tape = recorded[place] if place < len(recorded) else None
            played = self._played[path, number] = VisitPlayed(path, number, on_tape)
        return played

    @property
    def played(self) -> list[VisitPlayed]:
        """The visits of the replay so far."""
        return list(self._played.values())

    def child(self, path: str) -> ChildOnTape | None:
        """The next execution that the node at ``path`` starts."""
        place = self._started[path]
        self._started[path] += 1
        children = self._children.get(path, [])
        return children[place] if place < len(children) else None

    def result(self, step: str, arguments: Json) -> dict[str, Json] | None:
        """What a call of an agent with these arguments came to, whichever agent made it; ``step``: ``tool:…`` …"""
        return self._results.get((step, hash_of(arguments)))

    def result_of(self, step: str, arguments: str) -> dict[str, Json] | None:
        """The same by the arguments' hash."""
        return self._results.get((step, arguments))


def _results(cassette: Cassette) -> Iterator[tuple[tuple[str, str], dict[str, Json]]]:
    for visit in cassette.visits:
        ends = {(step.log, step.name, step.ordinal): step.result for step in visit.steps}
        for step in visit.steps:
            kind, _, id = step.name.rpartition("/")[2].partition(":")
            if not id or not step.done or not isinstance(step.fingerprint, str) or not isinstance(step.result, dict):
                continue
            prefix = step.name.removesuffix(f"{kind}:{id}")
            ended = ends.get((step.log, f"{prefix}end:{id}", step.ordinal), step.result)
            if isinstance(ended, dict):
                yield (f"{kind}:{id}", step.fingerprint), ended
