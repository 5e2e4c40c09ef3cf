"""What a compensation that the dispatcher runs itself sees of the visit that it undoes; a worker reads it itself."""

from __future__ import annotations

from workflow_runtime.engine.commands import Read, RecordNode
from workflow_runtime.engine.turn import Turn, ValuesMissing, Visit
from workflow_runtime.language.json_values import Json


def seen_of(turn: Turn, undone: Read) -> dict[str, Json]:
    """The `inputs` and the `output` of a visit. Raises `ValuesMissing`."""
    path = undone.path(turn.plan)
    for command in reversed(turn.commands):  # it may have ended in this very turn
        if isinstance(command, RecordNode) and (command.path, command.serial) == (path, undone.serial):
            return _seen_of_record(turn, command)
    visit = _visit(turn, undone)
    return {"inputs": visit.inputs, "output": visit.output}


def _seen_of_record(turn: Turn, record: RecordNode) -> dict[str, Json]:
    inputs = _visit(turn, record.inputs_of).inputs if record.inputs_of is not None else record.inputs
    output = _visit(turn, record.output_of).output if record.output_of is not None else record.output
    return {"inputs": {} if inputs is None else inputs, "output": output}


def _visit(turn: Turn, read: Read) -> Visit:
    """A recorded run, whole. Raises `ValuesMissing`."""
    if read not in turn.known.visits:
        turn.lacks().visits[read] = None
        raise ValuesMissing
    return turn.known.visits[read]
