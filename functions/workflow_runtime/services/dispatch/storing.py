"""What of a commit is large is stored apart, before it: commits, journal and messages stay small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.commands import AskApproval, Command, RecordNode, StorePages
from workflow_runtime.engine.events import Event, NodeSucceeded
from workflow_runtime.engine.payloads import payload, without_payload
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import VALUE_KEPT_BYTES_MAX
from workflow_runtime.ports import Together
from workflow_runtime.services.dispatch.pacing import TimeBudget
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.payloads import is_large, pack_bytes

OUTPUTS_INLINE_BYTES_MAX = 64 * 1024  # of all nodes decided in one commit: its item must stay far below 400 KB
WAITING_BYTES_MAX = 16 << 20  # of packed values: a commit may have hundreds, and a process has a gigabyte


class LargeValues:
    """Puts them where they are found by the commit's id."""

    def __init__(self, executions: ExecutionStore, together: Together, budget: TimeBudget) -> None:
        self._executions = executions
        self._together = together
        self._budget = budget

    def commands(self, state: ExecutionState, commit_id: str, commands: Sequence[Command]) -> tuple[Command, ...]:
        """The commands with large values replaced by where they were stored. Raises `RetryableError`."""
        stored: list[Command] = []
        room = OUTPUTS_INLINE_BYTES_MAX
        puts = _Puts(self._executions.put_blob, self._together, self._budget)
        for index, command in enumerate(commands):
            if isinstance(command, StorePages):
                _put_pages(command, puts)
                command = replace(command, pages=())
            large = payload(command)
            if large is not None:
                data = msgspec.json.encode(large)
                packed = pack_bytes(data)
                room -= len(packed)
                keep = command.keep if isinstance(command, AskApproval) else ""
                if keep or is_large(data, packed) or room < 0:
                    key = keep or f"executions/{state.execution_id}/outputs/{commit_id}.{index}"
                    puts.add(key, packed)
                    command = without_payload(command, key)
            stored.append(_without_inputs(f"executions/{state.execution_id}/inputs/{commit_id}.{index}", command, puts))
        puts.make()
        return tuple(stored)


class _Puts:
    """Values that wait to be put, so that many are put at once; at most `WAITING_BYTES_MAX` of them wait."""

    def __init__(self, put: Callable[[str, bytes], None], together: Together, budget: TimeBudget) -> None:
        self._put = put
        self._together = together
        self._budget = budget
        self._waiting: list[Callable[[], None]] = []
        self._bytes = 0

    def add(self, key: str, packed: bytes) -> None:
        self._waiting.append(partial(self._put_in_time, key, packed))
        self._bytes += len(packed)
        if self._bytes >= WAITING_BYTES_MAX:
            self.make()

    def make(self) -> None:
        """Put what waits. Raises `RetryableError`, also when there is no time left for all of it."""
        puts, self._waiting, self._bytes = self._waiting, [], 0
        self._together(puts)

    def _put_in_time(self, key: str, packed: bytes) -> None:
        self._budget.check()
        self._put(key, packed)


def _put_pages(command: StorePages, puts: _Puts) -> None:
    """Store values apart. Another dispatcher that stores some under this key stores the same."""
    for key, page in zip(command.keys, command.pages, strict=True):
        puts.add(key, pack_bytes(msgspec.json.encode(page)))


def _without_inputs(key: str, command: Command, puts: _Puts) -> Command:
    """A record whose inputs, if they are large, are stored apart."""
    if not isinstance(command, RecordNode) or command.inputs is None:
        return command
    data = msgspec.json.encode(command.inputs)
    packed = pack_bytes(data)
    if not is_large(data, packed):
        return command
    puts.add(key, packed)
    return replace(command, inputs=None, inputs_blob=key)


def without_values(event: Event) -> Event:
    """An event as the journal keeps it: values that the state would not keep either are left out, and read again on
    replay.
    """
    if isinstance(event, NodeSucceeded) and event.has_values and event.values_bytes > VALUE_KEPT_BYTES_MAX:
        return replace(event, values=None, has_values=False)
    return event
