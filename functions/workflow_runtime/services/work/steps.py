"""In the worker: where the steps of an agent's visit are recorded."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.invokers.committing import NOTHING_TO_COMMIT, ToCommit
from workflow_runtime.ports import Ports
from workflow_runtime.services.patience import PatientCalls
from workflow_runtime.services.work.outbox import Outbox
from workflow_runtime.storage.steps import Step, StepStore, Visit

LOOK_SECONDS = 10  # between looks at a step that another run has begun


class VisitSteps:
    """The steps of ``visit``. ``lease_seconds``: how long a silent worker is believed to live; ``outbox``:
    commits and sends what steps bring about, in the name of the worker ``pool``. Raises `TransportError`
    when the table cannot be reached."""

    def __init__(
        self, ports: Ports, store: StepStore, visit: Visit, lease_seconds: int, outbox: Outbox, pool: str
    ) -> None:
        self._ports = ports
        self._patiently = PatientCalls(ports, "the step log")
        self._store = store
        self._visit = visit
        self._lease_seconds = lease_seconds
        self._outbox = outbox
        self._pool = pool
        self.is_new = visit.serial == visit.number
        self._tells_content = ports.traces is not None and ports.traces.content
        self.made: list[Step] = []  # for people: without what they came to, unless traces are to tell

    def diverges(self) -> bool:
        return False

    async def of_visit(self) -> list[Step]:
        return await self._patiently(self._store.of_visit, self._visit)

    async def record(self, step: Step, to_commit: ToCommit = NOTHING_TO_COMMIT) -> Step:
        own = self._own(step)
        commit = await self._outbox.commit(self._visit.execution_id, self._pool, to_commit)
        counts = await self._patiently(self._store.record, self._visit, own, commit)
        self.made.append(
            replace(own, result=own.result if self._tells_content else None, fingerprint=None, arguments=None)
        )
        if counts.serial == own.serial:
            await self._outbox.send_recorded(self._visit.execution_id, commit)
        return counts

    async def begin(self, step: Step) -> Step:
        return await self._patiently(self._store.begin, self._visit, self._own(step))

    async def outcome(self, step: Step) -> Step:
        until = step.at + self._lease_seconds * 1000
        while not step.done and self._ports.clock.now() < until:
            await self._ports.clock.sleep(LOOK_SECONDS)
            step = await self._patiently(self._store.get, self._visit, step)
        return step

    def _own(self, step: Step) -> Step:
        return replace(step, serial=self._visit.serial, at=self._ports.clock.now())
