"""Recorded executions, taken again in tests."""

from __future__ import annotations

from pathlib import Path

import msgspec

from workflow_runtime.engine.recording import Recording, decode_recording, first_deviation


def replay(recording: str | Path | bytes | Recording) -> None:
    """Take a recording again with this version's engine: a file of `awr export`, its content, or what
    `WorkflowTester.recording` gives::

        @pytest.mark.parametrize("path", Path("tests/recordings").glob("*.json"))
        def test_what_ran_in_production_runs_the_same(path):
            replay(path)

    Raises `AssertionError` that tells the first difference, `ValueError` for what is not a recording.
    """
    __tracebackhide__ = True
    if not isinstance(recording, Recording):
        recording = _read(recording)
    found = first_deviation(recording)
    if found is not None:
        took = ", ".join(found.events) or "no event"
        which = f"execution {recording.execution_id} of {recording.workflow_id!r} comes out differently"
        raise AssertionError(f"{which}\n  {found}\n  that commit took: {took}")


def _read(recording: str | Path | bytes) -> Recording:
    data = recording if isinstance(recording, bytes) else Path(recording).read_bytes()
    try:
        return decode_recording(data)
    except msgspec.DecodeError as error:
        name = "the given bytes are" if isinstance(recording, bytes) else f"{recording} is"
        raise ValueError(f"{name} no recording: {error}") from error
