"""What an execution's nodes and agents came to, run by run and step by step, page by page, for cassettes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.services.tracing.spans import runs_agent
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.sessions import Turn
from workflow_runtime.storage.steps import Step
from workflow_runtime.storage.stores import Stores

RUNS_READ_AT_ONCE = 25  # with their outputs, of which each may be large
PAGE_BYTES_MAX = 2 * 1024 * 1024  # an answer of the API takes twice as much, and one output may be large


class ToldTurn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A turn of a session: its ``messages``, and a ``summary`` of what was before the first one that is told."""

    number: int
    messages: Json
    summary: str = ""


class TakenRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node run as it was recorded. ``asked``: what tells whether another call asks the same; ``session``: of an agent
    that has one, the turns that it was told, if they are still there; unset: there are none to tell of."""

    path: str
    serial: int
    status: str
    attempt: int = 1
    output: Json = None
    error: dict[str, Json] | None = None
    asked: Json = None
    child: str = ""
    usage: dict[str, Json] | None = None
    warnings: tuple[str, ...] = ()
    session: tuple[ToldTurn, ...] | msgspec.UnsetType = msgspec.UNSET


class TakenStep(Step, frozen=True, kw_only=True, omit_defaults=True):
    """A step of an agent, of the node at ``path`` in its ``visit``."""

    path: str
    visit: int

    @classmethod
    def of(cls, path: str, visit: int, step: Step) -> TakenStep:
        return cls(path=path, visit=visit, **msgspec.structs.asdict(step))

    @property
    def step(self) -> Step:
        return Step(**{name: getattr(self, name) for name in Step.__struct_fields__})


class Place(msgspec.Struct, frozen=True, array_like=True):
    """What a page ends with: the run of this ``key``, of the node at ``path``, and so many of that node's ``steps``;
    -1: they were told before, or there are none."""

    key: str
    path: str = ""
    steps: int = -1


class TakenPage(msgspec.Struct, frozen=True, rename={"next": "next_cursor"}):
    """``next``: the place after which another page follows; None: this is the last."""

    runs: tuple[TakenRun, ...]
    steps: tuple[TakenStep, ...]
    next: str | None


class Taken:
    """``page_bytes_max``: of a page, one run or step more or less."""

    def __init__(self, stores: Stores, page_bytes_max: int = PAGE_BYTES_MAX) -> None:
        self._stores = stores
        self._bytes_max = page_bytes_max

    def page(self, execution_id: str, after: str = "") -> TakenPage:
        """Runs by path and serial; behind the first run of an agent's node all its steps. Raises `RequestError`
        (``not_found``)."""
        header = self._stores.executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        plan = self._stores.workflows.plan(header.plan_hash)
        start = msgspec.json.decode(after, type=Place) if after else Place("")
        runs: list[TakenRun] = []
        steps: list[TakenStep] = []
        size = 0
        for place, item in self._items(execution_id, plan, start):
            if isinstance(item, TakenRun):
                runs.append(item)
            else:
                steps.append(item)
            size += len(msgspec.json.encode(item))
            if size >= self._bytes_max:
                return TakenPage(tuple(runs), tuple(steps), msgspec.json.encode(place).decode())
        return TakenPage(tuple(runs), tuple(steps), None)

    def whole(self, execution_id: str) -> TakenPage:
        """All of it."""
        pages = [self.page(execution_id)]
        while (after := pages[-1].next) is not None:
            pages.append(self.page(execution_id, after))
        return joined(pages)

    def _items(self, execution_id: str, plan: Plan, after: Place) -> Iterator[tuple[Place, TakenRun | TakenStep]]:
        """All behind ``after``, each with the place that it ends at."""
        yield from self._steps(execution_id, after)
        while found := self._stores.runs.page(execution_id, after.key, RUNS_READ_AT_ONCE, with_output=True):
            for key, run in found:
                is_due = run.path != after.path and runs_agent(plan, run.path)
                after = Place(key, run.path, 0 if is_due else -1)
                yield after, self._taken(run)
                yield from self._steps(execution_id, after)
            if len(found) < RUNS_READ_AT_ONCE:
                return

    def _taken(self, run: Run) -> TakenRun:
        told = None
        if run.told is not None and run.status is not RunStatus.YIELDED:  # the attempt's last run tells of it
            told = self._stores.sessions.told(run.told)
        return TakenRun(
            path=run.path,
            serial=run.serial,
            status=run.status.value,
            attempt=run.attempt,
            output=run.output,
            error=msgspec.to_builtins(run.error),
            asked=run.asked,
            child=run.child,
            usage=run.usage,
            warnings=run.warnings,
            session=tuple(map(_told, told)) if told is not None else msgspec.UNSET,
        )

    def _steps(self, execution_id: str, place: Place) -> Iterator[tuple[Place, TakenStep]]:
        if place.steps < 0:
            return
        found = self._stores.steps.of_node(execution_id, place.path)
        for number, (visit, step) in enumerate(found[place.steps :], start=place.steps + 1):
            yield Place(place.key, place.path, number), TakenStep.of(place.path, visit, step)


def joined(pages: Iterable[TakenPage]) -> TakenPage:
    """The pages from the first to the last as one."""
    found = list(pages)
    return TakenPage(
        tuple(run for page in found for run in page.runs), tuple(step for page in found for step in page.steps), None
    )


def _told(turn: Turn) -> ToldTurn:
    return ToldTurn(turn.number, turn.content, turn.summary)
