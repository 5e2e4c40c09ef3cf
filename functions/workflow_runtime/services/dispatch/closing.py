"""Closing runs that nobody wants any more: what no worker has begun is over at once; whoever has begun it meets that
when it renews its lease or records its result.

A worker may have gone on in place with others (`plan.segments`), the claim of each in the record of the one before.
"""

from __future__ import annotations

from collections.abc import Container

from msgspec.structs import replace

from workflow_runtime.engine.commands import CancelRun, StopRun
from workflow_runtime.engine.events import Event, NodeSucceeded, RunStopped, run_event_id
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.visits import awaited_as
from workflow_runtime.errors import RetryableError
from workflow_runtime.plan import segments
from workflow_runtime.plan.plan import Plan
from workflow_runtime.services.mail import Mailer
from workflow_runtime.storage.limiters import LimiterName
from workflow_runtime.storage.records import Run, RunStatus
from workflow_runtime.storage.stores import Stores

DISPATCHER = "dispatcher"  # owner of runs that no worker runs


class Closing:
    """``mailer`` tells the execution of runs that never began. All of it may happen twice."""

    def __init__(self, stores: Stores, mailer: Mailer) -> None:
        self._runs = stores.runs
        self._limiters = stores.limiters
        self._mailer = mailer

    def cancel(self, state: ExecutionState, command: CancelRun) -> None:
        """Close the run, whether a worker has begun it or not; its result, if there is one, comes too late."""
        path, serial = command.path, command.serial
        cancelled = Run.cancelled(
            path, serial, DISPATCHER, state.now, started_at=command.started_at, child=command.child
        )
        if self._runs.claim(state.execution_id, cancelled):
            return
        found = self._runs.get(state.execution_id, path, serial)
        if found is not None and found.status is RunStatus.YIELDED:
            self._close_yielded(state, cancelled, found)
        if found is not None and found.next is not None:
            self.cancel(state, CancelRun(found.next.path, found.next.serial, found.next.started_at))
        if found is not None and found.status.open:
            closed = replace(cancelled, attempt=found.attempt, started_at=found.started_at)
            if self._runs.finish(state.execution_id, closed, found.owner):
                self.leave(found)
            else:  # a worker has begun it, or ended it and gone on in place, since we looked
                self.cancel(state, command)

    def stop(self, plan: Plan, state: ExecutionState, command: StopRun) -> None:
        """Tell the run's worker, which then begins nothing more in place, and reports how what it runs ends. Of what
        never began we report that, and close it if it was ordered; and what has succeeded, so that nobody waits for
        what its worker does since. Raises `RetryableError`."""
        if command.closes:
            self._close(state, command)
            return
        awaited = _awaited(plan, state, command)
        ran = self._stopped(state, command, awaited)
        for path in awaited:
            if path not in ran:
                self._mailer.send(state.execution_id, _stopped_event(state, path, command.serial))
            elif ran[path] is RunStatus.SUCCESS and state.awaits_cancelled:
                self._mailer.send(state.execution_id, _succeeded_event(state, path, command.serial))

    def _close(self, state: ExecutionState, command: StopRun) -> None:
        """Close the run, and report what it has come to by its record. Raises `RetryableError`."""
        path, serial = command.path, command.serial
        self.cancel(state, CancelRun(path, serial))
        found = self._runs.get(state.execution_id, path, serial)
        if found is not None and found.status is RunStatus.SUCCESS:
            event: Event = _succeeded_event(state, path, serial)
        else:
            event = _stopped_event(state, path, serial)
        self._mailer.send(state.execution_id, event)

    def _stopped(self, state: ExecutionState, command: StopRun, awaited: Container[str]) -> dict[str, RunStatus]:
        """Paths of what a worker has begun and reports, now that it begins nothing more, and how that stood. Raises
        `RetryableError`."""
        closed = Run.cancelled(command.path, command.serial, DISPATCHER, state.now)
        if self._runs.claim(state.execution_id, closed):
            return {}
        found = self._runs.get(state.execution_id, command.path, command.serial)
        if found is None:
            raise RetryableError("a run moved on while it was told to stop")
        chain = self._runs.segment(state.execution_id, found)
        begun, last = {run.path: run.status for run in chain}, chain[-1]
        if last.status is RunStatus.RUNNING and last.path not in awaited and state.awaits_cancelled:
            self._close_other(state, last)
        elif last.status is RunStatus.RUNNING:
            if not self._runs.ask_to_stop(state.execution_id, last):
                raise RetryableError("a run moved on while it was told to stop")
        elif last.status is RunStatus.YIELDED:
            self._close_yielded(state, Run.cancelled(last.path, last.serial, DISPATCHER, state.now), last)
            del begun[last.path]
        elif last.status.unclaimed:
            again = Run.cancelled(last.path, last.serial, DISPATCHER, state.now)
            if not self._runs.finish(state.execution_id, again, last.owner):
                raise RetryableError("a worker took a run that was being closed")
            self.leave(last)
            del begun[last.path]
        elif last.status is RunStatus.CANCELLED:
            del begun[last.path]
        return begun  # what has ended otherwise, whoever ran it says so

    def _close_other(self, state: ExecutionState, found: Run) -> None:
        """Close what a worker runs in place after others, and nobody awaits. Raises `RetryableError`."""
        closed = Run.cancelled(found.path, found.serial, DISPATCHER, state.now, started_at=found.started_at)
        if found.in_place and self._runs.claim(state.execution_id, closed):
            return
        if not self._runs.finish(state.execution_id, closed, found.owner):
            raise RetryableError("a run moved on while it was closed")

    def leave(self, run: Run) -> None:
        """Who waits for a limiter does not any more."""
        if run.status is RunStatus.WAITING:
            self._limiters.leave(LimiterName(run.limiter, run.limiter_key), [run.place])

    def _close_yielded(self, state: ExecutionState, cancelled: Run, found: Run) -> None:
        """Close a run whose worker has left it to the dispatcher."""
        self._runs.record(state.execution_id, [replace(cancelled, attempt=found.attempt, started_at=found.started_at)])


def _stopped_event(state: ExecutionState, path: str, serial: int) -> RunStopped:
    return RunStopped(f"stop:{path}#{serial}", state.now, path, serial)


def _succeeded_event(state: ExecutionState, path: str, serial: int) -> NodeSucceeded:
    return NodeSucceeded(run_event_id(path, serial), state.now, path, serial)


def _awaited(plan: Plan, state: ExecutionState, command: StopRun) -> list[str]:
    """Paths of the run, and of those that may follow it in place, under its serial, as far as the execution waits for
    them."""
    after = segments.paths_after(plan, command.path) if state.segments else ()
    return [path for path in (command.path, *after) if awaited_as(state.stopping, path, command.serial)]
