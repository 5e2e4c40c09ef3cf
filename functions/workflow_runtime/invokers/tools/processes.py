"""Worker processes for authors' blocking tools (``awr serve --workers N``): they run side by side on several
processors, can be stopped, and one that dies takes nothing along but the attempt that it had.

A process runs one call at a time, and is started when there is a call and none is idle. A call whose attempt is over
(cancelled, or its time is up) is told so, and its process is killed if it has not returned soon after. A process ends
with its server, as its socket does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

from workflow_runtime.errors import NodeError, WrongArguments
from workflow_runtime.invokers.containment import Outcome
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.invokers.tools import process_worker
from workflow_runtime.invokers.tools.process_messages import (
    LENGTH_BYTES,
    AskToken,
    Call,
    Failed,
    FromWorker,
    Logged,
    Returned,
    Stop,
    Token,
    ToWorker,
    framed,
    from_worker,
)
from workflow_runtime.sdk import NodeContext

STOP_SECONDS = 5.0  # for a tool that looks whether it is still wanted


class Processes:
    """``folder``: of the tools. ``count``: how many calls run at once, the others wait. ``stop_seconds``: see
    `STOP_SECONDS`."""

    def __init__(self, folder: Path, count: int, stop_seconds: float = STOP_SECONDS) -> None:
        self._folder = folder
        self._slots = asyncio.Semaphore(count)
        self._stop_seconds = stop_seconds
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._generation = 0

    def renew(self) -> None:
        """Tools have changed: calls that begin from now on have processes that know them."""
        self._generation += 1

    async def run(self, call: NodeCall, context: NodeContext) -> Outcome[NodeResult]:
        """What the call came to. Cancelled, it returns at once; what the call comes to then is told to ``call.late``,
        unless its process had to be killed."""
        await self._slots.acquire()
        running = _Running(self._stop_seconds)
        work = asyncio.ensure_future(self._carried_out(call, context, running))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            running.stop()
            work.add_done_callback(lambda done: None if done.cancelled() else call.late.came(done.result()))
            raise

    async def _carried_out(self, call: NodeCall, context: NodeContext, running: _Running) -> Outcome[NodeResult]:
        """Run the call in a process, which is idle again then, or gone."""
        try:
            worker = await self._worker()
            running.began(worker)
            outcome = await worker.run(call, context)
        except (OSError, EOFError) as error:
            if running.killed:
                return Outcome(error=asyncio.CancelledError())
            return Outcome(error=NodeError("worker_lost", f"the process of tool {call.target!r} ended: {error}"))
        finally:
            running.over()
            self._slots.release()
        if worker.generation == self._generation:
            self._idle.append(worker)
        else:
            await self._end(worker)
        return outcome

    async def _worker(self) -> _Worker:
        """An idle process that knows the tools as they are, or a new one. Raises `OSError`."""
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive and worker.generation == self._generation:
                return worker
            await self._end(worker)
        worker = await _Worker.started(self._folder, self._generation)
        self._all = {one for one in self._all if one.is_alive} | {worker}
        return worker

    async def _end(self, worker: _Worker) -> None:
        self._all.discard(worker)
        await worker.end()

    async def close(self) -> None:
        """End all processes, whatever they do."""
        self._idle.clear()
        for worker in list(self._all):
            await self._end(worker)


class _Running:
    """A call under way, which may be stopped before it has a process."""

    def __init__(self, stop_seconds: float) -> None:
        self._stop_seconds = stop_seconds
        self._worker: _Worker | None = None
        self._stopping: asyncio.TimerHandle | None = None
        self._wanted = True
        self.killed = False

    def began(self, worker: _Worker) -> None:
        """Raises `EOFError` if nobody wants it any more."""
        self._worker = worker
        if not self._wanted:
            self._kill()
            raise EOFError("it was not wanted any more")

    def stop(self) -> None:
        self._wanted = False
        if self._worker is not None:
            with contextlib.suppress(OSError):
                self._worker.send(Stop())
            self._stopping = asyncio.get_running_loop().call_later(self._stop_seconds, self._kill)

    def over(self) -> None:
        if self._stopping is not None:
            self._stopping.cancel()

    def _kill(self) -> None:
        self.killed = True
        if self._worker is not None:
            self._worker.kill()


class _Worker:
    """One process. ``generation``: of the tools that it knows."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        generation: int,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.generation = generation

    @classmethod
    async def started(cls, folder: Path, generation: int) -> _Worker:
        """Raises `OSError`."""
        ours, theirs = socket.socketpair()
        with theirs:
            program = f"import sys; sys.path[:] = {sys.path!r}; from {process_worker.__name__} import main; main()"
            arguments = ("-c", program, str(theirs.fileno()), str(folder))
            process = await asyncio.create_subprocess_exec(sys.executable, *arguments, pass_fds=[theirs.fileno()])
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer, generation)

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    def send(self, message: ToWorker) -> None:
        self._writer.write(framed(message))

    async def run(self, call: NodeCall, context: NodeContext) -> Outcome[NodeResult]:
        """Raises `EOFError` or `OSError` when the process ends before the call."""
        self.send(_message(call))
        while True:
            match await self._received():
                case Logged(level, message):
                    context.logger.log(level, "%s", message)
                case AskToken():
                    self.send(Token(await asyncio.to_thread(context.make_token)))
                case Returned(output, warnings, pending):
                    return Outcome(NodeResult(output, warnings, pending))
                case Failed() as failed:
                    return Outcome(error=_failure(failed))

    async def _received(self) -> FromWorker:
        try:
            head = await self._reader.readexactly(LENGTH_BYTES)
            message: FromWorker = from_worker.decode(await self._reader.readexactly(int.from_bytes(head, "big")))
        except asyncio.IncompleteReadError:
            code = await self._process.wait()
            raise EOFError(f"by signal {-code}" if code < 0 else f"with exit code {code}") from None
        return message

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        self.kill()
        self._writer.close()
        await self._process.wait()


def _message(call: NodeCall) -> Call:
    return Call(
        call.target,
        call.inputs,
        call.execution_id,
        call.workflow_id,
        call.path,
        call.attempt,
        call.idempotency_key,
        call.deadline,
        call.hops,
        call.correlation_id,
        call.limit_fences,
    )


def _failure(failed: Failed) -> NodeError:
    """A failure as an attempt has it."""
    if failed.wrong_arguments:
        return WrongArguments(failed.message)
    return NodeError(failed.type, failed.message, failed.retry_after)
