"""What of a commit is large is stored apart, before it: commits, journal and messages stay small."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.commands import AskApproval, Command, RecordNode, StorePages
from workflow_runtime.engine.payloads import payload, without_payload
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.payloads import is_large, pack_bytes

OUTPUTS_INLINE_BYTES_MAX = 64 * 1024  # of all nodes decided in one commit: its item must stay far below 400 KB


class LargeValues:
    """Puts them where they are found by the commit's id."""

    def __init__(self, executions: ExecutionStore) -> None:
        self._executions = executions

    def commands(self, state: ExecutionState, commit_id: str, commands: Sequence[Command]) -> tuple[Command, ...]:
        """The commands with large values replaced by where they were stored."""
        stored: list[Command] = []
        room = OUTPUTS_INLINE_BYTES_MAX
        for index, command in enumerate(commands):
            if isinstance(command, StorePages):
                self._put_pages(command)
                command = replace(command, pages=())
            large = payload(command)
            if large is not None:
                data = msgspec.json.encode(large)
                packed = pack_bytes(data)
                room -= len(packed)
                keep = command.keep if isinstance(command, AskApproval) else ""
                if keep or is_large(data, packed) or room < 0:
                    key = keep or f"executions/{state.execution_id}/outputs/{commit_id}.{index}"
                    self._executions.put_blob(key, packed)
                    command = without_payload(command, key)
            stored.append(self._without_inputs(state, commit_id, index, command))
        return tuple(stored)

    def _put_pages(self, command: StorePages) -> None:
        """Store values apart. Another dispatcher that stores some under this key stores the same."""
        for key, page in zip(command.keys, command.pages, strict=True):
            self._executions.put_blob(key, pack_bytes(msgspec.json.encode(page)))

    def _without_inputs(self, state: ExecutionState, commit_id: str, index: int, command: Command) -> Command:
        """A record whose inputs, if they are large, are stored apart."""
        if not isinstance(command, RecordNode) or command.inputs is None:
            return command
        data = msgspec.json.encode(command.inputs)
        packed = pack_bytes(data)
        if not is_large(data, packed):
            return command
        key = f"executions/{state.execution_id}/inputs/{commit_id}.{index}"
        self._executions.put_blob(key, packed)
        return replace(command, inputs=None, inputs_blob=key)
