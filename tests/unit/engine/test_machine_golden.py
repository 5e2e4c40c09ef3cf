"""Golden microsteps: what charts of every construct do, step by step. REWRITE_GOLDEN=1 writes them anew.

Each file in tests/golden/machine is a workflow with a script in its ``metadata``; beside it stands what came of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.engine.driver import Driver

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.engine.commands import (
    CancelRun,
    CancelTimer,
    Command,
    Log,
    PublishEvent,
    RecordNode,
    RunNode,
    SetStatus,
    StartTimer,
)
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.language.json_values import Json

GOLDEN = Path(__file__).parents[2] / "golden/machine"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_chart_takes_its_golden_steps(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    compilation = compile_workflow(source.encode(), file=path.name)
    assert compilation.plan is not None, "\n".join(map(str, compilation.findings))
    assert not compilation.findings
    driver = Driver(compilation.plan)
    lines = [*_told("start", driver, driver.start)]
    for step in yaml.safe_load(source)["workflow"]["metadata"]["script"]:
        lines += _told(_title(step), driver, lambda step=step: _play(driver, step))
    text = "\n".join([*lines, f"{driver.status}: {driver.output}"]) + "\n"
    golden = path.with_suffix(".txt")
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text
    assert driver.replayed() == driver.state


def _play(driver: Driver, step: dict[str, Any]) -> None:
    match step:
        case {"send": name, **rest}:
            driver.send(name, rest.get("data"))
        case {"elapse": seconds}:
            driver.elapse(seconds)
        case {"succeed": path, "output": output}:
            driver.succeed(path, output)
        case {"fail": path, **rest}:
            driver.fail(path, **rest)
        case _:
            raise AssertionError(f"no such step: {step}")


def _title(step: dict[str, Any]) -> str:
    (kind, value), *rest = step.items()
    return f"{kind} {value}" + "".join(f" {_shown(value)}" for _, value in rest)


def _shown(value: Json) -> str:
    return str(value).replace("'", "")


def _told(title: str, driver: Driver, play: Any) -> Iterator[str]:
    """What one step of the script makes happen, commit by commit."""
    commits, ignored, first = len(driver.journal), len(driver.ignored), driver.now
    play()
    yield f"== {title}"
    for entry in driver.journal[commits:]:
        if entry.now != first + 1000:
            yield f"   after {(entry.now - first) / 1000:g} s"
        for step in entry.macrosteps:
            yield from _macrostep(step)
        for command in entry.commands:
            if line := _command(command, entry.now):
                yield f"   {line}"
    for _, reason in driver.ignored[ignored:]:
        yield f"   ignored: {reason}"


def _macrostep(step: Macrostep) -> Iterator[str]:
    yield f"-- {step.machine + ': ' if step.machine else ''}{step.event or 'start'}"
    rows = {
        "taken": "; ".join(step.taken),
        "exited": " ".join(step.exited),
        "entered": " ".join(step.entered),
        "actions": " ".join(step.actions),
        "active": " ".join(step.configuration),
        "reason": step.reason,
    }
    yield from (f"   {name:8} {value}" for name, value in rows.items() if value)


def _command(command: Command, now: int) -> str:
    match command:
        case Log():
            return f"log: {command.message}"
        case RunNode():
            return f"run {command.path}#{command.serial}" + (f" {_shown(command.inputs)}" if command.has_inputs else "")
        case CancelRun():
            return f"cancel {command.path}#{command.serial}"
        case RecordNode():
            return f"record {command.path}#{command.serial} {_shown(command.output)}"
        case StartTimer():
            return f"timer {command.timer} in {(command.due - now) / 1000:g} s"
        case CancelTimer():
            return f"cancel timer {command.timer}"
        case PublishEvent() | SetStatus():
            return ""
        case _:
            return type(command).__name__
