"""A worker process of `processes`: it runs one blocking tool after another, until its server has gone.

Its arguments: the file descriptor of the socket to the server, and the folder of the tools.
Signals are the server's to answer, which stops its workers when it has drained; a terminal or a supervisor sends them
to all.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from workflow_runtime.errors import WrongArguments
from workflow_runtime.invokers.containment import node_failure
from workflow_runtime.invokers.tools.invoker import TOOLS_LOGGER, called
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
    framed,
    to_worker,
)
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.sdk import NodeContext


class Server:
    """The other end. Threads of a tool may log side by side."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._tokens: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.stopped = False

    def send(self, message: FromWorker) -> None:
        with self._lock:
            self._connection.sendall(framed(message))

    def token(self) -> str:
        self.send(AskToken())
        return self._tokens.get()

    def listen(self) -> None:
        """Take what the server says; when it has gone, nobody is left to work for, whatever the tool still does."""
        with self._connection.makefile("rb") as stream:
            while len(head := stream.read(LENGTH_BYTES)) == LENGTH_BYTES:
                match to_worker.decode(stream.read(int.from_bytes(head, "big"))):
                    case Call() as call:
                        self.stopped = False
                        self.calls.put(call)
                    case Token(value):
                        self._tokens.put(value)
                    case Stop():
                        self.stopped = True
        os._exit(0)


class _ToServer(logging.Handler):
    def __init__(self, server: Server) -> None:
        super().__init__(logging.DEBUG)
        self._server = server

    def emit(self, record: logging.LogRecord) -> None:
        self._server.send(Logged(record.levelno, self.format(record)))


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    server = Server(socket.socket(fileno=int(sys.argv[1])))
    threading.Thread(target=server.listen, name="server", daemon=True).start()
    TOOLS_LOGGER.addHandler(_ToServer(server))
    TOOLS_LOGGER.setLevel(logging.INFO)
    TOOLS_LOGGER.propagate = False
    registry = ToolRegistry.load(Path(sys.argv[2]))
    while True:
        call = server.calls.get()
        server.send(_answer(registry, call, server))


def _answer(registry: ToolRegistry, call: Call, server: Server) -> Returned | Failed:
    tool = registry.get(call.tool)
    if tool is None:
        return Failed("not_found", f"there is no tool {call.tool!r} any more")
    try:
        result = called(tool, call.inputs, _context(call, server))
    except BaseException as error:  # SystemExit, too: the tool ends its attempt, not this process
        failure = node_failure(error, f"tool {tool.id!r}")
        return Failed(failure.type, failure.message, failure.retry_after, isinstance(failure, WrongArguments))
    return Returned(result.output, result.warnings, result.pending)


def _context(call: Call, server: Server) -> NodeContext:
    return NodeContext(
        execution_id=call.execution_id,
        workflow_id=call.workflow_id,
        path=call.path,
        attempt=call.attempt,
        idempotency_key=call.idempotency_key,
        deadline=call.deadline,
        logger=logging.LoggerAdapter(TOOLS_LOGGER, {}),  # the server knows whose lines they are
        now=lambda: time.time_ns() // 1_000_000,
        hops=call.hops,
        correlation_id=call.correlation_id,
        limit_fences=call.limit_fences,
        is_stopped=lambda: server.stopped,
        make_token=server.token,
    )
